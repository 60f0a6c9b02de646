//! Scopes: the current unit of work of a task, on each backend.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{EngineOptions, Error, Registry, RunQueryDsl, UnitOfWork, bind_tables};

use super::{NAME, database};
use crate::support::{is_at_rest, run_sql};

mod lifetime;
mod waiting;
mod warnings;

diesel::table! {
    notes (id) {
        id -> Integer,
    }
}

diesel::table! {
    #[sql_name = "notes"]
    others (id) {
        id -> Integer,
    }
}

bind_tables!(db = "default", connection = super::Backend; notes);
bind_tables!(db = "other", connection = super::Backend; others);

type Main = <notes::table as registry_core::Bound>::Bind;

const CREATE_NOTES: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL)";

async fn registry() -> Registry {
    registry_with(Duration::from_secs(2)).await
}

/// A registry whose callers wait for a session, or for a unit of work, for this long.
async fn registry_with(acquire_timeout: Duration) -> Registry {
    let options = EngineOptions { acquire_timeout, ..Default::default() };
    let builder = Registry::builder().options(options).bind("default", database());
    let registry = builder.build().expect("good settings");
    run_sql::<Main>(&registry, CREATE_NOTES).await;
    registry
}

/// Inserts a row as a function deep in a program does: with the current unit of work, and no argument for it.
async fn note(id: i32) -> Result<(), Error> {
    let mut work = UnitOfWork::current().await?;
    diesel::insert_into(notes::table).values(notes::id.eq(id)).execute(&mut *work).await?;
    Ok(())
}

async fn seen() -> Result<i64, Error> {
    let mut work = UnitOfWork::current().await?;
    notes::table.count().get_result(&mut *work).await
}

async fn committed(registry: &Registry) -> Vec<i32> {
    notes::table.select(notes::id).order(notes::id).load(registry).await.expect("rows")
}
