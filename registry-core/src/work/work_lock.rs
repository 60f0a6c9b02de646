//! The unit of work of a scope behind a lock, and how long a caller waits for it.
//!
//! One user at a time holds the unit of work. The other callers queue in the order of their requests, each for
//! `acquire_timeout` at the most. A caller that waits for itself is refused earlier, as soon as the deadlock is detected:
//! see [`deadlock`](super::deadlock).

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep_until};

use super::deadlock::{DeadlockDetector, LockWaiter};
use super::error::WorkError;
use super::unit_of_work::{AcquiringFlag, CallSite, UnitOfWork};
use crate::engine::Caller;

/// The limit of a wait while the scope's future is polled, but no branch of it waits for anything other than the unit of
/// work (a timer, a socket), so that a holder in it cannot progress. Another task that was handed the unit of work must
/// use it for the first time within this limit.
const STUCK_LIMIT: Duration = Duration::from_millis(100);

/// The limit of a wait if nothing else was pending in the scope's future when the wait began, but something has been
/// since.
///
/// The new pending operation may be a time-out that is wrapped around the caller, or a sibling future that was given the
/// unit of work and has not used it yet. The lock cannot tell which, so the caller waits longer: a sibling future has
/// five seconds for its first use, which is longer than the pauses of code that makes progress.
const ALONE_LIMIT: Duration = Duration::from_secs(5);

/// About 34 years. Stands in for a deadline that [`Instant`] cannot represent.
const FAR_FUTURE: Duration = Duration::from_secs(1 << 30);

/// The unit of work of a scope, held by one user at a time.
pub(super) struct WorkLock {
    /// `None` before the first request for a unit of work, and after a commit or a rollback.
    work: Arc<Mutex<Option<UnitOfWork>>>,
    is_closed: AtomicBool,
    /// How long a caller waits at the most.
    acquire_timeout: Duration,
    holder: Holder,
    /// Whether the unit of work is acquiring a session at this moment.
    acquiring: AcquiringFlag,
    /// The future that the scope runs, and whose end is the end of the scope: the id of its [`DeadlockDetector`], or
    /// [`NO_ID`](DeadlockDetector::NO_ID) for a scope that is only entered.
    scope_future: AtomicU64,
}

/// Exclusive access to the unit of work.
pub(super) type WorkGuard = OwnedMutexGuard<Option<UnitOfWork>>;

/// The current holder of the unit of work, or the last one.
struct Holder {
    /// Counts uses of the unit of work. If it grows while a caller waits, the holder is making progress.
    uses: AtomicU64,
    /// The task of the last use, as the number of a [`Caller`].
    task: AtomicU64,
    /// The future of the last use: the id of its [`DeadlockDetector`], or [`NO_ID`](DeadlockDetector::NO_ID).
    future: AtomicU64,
    /// The call site that took the unit of work. `None` if an axum extractor took it.
    taken_at: StdMutex<Option<CallSite>>,
}

impl Holder {
    fn new() -> Self {
        Self {
            uses: AtomicU64::new(0),
            task: AtomicU64::new(0),
            future: AtomicU64::new(DeadlockDetector::NO_ID),
            taken_at: StdMutex::default(),
        }
    }

    fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    fn task(&self) -> u64 {
        self.task.load(Ordering::Relaxed)
    }

    fn future(&self) -> u64 {
        self.future.load(Ordering::Relaxed)
    }

    fn record_taken(&self, taken_at: Option<CallSite>) {
        *self.taken_at.lock().unwrap_or_else(PoisonError::into_inner) = taken_at;
        self.record_use();
    }

    fn record_use(&self) {
        self.uses.fetch_add(1, Ordering::Relaxed);
        self.task.store(Caller::current().number(), Ordering::Relaxed);
        let detector = DeadlockDetector::current();
        let future = detector.map_or(DeadlockDetector::NO_ID, |detector| detector.id());
        self.future.store(future, Ordering::Relaxed);
    }
}

impl WorkLock {
    pub(super) fn new(acquire_timeout: Duration) -> Self {
        Self {
            work: Arc::default(),
            is_closed: AtomicBool::new(false),
            acquire_timeout,
            holder: Holder::new(),
            acquiring: AcquiringFlag::default(),
            scope_future: AtomicU64::new(DeadlockDetector::NO_ID),
        }
    }

    /// Records that the scope runs the future of `detector`, and ends with that future.
    pub(super) fn set_scope_future(&self, detector: &DeadlockDetector) {
        self.scope_future.store(detector.id(), Ordering::Relaxed);
    }

    /// The flag that is set while the unit of work acquires a session.
    pub(super) fn acquiring_flag(&self) -> &AcquiringFlag {
        &self.acquiring
    }

    /// Records that the holder has used the unit of work.
    pub(super) fn record_use(&self) {
        self.holder.record_use();
    }

