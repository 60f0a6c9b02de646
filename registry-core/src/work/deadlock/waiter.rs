//! A caller that waits for the unit of work of a scope.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use super::detector::DeadlockDetector;

/// A caller that waits for the unit of work. It has exactly one clone of the waker that the [`DeadlockDetector`] counts,
/// however often its own waker is cloned.
pub(crate) struct LockWaiter {
    relay: Arc<RelayWaker>,
    waker: Waker,
    /// The detector of the future that contains the caller, as long as the caller is polled with the waker of that
    /// future.
    detector: Option<Arc<DeadlockDetector>>,
}

/// Passes a wake-up on to the one clone of the counted waker.
struct RelayWaker(Mutex<Waker>);

impl RelayWaker {
    fn lock(&self) -> MutexGuard<'_, Waker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for RelayWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.lock().wake_by_ref();
    }
}

impl LockWaiter {
    pub(crate) fn new(waker: &Waker, detector: Option<Arc<DeadlockDetector>>) -> Self {
        let detector = detector.filter(|detector| detector.is_woken_by(waker));
        let relay = Arc::new(RelayWaker(Mutex::new(waker.clone())));
        if let Some(detector) = &detector {
            detector.lock_waiters.fetch_add(1, Ordering::Relaxed);
        }
        Self { waker: Waker::from(Arc::clone(&relay)), relay, detector }
    }

    pub(crate) fn detector(&self) -> Option<&DeadlockDetector> {
        self.detector.as_deref()
    }

    /// The waker for the wait. `waker` is the waker of the current poll.
    pub(crate) fn waker(&mut self, waker: &Waker) -> &Waker {
        let mut known = self.relay.lock();
        if !known.will_wake(waker) {
            known.clone_from(waker);
            drop(known);
            // The caller was moved into another future.
            self.leave_detector();
        }
        &self.waker
    }

    fn leave_detector(&mut self) {
        if let Some(detector) = self.detector.take() {
            detector.lock_waiters.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for LockWaiter {
    fn drop(&mut self) {
        self.leave_detector();
        // A waking thread may keep the relay for a moment longer, and must not keep the counted clone.
        *self.relay.lock() = Waker::noop().clone();
    }
}
