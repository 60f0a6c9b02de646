//! Callers for whom the server has no more connections, though the engine would have.
//!
//! A server, an account or a pooler may allow fewer connections than `max_connections`. Whoever is refused waits
//! for a connection of this engine that comes back, in the order in which they were refused, and tries to connect
//! again from time to time: connections may be closed elsewhere.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::acquire::TypedEngine;
use super::checkout::Held;
use super::observe::stats::For;
use super::pool::Lease;
use crate::backend::{Backend, ConnectError};
use crate::engine::AcquireError;

/// How long to wait before the server is asked again: at first, and at the most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Those who wait for a connection of others.
pub(super) struct Starving<C: Send + 'static> {
    /// How many there are. Added to before the idle connections are looked at, and read after one was put
    /// among them: the lock on those orders the two, so that one side sees the other. So `Relaxed` is enough.
    count: AtomicUsize,
    queue: Mutex<VecDeque<oneshot::Sender<Lease<C>>>>,
    /// How many connect who were not refused yet. Theirs may be the connections to wait for.
    connecting: AtomicU32,
}

impl<C: Send + 'static> Default for Starving<C> {
    fn default() -> Self {
        Self { count: AtomicUsize::new(0), queue: Mutex::default(), connecting: AtomicU32::new(0) }
    }
}

impl<C: Send + 'static> Starving<C> {
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Counts a caller as connecting until the guard is dropped.
    pub(super) fn connecting(&self) -> Connecting<'_> {
        self.connecting.fetch_add(1, Ordering::Relaxed);
        Connecting(&self.connecting)
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<Lease<C>>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Connecting<'a>(&'a AtomicU32);

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<C: Backend> TypedEngine<C> {
    /// Hands idle connections to those who starve.
    #[cold]
    pub(super) fn feed(&self) {
        let mut queue = self.starving.queue();
        while !queue.is_empty()
            && let Some(lease) = self.pool.take_idle()
        {
            let next = queue.pop_front();
            // Whoever has left meanwhile is passed over.
            if let Some(Err(lease)) = next.map(|next| next.send(lease)) {
                self.pool.put_back(lease);
            }
        }
    }

    /// Whether the engine has connections, is about to have one, or had one a moment ago: the server may still count
    /// that, and then it takes another soon.
    fn has_others(&self) -> bool {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.iter().map(Weak::strong_count).any(|count| count > 0)
            || self.starving.connecting.load(Ordering::Relaxed) > 0
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
        let mut place = Place::new(self);
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
                    place = Place::new(self);
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

/// A place among those who starve, left when it is dropped.
struct Place<'a, C: Backend> {
    engine: &'a TypedEngine<C>,
    lease: oneshot::Receiver<Lease<C>>,
}

impl<'a, C: Backend> Place<'a, C> {
    fn new(engine: &'a TypedEngine<C>) -> Self {
        let (sender, lease) = oneshot::channel();
        engine.starving.count.fetch_add(1, Ordering::Relaxed);
        engine.starving.queue().push_back(sender);
        let place = Self { engine, lease };
        engine.feed();
        place
    }

    /// `None` only if the queue is gone.
    async fn lease(&mut self) -> Option<Lease<C>> {
        (&mut self.lease).await.ok()
    }
}

impl<C: Backend> Drop for Place<'_, C> {
    fn drop(&mut self) {
        self.lease.close();
        let starving = &self.engine.starving;
        starving.queue().retain(|sender| !sender.is_closed());
        starving.count.fetch_sub(1, Ordering::Relaxed);
        // One that was handed over and not received goes to the next.
        if let Ok(lease) = self.lease.try_recv() {
            self.engine.pool.put_back(lease);
            self.engine.feed();
        }
    }
}
