//! The future that has entered a scope, and whether anything in it can go on.
//!
//! Two futures of one task that want the same unit of work may be beside each other, in a `join!`, and then wait for
//! each other. Or the one that has it awaits the other one, and then neither ever goes on. No task id tells the two
//! apart, but wakers do: a future that is pending has left a clone of its waker with whatever it waits for. So the
//! future that enters a scope is polled with a waker whose clones are counted. When it is pending, and each clone is
//! that of somebody who waits for the unit of work, then nothing in it waits for anything else.
//!
//! A count that is too high hides a deadlock, and never makes one up: a clone that was kept for no use, or one of an
//! executor inside of the future, as `FuturesUnordered` is.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// A future that has entered a scope.
pub(super) struct Entered {
    /// Never zero, and no other's.
    number: u64,
    alarm: Arc<Alarm>,
    waker: Waker,
    /// How many in it wait for the unit of work. Each has one clone of the waker.
    waiting: AtomicUsize,
    is_stuck: AtomicBool,
    /// Whether at most one thing was waited for in it when it was polled last: then whatever it does next, it does one
    /// after the other, up to the next thing that it waits for.
    was_one: AtomicBool,
}

/// How many clones of the waker [`Entered`] has itself: as an alarm, and as a waker.
const OWN: usize = 2;

/// What a future that has entered a scope is woken by.
#[derive(Default)]
struct Alarm {
    task: AtomicWaker,
    /// Whether it was woken since it was polled last.
    was_woken: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.was_woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Entered {
    pub(super) fn new() -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let alarm = Arc::new(Alarm::default());
        Arc::new(Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            waker: Waker::from(Arc::clone(&alarm)),
            alarm,
            waiting: AtomicUsize::new(0),
            is_stuck: AtomicBool::new(false),
            was_one: AtomicBool::new(true),
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether that is the waker of this future, and not of an executor inside of it.
    pub(super) fn is_woken_by(&self, waker: &Waker) -> bool {
        self.waker.will_wake(waker)
    }

    /// Runs `future` to its end, and looks each time that it is pending whether it is stuck.
    pub(super) async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.alarm.task.register(cx.waker());
            self.alarm.was_woken.store(false, Ordering::Relaxed);
            let outcome = future.as_mut().poll(&mut Context::from_waker(&self.waker));
            self.was_one.store(self.others(0) <= 1, Ordering::Relaxed);
            let is_stuck = outcome.is_pending()
                && self.waiting.load(Ordering::Relaxed) > 0
                && !self.has_others();
            if is_stuck && !self.is_stuck.swap(true, Ordering::Relaxed) {
                // Those who wait are to look at it. They are polled once more, and only once.
                self.alarm.task.wake();
            } else if !is_stuck {
                self.is_stuck.store(false, Ordering::Relaxed);
            }
            outcome
        })
        .await
    }

    /// Whether anything in the future waits for something else than the unit of work, or is to be polled again.
    pub(super) fn has_others(&self) -> bool {
        self.others(self.waiting.load(Ordering::Relaxed)) > 0
    }

    /// Whether the one that asks, in the middle of a poll, is all that there is in the future. What was woken together
    /// with it, and is polled after it, has no clone of the waker at this moment: so it counts what there was before.
    pub(super) fn is_alone(&self) -> bool {
        self.was_one.load(Ordering::Relaxed) && !self.has_others()
    }

    /// How many things in the future wait, without those `waiting`. As many as can be if it is to be polled again: any
    /// of them may go on then.
    fn others(&self, waiting: usize) -> usize {
        let clones = Arc::strong_count(&self.alarm);
        // A clone that is gone was dropped after it had woken, if it has.
        fence(Ordering::Acquire);
        if self.alarm.was_woken.load(Ordering::Acquire) {
            return usize::MAX;
        }
        clones.saturating_sub(OWN + waiting)
    }

    /// Whether all that the future waited for, when it was polled last, was the unit of work.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }
}

/// The waker of somebody who waits for the unit of work: one clone of that of the future, whatever it is cloned for.
pub(super) struct Waiter {
    relay: Arc<Relay>,
    waker: Waker,
    /// The future in which it waits, if it is woken by its waker.
    entered: Option<Arc<Entered>>,
}

struct Relay(Mutex<Waker>);

impl Relay {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.lock().wake_by_ref();
    }
}

