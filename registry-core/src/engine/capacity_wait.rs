//! The wait of a caller if the server has no room for another connection, though `max_connections` is not reached.
//!
//! A server, an account or a pooler may allow fewer connections than `max_connections`. A caller that is refused waits
//! for a connection of this engine that another caller returns, first come, first served. It also tries to connect
//! again from time to time, as a connection may be closed elsewhere.

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

/// The first and the longest pause before the next connection attempt. The pause doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl<C: Backend> TypedEngine<C> {
    /// Whether waiting may help: the engine has connections that may be returned, is opening one, or has closed one that
    /// the server may still count.
    fn may_get_capacity(&self) -> bool {
        self.holders.have_connection()
            || self.capacity.is_connecting()
            || self.invalidations.has_closed_recently()
    }

    /// Waits for a connection that another caller returns, or for the server to accept one more. Fails with `refused` at
    /// once if the engine has no connection to wait for.
    ///
    /// The caller keeps its permit and gives up its slot, because the connection that it gets is in another slot.
    pub(super) async fn wait_for_capacity(
        &self,
        permit: &mut Permit<C>,
        mut refused: ConnectError,
        started: Instant,
        wait_limit: Duration,
    ) -> Result<(), AcquireError> {
        let remaining = || wait_limit.saturating_sub(started.elapsed());
        permit.give_up_slot();
        let waiting = self.stats.note_waiting();
        let mut waiter = CapacityWaiter::new(&self.capacity, &self.pool);
        let mut pause = FIRST_PAUSE;
        while self.may_get_capacity() {
            match timeout(pause.min(remaining()), waiter.lease()).await {
                Ok(lease) => {
                    permit.set_lease(lease);
                    if self.is_alive(permit, remaining()).await {
                        return Ok(());
                    }
                    // The connection was dead and is closed, so the server may accept another one now.
                    permit.give_up_slot();
                    waiter = CapacityWaiter::new(&self.capacity, &self.pool);
                }
                Err(_) if remaining().is_zero() => {
                    drop(waiting);
                    self.stats.note_connect_failure(&Arc::new(refused), ConnectPurpose::Caller);
                    return Err(self.timed_out(wait_limit));
                }
                Err(_) => {}
            }
            pause = LONGEST_PAUSE.min(pause * 2);
            match self.connect(remaining()).await {
                Ok(connected) => {
                    // A caller with a permit and no slot always finds a slot, except while `Pool::retain` holds it.
                    let mut lease = loop {
                        match self.pool.take_empty() {
                            Some(lease) => break lease,
                            None if remaining().is_zero() => return Err(self.timed_out(wait_limit)),
                            None => tokio::task::yield_now().await,
                        }
                    };
                    lease.fill(connected, self.lifetime());
                    permit.set_lease(Some(lease));
                    return Ok(());
                }
                Err(error @ ConnectError::TooManyConnections(_)) => refused = error,
                // The caller's time ended during the attempt. That is no failure of the server.
                Err(ConnectError::TimedOut { .. }) if remaining().is_zero() => {}
                Err(error) => return Err(self.could_not_connect(error)),
            }
        }
        Err(self.could_not_connect(refused))
    }

    async fn is_alive(&self, permit: &mut Permit<C>, remaining: Duration) -> bool {
        let runtime = Handle::current();
        match permit.lease_mut() {
            Some(lease) => {
                self.is_fresh(lease, &runtime)
                    || self.passes_check(lease, &runtime, remaining).await
            }
            None => false,
        }
    }
}
