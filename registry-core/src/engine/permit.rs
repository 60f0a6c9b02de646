//! The right to one of an engine's connections.

use std::sync::Arc;

use super::engine_use::EngineUse;
use super::pool::Lease;
use super::typed::TypedEngine;
use super::write_turn::WriteTurn;
use crate::backend::Backend;
use crate::meters::Timer;

/// The right to one of an engine's connections, and the lease of a slot after it was taken. Dropping the permit returns
/// both.
pub(crate) struct Permit<C: Backend> {
    pub(super) engine: EngineUse<TypedEngine<C>>,
    pub(super) lease: Option<Lease<C>>,
    /// When the caller asked for a session.
    pub(super) requested: Timer,
    /// The turn to write. The fields are dropped after everything that `drop` does, so the next writer finds the connection
    /// returned.
    pub(super) turn: Option<WriteTurn>,
    /// The use of the engine to which this engine belongs, if this one is for its reads.
    pub(super) parent: Option<EngineUse<TypedEngine<C>>>,
}

impl<C: Backend> Permit<C> {
    /// The caller has taken one permit out of the engine's semaphore, and has forgotten tokio's `SemaphorePermit`, because
    /// a `SemaphorePermit` borrows the engine and cannot be stored beside the [`EngineUse`].
    pub(super) fn new(engine: EngineUse<TypedEngine<C>>, requested: Timer) -> Self {
        Self { engine, lease: None, requested, turn: None, parent: None }
    }

    pub(super) fn engine(&self) -> &Arc<TypedEngine<C>> {
        self.engine.engine()
    }

    pub(super) fn set_lease(&mut self, lease: Option<Lease<C>>) {
        self.lease = lease;
    }

    /// Returns the slot, and keeps the permit.
    pub(super) fn give_up_slot(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.engine.pool.put_back(lease);
        }
    }

    pub(super) fn lease(&self) -> Option<&Lease<C>> {
        self.lease.as_ref()
    }

    pub(super) fn lease_mut(&mut self) -> Option<&mut Lease<C>> {
        self.lease.as_mut()
    }

    /// The engine and the slot, if there is one.
    pub(super) fn parts(&mut self) -> Option<(&Arc<TypedEngine<C>>, &mut Lease<C>)> {
        let engine = self.engine.engine();
        self.lease.as_mut().map(|lease| (engine, lease))
    }
}

impl<C: Backend> Drop for Permit<C> {
    /// The order matters: slot, capacity queue, closing, permit, notice.
    fn drop(&mut self) {
        // The slot goes back before the permit, because a caller that gets a permit must find a slot.
        self.give_up_slot();
        if !self.engine.capacity.is_empty() {
            self.engine.capacity.hand_over_idle(&self.engine.pool);
        }
        // Handshake with `begin_close`: `begin_close` closes the semaphore and then empties the pool, while this drop puts
        // the slot into the pool and then reads whether the semaphore is closed. The lock of the pool orders the two:
        // either `begin_close` finds the connection in the pool, or this drop finds the semaphore closed.
        if self.engine.is_closed() {
            self.engine.pool.retain(|_| false);
        }
        self.engine.permits.add_permits(1);
        // Handshake with `all_returned`: `all_returned` registers for the notification and then counts the permits, while
        // this drop adds its permit and then notifies. So the waiter either counts this permit or is notified.
        // `all_returned` waits only after the engine is closed.
        if self.engine.is_closed() {
            self.engine.returned.notify_waiters();
        }
    }
}
