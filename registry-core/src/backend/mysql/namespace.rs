//! Tenants' databases.

use diesel::QueryResult;
use diesel::dsl::sql;
use diesel::sql_types::{Bool, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::Mysql;
use crate::backend::namespace::{LOCK_PAUSE, Namespace, Presence};

/// The mark of an unfinished database: a table that exists until the creation is finished. (MySQL cannot rename a database,
/// as is done on PostgreSQL.)
const UNFINISHED: &str = "__registry_unfinished";

pub(super) async fn lock(connection: &mut Mysql, namespace: &Namespace) -> QueryResult<()> {
    let name = format!("'registry tenant {:016x}'", namespace.digest());
    while !super::takes_lock(connection, &name).await? {
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Ok(())
}

pub(super) async fn find(connection: &mut Mysql, namespace: &Namespace) -> QueryResult<Presence> {
    let name = || namespace.name().to_owned();
    // If `lower_case_table_names` is not 0, the server compares the names of databases without regard to case.
    let is_there = sql::<Bool>(
        "EXISTS (SELECT 1 FROM information_schema.schemata WHERE IF(@@lower_case_table_names = 0, \
         BINARY schema_name = BINARY ",
    )
    .bind::<Text, _>(name())
    .sql(", LOWER(schema_name) = LOWER(")
    .bind::<Text, _>(name())
    .sql(")))");
    if !diesel::select(is_there).get_result::<bool>(connection).await? {
        return Ok(Presence::Missing);
    }
    let is_marked =
        sql::<Bool>("EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = ")
            .bind::<Text, _>(name())
            .sql(" AND table_name = ")
            .bind::<Text, _>(UNFINISHED)
            .sql(")");
    let is_marked = diesel::select(is_marked).get_result(connection).await?;
    Ok(if is_marked { Presence::Unfinished } else { Presence::There })
}

pub(super) async fn begin(connection: &mut Mysql, namespace: &Namespace) -> QueryResult<Namespace> {
    if find(connection, namespace).await? == Presence::Unfinished {
        remove(connection, namespace).await?;
    }
    let name = quoted(namespace.name());
    connection.batch_execute(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")).await?;
    let mark = format!("CREATE TABLE {name}.{UNFINISHED} (id INTEGER PRIMARY KEY)");
    if let Err(error) = connection.batch_execute(&mark).await {
        // The database was created just now, so there is nothing in it. The first error is the one to report.
        let _ = remove(connection, namespace).await;
        return Err(error);
    }
    Ok(namespace.clone())
}

pub(super) async fn finish(connection: &mut Mysql, begun: &Namespace) -> QueryResult<()> {
    let name = quoted(begun.name());
    connection.batch_execute(&format!("DROP TABLE {name}.{UNFINISHED}")).await
}

pub(super) async fn remove(connection: &mut Mysql, namespace: &Namespace) -> QueryResult<()> {
    let name = quoted(namespace.name());
    connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
