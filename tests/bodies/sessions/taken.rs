//! Connections that are taken out of their engine.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use registry_core::{EngineStatus, Error, IntoInnerError, Registry, RunQueryDsl, Session};
use tokio::time::timeout;

use super::*;
use crate::support::log::own_log;

/// The limit for things that are due immediately.
const AT_ONCE: Duration = Duration::from_secs(30);

fn status(registry: &Registry) -> EngineStatus {
    registry.engine("default").expect("it is there").status()
}

async fn with_table(settings: impl FnOnce(BindSettings) -> BindSettings) -> Registry {
    let registry = registry_with(settings);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("a table");
    drop(session);
    crate::support::is_at_rest(&registry).await;
    registry
}

#[tokio::test]
async fn taken_connection_gives_its_place_back_and_outlives_the_registry() {
    let with = |bind: BindSettings| bind.max_connections(1).check_timeout(Duration::from_secs(90));
    let registry = with_table(with).await;
    let session = registry.session_for::<Event>().await.expect("a session");
    let mut taken = session.into_inner().expect("it can be taken");
    let now = status(&registry);
    assert_eq!((now.in_use, now.idle, now.max), (0, 0, 1), "it no longer counts");

    let mut other = registry.session_for::<Event>().await.expect("another one in its place");
    insert(&mut other, 1).await;
    drop(other);
    let closing = timeout(AT_ONCE, registry.close()).await.expect("it does not wait for it");
    assert!(closing.is_complete(), "{closing}");

    let count = events::table.count().get_result::<i64>(&mut taken).await;
    assert_eq!(count, Ok(1), "it works on");
}

#[tokio::test]
async fn taken_connection_keeps_its_session_and_its_transaction() {
    let registry = with_table(|bind| bind).await;
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute("CREATE TEMPORARY TABLE mine (id INTEGER)").await.expect("a table");
    session.batch_execute("BEGIN").await.expect("a transaction");
    insert(&mut session, 1).await;
    let mut taken = session.into_inner().expect("it can be taken");

    let mut other = registry.session_for::<Event>().await.expect("a session");
    assert_eq!(ids(&mut other).await, [0; 0], "nothing is committed");
    taken.batch_execute("SELECT count(*) FROM mine").await.expect("the session is as it was");
    taken.batch_execute("COMMIT").await.expect("the transaction is still open");
    assert_eq!(ids(&mut other).await, [1]);
}

#[tokio::test]
async fn engine_no_longer_watches_a_taken_connection() {
    let (log, _guard) = own_log();
    let registry = with_table(|bind| bind.log_slow_queries(Duration::from_nanos(1))).await;
    let mut session = registry.session_for::<Event>().await.expect("a session");
    ids(&mut session).await;
    let logged = log.lines_with("slow query").len();
    assert!(logged > 0);
    let mut taken = session.into_inner().expect("it can be taken");
    events::table.count().get_result::<i64>(&mut taken).await.expect("a count");
    assert_eq!(log.lines_with("slow query").len(), logged);
    let events = log.lines_with("a connection was taken out of its engine");
    assert_eq!(events.len(), 1);
    assert!(events[0].contains("bind=default"), "{events:?}");
}

#[tokio::test]
async fn taken_connection_becomes_a_session_again() {
    let registry = with_table(|bind| bind).await;
    let taken = registry.session_for::<Event>().await.expect("a session").into_inner();
    let mut session = Session::<Main>::from_connection(taken.expect("it can be taken"))
        .await
        .expect("a session again");
    insert(&mut session, 1).await;
    assert_eq!(ids(&mut session).await, [1]);
    session.into_inner().expect("and a connection again");
}

#[tokio::test]
async fn connection_of_a_test_isolation_stays() {
    let registry = with_table(|bind| bind).await;
    let isolated = registry.test_isolation().await.expect("an isolated registry");
    let mut session = isolated.session_for::<Event>().await.expect("a session");
    insert(&mut session, 1).await;
    let taken = session.into_inner();
    if NAME == "sqlite" {
        // The isolated registry has a copy of the file, and nothing depends on one connection.
        taken.expect("it can be taken");
    } else {
        let error = taken.map(drop).expect_err("it holds the transaction of the test");
        assert!(matches!(error, IntoInnerError::Isolated { .. }), "{error:?}");
        assert_eq!(
            Error::from(error).to_string(),
            "bind `default`: the connection cannot be taken out of its engine: in test isolation it holds the \
             transaction of the test"
        );
    }
    let mut session = isolated.session_for::<Event>().await.expect("nothing is lost");
    assert_eq!(ids(&mut session).await, [1]);
}
