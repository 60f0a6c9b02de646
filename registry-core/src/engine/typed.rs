//! The parts of one engine, whose connection type is known.
//!
//! The other files of the folder add what is done with them: [`acquire`](super::acquire), [`connect`](super::connect),
//! [`close`](super::close) and so on are `impl TypedEngine` blocks.

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

/// One engine: its settings, the permits that callers queue for, and the slots of its connections.
pub(crate) struct TypedEngine<C: Backend> {
    pub(super) settings: Arc<EngineSettings>,
    pub(super) pool: Pool<C>,
    /// One for each slot. Closed when the engine is.
    pub(super) permits: Semaphore,
    pub(super) stats: Stats,
    pub(super) use_count: UseCount,
    /// Whether a connection was ever opened. In test isolation there is one, and never another.
    pub(super) has_connected: AtomicBool,
    /// Set when the engine is closed.
    pub(super) closing: Latch,
    /// Notified for each permit that is returned once the engine is closed, see
    /// [`all_returned`](TypedEngine::all_returned).
    pub(super) returned: Notify,
    /// Wakes the maintenance task. Shared with it, as the task must not keep the engine alive while it sleeps.
    pub(super) maintenance_wake: Arc<Notify>,
    /// Whether the maintenance task runs.
    pub(super) is_maintained: Arc<AtomicBool>,
    /// Every open connection, and which task has it.
    pub(super) holders: Holders,
    /// What is seen of the streams of its connections. A driver closes a stream in a task of its own, after the
    /// connection was dropped.
    pub(super) streams: Mutex<Vec<Weak<Observed>>>,
    /// Callers for whom the server has no room for another connection.
    pub(super) capacity: CapacityQueue<C>,
    /// What one of its connections has found out that concerns the others.
    pub(super) invalidations: Arc<Invalidations>,
}

impl<C: Backend> TypedEngine<C> {
    /// `owner` is given for an engine that is opened on demand.
    pub(crate) fn new(settings: Arc<EngineSettings>, owner: Option<Weak<dyn EngineOwner>>) -> Self {
        let max = settings.options.max_connections;
        Self {
            pool: Pool::new(max),
            permits: Semaphore::new(max as usize),
            stats: Stats::new(settings.key, max),
            settings,
            use_count: UseCount::new(owner),
            has_connected: AtomicBool::new(false),
            closing: Latch::default(),
            returned: Notify::new(),
            maintenance_wake: Arc::new(Notify::new()),
            is_maintained: Arc::new(AtomicBool::new(false)),
            holders: Holders::default(),
            streams: Mutex::new(Vec::new()),
            capacity: CapacityQueue::default(),
            invalidations: Arc::default(),
        }
    }

    /// The error of a caller whose time is over, and counts it.
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

    /// How many permits are taken.
    pub(super) fn checkout_count(&self) -> u32 {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        self.settings.options.max_connections.saturating_sub(free)
    }
}

impl<C: Backend> Drop for TypedEngine<C> {
    fn drop(&mut self) {
        self.maintenance_wake.notify_one();
    }
}
