//! The waker whose clones are counted, and the conclusions from the count about the future that is polled with it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

tokio::task_local! {
    static CURRENT: Arc<DeadlockDetector>;
}

/// Watches one future that has entered a scope.
pub(crate) struct DeadlockDetector {
    id: u64,
    counted: Arc<CountedWaker>,
    waker: Waker,
    /// The number of [`LockWaiter`](super::LockWaiter)s in the future. Each has one clone of the waker.
    pub(super) lock_waiters: AtomicUsize,
    is_stuck: AtomicBool,
    /// Whether at most one operation was pending in the future at the end of its last poll. If so, only one branch of
    /// the future continues in the next poll, up to its next pending operation.
    had_one_wait: AtomicBool,
}

/// The number of clones of the waker in [`DeadlockDetector`] itself: `counted` and `waker`.
const OWN_CLONES: usize = 2;

/// Wakes the task of the future. Its strong count is the number of clones of the waker.
#[derive(Default)]
struct CountedWaker {
    task: AtomicWaker,
    /// Whether the waker was woken since the last poll of the future.
    was_woken: AtomicBool,
}

impl Wake for CountedWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.was_woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl DeadlockDetector {
    /// No detector has this id.
    pub(crate) const NO_ID: u64 = 0;

    pub(crate) fn new() -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(DeadlockDetector::NO_ID + 1);
        let counted = Arc::new(CountedWaker::default());
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            waker: Waker::from(Arc::clone(&counted)),
            counted,
            lock_waiters: AtomicUsize::new(0),
            is_stuck: AtomicBool::new(false),
            had_one_wait: AtomicBool::new(true),
        })
    }

    /// The detector of the innermost future that is being polled and has one.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// The detector of the future that is being polled with `waker`. An executor inside of a future that has a detector
    /// polls with wakers of its own, whose clones are not counted.
    pub(crate) fn current_for(waker: &Waker) -> Option<Arc<Self>> {
        Self::current().filter(|detector| detector.is_woken_by(waker))
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether `waker` is the waker of the future, and not the waker of an executor inside of it.
    pub(super) fn is_woken_by(&self, waker: &Waker) -> bool {
        self.waker.will_wake(waker)
    }

    /// Runs `future` to its end. After each poll that returns `Pending`, determines whether the future is stuck.
    pub(crate) async fn run<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let mut future = pin!(CURRENT.scope(Arc::clone(self), future));
        poll_fn(|cx| {
            self.counted.task.register(cx.waker());
            self.counted.was_woken.store(false, Ordering::Relaxed);
            let outcome = future.as_mut().poll(&mut Context::from_waker(&self.waker));
            self.had_one_wait.store(self.clones_beside(0) <= 1, Ordering::Relaxed);
            let is_stuck = outcome.is_pending()
                && self.lock_waiters.load(Ordering::Relaxed) > 0
                && !self.waits_for_anything_else();
            if is_stuck && !self.is_stuck.swap(true, Ordering::Relaxed) {
                // Wakes the future once more, so that the callers that wait for the unit of work see `is_stuck`. Only
                // once: after that poll, the flag is set already.
                self.counted.task.wake();
            } else if !is_stuck {
                self.is_stuck.store(false, Ordering::Relaxed);
            }
            outcome
        })
        .await
    }

    /// Whether any branch of the future waits for anything other than the unit of work, or the future has been woken and
    /// will be polled again.
    pub(super) fn waits_for_anything_else(&self) -> bool {
        self.clones_beside(self.lock_waiters.load(Ordering::Relaxed)) > 0
    }

    /// Whether the caller, which is being polled by the future, is the only active branch of the future.
    ///
    /// A branch that was woken together with the caller, and that is polled after the caller, has no clone of the waker at
    /// this moment. So the count at the end of the previous poll is checked as well.
    pub(crate) fn is_alone(&self) -> bool {
        self.had_one_wait.load(Ordering::Relaxed) && !self.waits_for_anything_else()
    }

    /// The number of clones of the waker, without the detector's own clones and `waiting` clones of waiters. `usize::MAX`
    /// if the future has been woken and will be polled again, since any branch of it may continue then.
    fn clones_beside(&self, waiting: usize) -> usize {
        let clones = Arc::strong_count(&self.counted);
        // A clone wakes before it is dropped. The fence pairs with the release in the drop of a clone that is no longer
        // in the count, so that the write of `was_woken` before that drop is visible here.
        fence(Ordering::Acquire);
        if self.counted.was_woken.load(Ordering::Acquire) {
            return usize::MAX;
        }
        clones.saturating_sub(OWN_CLONES + waiting)
    }

    /// Whether the future waited for the unit of work and for nothing else at the end of its last poll.
    pub(crate) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }
}
