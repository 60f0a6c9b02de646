//! What migrations need of a SQLite connection.

use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::Sqlite;
use crate::backend::migrate::{BrokenReference, MigrationSession, TableReferences};

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
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
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

/// Table by table: SQLite looks at none if there is one of whose foreign keys it can make nothing.
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
