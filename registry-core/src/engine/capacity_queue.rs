//! The queue of callers that were refused a connection because the server has no room.
//!
//! Lock order: the queue's lock is taken before the pool's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::pool::{Lease, Pool};

/// The callers that wait until another caller returns a connection of this engine.
pub(super) struct CapacityQueue<C: Send + 'static> {
    /// The number of waiters. Handshake between a waiter, which increments the number and then looks for an idle connection
    /// in the pool, and a return, which puts its connection into the pool and then reads the number. The lock of the pool
    /// orders the two, so at least one sees the other, and `Relaxed` is enough.
    count: AtomicUsize,
    queue: Mutex<VecDeque<oneshot::Sender<Lease<C>>>>,
    /// The number of callers that are connecting and were not refused yet. They may soon have a connection, so waiting is
    /// worthwhile.
    connecting: AtomicU32,
}

impl<C: Send + 'static> Default for CapacityQueue<C> {
    fn default() -> Self {
        Self { count: AtomicUsize::new(0), queue: Mutex::default(), connecting: AtomicU32::new(0) }
    }
}

impl<C: Send + 'static> CapacityQueue<C> {
    /// Hands idle connections to the waiters, first come, first served.
    #[cold]
    pub(super) fn hand_over_idle(&self, pool: &Pool<C>) {
        let mut queue = self.queue();
        while !queue.is_empty()
            && let Some(lease) = pool.take_idle()
        {
            let next = queue.pop_front();
            // A waiter that has left meanwhile is passed over.
            if let Some(Err(lease)) = next.map(|next| next.send(lease)) {
                pool.put_back(lease);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Whether a caller is connecting and was not refused yet.
    pub(super) fn is_connecting(&self) -> bool {
        self.connecting.load(Ordering::Relaxed) > 0
    }

    /// Counts a caller as connecting until the guard is dropped.
    pub(super) fn note_connecting(&self) -> Connecting<'_> {
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

/// A place in the queue. Dropping this leaves the queue.
pub(super) struct CapacityWaiter<'a, C: Send + 'static> {
    queue: &'a CapacityQueue<C>,
    pool: &'a Pool<C>,
    lease: oneshot::Receiver<Lease<C>>,
}

impl<'a, C: Send + 'static> CapacityWaiter<'a, C> {
    pub(super) fn new(queue: &'a CapacityQueue<C>, pool: &'a Pool<C>) -> Self {
        let (sender, lease) = oneshot::channel();
        queue.count.fetch_add(1, Ordering::Relaxed);
        queue.queue().push_back(sender);
        let waiter = Self { queue, pool, lease };
        queue.hand_over_idle(pool);
        waiter
    }

    /// Waits for a connection. `None` only if the queue is gone.
    pub(super) async fn lease(&mut self) -> Option<Lease<C>> {
        (&mut self.lease).await.ok()
    }
}

impl<C: Send + 'static> Drop for CapacityWaiter<'_, C> {
    fn drop(&mut self) {
        self.lease.close();
        self.queue.queue().retain(|sender| !sender.is_closed());
        self.queue.count.fetch_sub(1, Ordering::Relaxed);
        // A connection that was handed over and not received goes to the next waiter.
        if let Ok(lease) = self.lease.try_recv() {
            self.pool.put_back(lease);
            self.queue.hand_over_idle(self.pool);
        }
    }
}
