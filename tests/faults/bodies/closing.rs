//! A closed registry leaves nothing behind, and closing ends all waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection;
use futures_util::poll;
use registry_core::{AcquireError, Credentials, DatabaseUrl, Registry};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::rig::{AT_ONCE, Rig, assert_answers, number};
use super::{Backend, CONNECTIONS, LONG, server};
use crate::support::proxy::soon;
use crate::support::{eventually, sockets};

/// No socket to the proxy, no task on this runtime, no connection on the server.
async fn assert_nothing_is_left(rig: &Rig) {
    eventually(|| sockets::to_port(rig.proxy.port()) == 0).await;
    eventually(|| Handle::current().metrics().num_alive_tasks() == 0).await;
    eventually(|| rig.proxy.open() == 0).await;
    let mut observer = rig.observer().await;
    soon(async { while number(&mut observer, CONNECTIONS).await > 0 {} }).await;
}

#[tokio::test]
async fn closed_registry_leaves_no_socket_and_no_task() {
    let mut rig = Rig::new(|bind| bind.max_connections(4)).await;
    rig.alone().await;
    let mut lent = rig.session().await;
    let idle = [rig.session().await, rig.session().await];
    drop(idle);
    assert!(sockets::to_port(rig.proxy.port()) >= 3, "they can be seen");
    let registry = rig.registry.clone();
    let mut closing = std::pin::pin!(registry.close());
    assert!(poll!(&mut closing).is_pending(), "a session is lent");
    let error = rig.acquire().await.expect_err("it is closed");
    assert!(matches!(error, AcquireError::Closed { .. }), "{error:?}");
    // A lent session stays usable until it is dropped.
    assert_answers(&mut lent, 5).await;
    assert!(poll!(&mut closing).is_pending(), "a session is lent");
    drop(lent);
    assert!(soon(closing).await.is_complete());
    let status = &rig.registry.status().engines[0];
    assert_eq!((status.in_use, status.idle), (0, 0));
    assert_nothing_is_left(&rig).await;
}

#[tokio::test]
async fn closing_ends_waits_in_the_queue() {
    let mut rig = Rig::new(|bind| bind.max_connections(1)).await;
    rig.alone().await;
    let lent = rig.session().await;
    let mut waiting = rig.registry.session_by_key::<Backend>("default");
    assert!(poll!(&mut waiting).is_pending());
    let limit = Duration::from_millis(50);
    let started = Instant::now();
    let report = rig.registry.close_within(limit).await;
    assert!(!report.is_complete());
    assert!(started.elapsed() >= limit && started.elapsed() < AT_ONCE);
    assert!(matches!(waiting.await, Err(AcquireError::Closed { .. })));
    drop(lent);
    assert!(rig.registry.close_within(AT_ONCE).await.is_complete());
    assert_nothing_is_left(&rig).await;
}

#[tokio::test]
async fn closing_during_a_connect_and_a_hanging_query_leaves_nothing() {
    let mut rig = Rig::new(|bind| bind).await;
    rig.alone().await;
    let mut session = rig.session().await;
    let gate = rig.proxy.hold_answers();
    {
        let query = session.batch_execute(LONG);
        tokio::select! {
            _ = query => panic!("it takes half a minute"),
            () = soon(gate.asked()) => {}
        }
    }
    let mut connecting = Box::pin(rig.registry.session_by_key::<Backend>("default"));
    let before = rig.proxy.accepted();
    while rig.proxy.accepted() == before {
        assert!(poll!(&mut connecting).is_pending(), "nobody answers");
        tokio::task::yield_now().await;
    }
    drop((session, connecting));
    assert!(rig.registry.close_within(AT_ONCE).await.is_complete());
    eventually(|| sockets::to_port(rig.proxy.port()) == 0).await;
    eventually(|| Handle::current().metrics().num_alive_tasks() == 0).await;
}

/// Spawns a task that acquires a session.
fn acquiring(registry: &Registry) -> JoinHandle<Option<AcquireError>> {
    let registry = registry.clone();
    tokio::spawn(async move { registry.session_by_key::<Backend>("default").await.err() })
}

/// The waiting caller gets `Closed`, and the closing does not wait for anything that would only time out later.
async fn assert_told_at_once(registry: &Registry, waiting: JoinHandle<Option<AcquireError>>) {
    let report = timeout(AT_ONCE, registry.close()).await.expect("at once");
    assert!(report.is_complete(), "{report}");
    let error = timeout(AT_ONCE, waiting).await.expect("at once").expect("no panic");
    assert!(matches!(error, Some(AcquireError::Closed { .. })), "{error:?}");
}

/// A time-out that is longer than the closing may take.
const LONG_WAIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn closing_ends_a_connect_to_a_silent_server() {
    let rig = Rig::new(|bind| bind.connect_timeout(LONG_WAIT).acquire_timeout(LONG_WAIT)).await;
    rig.proxy.be_silent();
    let waiting = acquiring(&rig.registry);
    eventually(|| rig.proxy.accepted() > 0).await;
    assert_told_at_once(&rig.registry, waiting).await;
}

#[tokio::test]
async fn closing_ends_a_wait_for_on_connect() {
    let rig = Rig::new(|bind| bind.on_connect([LONG])).await;
    let waiting = acquiring(&rig.registry);
    let mut observer = rig.observer().await;
    soon(async { while number(&mut observer, CONNECTIONS).await == 0 {} }).await;
    assert_told_at_once(&rig.registry, waiting).await;
}

#[tokio::test]
async fn closing_ends_a_wait_for_the_check_of_a_connection() {
    let rig = Rig::new(|bind| bind.check_timeout(LONG_WAIT).acquire_timeout(LONG_WAIT)).await;
    drop(rig.session().await);
    let gate = rig.proxy.hold_answers();
    let waiting = acquiring(&rig.registry);
    soon(gate.asked()).await;
    let closing = timeout(AT_ONCE, rig.registry.close_within(Duration::from_secs(1)));
    closing.await.expect("at once");
    let error = timeout(AT_ONCE, waiting).await.expect("at once").expect("no panic");
    assert!(matches!(error, Some(AcquireError::Closed { .. })), "{error:?}");
}

#[tokio::test]
async fn closing_ends_a_wait_for_credentials() {
    let asked = Arc::new(Notify::new());
    let registry = Registry::builder()
        .bind("default", server().database("fault"))
        .credentials("default", {
            let asked = Arc::clone(&asked);
            move |_: &DatabaseUrl| {
                asked.notify_one();
                std::future::pending::<Result<Credentials, std::io::Error>>()
            }
        })
        .build()
        .expect("good settings");
    let waiting = acquiring(&registry);
    soon(asked.notified()).await;
    assert_told_at_once(&registry, waiting).await;
}
