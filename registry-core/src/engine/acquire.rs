//! The recipe of acquiring a session, from the permit to the checkout.
//!
//! A caller that writes to a database with one writer at a time has waited for its [turn](super::write_turn) before.
//!
//! 1. **Permit.** [`try_acquire`](TypedEngine::try_acquire) takes one out of the semaphore, or
//!    [`wait_for_permit`](TypedEngine::wait_for_permit) waits for one. The semaphore is the queue: first come, first
//!    served, with `queue_limit` and `acquire_timeout`.
//! 2. **Slot.** There are as many slots as permits, so [`Pool::take`](super::pool::Pool::take) finds one for each
//!    caller with a permit: the slot with the most recently used connection, or an empty slot.
//! 3. **Connection.** A connection that was used within `check_idle_after` is lent as it is, without I/O. Otherwise
//!    [`fill_slot`](TypedEngine::fill_slot) checks the connection, and opens another one if there is no answer. If the
//!    server has no room for another connection, it waits until a connection of this engine is returned. In test
//!    isolation, the slot always has the one connection, which is prepared for its next borrower instead.
//! 4. **Checkout.** The checkout holds the permit until it is dropped, see
//!    [`return_connection`](super::return_connection).
//!
//! Dropping the future at any of its await points gives back a place in the queue, a permit or a slot that was taken. The
//! slot's connection is closed if its check was cut short.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{SemaphorePermit, TryAcquireError};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::checkout::Checkout;
use super::engine_use::EngineUse;
use super::error::AcquireError;
use super::permit::Permit;
use super::typed::TypedEngine;
use super::write_turn::WriteTurn;
use crate::backend::{Backend, ConnectError};
use crate::meters::Timer;

/// The result of the part of an acquire that does not wait.
pub(crate) enum AcquireAttempt<C: Backend> {
    /// Done: the connection was used within `check_idle_after`.
    Ready(Checkout<C>),
    /// Has a permit; the slot is empty or its connection must be checked.
    Unchecked(Permit<C>),
    /// No permit was free.
    Queued(EngineUse<TypedEngine<C>>, Timer, Option<WriteTurn>),
}

