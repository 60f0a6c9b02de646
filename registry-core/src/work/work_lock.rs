//! The unit of work of a scope behind a lock, and how long a caller waits for it.
//!
//! One user at a time has the unit of work. Others wait for it in the order in which they asked, for `acquire_timeout`
//! at the most. A caller that could only be served after itself is refused earlier, as soon as that is known: see
//! [`deadlock`](super::deadlock).

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

/// After how long a caller is refused if nothing in the future that has entered the scope waits for anything but the
/// unit of work. Another task that was handed the unit of work has this long to use it for the first time.
const STUCK_LIMIT: Duration = Duration::from_millis(100);

/// After how long a caller is refused if nothing else was waited for when it began to wait, though something is now.
///
/// That may be a time-out around the caller, or something beside it that was handed the unit of work; the two cannot be
/// told apart. The latter has this long to use it for the first time, which is longer than the pauses of code that is
/// under way.
const ALONE_LIMIT: Duration = Duration::from_secs(5);

/// A time that does not come, for a time-out that is too long for the clock: about 34 years.
const FAR_FUTURE: Duration = Duration::from_secs(1 << 30);

/// The unit of work of a scope, which one user has at a time.
pub(super) struct WorkLock {
    /// `None` until it is asked for, and after a commit or a rollback.
    work: Arc<Mutex<Option<UnitOfWork>>>,
    is_closed: AtomicBool,
    /// How long a caller waits at the most.
    acquire_timeout: Duration,
    holder: Holder,
    /// Whether the unit of work is acquiring a session at this moment.
    acquiring: AcquiringFlag,
    /// The future that the scope runs and ends with: the id of its [`DeadlockDetector`], or
    /// [`NO_ID`](DeadlockDetector::NO_ID) for a scope that is only entered.
    scope_future: AtomicU64,
}

/// The right to the unit of work, which nobody else has meanwhile.
pub(super) type WorkGuard = OwnedMutexGuard<Option<UnitOfWork>>;

/// Who has the unit of work, or had it last.
struct Holder {
    /// How often it was taken and used. The holder is going on if that changes.
    uses: AtomicU64,
    /// The task that has used it last, as the number of a [`Caller`].
    task: AtomicU64,
    /// The future in which that was: the id of its [`DeadlockDetector`], or [`NO_ID`](DeadlockDetector::NO_ID).
    future: AtomicU64,
    /// Where in the program it was taken, unless that was for an argument of a handler.
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

    /// Notes that the scope runs the future of that detector, and ends with it.
    pub(super) fn set_scope_future(&self, detector: &DeadlockDetector) {
        self.scope_future.store(detector.id(), Ordering::Relaxed);
    }

    /// What a unit of work sets while it is acquiring a session.
    pub(super) fn acquiring(&self) -> &AcquiringFlag {
        &self.acquiring
    }

    /// Notes that whoever has the unit of work goes on with it.
    pub(super) fn record_use(&self) {
        self.holder.record_use();
    }

    /// The unit of work, once nobody else has it. `at` is where in the program it is asked for, and `is_at_statement`
    /// says whether a task, by the number of its [`Caller`], is running a statement.
    ///
    /// # Errors
    ///
    /// [`WorkError::InUse`] at the end of the time, and [`WorkError::ScopeEnded`] if the lock is closed.
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
            // `close` may have found it locked, and left the unit of work to whoever has the lock.
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
                    // A holder that acquires a session is held up by others, and one at a statement by its server.
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
        let is_callers = self.holder.task() == Caller::current().number();
        let future = self.holder.future();
        let is_in_scope_future = future != DeadlockDetector::NO_ID
            && future == self.scope_future.load(Ordering::Relaxed);
        WorkError::InUse {
            after,
            held_by_caller: is_callers && is_idle,
            is_kept: is_in_scope_future && !is_callers && is_idle,
            taken_at: *self.holder.taken_at.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Closes the lock: nobody gets the unit of work any more. Returns it, unless somebody has it at this moment, who
    /// [unlocks](Self::unlock) it then.
    ///
    /// Dekker handshake with [`unlock`](Self::unlock): this stores `is_closed` and then tries the lock; the other side
    /// unlocks and then loads `is_closed`. The fences see to it that at least one of the two sees what the other has
    /// done, so that the unit of work does not stay behind.
    pub(super) fn close(&self) -> Option<UnitOfWork> {
        self.is_closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.try_lock().and_then(|mut guard| guard.take())
    }

    /// Gives the unit of work back, and drops it if the lock was closed meanwhile.
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
