//! Transactions that are ended in ways particular to a backend.

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::work::Outcome;
use registry_core::{CommitError, Error, Registry, RunQueryDsl, UnitOfWork, bind_tables, binds};

use crate::support::{mariadb, postgres, run_sql, sqlite_file};

mod lost_connections;
mod mariadb;
mod postgresql;
mod sqlite;

diesel::table! {
    events (id) {
        id -> Integer,
    }
}

diesel::table! {
    my_items (id) {
        id -> Integer,
    }
}

diesel::table! {
    notes (id) {
        id -> Integer,
    }
}

binds! {
    Pg: Postgres = "pg";
    My: Mysql = "my";
    Lite: Sqlite = "lite";
}

bind_tables!(Pg; events);
bind_tables!(My; my_items);
bind_tables!(Lite; notes);

async fn registry() -> Registry {
    let registry = Registry::builder()
        .bind("pg", postgres().database("work"))
        .bind("my", mariadb().database("work"))
        .bind("lite", sqlite_file())
        .build()
        .expect("good settings");
    run_sql::<Pg>(&registry, "CREATE TABLE events (id INTEGER PRIMARY KEY)").await;
    run_sql::<My>(
        &registry,
        "CREATE TABLE my_items (id INTEGER PRIMARY KEY); \
         CREATE TABLE scratch (id INTEGER PRIMARY KEY, v INTEGER NOT NULL DEFAULT 0); \
         CREATE VIEW seen AS SELECT id FROM scratch; \
         CREATE PROCEDURE commits() COMMIT; \
         CREATE PROCEDURE commits_and_begins() BEGIN COMMIT; START TRANSACTION; END; \
         CREATE PROCEDURE is_harmless() DO 1",
    )
    .await;
    run_sql::<Lite>(&registry, "CREATE TABLE notes (id INTEGER PRIMARY KEY)").await;
    registry
}

async fn add_all(work: &mut UnitOfWork, id: i32) -> Result<(), Error> {
    diesel::insert_into(events::table).values(events::id.eq(id)).execute(&mut *work).await?;
    diesel::insert_into(my_items::table).values(my_items::id.eq(id)).execute(&mut *work).await?;
    diesel::insert_into(notes::table).values(notes::id.eq(id)).execute(work).await?;
    Ok(())
}

fn outcome<'a>(error: &'a CommitError, key: &str) -> &'a Outcome {
    error.binds().find(|(other, _)| *other == key).expect("it was touched").1
}
