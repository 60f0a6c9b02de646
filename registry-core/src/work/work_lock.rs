//! The unit of work of a scope in the hands of one user, and how others wait for it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep_until};

use super::entered_future::{Entered, Waiter};
use super::scope::{Scope, entered};
use super::{Place, UnitOfWork, WorkError};
use crate::engine::Caller;

/// After how long somebody hears that it waits in vain, if nothing in the future that has entered the scope waits for
/// anything else. Another task that was handed the unit of work has so long to begin with it.
const IF_STUCK: Duration = Duration::from_millis(100);

/// The same, if nothing else was waited for when it began to wait, and what is now may be a time-out around it. It may
/// as well be something beside it that was handed the unit of work, which nobody can tell from a time-out: that has so
/// long to begin with it, longer than the pauses of code that is under way.
const IF_ALONE: Duration = Duration::from_secs(5);

/// Where a scope has its unit of work, and who has that now.
#[derive(Default)]
pub(super) struct Slot {
    work: Arc<Mutex<Option<UnitOfWork>>>,
    holder: Holder,
    /// Whether a session is acquired for it at this moment.
    pub(super) is_acquiring: Arc<AtomicBool>,
    /// The future that the scope runs, and whose end is that of the scope: the number of an [`Entered`]. Zero if there
    /// is none, as for a scope that is only entered by others.
    run: AtomicU64,
}

/// What is in a [`Slot`], which nobody else has meanwhile.
pub(super) type Taken = OwnedMutexGuard<Option<UnitOfWork>>;

/// Who has the unit of work, or had it last.
#[derive(Default)]
struct Holder {
    /// How often it was taken and used: whoever has it goes on, if that changes.
    uses: AtomicU64,
    /// The task that has used it last, a [`Caller`].
    task: AtomicU64,
    /// The future that has entered the scope and in which that was. Zero if it was in none.
    entered: AtomicU64,
    /// Where in the program it was taken, unless that was for an argument of a handler.
    taken_at: StdMutex<Option<Place>>,
}

impl Holder {
    fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    fn takes(&self, at: Option<Place>) {
        *self.taken_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
        self.uses_it();
    }

    fn uses_it(&self) {
        self.uses.fetch_add(1, Ordering::Relaxed);
        self.task.store(Caller::current().number(), Ordering::Relaxed);
        let entered = entered().map_or(0, |entered| entered.number());
        self.entered.store(entered, Ordering::Relaxed);
    }
}

impl Slot {
    /// The scope runs that future, which has just entered it.
    pub(super) fn is_run_by(&self, entered: &Entered) {
        self.run.store(entered.number(), Ordering::Relaxed);
    }

    pub(super) fn try_take(&self) -> Option<Taken> {
        Arc::clone(&self.work).try_lock_owned().ok()
    }

    /// Takes the unit of work, once nobody else has it, within `patience`. `is_at_work` says whether a task, a
    /// [`Caller`] by its number, is at a statement.
    pub(super) async fn take(
        &self,
        patience: Duration,
        at: Option<Place>,
        is_at_work: impl Fn(u64) -> bool,
    ) -> Result<Taken, WorkError> {
        let taken = match self.try_take() {
            Some(taken) => taken,
            None => self.wait(patience, is_at_work).await?,
        };
        self.holder.takes(at);
        Ok(taken)
    }

    async fn wait(
        &self,
        patience: Duration,
        is_at_work: impl Fn(u64) -> bool,
    ) -> Result<Taken, WorkError> {
        let begun = Instant::now();
        let uses = self.holder.uses();
        let mut taking = pin!(Arc::clone(&self.work).lock_owned());
        let mut timer = pin!(sleep_until(begun));
        let mut waiter: Option<Waiter> = None;
        let mut is_alone = false;
        poll_fn(|cx| {
            let waiter = waiter.get_or_insert_with(|| {
                let entered = entered().filter(|entered| entered.is_woken_by(cx.waker()));
                is_alone = entered.as_ref().is_some_and(|entered| entered.is_alone());
                Waiter::new(cx.waker(), entered)
            });
            let waker = waiter.waker(cx.waker()).clone();
            let cx = &mut Context::from_waker(&waker);
            if let Poll::Ready(taken) = taking.as_mut().poll(cx) {
                return Poll::Ready(Ok(taken));
            }
            loop {
                let waited = begun.elapsed();
                let is_idle = self.holder.uses() == uses;
                let is_in_vain = |entered: &Entered| {
                    is_idle
                        && self.holder.entered.load(Ordering::Relaxed) == entered.number()
                        && (waited >= IF_STUCK && entered.is_stuck()
                            || waited >= IF_ALONE && is_alone)
                };
                if waited >= patience || waiter.entered().is_some_and(is_in_vain) {
                    // One that waits for a session is held up by others, and a statement by its server.
                    let is_idle = is_idle
                        && !self.is_acquiring.load(Ordering::Relaxed)
                        && !is_at_work(self.holder.task.load(Ordering::Relaxed));
                    return Poll::Ready(Err(self.in_use(waited.min(patience), is_idle)));
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let next = [IF_STUCK, IF_ALONE].into_iter().find(|next| *next > waited);
                let next = next.map_or(patience, |next| next.min(patience));
                // A time so long that it has no end on the clock.
                let end = begun.checked_add(next).unwrap_or(begun + Duration::from_secs(1 << 30));
                timer.as_mut().reset(end);
            }
        })
        .await
    }

    fn in_use(&self, after: Duration, is_idle: bool) -> WorkError {
        let is_callers = self.holder.task.load(Ordering::Relaxed) == Caller::current().number();
        let entered = self.holder.entered.load(Ordering::Relaxed);
        let is_in_run = entered != 0 && entered == self.run.load(Ordering::Relaxed);
        WorkError::InUse {
            after,
            held_by_caller: is_callers && is_idle,
            is_kept: is_in_run && !is_callers && is_idle,
            taken_at: *self.holder.taken_at.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// The unit of work of a scope, in the hands of one user: see [`UnitOfWork::current`].
pub struct CurrentWork {
    /// Empty only while it is dropped.
    taken: Option<Taken>,
    scope: Scope,
}

impl CurrentWork {
    /// What is taken has a unit of work.
    pub(super) fn new(taken: Taken, scope: Scope) -> Self {
        Self { taken: Some(taken), scope }
    }
}

impl Deref for CurrentWork {
    type Target = UnitOfWork;

    fn deref(&self) -> &UnitOfWork {
        self.scope.slot().holder.uses_it();
        match self.taken.as_deref() {
            Some(Some(unit)) => unit,
            _ => unreachable!("it is only taken when this is dropped"),
        }
    }
}

impl DerefMut for CurrentWork {
    fn deref_mut(&mut self) -> &mut UnitOfWork {
        self.scope.slot().holder.uses_it();
        match self.taken.as_deref_mut() {
            Some(Some(unit)) => unit,
            _ => unreachable!("it is only taken when this is dropped"),
        }
    }
}

impl Drop for CurrentWork {
    fn drop(&mut self) {
        // Given back first: whoever ends the scope before that finds the place taken, and is seen here;
        // whoever does so after it does the rest.
        drop(self.taken.take());
        if self.scope.is_ended()
            && let Some(mut taken) = self.scope.slot().try_take()
        {
            drop(taken.take());
        }
    }
}

impl fmt::Debug for CurrentWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CurrentWork").field(&self.taken).finish()
    }
}
