//! The slots of one engine, held by bb8. No other file names bb8.
//!
//! bb8 is given slots, not connections: making a slot cannot fail, hang or panic, and neither can
//! anything else that bb8 does with one. Connecting, checking and ageing happen outside of it, under
//! time-outs of our own and with errors that reach the caller. bb8 keeps the slots, their number and
//! their order (the one used last is lent first, so that a pool that is too large can shrink).
//!
//! bb8 fills itself and ages its connections in tasks that it spawns. A runtime that ends takes those
//! along, and with them capacity for good. So it is never left to spawn: a slot is added before one
//! is taken ([`Pool::take`]), and ageing is [`Pool::retain`]. A pool therefore belongs to no runtime.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;

use super::slot::Slot;

/// The slots of one engine.
pub(super) struct Pool<C: Send + 'static> {
    slots: bb8::Pool<Slots<C>>,
    /// Held while slots are counted and taken, so that a slot that was counted is there to be taken.
    taking: Mutex<()>,
}

/// A slot that is out of the pool. Dropping it puts it back if it has a connection that is to be
/// kept, and otherwise lets go of both.
pub(super) type Lease<C> = bb8::PooledConnection<'static, Slots<C>>;

/// How many connections an engine has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) in_use: u32,
    pub(super) idle: u32,
}

impl<C: Send + 'static> Pool<C> {
    pub(super) fn new(max_connections: u32) -> Self {
        let slots = bb8::Pool::builder()
            .max_size(max_connections)
            .test_on_check_out(false)
            .queue_strategy(bb8::QueueStrategy::Lifo)
            // Never waited for: a slot is there when one is taken.
            .connection_timeout(Duration::from_secs(1))
            .max_lifetime(None)
            .idle_timeout(None)
            .build_unchecked(Slots(PhantomData));
        Self { slots, taking: Mutex::new(()) }
    }

    /// Takes the slot that was used last, or an empty one. The caller holds one of as many permits as
    /// there are slots, so there is one; `None` only if a slot is lost between two instructions.
    ///
    /// Must be called inside a Tokio runtime: bb8 sets a timer, though it never gets to run.
    pub(super) fn take(&self) -> Option<Lease<C>> {
        let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        if self.slots.state().idle_connections == 0 {
            // Refused when all slots are out, which the caller's permit rules out.
            let _ = self.slots.add(Slot::empty());
        }
        self.slots.get_owned().now_or_never()?.ok()
    }

    /// Adds a slot with a live connection, unless there are as many slots as there may be.
    pub(super) fn add(&self, slot: Slot<C>) {
        let _ = self.slots.add(slot);
    }

    /// Closes the idle connections that `keep` does not want, the least recently used first.
    ///
    /// Must be called inside a Tokio runtime.
    pub(super) fn retain(&self, mut keep: impl FnMut(&Slot<C>) -> bool) {
        let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = self.slots.state().idle_connections;
        let mut leases: Vec<Lease<C>> =
            (0..idle).map_while(|_| self.slots.get_owned().now_or_never()?.ok()).collect();
        // Put back in this order, the one that was used last is again the first to be lent.
        while let Some(mut lease) = leases.pop() {
            if !keep(&lease) {
                lease.discard();
            }
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let state = self.slots.state();
        Counts {
            in_use: state.connections.saturating_sub(state.idle_connections),
            idle: state.idle_connections,
        }
    }
}

/// What bb8 knows of slots.
pub(super) struct Slots<C>(PhantomData<fn() -> C>);

impl<C: Send + 'static> bb8::ManageConnection for Slots<C> {
    type Connection = Slot<C>;
    type Error = Infallible;

    async fn connect(&self) -> Result<Slot<C>, Infallible> {
        Ok(Slot::empty())
    }

    async fn is_valid(&self, _: &mut Slot<C>) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, slot: &mut Slot<C>) -> bool {
        !slot.is_kept()
    }
}
