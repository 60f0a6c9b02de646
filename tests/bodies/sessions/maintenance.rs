//! How many connections are kept, how long, and in which runtime.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;

use super::*;
use crate::support::eventually;

#[tokio::test]
async fn idle_timeout_closes_idle_connections_down_to_min_idle() {
    let registry = registry_with(|bind| {
        bind.max_connections(4).min_idle(1).idle_timeout(Duration::from_millis(40))
    });
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(registry.session_for::<Event>().await.expect("a session"));
    }
    drop(sessions);
    eventually(|| registry.status().engines[0].idle == 1).await;
}

#[tokio::test]
async fn min_idle_is_kept_warm() {
    let registry = registry_with(|bind| bind.max_connections(4).min_idle(3));
    let session = registry.session_for::<Event>().await.expect("a session");
    eventually(|| registry.status().engines[0].idle == 3).await;
    drop(session);
    assert_eq!(registry.status().engines[0].in_use, 0);
}

#[test]
fn maintenance_resumes_in_the_next_runtime() {
    let registry = registry_with(|bind| {
        bind.max_connections(6).min_idle(2).idle_timeout(Duration::from_millis(200))
    });
    // One session more in each runtime, so that the connections of the first one do not suffice.
    for sessions in [3, 4] {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut held = Vec::new();
            for _ in 0..sessions {
                held.push(registry.session_for::<Event>().await.expect("a session"));
            }
            eventually(|| registry.status().engines[0].idle == 2).await;
        });
    }
}

#[tokio::test]
async fn a_connection_is_replaced_after_max_lifetime() {
    let registry =
        registry_with(|bind| bind.max_connections(1).max_lifetime(Duration::from_millis(30)));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute("CREATE TEMPORARY TABLE mine (id INTEGER)").await.expect("a table");
    tokio::time::sleep(Duration::from_millis(40)).await;
    drop(session);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute("INSERT INTO mine VALUES (1)").await.expect_err("a new connection");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_max_lifetime() {
    let registry =
        registry_with(|bind| bind.max_lifetime(Duration::from_millis(40)).idle_timeout(None));
    drop(registry.session_for::<Event>().await.expect("a session"));
    eventually(|| registry.status().engines[0].idle == 0).await;
}

#[test]
fn registry_outlives_its_runtime() {
    // Neither building nor dropping a registry needs a runtime.
    let registry = registry_with(|bind| bind.max_connections(2));
    for flavor in ["current", "multi", "current"] {
        let runtime = match flavor {
            "current" => tokio::runtime::Builder::new_current_thread().enable_all().build(),
            _ => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        };
        let session = runtime.expect("a runtime").block_on(async {
            let mut held = Vec::new();
            for _ in 0..2 {
                let mut session = registry.session_for::<Event>().await.expect("a session");
                session.batch_execute("SELECT 1").await.expect("an answer");
                held.push(session);
            }
            held.pop()
        });
        // The session is dropped after its runtime.
        drop(session);
        assert_eq!(registry.status().engines[0].in_use, 0);
    }
}

#[test]
fn calls_outside_a_runtime_do_not_panic() {
    fn at_once<T>(future: impl Future<Output = T>) -> T {
        futures_util::FutureExt::now_or_never(future).expect("it does not wait")
    }
    let registry = registry_with(|bind| bind);
    let message = "bind `default`: a session can only be acquired inside a Tokio runtime";
    let error = at_once(registry.session_for::<Event>()).expect_err("no runtime");
    assert_eq!(error.to_string(), message);
    let report = at_once(registry.check(Duration::from_secs(1)));
    assert_eq!(report.binds[0].failure.as_deref(), Some(message));
    assert!(at_once(registry.verify()).is_err());
    assert!(at_once(registry.close()).is_complete());
}

#[tokio::test]
async fn failure_to_keep_min_idle_is_the_last_error() {
    // The first connection creates the table, and the statement fails on every other one.
    let once = "CREATE TABLE once (id INTEGER PRIMARY KEY NOT NULL)";
    let registry = registry_with(|bind| bind.max_connections(2).min_idle(1).on_connect([once]));
    let _first = registry.session_for::<Event>().await;
    eventually(|| registry.status().engines[0].last_error.is_some()).await;
    let status = &registry.status().engines[0];
    let told = &status.last_error.as_ref().expect("it is remembered").message;
    assert!(told.starts_with("the statement `on_connect[0]` that prepares"), "{told}");
}
