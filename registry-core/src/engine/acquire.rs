//! Acquiring a session: the recipe, from the permit to the checkout.
//!
//! 1. **Permit.** [`try_acquire`](TypedEngine::try_acquire) takes one out of the semaphore, or
//!    [`wait_for_permit`](TypedEngine::wait_for_permit) waits for one. The semaphore is the queue: first come, first
//!    served, with `queue_limit` and `acquire_timeout`.
//! 2. **Slot.** There are as many slots as permits, so [`Pool::take`](super::pool::Pool::take) finds one for each
//!    caller with a permit: that of the connection that was used last, or an empty one.
//! 3. **Connection.** A connection that was used within `check_idle_after` is lent as it is, which takes no input or
//!    output. Otherwise [`fill_slot`](TypedEngine::fill_slot) checks it, opens another if it does not answer, and
//!    waits for one of this engine's if the server has no room for another. In test isolation, the slot always has
//!    the one connection, and is prepared for its next borrower instead.
//! 4. **Checkout.** It has the permit until it is dropped, see [`return_connection`](super::return_connection).
//!
//! Dropping the future at any of its await points gives back what was taken so far: a place in the queue, a permit, or
//! a slot, whose connection is closed if a check of it was cut short.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{SemaphorePermit, TryAcquireError};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::checkout::Checkout;
use super::engine_use::EngineUse;
use super::error::AcquireError;
use super::observe::meters::Timer;
use super::permit::Permit;
use super::typed::TypedEngine;
use crate::backend::{Backend, ConnectError};

/// How far an acquire has come without waiting.
pub(crate) enum AcquireAttempt<C: Backend> {
    /// To its end: the connection was used within `check_idle_after`.
    Ready(Checkout<C>),
    /// To a slot that is empty, or whose connection must be checked.
    Unchecked(Permit<C>),
    /// Not to a permit: all are taken.
    Queued(EngineUse<TypedEngine<C>>, Timer),
}

impl<C: Backend> TypedEngine<C> {
    /// Acquires a session as far as that takes no input or output. A connection that was last in `schema` is taken
    /// before others.
    pub(crate) fn try_acquire(
        engine: EngineUse<Self>,
        runtime: &Handle,
        schema: Option<&str>,
    ) -> Result<AcquireAttempt<C>, AcquireError> {
        let requested = Timer::start();
        let taken = engine.permits.try_acquire().map(SemaphorePermit::forget);
        match taken {
            Ok(()) => {}
            Err(TryAcquireError::NoPermits) => {
                return Ok(AcquireAttempt::Queued(engine, requested));
            }
            Err(TryAcquireError::Closed) => return Err(engine.closed_error()),
        }
        let mut permit = Permit::new(engine, requested);
        let engine = permit.engine();
        engine.ensure_maintenance(runtime);
        engine.stats.note_direct();
        let mut lease = engine.pool.take(schema);
        engine.wake_maintenance();
        let is_fresh = lease.as_mut().is_some_and(|lease| engine.is_fresh(lease, runtime));
        permit.set_lease(lease);
        Ok(if is_fresh {
            AcquireAttempt::Ready(Checkout::new(permit))
        } else {
            AcquireAttempt::Unchecked(permit)
        })
    }

    /// Acquires a session from where an attempt has ended.
    ///
    /// The caller has waited since `started`, and waits for `within` at the most, or for `acquire_timeout`.
    pub(crate) async fn acquire(
        attempt: AcquireAttempt<C>,
        started: Instant,
        within: Option<Duration>,
        schema: Option<&str>,
    ) -> Result<Checkout<C>, AcquireError> {
        let engine = match &attempt {
            AcquireAttempt::Ready(checkout) => Arc::clone(checkout.engine()),
            AcquireAttempt::Unchecked(permit) => Arc::clone(permit.engine()),
            AcquireAttempt::Queued(engine, _) => Arc::clone(engine.engine()),
        };
        let within = within.unwrap_or(engine.settings.options.acquire_timeout);
        let span = engine.stats.acquire_span();
        let outcome =
            engine.acquire_within(attempt, started, within, schema).instrument(span).await;
        engine.stats.log_acquire(&outcome, started);
        outcome
    }

