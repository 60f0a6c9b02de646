//! Tenants' databases and schemas.

use diesel::sql_types::{Nullable, Text};
use diesel::{OptionalExtension, QueryResult, QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::{Postgres, quoted};
use crate::backend::namespace::{LOCK_PAUSE, Namespace, Presence};

/// The comment of a schema whose creation is not finished: its migrations have not all been run.
const UNFINISHED: &str = "registry: this tenant is being created";

#[derive(QueryableByName)]
struct Schema {
    #[diesel(sql_type = Nullable<Text>)]
    comment: Option<String>,
}

pub(super) async fn lock(connection: &mut Postgres, namespace: &Namespace) -> QueryResult<()> {
    // The lock for migrations has another key.
    while !super::takes_lock(connection, namespace.digest() as i64).await? {
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Ok(())
}

pub(super) async fn find(
    connection: &mut Postgres,
    namespace: &Namespace,
) -> QueryResult<Presence> {
    match namespace {
        Namespace::Database(name) => {
            if has_database(connection, name).await? {
                return Ok(Presence::There);
            }
            let begun = has_database(connection, begun(namespace).name()).await?;
            Ok(if begun { Presence::Unfinished } else { Presence::Missing })
        }
        Namespace::Schema(name) => {
            let schema = sql_query(
                "SELECT pg_catalog.obj_description(oid, 'pg_namespace') AS comment \
                 FROM pg_catalog.pg_namespace WHERE nspname = $1",
            );
            let schema: Option<Schema> =
                schema.bind::<Text, _>(name).get_result(connection).await.optional()?;
            Ok(match schema.map(|schema| schema.comment) {
                None => Presence::Missing,
                Some(Some(comment)) if comment == UNFINISHED => Presence::Unfinished,
                Some(_) => Presence::There,
            })
        }
    }
}

pub(super) async fn begin(
    connection: &mut Postgres,
    namespace: &Namespace,
) -> QueryResult<Namespace> {
    let begun = begun(namespace);
    let name = quoted(begun.name());
    match &begun {
        Namespace::Database(_) => {
            connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await?;
            connection.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        }
        Namespace::Schema(_) => {
            if find(connection, namespace).await? == Presence::Unfinished {
                remove(connection, namespace).await?;
            }
            // The statements of one batch are one transaction, so there is no schema without the comment.
            let create = format!(
                "CREATE SCHEMA {name}; COMMENT ON SCHEMA {name} IS {}",
                super::literal(UNFINISHED)
            );
            connection.batch_execute(&create).await?;
        }
    }
    Ok(begun)
}

pub(super) async fn finish(
    connection: &mut Postgres,
    begun: &Namespace,
    namespace: &Namespace,
) -> QueryResult<()> {
    let name = quoted(namespace.name());
    let finish = match begun {
        // Fails if a database of the final name was created meanwhile. The server waits until closing connections to the
        // database are closed.
        Namespace::Database(begun) => format!("ALTER DATABASE {} RENAME TO {name}", quoted(begun)),
        Namespace::Schema(_) => format!("COMMENT ON SCHEMA {name} IS NULL"),
    };
    connection.batch_execute(&finish).await
}

pub(super) async fn remove(connection: &mut Postgres, namespace: &Namespace) -> QueryResult<()> {
    let name = quoted(namespace.name());
    match namespace {
        Namespace::Database(_) => {
            connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await?;
            let begun = quoted(begun(namespace).name());
            connection.batch_execute(&format!("DROP DATABASE IF EXISTS {begun}")).await
        }
        Namespace::Schema(_) => {
            // Without this limit, the statement would wait without end for an open transaction in the schema.
            let drop = format!("SET lock_timeout = '10s'; DROP SCHEMA IF EXISTS {name} CASCADE");
            connection.batch_execute(&drop).await
        }
    }
}

/// The name of a namespace until it is finished. A database is renamed at the end. A schema has its final name from the
/// start: a function can be bound to the schema in which it was created (`SET search_path FROM CURRENT`), and would not find
/// its tables after a renaming.
fn begun(namespace: &Namespace) -> Namespace {
    match namespace {
        Namespace::Database(_) => {
            Namespace::Database(format!("registry-creating-{:016x}", namespace.digest()))
        }
        Namespace::Schema(_) => namespace.clone(),
    }
}

async fn has_database(connection: &mut Postgres, name: &str) -> QueryResult<bool> {
    let database = sql_query("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1");
    Ok(database.bind::<Text, _>(name).execute(connection).await? > 0)
}