    /// Locks the unit of work, and waits until no other user holds it. `at` is the call site of the request.
    /// `is_at_statement` returns whether a task, named by the number of its [`Caller`], is running a statement.
    ///
    /// # Errors
    ///
    /// [`WorkError::InUse`] if the wait times out or is a deadlock, and [`WorkError::ScopeEnded`] if the lock is closed.
    pub(super) async fn lock(
        &self,
        at: Option<CallSite>,
        is_at_statement: impl Fn(u64) -> bool,
    ) -> Result<WorkGuard, WorkError> {
        let mut guard = match self.try_lock() {
            Some(guard) => guard,
            None => self.wait(is_at_statement).await?,
        };
        self.holder.record_taken(at);
        if self.is_closed() {
            // `close` may have found the lock taken, and has left the unit of work to the holder of the lock.
            drop(guard.take());
            return Err(WorkError::ScopeEnded);
        }
        Ok(guard)
    }

    fn try_lock(&self) -> Option<WorkGuard> {
        Arc::clone(&self.work).try_lock_owned().ok()
    }

    async fn wait(&self, is_at_statement: impl Fn(u64) -> bool) -> Result<WorkGuard, WorkError> {
        let acquire_timeout = self.acquire_timeout;
        let started = Instant::now();
        let uses = self.holder.uses();
        let mut locking = pin!(Arc::clone(&self.work).lock_owned());
        let mut timer = pin!(sleep_until(started));
        let mut waiter: Option<LockWaiter> = None;
        let mut was_alone = false;
        poll_fn(|cx| {
            let waiter = waiter.get_or_insert_with(|| {
                let detector = DeadlockDetector::current_for(cx.waker());
                was_alone = detector.as_ref().is_some_and(|detector| detector.is_alone());
                LockWaiter::new(cx.waker(), detector)
            });
            let waker = waiter.waker(cx.waker()).clone();
            let cx = &mut Context::from_waker(&waker);
            if let Poll::Ready(guard) = locking.as_mut().poll(cx) {
                return Poll::Ready(Ok(guard));
            }
            loop {
                let waited = started.elapsed();
                let is_unused = self.holder.uses() == uses;
                let is_deadlock = |detector: &DeadlockDetector| {
                    is_unused
                        && self.holder.future() == detector.id()
                        && (waited >= STUCK_LIMIT && detector.is_stuck()
                            || waited >= ALONE_LIMIT && was_alone)
                };
                if waited >= acquire_timeout || waiter.detector().is_some_and(is_deadlock) {
                    // A holder that acquires a session waits for other holders of sessions, and a holder that runs a
                    // statement waits for its server: neither is idle.
                    let is_idle = is_unused
                        && !self.acquiring.is_set()
                        && !is_at_statement(self.holder.task());
                    return Poll::Ready(Err(self.in_use(waited.min(acquire_timeout), is_idle)));
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let next = [STUCK_LIMIT, ALONE_LIMIT].into_iter().find(|next| *next > waited);
                let next = next.map_or(acquire_timeout, |next| next.min(acquire_timeout));
                let deadline = started.checked_add(next).unwrap_or(started + FAR_FUTURE);
                timer.as_mut().reset(deadline);
            }
        })
        .await
    }

    fn in_use(&self, after: Duration, is_idle: bool) -> WorkError {
        let is_held_by_caller_task = self.holder.task() == Caller::current().number();
        let future = self.holder.future();
        let is_held_in_scope_future = future != DeadlockDetector::NO_ID
            && future == self.scope_future.load(Ordering::Relaxed);
        WorkError::InUse {
            after,
            held_by_caller: is_held_by_caller_task && is_idle,
            is_kept: is_held_in_scope_future && !is_held_by_caller_task && is_idle,
            taken_at: *self.holder.taken_at.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Closes the lock: later calls of [`lock`](Self::lock) fail. Returns the unit of work, unless a user holds it at this
    /// moment; [`unlock`](Self::unlock) drops the unit of work then.
    ///
    /// Dekker handshake with [`unlock`](Self::unlock): this stores `is_closed` and then tries the lock; the other side
    /// unlocks and then loads `is_closed`. The fences ensure that at least one side sees the other's write, so the unit
    /// of work is not leaked.
    pub(super) fn close(&self) -> Option<UnitOfWork> {
        self.is_closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.try_lock().and_then(|mut guard| guard.take())
    }

    /// Releases the lock, and drops the unit of work if the lock was closed meanwhile.
    pub(super) fn unlock(&self, guard: WorkGuard) {
        drop(guard);
        fence(Ordering::SeqCst);
        if self.is_closed()
            && let Some(mut guard) = self.try_lock()
        {
            drop(guard.take());
        }
    }
}