impl<C: Backend> TypedEngine<C> {
    /// Runs the part of an acquire that is possible without I/O and without waiting. A connection that was last in
    /// `schema` is preferred. A caller that writes has `turn`, see [`write_turn`](super::write_turn).
    pub(crate) fn try_acquire(
        engine: EngineUse<Self>,
        runtime: &Handle,
        schema: Option<&str>,
        turn: Option<WriteTurn>,
    ) -> Result<AcquireAttempt<C>, AcquireError> {
        let requested = Timer::start();
        let taken = engine.permits.try_acquire().map(SemaphorePermit::forget);
        match taken {
            Ok(()) => {}
            Err(TryAcquireError::NoPermits) => {
                return Ok(AcquireAttempt::Queued(engine, requested, turn));
            }
            Err(TryAcquireError::Closed) => return Err(engine.closed_error()),
        }
        let mut permit = Permit::new(engine, requested);
        permit.turn = turn;
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

    /// Runs the rest of an acquire that [`try_acquire`](Self::try_acquire) has begun.
    ///
    /// `wait_limit` is the total wait, measured from `started`; without it, `acquire_timeout` applies.
    pub(crate) async fn acquire(
        attempt: AcquireAttempt<C>,
        started: Instant,
        wait_limit: Option<Duration>,
        schema: Option<&str>,
    ) -> Result<Checkout<C>, AcquireError> {
        let engine = match &attempt {
            AcquireAttempt::Ready(checkout) => Arc::clone(checkout.engine()),
            AcquireAttempt::Unchecked(permit) => Arc::clone(permit.engine()),
            AcquireAttempt::Queued(engine, ..) => Arc::clone(engine.engine()),
        };
        let wait_limit = wait_limit.unwrap_or(engine.settings.options.acquire_timeout);
        let span = engine.stats.acquire_span();
        let outcome =
            engine.acquire_within(attempt, started, wait_limit, schema).instrument(span).await;
        engine.stats.log_acquire(&outcome, started);
        outcome
    }

    async fn acquire_within(
        self: &Arc<Self>,
        attempt: AcquireAttempt<C>,
        started: Instant,
        wait_limit: Duration,
        schema: Option<&str>,
    ) -> Result<Checkout<C>, AcquireError> {
        let mut permit = match attempt {
            AcquireAttempt::Ready(checkout) => return Ok(checkout),
            AcquireAttempt::Unchecked(permit) => permit,
            AcquireAttempt::Queued(engine, requested, turn) => {
                let waiting = Self::wait_for_permit(engine, started, wait_limit, requested);
                let mut permit = waiting.await?;
                permit.turn = turn;
                permit
            }
        };
        while permit.lease_mut().is_none() {
            match self.pool.take(schema) {
                // `Pool::retain` has taken a slot to close its connection, and frees the slot in a moment.
                None if started.elapsed() < wait_limit => tokio::task::yield_now().await,
                None => return Err(self.timed_out(wait_limit)),
                lease => permit.set_lease(lease),
            }
        }
        // The futures of the slow paths are boxed because they are large and rare. Without the box, the future of each
        // waiting caller would be as large.
        if self.settings.is_isolated {
            permit = Box::pin(Self::fill_in_own_task(permit, started, wait_limit)).await?;
        } else if let Some(lease) = permit.lease_mut()
            && !self.is_fresh(lease, &Handle::current())
        {
            let _filling = self.holders.note_filling();
            let filling = self.fill_slot(&mut permit, started, wait_limit);
            Box::pin(self.unless_closed(filling)).await??;
        }
        Ok(Checkout::new(permit))
    }

    /// Waits for a permit, behind the callers that are already in the queue.
    async fn wait_for_permit(
        engine: EngineUse<Self>,
        started: Instant,
        wait_limit: Duration,
        requested: Timer,
    ) -> Result<Permit<C>, AcquireError> {
        let options = &engine.settings.options;
        let waiting = engine.stats.note_waiting();
        if let Some(limit) = options.queue_limit.filter(|limit| waiting.queued_before >= *limit) {
            return Err(AcquireError::QueueFull { key: engine.settings.key, limit });
        }
        // Declared before the future of the wait, and so dropped after it. If the semaphore has already assigned a permit
        // to the future when the future is dropped, the permit returns to the semaphore without `returned` being
        // notified, and `all_returned` may be waiting for that permit.
        let return_notice = ReturnNotice(&engine);
        let permit = engine.permits.acquire();
        let permit = async {
            let permit = wait_until(started.checked_add(wait_limit), permit).await;
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
            Err(_) => Err(engine.timed_out(wait_limit)),
        }
    }

    /// Puts a live connection into the permit's slot: checks the slot's connection, and opens another one if the slot is
    /// empty or its connection does not answer.
    ///
    /// `wait_limit` is the total wait, measured from `started`.
    pub(super) async fn fill_slot(
        &self,
        permit: &mut Permit<C>,
        started: Instant,
        wait_limit: Duration,
    ) -> Result<(), AcquireError> {
        let remaining = || wait_limit.saturating_sub(started.elapsed());
        let Some(lease) = permit.lease_mut() else { return Err(self.timed_out(wait_limit)) };
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
                self.wait_for_capacity(permit, refused, started, wait_limit).await
            }
            Err(error) => Err(self.could_not_connect(error)),
        }
    }
}

/// Waits for `future` until the deadline. Without a timer if `Instant` cannot represent the deadline.
pub(crate) async fn wait_until<F: Future>(
    deadline: Option<Instant>,
    future: F,
) -> Result<F::Output, Elapsed> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await,
        None => Ok(future.await),
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
