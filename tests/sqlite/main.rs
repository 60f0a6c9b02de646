//! The connection type of SQLite: dropped futures, panics, and the features of Diesel's own connection.

mod abandoned;
mod connection;
mod exhausted;
mod gate;
mod panics;
mod readers;
mod rebuilt;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod threads;
mod transactions;
mod write_kinds;
mod writers;

use registry_core::settings::BindSettings;
use registry_core::{Registry, Session, Sqlite, bind};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Integer;
use diesel_async::{AsyncConnection, RunQueryDsl};

#[bind(backend = Sqlite)]
struct Model;

type Main = <Model as registry_core::Bound>::Bind;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    value: i32,
}

/// Mounts an async test under both kinds of runtime.
macro_rules! on_both_runtimes {
    ($($test:ident),+ $(,)?) => {
        mod current_thread {
            $(#[tokio::test(flavor = "current_thread")]
            async fn $test() { crate::within(super::$test()).await })+
        }

        mod multi_thread {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { crate::within(super::$test()).await })+
        }
    };
}
use on_both_runtimes;

/// Fails a test that would hang.
async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(60), test).await.expect("it hangs")
}

fn registry(bind: impl Into<BindSettings>) -> Registry {
    Registry::builder().bind("default", bind).build().expect("good settings")
}

async fn session(registry: &Registry) -> Session<Main> {
    registry.session_for::<Model>().await.expect("a session")
}

async fn in_memory() -> Sqlite {
    Sqlite::establish(":memory:").await.expect("a database")
}

async fn number(connection: &mut Sqlite, query: &str) -> i32 {
    let row: Number = sql_query(query).get_result(connection).await.expect("a row");
    row.value
}
