//! What one connection has found out that makes the others of its engine doubtful.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::host_failover::FailedHosts;

/// For how long a server may go on counting a connection that was closed.
const CLOSE_LAG: Duration = Duration::from_secs(5);

/// What the connections of an engine have found out, each counted, so that every connection can tell whether
/// it has heard of it.
#[derive(Debug, Default)]
pub(in crate::engine) struct Invalidations {
    /// Prepared statements do not fit their tables any more.
    pub(in crate::engine) plans: AtomicU32,
    /// A type has another number than the client knows it by.
    pub(in crate::engine) types: AtomicU32,
    /// A server that took writes takes none.
    pub(in crate::engine) roles: AtomicU32,
    /// The hosts that have failed.
    pub(in crate::engine) hosts: FailedHosts,
    /// When a connection was closed last.
    closed: Mutex<Option<Instant>>,
}

impl Invalidations {
    /// Whether the server may still count a connection that was closed: it learns of that a little later, and ends
    /// what the connection was doing first.
    pub(in crate::engine) fn has_closed_recently(&self) -> bool {
        let closed = *self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.is_some_and(|at| at.elapsed() < CLOSE_LAG)
    }
}

/// Kept with a connection: it notes when that is closed.
#[derive(Debug, Default)]
pub(in crate::engine) struct CloseNotice(Arc<Invalidations>);

impl CloseNotice {
    pub(in crate::engine) fn new(invalidations: &Arc<Invalidations>) -> Self {
        Self(Arc::clone(invalidations))
    }
}

impl Drop for CloseNotice {
    fn drop(&mut self) {
        *self.0.closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// How many of them a connection has heard of.
#[derive(Debug, Default)]
pub(in crate::engine) struct SeenInvalidations {
    plans: AtomicU32,
    types: AtomicU32,
    roles: AtomicU32,
}

impl SeenInvalidations {
    /// A connection that is opened now.
    pub(in crate::engine) fn new(invalidations: &Invalidations) -> Self {
        let now = |count: &AtomicU32| AtomicU32::new(count.load(Ordering::Relaxed));
        Self {
            plans: now(&invalidations.plans),
            types: now(&invalidations.types),
            roles: now(&invalidations.roles),
        }
    }

    /// Whether prepared statements are to be forgotten. It says so once.
    pub(in crate::engine) fn take_stale_plans(&self, invalidations: &Invalidations) -> bool {
        let now = invalidations.plans.load(Ordering::Relaxed);
        now != self.plans.load(Ordering::Relaxed) && now != self.plans.swap(now, Ordering::Relaxed)
    }

    /// Has this connection alone forget its prepared statements.
    pub(in crate::engine) fn invalidate_own_plans(&self, invalidations: &Invalidations) {
        let other = invalidations.plans.load(Ordering::Relaxed).wrapping_sub(1);
        self.plans.store(other, Ordering::Relaxed);
    }

    /// Whether the client knows a type by a number that may be gone: nothing but another connection helps.
    pub(in crate::engine) fn has_stale_types(&self, invalidations: &Invalidations) -> bool {
        self.types.load(Ordering::Relaxed) != invalidations.types.load(Ordering::Relaxed)
    }

    /// Whether the server may take no writes any more.
    pub(in crate::engine) fn must_recheck_role(&self, invalidations: &Invalidations) -> bool {
        self.roles.load(Ordering::Relaxed) != invalidations.roles.load(Ordering::Relaxed)
    }

    /// The server was asked, and takes writes.
    pub(in crate::engine) fn note_role_checked(&self, invalidations: &Invalidations) {
        self.roles.store(invalidations.roles.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}
