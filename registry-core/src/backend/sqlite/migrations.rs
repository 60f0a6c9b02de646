//! What migrations need of a SQLite connection.

use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::Sqlite;
use crate::backend::migrate::{BrokenReference, MigrationSession};

/// What a migration may leave in a connection, and the next borrower of a database in memory would find.
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
struct Broken {
    #[diesel(sql_type = Text, column_name = "table")]
    table: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    rowid: Option<i64>,
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = Integer)]
    fkid: i32,
}

pub(super) async fn session(connection: &mut Sqlite) -> QueryResult<MigrationSession> {
    let mut session = MigrationSession::default();
    for pragma in PRAGMAS {
        let value = sql_query(format!("SELECT {pragma} AS value FROM pragma_{pragma}"));
        let Value { value } = value.get_result(connection).await?;
        session.restore.push_str(&format!("PRAGMA {pragma} = {value};"));
        session.keeps_references |= pragma == "foreign_keys" && value != 0;
    }
    Ok(session)
}

/// A table that is rebuilt is dropped, which deletes what refers to its rows or makes them refer to nothing: SQLite's
/// manual has foreign keys off for that (<https://www.sqlite.org/lang_altertable.html#otheralter>), and that has to
/// be said outside a transaction.
pub(super) async fn enter(connection: &mut Sqlite) -> QueryResult<()> {
    connection.batch_execute("PRAGMA foreign_keys = OFF").await
}

pub(super) async fn broken_references(
    connection: &mut Sqlite,
) -> QueryResult<Vec<BrokenReference>> {
    let broken: Vec<Broken> = sql_query("PRAGMA foreign_key_check").load(connection).await?;
    let reference =
        |Broken { table, rowid, parent, fkid }| BrokenReference { table, rowid, parent, key: fkid };
    Ok(broken.into_iter().map(reference).collect())
}
