//! One engine of a known connection type: its parts.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::capacity_queue::CapacityQueue;
use super::error::AcquireError;
use super::observe::holders::Holders;
use super::observe::invalidation::Invalidations;
use super::observe::stats::Stats;
use super::pool::Pool;
use super::use_count::{EngineOwner, UseCount};
use crate::backend::Backend;
use crate::backend::observed::Observed;
use crate::latch::Latch;
use crate::settings::EngineSettings;

/// One engine: settings, permits and pool.
///
/// A session takes a permit first. The permits are the queue: first come first served, with a limit,
/// a time-out and an end. Whoever has a permit finds a slot, and sees to it that the slot has a live
/// connection ([`TypedEngine::fill`]).
pub(crate) struct TypedEngine<C: Backend> {
    pub(super) settings: Arc<EngineSettings>,
    pub(super) pool: Pool<C>,
    pub(super) permits: Semaphore,
    pub(super) stats: Stats,
    pub(super) uses: UseCount,
    /// Whether there was a connection. In test isolation there is one, and never another.
    pub(super) has_connected: AtomicBool,
    /// Set when it is closed.
    pub(super) closing: Latch,
    /// Wakes [`TypedEngine::all_returned`].
    pub(super) returned: Notify,
    /// Wakes the maintenance, which must not keep the engine alive while it sleeps.
    pub(super) maintenance: Arc<Notify>,
    /// Whether a runtime that is alive runs the maintenance.
    pub(super) is_maintained: Arc<AtomicBool>,
    /// Every connection that there is, and who has it.
    pub(super) holders: Holders,
    /// The streams of its connections, which outlive those for as long as it takes to say good-bye.
    pub(super) streams: Mutex<Vec<Weak<Observed>>>,
    /// Those who wait for a connection of others, as the server takes no more.
    pub(super) capacity: CapacityQueue<C>,
    /// What its connections have found out that concerns the others.
    pub(super) invalidations: Arc<Invalidations>,
}

impl<C: Backend> TypedEngine<C> {
    /// `owner` has opened it on demand.
    pub(crate) fn new(settings: Arc<EngineSettings>, owner: Option<Weak<dyn EngineOwner>>) -> Self {
        let max = settings.options.max_connections;
        Self {
            pool: Pool::new(max),
            permits: Semaphore::new(max as usize),
            stats: Stats::new(settings.key, max),
            settings,
            uses: UseCount::new(owner),
            has_connected: AtomicBool::new(false),
            closing: Latch::default(),
            returned: Notify::new(),
            maintenance: Arc::new(Notify::new()),
            is_maintained: Arc::new(AtomicBool::new(false)),
            holders: Holders::default(),
            streams: Mutex::new(Vec::new()),
            capacity: CapacityQueue::default(),
            invalidations: Arc::default(),
        }
    }

    pub(super) fn timed_out(&self, after: Duration) -> AcquireError {
        self.stats.note_timed_out();
        let counts = self.pool.counts();
        AcquireError::TimedOut {
            key: self.settings.key,
            after,
            in_use: counts.in_use,
            idle: counts.idle,
            max: self.settings.options.max_connections,
            waiting: self.stats.acquire_counts().waiting,
            held_by_caller: self.holders.count_of_caller(|_| true),
            last_error: self.stats.last_connect_failure().map(|last| last.error),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    pub(super) fn closed_error(&self) -> AcquireError {
        AcquireError::Closed { key: self.settings.key }
    }

    pub(super) fn checkout_count(&self) -> u32 {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        self.settings.options.max_connections.saturating_sub(free)
    }
}

impl<C: Backend> Drop for TypedEngine<C> {
    fn drop(&mut self) {
        self.maintenance.notify_one();
    }
}
