//! Hazards around a session, on each backend: futures that are dropped in flight, and maintenance that runs at the
//! same time.

use std::time::{Duration, Instant};

use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Integer;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{Registry, Session, bind};

use super::{NAME, database};
use crate::support::eventually;

#[bind(connection = super::Backend)]
struct Model;

type Main = <Model as registry_core::Bound>::Bind;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    value: i32,
}

fn registry_with(settings: impl FnOnce(BindSettings) -> BindSettings) -> Registry {
    Registry::builder()
        .bind("default", settings(BindSettings::new(database())))
        .build()
        .expect("good settings")
}

async fn number(session: &mut Session<Main>, query: &str) -> i32 {
    let row: Number = sql_query(query).get_result(session).await.expect("a row");
    row.value
}

/// A statement that runs for some seconds.
fn long_statement() -> &'static str {
    match NAME {
        "postgres" => "SELECT pg_sleep(4)",
        "mysql" => "SELECT SLEEP(4)",
        _ => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) \
             SELECT max(i) FROM n"
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_statement_does_not_delay_the_next_caller() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let mut session = registry.session_for::<Model>().await.expect("a session");
    let cut = session.batch_execute(long_statement());
    tokio::time::timeout(Duration::from_millis(50), cut).await.expect_err("it takes longer");
    drop(session);

    let started = Instant::now();
    let mut session = registry.session_for::<Model>().await.expect("a session");
    assert_eq!(number(&mut session, "SELECT 42 AS value").await, 42);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn acquire_dropped_while_connecting_loses_no_capacity() {
    let registry = registry_with(|bind| bind.max_connections(1));
    for _ in 0..3 {
        let mut acquire = registry.session_for::<Model>();
        assert!(futures_util::poll!(&mut acquire).is_pending());
        drop(acquire);
    }
    let mut session = registry.session_for::<Model>().await.expect("a session");
    assert_eq!(number(&mut session, "SELECT 42 AS value").await, 42);
}

#[tokio::test]
async fn closing_does_not_wait_for_connections_that_maintenance_opens() {
    let registry = registry_with(|bind| bind.max_connections(4).min_idle(3));
    // The first acquire starts the maintenance, which opens connections in the background.
    registry.session_for::<Model>().await.expect("a session");
    let closed = tokio::time::timeout(Duration::from_secs(10), registry.close()).await;
    assert!(closed.expect("it comes to an end").is_complete());
    eventually(|| registry.status().engines[0].idle == 0).await;
}

#[tokio::test]
async fn min_idle_never_exceeds_max_connections() {
    let url = database();
    let log = Registry::builder().bind("default", url.as_str()).build().expect("good settings");
    let mut log = log.session_for::<Model>().await.expect("a session");
    log.batch_execute("CREATE TABLE opened (value INTEGER)").await.expect("an empty database");
    let registry = Registry::builder()
        .bind(
            "default",
            BindSettings::new(url)
                .max_connections(4)
                .min_idle(3)
                .idle_timeout(Duration::from_millis(100))
                .on_connect(["INSERT INTO opened VALUES (1)"]),
        )
        .build()
        .expect("good settings");
    // Four connections are open, two of them in use, so there is no room for a third idle one.
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(registry.session_for::<Model>().await.expect("a session"));
    }
    sessions.truncate(2);
    // The maintenance runs twice per idle_timeout.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(number(&mut log, "SELECT CAST(count(*) AS INTEGER) AS value FROM opened").await, 4);
}

#[tokio::test]
async fn a_full_reset_leaves_no_temporary_table_behind() {
    let reset = registry_core::ResetOnReturn::Full;
    let registry = registry_with(|bind| bind.max_connections(1).reset_on_return(reset));
    for _ in 0..3 {
        let mut session = registry.session_for::<Model>().await.expect("a session");
        let create = "CREATE TEMPORARY TABLE passing (value INTEGER)";
        session.batch_execute(create).await.expect("nobody has left one behind");
    }
}

#[tokio::test]
async fn instrumentation_set_by_a_borrower_is_gone_for_the_next() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut session = registry.session_for::<Model>().await.expect("a session");
    session.set_instrumentation(move |_: InstrumentationEvent<'_>| {
        let _ = sender.send(());
    });
    number(&mut session, "SELECT 42 AS value").await;
    drop(session);
    assert!(receiver.try_iter().count() > 0);

    let mut session = registry.session_for::<Model>().await.expect("a session");
    number(&mut session, "SELECT 42 AS value").await;
    assert_eq!(receiver.try_iter().count(), 0);
}
