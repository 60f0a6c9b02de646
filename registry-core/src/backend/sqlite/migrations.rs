//! The support for migrations on a SQLite connection: the session state around them, and broken foreign keys.

use std::collections::HashMap;
use std::time::Duration;

use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::Sqlite;
use crate::backend::migrate::{BrokenReference, MigrationSession, TableReferences};
use crate::cause::DriverError;

/// Settings that a migration may leave changed. The next borrower of an in-memory database would inherit the change.
const PRAGMAS: [&str; 6] = [
    "foreign_keys",
    "defer_foreign_keys",
    "ignore_check_constraints",
    "legacy_alter_table",
    "query_only",
    "recursive_triggers",
];

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Integer)]
    value: i32,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Broken {
    #[diesel(sql_type = Text, column_name = "table")]
    table: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    rowid: Option<i64>,
    #[diesel(sql_type = Text)]
    parent: String,
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
}

pub(super) async fn has_table(connection: &mut Sqlite, name: &str) -> QueryResult<bool> {
    let found = sql_query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ?");
    let found: Vec<Table> = found.bind::<Text, _>(name).load(connection).await?;
    Ok(!found.is_empty())
}

/// SQLite counts whole milliseconds, and does not wait at all for zero.
pub(super) async fn set_lock_timeout(connection: &mut Sqlite, limit: Duration) -> QueryResult<()> {
    let limit = limit.as_micros().div_ceil(1000).min(i32::MAX as u128);
    connection.batch_execute(&format!("PRAGMA busy_timeout = {limit}")).await
}

/// SQLite does not translate its messages, and this one belongs to the code `SQLITE_BUSY` alone. Diesel's error of a
/// migration has no source, and its type is not exported, but its text ends in the text of the database's error.
pub(super) fn is_lock_conflict(error: &DriverError) -> bool {
    error.to_string().ends_with("database is locked")
}

pub(super) async fn session(connection: &mut Sqlite) -> QueryResult<MigrationSession> {
    let mut session = MigrationSession::default();
    for pragma in PRAGMAS {
        let value = sql_query(format!("SELECT {pragma} AS value FROM pragma_{pragma}"));
        let Value { value } = value.get_result(connection).await?;
        session.restore.push_str(&format!("PRAGMA {pragma} = {value};"));
        session.keeps_references |= pragma == "foreign_keys" && value != 0;
    }
    session.before = state(connection).await?;
    Ok(session)
}

/// The other state that a migration may leave in a connection, as statements: a setting is represented by the statement
/// that sets it, and an object that would hide tables (a temporary table, view or trigger, an attached database) by the
/// statement that removes it.
async fn state(connection: &mut Sqlite) -> QueryResult<HashMap<String, String>> {
    let found: Vec<Found> = sql_query(STATE).load(connection).await?;
    Ok(found.into_iter().map(|Found { name, value }| (name, value)).collect())
}

/// Restores it, outside of transactions.
pub(super) async fn leave(connection: &mut Sqlite, session: &MigrationSession) -> QueryResult<()> {
    connection.batch_execute(&session.restore).await?;
    let mut now: Vec<_> = state(connection).await?.into_iter().collect();
    // Views and triggers first, because dropping a table drops its triggers.
    now.sort_by_key(|(name, _)| {
        !name.starts_with("DROP TRIGGER") && !name.starts_with("DROP VIEW")
    });
    for (name, value) in now {
        let restore = match session.before.get(&name) {
            Some(before) if *before == value => continue,
            Some(before) => format!("{name} {before}"),
            None => name,
        };
        connection.batch_execute(&restore).await?;
    }
    Ok(())
}

/// `case_sensitive_like` cannot be queried, so the query tests its effect.
const STATE: &str = "SELECT 'PRAGMA case_sensitive_like =' AS name, CAST(NOT 'a' LIKE 'A' AS TEXT) AS value \
     UNION ALL SELECT 'PRAGMA writable_schema =', CAST(writable_schema AS TEXT) FROM pragma_writable_schema \
     UNION ALL SELECT 'PRAGMA max_page_count =', CAST(max_page_count AS TEXT) FROM pragma_max_page_count \
     UNION ALL SELECT 'PRAGMA trusted_schema =', CAST(trusted_schema AS TEXT) FROM pragma_trusted_schema \
     UNION ALL SELECT 'PRAGMA reverse_unordered_selects =', CAST(reverse_unordered_selects AS TEXT) \
         FROM pragma_reverse_unordered_selects \
     UNION ALL SELECT 'DETACH \"' || replace(name, '\"', '\"\"') || '\"', '' FROM pragma_database_list \
         WHERE name NOT IN ('main', 'temp') \
     UNION ALL SELECT 'DROP ' || upper(type) || ' temp.\"' || replace(name, '\"', '\"\"') || '\"', '' \
         FROM temp.sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
     UNION ALL SELECT 'DROP TRIGGER temp.\"' || replace(name, '\"', '\"\"') || '\"', '' \
         FROM temp.sqlite_schema WHERE type = 'trigger' AND tbl_name NOT IN \
         (SELECT name FROM temp.sqlite_schema WHERE type IN ('table', 'view'))";

/// Switches foreign keys off. To rebuild a table, a migration drops it, which deletes the rows that refer to it, or breaks
/// their references. SQLite's manual switches foreign keys off for that
/// (<https://www.sqlite.org/lang_altertable.html#otheralter>), which is only possible outside of a transaction.
pub(super) async fn enter(connection: &mut Sqlite) -> QueryResult<()> {
    connection.batch_execute("PRAGMA foreign_keys = OFF").await
}

/// Checks table by table, because a check of all tables fails if SQLite cannot resolve one foreign key.
pub(super) async fn broken_references(
    connection: &mut Sqlite,
) -> QueryResult<Vec<TableReferences>> {
    let with_keys = "SELECT name FROM main.sqlite_schema AS tables WHERE type = 'table' \
         AND EXISTS (SELECT 1 FROM pragma_foreign_key_list(tables.name, 'main'))";
    let tables: Vec<Table> = sql_query(with_keys).load(connection).await?;
    let mut references = Vec::with_capacity(tables.len());
    for Table { name } in tables {
        let check = format!("PRAGMA main.foreign_key_check(\"{}\")", name.replace('"', "\"\""));
        let broken: QueryResult<Vec<Broken>> = sql_query(check).load(connection).await;
        let reference = |Broken { table, rowid, parent }| BrokenReference { table, rowid, parent };
        let broken = broken.map(|broken| broken.into_iter().map(reference).collect());
        references.push(TableReferences { table: name, broken });
    }
    Ok(references)
}
