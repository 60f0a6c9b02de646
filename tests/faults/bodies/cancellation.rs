//! Futures that are dropped at each of their await points: after the first poll, after the second, and so on until
//! one completes.

use std::time::Duration;

use diesel::result::Error;
use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};
use futures_util::poll;

use super::rig::{Rig, Session, UPDATE, create_things, number, polled, try_number};
use super::{Backend, IMPATIENT};
use crate::support::eventually;
use crate::support::proxy::soon;

type Transactions = <Backend as AsyncConnection>::TransactionManager;

/// More polls than any future here needs.
const POLLS: usize = 200;

#[tokio::test]
async fn acquire_dropped_while_connecting_leaves_nothing() {
    let rig = Rig::new(|bind| bind.max_connections(1)).await;
    for polls in 1.. {
        assert!(polls < POLLS, "it never ends");
        if polled(rig.registry.session_by_key::<Backend>("default"), polls).await.is_some() {
            break;
        }
        let status = &rig.registry.status().engines[0];
        assert_eq!((status.in_use, status.idle, status.waiting), (0, 0, 0), "{polls} polls");
    }
    rig.assert_whole().await;
    eventually(|| rig.proxy.open() == 1).await;
    rig.finish().await;
}

#[tokio::test]
async fn acquire_dropped_during_the_check_leaves_nothing() {
    let rig = Rig::new(|bind| bind).await;
    for polls in 1.. {
        assert!(polls < POLLS, "it never ends");
        rig.warm().await;
        let acquired = polled(rig.registry.session_by_key::<Backend>("default"), polls).await;
        let is_over = acquired.is_some();
        drop(acquired);
        assert_eq!(rig.registry.status().engines[0].in_use, 0, "{polls} polls");
        rig.assert_whole().await;
        if is_over {
            assert!(polls > 1, "it asks the server");
            break;
        }
    }
    eventually(|| rig.proxy.open() == 2).await;
    rig.finish().await;
}

#[tokio::test]
async fn acquire_dropped_in_the_queue_leaves_nothing() {
    let rig = Rig::new(|bind| bind.max_connections(1)).await;
    let held = rig.session().await;
    let mut first = rig.registry.session_by_key::<Backend>("default");
    let mut second = rig.registry.session_by_key::<Backend>("default");
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    drop(held);
    // The first caller was granted the permit, but has not been polled since. Its drop passes the permit on to the
    // second.
    drop(first);
    let session = soon(second).await.expect("a session");
    assert_eq!(rig.registry.status().engines[0].waiting, 0);
    drop(session);
    rig.finish().await;
}

/// Runs `work` on a new session again and again, drops its future after one more poll each time, and asserts that
/// it left nothing behind.
async fn at_each_poll(rig: &Rig, work: impl AsyncFn(&mut Session)) {
    let mut observer = rig.observer().await;
    observer.batch_execute(IMPATIENT).await.expect("a setting");
    for polls in 1.. {
        assert!(polls < POLLS, "it never ends");
        let mut session = rig.session().await;
        let is_over = polled(work(&mut session), polls).await.is_some();
        drop(session);
        let status = &rig.registry.status().engines[0];
        assert_eq!((status.in_use, status.waiting), (0, 0), "{polls} polls");
        // No lock and no transaction is left, and the next query gets its own answer.
        observer
            .batch_execute(UPDATE)
            .await
            .unwrap_or_else(|error| panic!("{polls} polls: {error}"));
        rig.assert_whole().await;
        if is_over {
            assert!(polls > 1, "it asks the server");
            break;
        }
    }
}

/// A rig whose connections are not checked when they are lent: every one that is returned must be usable.
async fn rig_with_things() -> Rig {
    let rig = Rig::new(|bind| bind.check_idle_after(Duration::from_secs(600))).await;
    create_things(&mut rig.observer().await).await;
    rig
}

#[tokio::test]
async fn query_dropped_at_any_await_leaves_nothing() {
    let rig = rig_with_things().await;
    at_each_poll(&rig, async |session| {
        number(session, "SELECT 1000 + count(*) AS value FROM things").await;
    })
    .await;
    at_each_poll(&rig, async |session| session.batch_execute(UPDATE).await.expect("a row")).await;
    rig.finish().await;
}

#[tokio::test]
async fn transaction_dropped_at_any_await_leaves_nothing() {
    let rig = rig_with_things().await;
    at_each_poll(&rig, async |session| {
        let outcome: Result<i64, Error> = session
            .transaction(async |session| {
                session.batch_execute(UPDATE).await?;
                try_number(session, "SELECT count(*) AS value FROM things").await
            })
            .await;
        outcome.expect("nothing is wrong");
    })
    .await;
    rig.finish().await;
}

#[tokio::test]
async fn rolled_back_transaction_dropped_at_any_await_leaves_nothing() {
    let rig = rig_with_things().await;
    at_each_poll(&rig, async |session| {
        let outcome: Result<(), Error> = session
            .transaction(async |session| {
                session.batch_execute(UPDATE).await?;
                // A savepoint in the transaction, which is rolled back too.
                let inner: Result<(), Error> = session
                    .transaction(async |session| {
                        session.batch_execute(UPDATE).await?;
                        Err(Error::RollbackTransaction)
                    })
                    .await;
                inner
            })
            .await;
        assert_eq!(outcome, Err(Error::RollbackTransaction));
    })
    .await;
    rig.finish().await;
}

#[tokio::test]
async fn begin_commit_and_rollback_dropped_at_any_await_leave_nothing() {
    let rig = rig_with_things().await;
    at_each_poll(&rig, async |session| {
        Transactions::begin_transaction(&mut **session).await.expect("begun");
        session.batch_execute(UPDATE).await.expect("a row");
        Transactions::commit_transaction(&mut **session).await.expect("committed");
        Transactions::begin_transaction(&mut **session).await.expect("begun");
        Transactions::rollback_transaction(&mut **session).await.expect("rolled back");
    })
    .await;
    rig.finish().await;
}

/// Either the request never reaches the server, or the answer never comes back.
#[tokio::test]
async fn commit_dropped_in_flight_releases_its_locks() {
    for is_heard in [false, true] {
        let rig = rig_with_things().await;
        let mut observer = rig.observer().await;
        observer.batch_execute(IMPATIENT).await.expect("a setting");
        let mut session = rig.session().await;
        Transactions::begin_transaction(&mut *session).await.expect("begun");
        session.batch_execute(UPDATE).await.expect("a row");
        let gate = if is_heard { rig.proxy.hold_answers() } else { rig.proxy.hold_requests() };
        let reached = async { if is_heard { gate.answered().await } else { gate.asked().await } };
        tokio::select! {
            _ = Transactions::commit_transaction(&mut *session) => panic!("it is held up"),
            () = soon(reached) => {}
        }
        drop(session);
        drop(gate);
        observer.batch_execute(UPDATE).await.expect("nothing is locked");
        let value = number(
            &mut observer,
            "SELECT value + 0 * count(*) AS value FROM things GROUP BY value",
        )
        .await;
        assert!(if is_heard { value == 2 } else { (1..=2).contains(&value) }, "{value}");
        rig.finish().await;
    }
}