impl Waiter {
    pub(super) fn new(waker: &Waker, entered: Option<Arc<Entered>>) -> Self {
        let entered = entered.filter(|entered| entered.is_woken_by(waker));
        let relay = Arc::new(Relay(Mutex::new(waker.clone())));
        if let Some(entered) = &entered {
            entered.waiting.fetch_add(1, Ordering::Relaxed);
        }
        Self { waker: Waker::from(Arc::clone(&relay)), relay, entered }
    }

    pub(super) fn entered(&self) -> Option<&Entered> {
        self.entered.as_deref()
    }

    /// What it waits with, now that it is polled with `waker`.
    pub(super) fn waker(&mut self, waker: &Waker) -> &Waker {
        let mut known = self.relay.lock();
        if !known.will_wake(waker) {
            known.clone_from(waker);
            drop(known);
            self.leave();
        }
        &self.waker
    }

    fn leave(&mut self) {
        if let Some(entered) = self.entered.take() {
            entered.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.leave();
        // Whoever is about to wake it may keep the relay for a moment longer.
        *self.relay.lock() = Waker::noop().clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::pending;
    use std::task::Poll;

    /// What a scope does that has nobody waiting but one, who waits beside `other`.
    fn stuck_beside(other: impl Future<Output = ()>) -> bool {
        let entered = Entered::new();
        let mut waiter = None;
        let waits = poll_fn(|cx| {
            let waiter =
                waiter.get_or_insert_with(|| Waiter::new(cx.waker(), Some(Arc::clone(&entered))));
            // It may be cloned as often as it likes.
            let _clones = [waiter.waker(cx.waker()).clone(), waiter.waker(cx.waker()).clone()];
            Poll::<()>::Pending
        });
        let both = async {
            tokio::join!(waits, other);
        };
        let mut both = pin!(entered.run(both));
        for _ in 0..3 {
            assert!(both.as_mut().now_or_never().is_none());
        }
        entered.is_stuck()
    }

    #[tokio::test]
    async fn who_waits_beside_something_that_goes_on_is_not_stuck() {
        let (_sender, receiver) = tokio::sync::oneshot::channel::<()>();
        assert!(!stuck_beside(receiver.map(drop)));
        assert!(!stuck_beside(tokio::time::sleep(std::time::Duration::from_secs(60))));
        // It has no clone of the waker, and is polled again all the same.
        let yields = poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(!stuck_beside(yields));
    }

    #[tokio::test]
    async fn who_waits_beside_nothing_is_stuck() {
        assert!(stuck_beside(async {}));
        // Nobody can wake it either.
        assert!(stuck_beside(pending()));
    }

    #[tokio::test]
    async fn who_has_gone_is_not_counted() {
        let entered = Entered::new();
        let (_sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let work = async {
            poll_fn(|cx| {
                drop(Waiter::new(cx.waker(), Some(Arc::clone(&entered))));
                Poll::Ready(())
            })
            .await;
            assert!(!entered.has_others());
            receiver.await.expect("never sent");
        };
        assert!(entered.run(work).now_or_never().is_none());
        assert!(!entered.is_stuck());
        assert!(!entered.has_others(), "its receiver is gone");
    }

    /// Whether somebody is alone that asks once `gate` is open, and so is another that has waited for the same `gate`.
    fn alone_beside_another(others: usize) -> bool {
        let entered = Entered::new();
        let gate = tokio::sync::Notify::new();
        let asked = std::cell::Cell::new(None);
        let work = async {
            assert!(entered.is_alone(), "it has just begun");
            let asks = async {
                gate.notified().await;
                asked.set(Some(entered.is_alone()));
                pending::<()>().await;
            };
            let others = (0..others).map(|_| async {
                gate.notified().await;
                pending::<()>().await;
            });
            tokio::join!(asks, futures_util::future::join_all(others));
        };
        let mut work = pin!(entered.run(work));
        assert!(work.as_mut().now_or_never().is_none());
        gate.notify_waiters();
        assert!(work.as_mut().now_or_never().is_none());
        asked.get().expect("the gate is open")
    }

    #[tokio::test]
    async fn who_was_woken_together_with_another_is_not_alone() {
        assert!(alone_beside_another(0));
        assert!(!alone_beside_another(1));
        assert!(!alone_beside_another(2));
    }
}