    async fn acquire_within(
        self: &Arc<Self>,
        attempt: AcquireAttempt<C>,
        started: Instant,
        within: Duration,
        schema: Option<&str>,
    ) -> Result<Checkout<C>, AcquireError> {
        let mut permit = match attempt {
            AcquireAttempt::Ready(checkout) => return Ok(checkout),
            AcquireAttempt::Unchecked(permit) => permit,
            AcquireAttempt::Queued(engine, requested) => {
                Self::wait_for_permit(engine, started, within, requested).await?
            }
        };
        while permit.lease_mut().is_none() {
            match self.pool.take(schema) {
                // `Pool::retain` has taken a slot out to close its connection, and frees it in a moment.
                None if started.elapsed() < within => tokio::task::yield_now().await,
                None => return Err(self.timed_out(within)),
                lease => permit.set_lease(lease),
            }
        }
        // The futures of the slow paths are boxed. They are large and rare, and a future that has them inside would
        // need that room for each caller that waits.
        if self.settings.is_isolated {
            permit = Box::pin(Self::fill_in_own_task(permit, started, within)).await?;
        } else if let Some(lease) = permit.lease_mut()
            && !self.is_fresh(lease, &Handle::current())
        {
            let _filling = self.holders.note_filling();
            let filling = self.fill_slot(&mut permit, started, within);
            Box::pin(self.unless_closed(filling)).await??;
        }
        Ok(Checkout::new(permit))
    }

    /// Waits for a permit, behind those who came before.
    async fn wait_for_permit(
        engine: EngineUse<Self>,
        started: Instant,
        within: Duration,
        requested: Timer,
    ) -> Result<Permit<C>, AcquireError> {
        let options = &engine.settings.options;
        let waiting = engine.stats.note_waiting();
        if let Some(limit) = options.queue_limit.filter(|limit| waiting.queued_before >= *limit) {
            return Err(AcquireError::QueueFull { key: engine.settings.key, limit });
        }
        // Declared before the future that waits, and so dropped after it. If the semaphore has already assigned a
        // permit to that future when it is dropped, the permit goes back into the semaphore without a notice, and
        // `all_returned` may be waiting for it.
        let return_notice = ReturnNotice(&engine);
        let permit = engine.permits.acquire();
        let permit = async {
            let permit = match started.checked_add(within) {
                Some(deadline) => timeout_at(deadline, permit).await,
                // A deadline that the clock cannot express is waited for without a timer.
                None => Ok(permit.await),
            };
            permit.map(|permit| permit.map(SemaphorePermit::forget))
        };
        let permit = if engine.settings.is_isolated {
            engine.permit_unless_self_wait(permit).await?
        } else {
            permit.await
        };
        drop((waiting, return_notice));
        match permit {
            Ok(Ok(())) => {
                engine.stats.note_waited();
                Ok(Permit::new(engine, requested))
            }
            Ok(Err(_)) => Err(engine.closed_error()),
            Err(_) if engine.settings.is_isolated && engine.is_held_by_caller_beyond_query() => {
                Err(AcquireError::Isolated { key: engine.settings.key })
            }
            Err(_) => Err(engine.timed_out(within)),
        }
    }

    /// Puts a live connection into a slot: checks the one that it has, and opens another if there is none or it does
    /// not answer.
    ///
    /// The caller has waited since `started`, and waits for `within` at the most.
    pub(super) async fn fill_slot(
        &self,
        permit: &mut Permit<C>,
        started: Instant,
        within: Duration,
    ) -> Result<(), AcquireError> {
        let remaining = || within.saturating_sub(started.elapsed());
        let Some(lease) = permit.lease_mut() else { return Err(self.timed_out(within)) };
        if self.settings.is_isolated {
            return self.fill_isolated(lease, remaining()).await;
        }
        if self.passes_check(lease, &Handle::current(), remaining()).await {
            return Ok(());
        }
        lease.clear();
        let connecting = self.capacity.note_connecting();
        let connected = self.connect(remaining()).await;
        drop(connecting);
        match connected {
            Ok(connected) => {
                lease.fill(connected, self.lifetime());
                Ok(())
            }
            Err(refused @ ConnectError::TooManyConnections(_)) => {
                self.wait_for_capacity(permit, refused, started, within).await
            }
            Err(error) => Err(self.could_not_connect(error)),
        }
    }
}

/// Wakes [`TypedEngine::all_returned`] when it is dropped, if the engine is closed.
struct ReturnNotice<'a, C: Backend>(&'a TypedEngine<C>);

impl<C: Backend> Drop for ReturnNotice<'_, C> {
    fn drop(&mut self) {
        if self.0.is_closed() {
            self.0.returned.notify_waiters();
        }
    }
}
