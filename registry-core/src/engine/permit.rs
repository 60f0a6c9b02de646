//! The right to one of an engine's connections.

use std::sync::Arc;

use super::engine_use::EngineUse;
use super::observe::meters::Timer;
use super::pool::Lease;
use super::typed::TypedEngine;
use crate::backend::Backend;

/// The right to one of an engine's connections, and its slot once there is one. Dropping it gives both
/// back.
pub(crate) struct Permit<C: Backend> {
    pub(super) engine: EngineUse<TypedEngine<C>>,
    pub(super) lease: Option<Lease<C>>,
    /// When it was requested for.
    pub(super) requested: Timer,
}

impl<C: Backend> Permit<C> {
    /// The caller has taken one of the engine's permits, and has let it forget where it came from: one
    /// that borrows the engine could not be kept beside it.
    pub(super) fn new(engine: EngineUse<TypedEngine<C>>, requested: Timer) -> Self {
        Self { engine, lease: None, requested }
    }

    pub(super) fn engine(&self) -> &Arc<TypedEngine<C>> {
        self.engine.engine()
    }

    pub(super) fn set_lease(&mut self, lease: Option<Lease<C>>) {
        self.lease = lease;
    }

    /// Gives the slot back, and keeps the right to one.
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
    fn drop(&mut self) {
        self.give_up_slot();
        if !self.engine.capacity.is_empty() {
            self.engine.capacity.hand_over_idle(&self.engine.pool);
        }
        if self.engine.is_closed() {
            // Whoever closed it may have looked for idle connections before this one was.
            self.engine.pool.retain(|_| false);
        }
        self.engine.permits.add_permits(1);
        if self.engine.is_closed() {
            self.engine.returned.notify_waiters();
        }
    }
}
