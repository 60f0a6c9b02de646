//! Outages: servers that are killed and restarted, and networks that cut connections.

use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection;
use registry_core::ConnectError;

use super::rig::{
    AT_ONCE, Rig, Session, UPDATE, acquire, assert_answers, assert_whole, connect, connect_error,
    create_things, number, refused, registry, try_number,
};
use super::{DURABLE, LONG, mortal};
use crate::support::proxy::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_server_is_used_again() {
    let server = mortal().await;
    let url = server.database("killed");
    let mut observer = connect(&url).await;
    observer.batch_execute(DURABLE).await.expect("an admin may");
    create_things(&mut observer).await;
    let registry = registry(&url, |bind| bind.max_connections(4));

    // One connection is idle, one in use, one in a transaction, and one in a query.
    let mut held = [(); 4].map(|()| None);
    for session in &mut held {
        *session = Some(acquire(&registry).await.expect("a session"));
    }
    let [idle, in_use, in_transaction, in_query] = held.map(|session| session.expect("a session"));
    let (mut in_use, mut in_transaction): (Session, Session) = (in_use, in_transaction);
    drop(idle);
    let transaction = in_transaction.transaction(async |session| {
        session.batch_execute(UPDATE).await.expect("it is up");
        tokio::task::block_in_place(|| server.kill9());
        session.batch_execute(UPDATE).await
    });
    let query = tokio::spawn(async move {
        let mut session = in_query;
        let outcome = session.batch_execute(LONG).await;
        (session, outcome)
    });
    let outcome: Result<(), diesel::result::Error> = soon(transaction).await;
    outcome.expect_err("its server is gone");
    let (in_query, outcome) = soon(query).await.expect("no panic");
    outcome.expect_err("its server is gone");
    try_number(&mut in_use, "SELECT count(*) AS value").await.expect_err("its server is gone");
    // Callers meanwhile get an error immediately.
    let (error, took) = refused(&registry).await;
    assert!(took < AT_ONCE, "{took:?}");
    assert!(matches!(connect_error(&error), ConnectError::Unreachable(_)), "{error:?}");
    drop((in_use, in_transaction, in_query));
    let report = registry.check(Duration::from_secs(20)).await;
    assert!(report.binds[0].failure.is_some());
    assert_eq!(report.binds[1].failure, None, "the other bind works");

    tokio::task::block_in_place(|| server.start());
    // No connection to the killed server is lent.
    assert_whole(&registry).await;
    let mut session = acquire(&registry).await.expect("a session");
    assert_eq!(
        number(&mut session, "SELECT count(*) AS value FROM things WHERE value = 0").await,
        1
    );
    // Another test may use the server after this one.
    drop(session);
    assert!(registry.close_within(AT_ONCE).await.is_complete());
}

#[tokio::test]
async fn connections_cut_while_idle_are_not_lent() {
    let rig = Rig::new(|bind| bind).await;
    for _ in 0..3 {
        rig.warm().await;
        rig.proxy.cut();
        rig.assert_whole().await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn cut_session_fails_immediately_and_is_not_lent_again() {
    // Connections are not checked when they are lent: one that is known to be dead must not be returned to the pool.
    let rig = Rig::new(|bind| bind.check_idle_after(Duration::from_secs(600))).await;
    let mut observer = rig.observer().await;
    create_things(&mut observer).await;
    let (mut first, mut second) = (rig.session().await, rig.session().await);
    rig.proxy.cut();
    let started = Instant::now();
    try_number(&mut first, "SELECT count(*) AS value").await.expect_err("it was cut");
    let outcome: Result<(), diesel::result::Error> =
        soon(second.transaction(async |session| session.batch_execute(UPDATE).await)).await;
    outcome.expect_err("it was cut");
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    drop((first, second));
    rig.finish().await;
}

#[tokio::test]
async fn truncated_answer_is_an_error_and_its_connection_is_not_lent_again() {
    let rig = Rig::new(|bind| bind.check_idle_after(Duration::from_secs(600))).await;
    let long = format!("SELECT count(*) AS value /* {} */", "x".repeat(100));
    for bytes in [0, 1, 4, 5, 6, 20] {
        let mut session = rig.session().await;
        assert_answers(&mut session, 5).await;
        rig.proxy.cut_after(bytes);
        let started = Instant::now();
        try_number(&mut session, &long).await.expect_err("it was cut in the middle");
        assert!(started.elapsed() < AT_ONCE, "{bytes} bytes: {:?}", started.elapsed());
        drop(session);
        rig.assert_whole().await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn truncated_greeting_is_reported_as_an_unreachable_server() {
    for bytes in [0, 1, 7, 30, 90] {
        let rig = Rig::new(|bind| bind).await;
        rig.proxy.cut_after(bytes);
        let (error, took) = refused(&rig.registry).await;
        assert!(took < AT_ONCE, "{bytes} bytes: {took:?}");
        let error = connect_error(&error);
        assert!(matches!(error, ConnectError::Unreachable(_)), "{bytes} bytes: {error:?}");
        assert!(error.is_transient());
        rig.finish().await;
    }
}

#[tokio::test]
async fn slow_network_causes_no_errors() {
    let rig = Rig::new(|bind| bind).await;
    let delay = Duration::from_millis(40);
    rig.proxy.delay(delay);
    let started = Instant::now();
    let mut session = rig.session().await;
    assert!(started.elapsed() >= 2 * delay);
    let started = Instant::now();
    assert_answers(&mut session, 5).await;
    assert!(started.elapsed() >= 2 * delay && started.elapsed() < AT_ONCE);
    drop(session);
    rig.finish().await;
}

#[tokio::test]
async fn connection_cut_at_any_byte_of_its_setup_is_a_transient_failure() {
    let rig = Rig::new(|bind| {
        bind.max_lifetime(Duration::from_millis(1))
            .on_connect(["SELECT 1"])
            .read_only(true)
            .statement_timeout(Duration::from_secs(20))
    })
    .await;
    for bytes in (0..900).step_by(7) {
        rig.proxy.cut_after(bytes);
        if let Err(error) = rig.acquire().await {
            let what = connect_error(&error);
            assert!(matches!(what, ConnectError::Unreachable(_)), "after {bytes}: {error:?}");
            assert!(error.is_transient());
        }
    }
    rig.proxy.heal().await;
    rig.finish().await;
}
