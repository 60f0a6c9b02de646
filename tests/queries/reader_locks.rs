//! Locking clauses on readers, on the servers that have them.

use std::error::Error as StdError;

use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use registry_core::query::{QueryOf, Runs};
use registry_core::{AnyExecutor, BindDsl, Registry, RunQueryDsl, bind_tables, binds};

use super::{Backend, database};

diesel::table! { chores (id) { id -> Integer, } }
diesel::table! { runs (id) { id -> Integer, } }
diesel::allow_tables_to_appear_in_same_query!(chores, runs);

binds! { Queue: super::Backend = "queue"; }
bind_tables!(Queue; chores, runs);

type Db = <Backend as AsyncConnectionCore>::Backend;

async fn registry() -> Registry {
    let registry = Registry::builder().bind("queue", database()).build().expect("good settings");
    let mut session = registry.session::<Queue>().await.expect("a session");
    for table in ["chores", "runs"] {
        let create = format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY NOT NULL)");
        session.batch_execute(&create).await.expect("an empty database");
        let insert = format!("INSERT INTO {table} VALUES (1)");
        session.batch_execute(&insert).await.expect("an empty table");
    }
    drop(session);
    registry
}

fn is_refused(error: &(dyn StdError + 'static), query: &str) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = cause.to_string();
    let refusals =
        ["a reader only reads, and this query", "a query with `.reads::<Model>()` writes or locks"];
    assert!(refusals.iter().any(|refusal| cause.starts_with(refusal)), "{query}: {cause}");
}

/// Queries with locks that compile on every reader.
macro_rules! refused_on {
    ($on:expr) => {
        let locked = || chores::table.select(chores::id).for_update();
        let shared = || chores::table.select(chores::id).for_share();
        let condition = || -> Box<dyn BoxableExpression<runs::table, Db, SqlType = Bool>> {
            Box::new(runs::id.eq_any(shared()))
        };
        let ids = || runs::table.select(runs::id);
        refused_on! { $on;
            // In a subquery.
            ids().filter(runs::id.eq_any(locked())),
            ids().filter(diesel::dsl::exists(locked())),
            ids().filter(diesel::dsl::not(runs::id.eq_any(shared()))),
            ids().union(ids().filter(runs::id.eq_any(locked()))),
            // In a box.
            ids().into_boxed::<Db>().filter(runs::id.eq_any(locked())),
            ids().filter(condition()),
            ids().into_boxed::<Db>().filter(condition()),
            ids().union(ids().into_boxed::<Db>().filter(condition())),
            // In text.
            ids().filter(diesel::dsl::sql::<Bool>("id IN (SELECT id FROM chores FOR UPDATE)")),
            // With a false claim.
            locked().reads::<Queue>(),
            ids().union(shared()).reads::<Queue>(),
        }
    };
    ($on:expr; $($query:expr),* $(,)?) => {$(
        let error = $query.load::<i32>($on).await.expect_err(stringify!($query));
        is_refused(&error, stringify!($query));
    )*};
}

#[tokio::test]
async fn locks_are_refused_on_a_reader_at_any_depth() {
    let registry = registry().await;
    let reader = registry.reader();
    refused_on!(&reader);
    refused_on!(reader.clone());
    let mut session = reader.session::<Queue>().await.expect("a session");
    refused_on!(&mut session);
    // Here the compiler knows nothing of readers, so the outermost query may lock as well.
    let mut on = AnyExecutor::<Queue>::from(&mut session);
    refused_on!(&mut on);
    let locked = || chores::table.select(chores::id).for_update().skip_locked();
    refused_on! { &mut on;
        locked(),
        locked().bound_to::<Queue>(),
        runs::table.select(runs::id).union(locked()),
    }
    let text = diesel::sql_query("SELECT id FROM chores FOR UPDATE");
    is_refused(&text.execute(&mut on).await.expect_err("a lock"), "text");
    let Err(error) = load_on(locked(), &mut session).await else { panic!("a lock") };
    is_refused(&error, "generic");
    let ids: Vec<i32> = chores::table.select(chores::id).load(&mut session).await.expect("rows");
    assert_eq!(ids, [1]);
}

async fn load_on<E: Runs<Queue>>(
    query: impl QueryOf<Queue, i32>,
    on: E,
) -> Result<Vec<i32>, E::Error> {
    query.load_on(on).await
}
