use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::{Notify, oneshot};

use super::{DeadlockDetector, LockWaiter};

/// Whether a future is stuck that joins a waiter for the unit of work with `other`.
fn is_stuck_beside(other: impl Future<Output = ()>) -> bool {
    let detector = DeadlockDetector::new();
    let mut waiter = None;
    let waits = poll_fn(|cx| {
        let waiter =
            waiter.get_or_insert_with(|| LockWaiter::new(cx.waker(), Some(Arc::clone(&detector))));
        // Clones of the waiter's own waker are not counted.
        let _clones = [waiter.waker(cx.waker()).clone(), waiter.waker(cx.waker()).clone()];
        Poll::<()>::Pending
    });
    let both = async {
        tokio::join!(waits, other);
    };
    let mut both = pin!(detector.run(both));
    for _ in 0..3 {
        assert!(both.as_mut().now_or_never().is_none());
    }
    detector.is_stuck()
}

#[tokio::test]
async fn a_future_in_which_something_else_goes_on_is_not_stuck() {
    let (_sender, receiver) = oneshot::channel::<()>();
    assert!(!is_stuck_beside(receiver.map(drop)));
    assert!(!is_stuck_beside(tokio::time::sleep(Duration::from_secs(60))));
    // The other future keeps no clone of the waker, but has woken it, so the future is polled again.
    let yields = poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    assert!(!is_stuck_beside(yields));
}

#[tokio::test]
async fn a_future_that_waits_for_nothing_else_is_stuck() {
    assert!(is_stuck_beside(async {}));
    // `pending` keeps no clone of the waker, so nothing can wake it.
    assert!(is_stuck_beside(pending()));
}

#[tokio::test]
async fn a_waiter_that_was_dropped_is_not_counted() {
    let detector = DeadlockDetector::new();
    let (_sender, receiver) = oneshot::channel::<()>();
    let work = async {
        poll_fn(|cx| {
            drop(LockWaiter::new(cx.waker(), Some(Arc::clone(&detector))));
            Poll::Ready(())
        })
        .await;
        assert!(!detector.waits_for_anything_else());
        receiver.await.expect("never sent");
    };
    assert!(detector.run(work).now_or_never().is_none());
    assert!(!detector.is_stuck());
    assert!(!detector.waits_for_anything_else(), "its receiver was dropped");
}

/// Whether a future that a gate has woken is alone, if `others` more futures have waited for the same gate.
fn is_alone_beside(others: usize) -> bool {
    let detector = DeadlockDetector::new();
    let gate = Notify::new();
    let answer = Cell::new(None);
    let work = async {
        assert!(detector.is_alone(), "it has just begun");
        let asks = async {
            gate.notified().await;
            answer.set(Some(detector.is_alone()));
            pending::<()>().await;
        };
        let others = (0..others).map(|_| async {
            gate.notified().await;
            pending::<()>().await;
        });
        tokio::join!(asks, join_all(others));
    };
    let mut work = pin!(detector.run(work));
    assert!(work.as_mut().now_or_never().is_none());
    gate.notify_waiters();
    assert!(work.as_mut().now_or_never().is_none());
    answer.get().expect("the gate is open")
}

#[tokio::test]
async fn one_that_was_woken_together_with_another_is_not_alone() {
    assert!(is_alone_beside(0));
    assert!(!is_alone_beside(1));
    assert!(!is_alone_beside(2));
}
