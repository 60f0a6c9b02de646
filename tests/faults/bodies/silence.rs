//! Networks that drop packets: nothing is refused, nothing is closed, nothing is answered.

use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection;
use futures_util::future::join_all;
use registry_core::ConnectError;
use tokio::time::timeout;

use super::LONG;
use super::rig::{
    AT_ONCE, Rig, UPDATE, acquire, assert_answers, connect_error, create_things, number, refused,
};
use crate::support::eventually;
use crate::support::proxy::soon;

/// A `connect_timeout` that is short enough to wait for, and long enough for connecting on a busy machine.
const CONNECT: Duration = Duration::from_millis(2500);

fn assert_took(took: Duration, at_least: Duration) {
    assert!(took >= at_least && took < at_least + AT_ONCE, "{took:?} instead of {at_least:?}");
}

#[tokio::test]
async fn silent_server_costs_connect_timeout() {
    let rig = Rig::new(|bind| bind.connect_timeout(CONNECT)).await;
    rig.proxy.be_silent();
    for (error, took) in join_all((0..2).map(|_| refused(&rig.registry))).await {
        assert_took(took, CONNECT);
        assert!(matches!(connect_error(&error), ConnectError::TimedOut { .. }), "{error:?}");
        assert!(error.is_timeout() && error.is_transient());
    }
    rig.proxy.heal().await;
    rig.finish().await;
}

#[tokio::test]
async fn every_acquire_ends_within_acquire_timeout() {
    let limit = Duration::from_millis(600);
    let rig = Rig::new(|bind| bind.acquire_timeout(limit)).await;
    rig.proxy.lose_everything();
    for (error, took) in join_all((0..12).map(|_| refused(&rig.registry))).await {
        assert_took(took, limit);
        assert!(error.is_timeout() && error.is_transient(), "{error:?}");
    }
    let status = &rig.registry.status().engines[0];
    assert_eq!((status.in_use, status.idle, status.waiting), (0, 0, 0));
    rig.proxy.heal().await;
    // Acquired here, as the rig's own acquires must not have such a short time-out.
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let acquire = rig.registry.session_by_key::<super::Backend>("default");
        sessions.push(soon(acquire.within(AT_ONCE * 2)).await.expect("it is healed"));
    }
    for (session, what) in sessions.iter_mut().zip(5..) {
        assert_answers(session, what).await;
    }
    drop(sessions);
    rig.finish().await;
}

#[tokio::test]
async fn dead_idle_connections_cost_one_check_timeout_each_and_no_error() {
    let rig = Rig::new(|bind| bind).await;
    let check = Duration::from_millis(500);
    rig.warm().await;
    rig.proxy.lose_open();
    // The network works again, but data on these connections are still dropped.
    let started = Instant::now();
    let mut first = rig.session().await;
    assert_took(started.elapsed(), check);
    let mut second = rig.session().await;
    assert_took(started.elapsed(), 2 * check);
    for (session, what) in [(&mut first, 5), (&mut second, 6)] {
        assert_answers(session, what).await;
    }
    drop((first, second));
    rig.finish().await;
}

#[tokio::test]
async fn check_and_reconnect_end_within_their_timeouts() {
    let rig = Rig::new(|bind| bind.connect_timeout(CONNECT)).await;
    rig.warm().await;
    rig.proxy.lose_everything();
    let (error, took) = refused(&rig.registry).await;
    assert_took(took, Duration::from_millis(500) + CONNECT);
    assert!(matches!(connect_error(&error), ConnectError::TimedOut { .. }), "{error:?}");
    rig.proxy.heal().await;
    rig.finish().await;
}

#[tokio::test]
async fn connection_that_dies_during_its_check_is_replaced() {
    let rig = Rig::new(|bind| bind.check_timeout(Duration::from_millis(1500))).await;
    rig.warm().await;
    let gate = rig.proxy.hold_requests();
    let acquire = tokio::spawn({
        let registry = rig.registry.clone();
        async move { acquire(&registry).await.expect("a session") }
    });
    soon(gate.asked()).await;
    rig.proxy.lose_open();
    drop(gate);
    let mut session = soon(acquire).await.expect("no panic");
    assert_answers(&mut session, 5).await;
    drop(session);
    rig.finish().await;
}

#[tokio::test]
async fn dropping_a_hanging_query_gives_its_connection_up() {
    // Connections are not checked when they are lent: one with a hanging query must not be returned to the pool.
    let rig = Rig::new(|bind| bind.check_idle_after(Duration::from_secs(600))).await;
    let (mut first, mut second) = (rig.session().await, rig.session().await);
    let limit = Duration::from_millis(300);
    rig.proxy.lose_open();
    let started = Instant::now();
    for session in [&mut first, &mut second] {
        timeout(limit, assert_answers(session, 5)).await.expect_err("nobody answers");
    }
    drop((first, second));
    assert_took(started.elapsed(), 2 * limit);
    rig.finish().await;
}

#[tokio::test]
async fn dropping_a_long_query_frees_the_slot_immediately() {
    // Connections are not checked when they are lent: the next borrower would have to wait for the end of that query.
    let unchecked = Duration::from_secs(600);
    let rig = Rig::new(|bind| bind.max_connections(1).check_idle_after(unchecked)).await;
    let mut session = rig.session().await;
    let gate = rig.proxy.hold_answers();
    {
        let query = session.batch_execute(LONG);
        tokio::select! {
            _ = query => panic!("it takes half a minute"),
            () = soon(gate.asked()) => {}
        }
    }
    drop(gate);
    drop(session);
    let started = Instant::now();
    let mut session = rig.session().await;
    assert_answers(&mut session, 5).await;
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    drop(session);
    eventually(|| rig.proxy.open() == 1).await;
}

#[tokio::test]
async fn dropping_a_hanging_commit_gives_its_connection_up() {
    let rig = Rig::new(|bind| bind.check_idle_after(Duration::from_secs(600))).await;
    create_things(&mut rig.observer().await).await;
    let mut session = rig.session().await;
    let limit = Duration::from_millis(300);
    let started = Instant::now();
    let transaction = session.transaction(async |session| {
        session.batch_execute(UPDATE).await?;
        rig.proxy.lose_open();
        Ok::<_, diesel::result::Error>(())
    });
    timeout(limit, transaction).await.expect_err("nobody answers the commit");
    drop(session);
    assert_took(started.elapsed(), limit);
    // Nothing was committed, and once the server learns that the connection is closed, no lock is left.
    rig.proxy.heal().await;
    rig.assert_whole().await;
    let mut observer = rig.observer().await;
    assert_eq!(
        number(&mut observer, "SELECT count(*) AS value FROM things WHERE value = 0").await,
        1
    );
    rig.finish().await;
}
