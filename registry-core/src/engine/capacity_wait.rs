//! Callers for whom the server has no more connections, though the engine would have.
//!
//! A server, an account or a pooler may allow fewer connections than `max_connections`. Whoever is refused waits
//! for a connection of this engine that comes back, in the order in which they were refused, and tries to connect
//! again from time to time: connections may be closed elsewhere.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::capacity_queue::CapacityWaiter;
use super::error::AcquireError;
use super::observe::stats::ConnectPurpose;
use super::permit::Permit;
use super::typed::TypedEngine;
use crate::backend::{Backend, ConnectError};

/// How long to wait before the server is asked again: at first, and at the most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl<C: Backend> TypedEngine<C> {
    /// Whether the engine has connections, is about to have one, or had one a moment ago: the server may still count
    /// that, and then it takes another soon.
    fn may_get_capacity(&self) -> bool {
        self.holders.have_connection()
            || self.capacity.is_connecting()
            || self.invalidations.has_closed_recently()
    }

    /// Waits for a connection of another caller, or for the server to take one more.
    ///
    /// The caller holds a permit, and gives its slot up: another comes with the connection that it gets.
    pub(super) async fn wait_for_capacity(
        &self,
        permit: &mut Permit<C>,
        mut refused: ConnectError,
        started: Instant,
        within: Duration,
    ) -> Result<(), AcquireError> {
        let remaining = || within.saturating_sub(started.elapsed());
        permit.give_up_slot();
        let waiting = self.stats.note_waiting();
        let mut place = CapacityWaiter::new(&self.capacity, &self.pool);
        let mut pause = FIRST_PAUSE;
        while self.may_get_capacity() {
            match timeout(pause.min(remaining()), place.lease()).await {
                Ok(lease) => {
                    permit.set_lease(lease);
                    if self.is_alive(permit, remaining()).await {
                        return Ok(());
                    }
                    // One connection less: the server may take another now.
                    permit.give_up_slot();
                    place = CapacityWaiter::new(&self.capacity, &self.pool);
                }
                Err(_) if remaining().is_zero() => {
                    drop(waiting);
                    self.stats.note_connect_failure(&Arc::new(refused), ConnectPurpose::Caller);
                    return Err(self.timed_out(within));
                }
                Err(_) => {}
            }
            pause = LONGEST_PAUSE.min(pause * 2);
            match self.connect(remaining()).await {
                Ok(connected) => {
                    // Whoever has a permit and no slot finds one, if not at this moment.
                    let mut lease = loop {
                        match self.pool.take_empty() {
                            Some(lease) => break lease,
                            None if remaining().is_zero() => return Err(self.timed_out(within)),
                            None => tokio::task::yield_now().await,
                        }
                    };
                    lease.fill(connected, self.lifetime());
                    permit.set_lease(Some(lease));
                    return Ok(());
                }
                Err(error @ ConnectError::TooManyConnections(_)) => refused = error,
                // The time is over, and that is not what the server has said.
                Err(ConnectError::TimedOut { .. }) if remaining().is_zero() => {}
                Err(error) => return Err(self.could_not_connect(error)),
            }
        }
        Err(self.could_not_connect(refused))
    }

    async fn is_alive(&self, permit: &mut Permit<C>, left: Duration) -> bool {
        let runtime = Handle::current();
        match permit.lease_mut() {
            Some(lease) => {
                self.is_fresh(lease, &runtime) || self.passes_check(lease, &runtime, left).await
            }
            None => false,
        }
    }
}
