//! Callers for whom the server has no more connections, though the engine would have.
//!
//! A server, an account or a pooler may allow fewer connections than `max_connections`. Whoever is refused waits
//! for a connection of this engine that comes back, in the order in which they were refused, and tries to connect
//! again from time to time: connections may be closed elsewhere.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::capacity_queue::Place;
use super::error::AcquireError;
use super::observe::stats::For;
use super::permit::Held;
use super::typed::TypedEngine;
use crate::backend::{Backend, ConnectError};

/// How long to wait before the server is asked again: at first, and at the most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl<C: Backend> TypedEngine<C> {
    /// Whether the engine has connections, is about to have one, or had one a moment ago: the server may still count
    /// that, and then it takes another soon.
    fn has_others(&self) -> bool {
        self.holders.have_connection()
            || self.starving.is_connecting()
            || self.doubts.has_closed_lately()
    }

    /// Waits for a connection of another caller, or for the server to take one more.
    ///
    /// The caller holds a permit, and gives its slot up: another comes with the connection that it gets.
    pub(super) async fn starve(
        &self,
        held: &mut Held<C>,
        mut refused: ConnectError,
        started: Instant,
        within: Duration,
    ) -> Result<(), AcquireError> {
        let remaining = || within.saturating_sub(started.elapsed());
        held.give_up();
        let waiting = self.stats.wait();
        let mut place = Place::new(&self.starving, &self.pool);
        let mut pause = FIRST_PAUSE;
        while self.has_others() {
            match timeout(pause.min(remaining()), place.lease()).await {
                Ok(lease) => {
                    held.put(lease);
                    if self.is_alive(held, remaining()).await {
                        return Ok(());
                    }
                    // One connection less: the server may take another now.
                    held.give_up();
                    place = Place::new(&self.starving, &self.pool);
                }
                Err(_) if remaining().is_zero() => {
                    drop(waiting);
                    self.stats.could_not_connect(&Arc::new(refused), For::Caller);
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
                    held.put(Some(lease));
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

    async fn is_alive(&self, held: &mut Held<C>, left: Duration) -> bool {
        let runtime = Handle::current();
        match held.lease_mut() {
            Some(lease) => {
                self.is_fresh(lease, &runtime) || self.answers(lease, &runtime, left).await
            }
            None => false,
        }
    }
}
