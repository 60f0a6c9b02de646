//! The parts of one engine with a known connection type.
//!
//! The other files of the folder add the operations as `impl TypedEngine` blocks: [`acquire`](super::acquire),
//! [`connect`](super::connect), [`close`](super::close) and so on.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::capacity_queue::CapacityQueue;
use super::checked_migrations::CheckedMigrations;
use super::error::AcquireError;
use super::observe::holders::Holders;
use super::observe::invalidation::Invalidations;
use super::observe::stats::Stats;
use super::pool::Pool;
use super::reading::Reading;
use super::use_count::{EngineOwner, UseCount};
use super::write_turn::WriteQueue;
use crate::backend::Backend;
use crate::backend::observed::Observed;
use crate::latch::Latch;
use crate::settings::EngineSettings;

/// One engine: its settings, its permits, for which callers queue, and the slots of its connections.
pub(crate) struct TypedEngine<C: Backend> {
    pub(super) settings: Arc<EngineSettings>,
    pub(super) pool: Pool<C>,
    /// One permit for each slot. The semaphore is closed when the engine is closed.
    pub(super) permits: Semaphore,
    pub(super) stats: Stats,
    pub(super) use_count: UseCount,
    pub(super) checked_migrations: CheckedMigrations,
    /// Whether a connection was ever opened. In test isolation, the first connection is the only one.
    pub(super) has_connected: AtomicBool,
    /// Set when the engine is closed.
    pub(super) closing: Latch,
    /// Notified for each permit that is returned after the engine was closed, see
    /// [`all_returned`](TypedEngine::all_returned).
    pub(super) returned: Notify,
    /// Wakes the maintenance task. An `Arc`, because the sleeping task must not keep the engine alive.
    pub(super) maintenance_wake: Arc<Notify>,
    /// Whether the maintenance task runs.
    pub(super) is_maintained: Arc<AtomicBool>,
    /// Every open connection, and the task that holds it.
    pub(super) holders: Holders,
    /// The observed streams of the connections. A driver closes a stream in a task of its own, after the connection was
    /// dropped.
    pub(super) streams: Mutex<Vec<Weak<Observed>>>,
    /// Callers for whom the server has no room for another connection.
    pub(super) capacity: CapacityQueue<C>,
    /// Findings on one connection that concern the other connections.
    pub(super) invalidations: Arc<Invalidations>,
    /// The queue of the writers to the file, once somebody has asked for a turn. Holds `None` if no turns are needed.
    pub(super) write_queue: OnceLock<Option<Arc<WriteQueue>>>,
    /// The connections that only read. Made by the first read. In a box, because most engines have none.
    pub(super) reading: OnceLock<Box<Reading<C>>>,
}

impl<C: Backend> TypedEngine<C> {
    /// `owner` is given for an engine that is opened on demand.
    pub(crate) fn new(settings: Arc<EngineSettings>, owner: Option<Weak<dyn EngineOwner>>) -> Self {
        let max = settings.options.max_connections;
        let stats = Stats::new(&settings);
        Self {
            pool: Pool::new(max, Arc::clone(stats.meters())),
            permits: Semaphore::new(max as usize),
            stats,
            settings,
            use_count: UseCount::new(owner),
            checked_migrations: CheckedMigrations::default(),
            has_connected: AtomicBool::new(false),
            closing: Latch::default(),
            returned: Notify::new(),
            maintenance_wake: Arc::new(Notify::new()),
            is_maintained: Arc::new(AtomicBool::new(false)),
            holders: Holders::default(),
            streams: Mutex::new(Vec::new()),
            capacity: CapacityQueue::default(),
            invalidations: Arc::default(),
            write_queue: OnceLock::new(),
            reading: OnceLock::new(),
        }
    }

    /// Counts a time-out, and returns the error for the caller.
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

    /// Whether the engine was opened on demand, and so is not one that the tenants of a bind share.
    pub(crate) fn is_of_one_tenant(&self) -> bool {
        self.use_count.has_owner()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    pub(super) fn closed_error(&self) -> AcquireError {
        AcquireError::Closed { key: self.settings.key }
    }

    /// The number of permits that are taken.
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
