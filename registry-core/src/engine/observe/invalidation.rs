//! What one connection finds out that concerns the other connections of its engine.
//!
//! [`Invalidations`] has a counter for each kind of finding. A connection that finds something out increments it, and
//! each connection remembers in [`SeenInvalidations`] up to which count it has acted. So the finder needs no list of
//! the other connections, and each of them reacts when it is next used.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::host_failover::FailedHosts;

/// For how long a server may still count a connection that was closed.
const CLOSE_LAG: Duration = Duration::from_secs(5);

/// What the connections of one engine have found out. Shared by all of them.
#[derive(Debug, Default)]
pub(in crate::engine) struct Invalidations {
    /// How often a prepared statement no longer fitted its table.
    plans: AtomicU32,
    /// How often a type had another OID than the client has cached.
    types: AtomicU32,
    /// How often a server refused a write that should take writes.
    roles: AtomicU32,
    /// The hosts that have failed lately.
    pub(in crate::engine) hosts: FailedHosts,
    /// When a connection was last closed.
    last_closed: Mutex<Option<Instant>>,
}

impl Invalidations {
    /// Has every connection of the engine prepare its statements anew.
    pub(super) fn invalidate_plans(&self) {
        self.plans.fetch_add(1, Ordering::Relaxed);
    }

    /// Has every connection of the engine be replaced.
    pub(super) fn invalidate_types(&self) {
        self.types.fetch_add(1, Ordering::Relaxed);
    }

    /// Has every connection of the engine ask its server whether it takes writes.
    pub(super) fn invalidate_roles(&self) {
        self.roles.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the server may still count a connection that was closed: it learns of the end a little later, and first
    /// ends what the connection was doing.
    pub(in crate::engine) fn has_closed_recently(&self) -> bool {
        let last_closed = *self.last_closed.lock().unwrap_or_else(PoisonError::into_inner);
        last_closed.is_some_and(|at| at.elapsed() < CLOSE_LAG)
    }
}

/// Kept with a connection, and dropped with it: it notes when a connection was last closed.
#[derive(Debug, Default)]
pub(super) struct CloseNotice(Arc<Invalidations>);

impl CloseNotice {
    pub(super) fn new(invalidations: &Arc<Invalidations>) -> Self {
        Self(Arc::clone(invalidations))
    }
}

impl Drop for CloseNotice {
    fn drop(&mut self) {
        let mut last_closed = self.0.last_closed.lock().unwrap_or_else(PoisonError::into_inner);
        *last_closed = Some(Instant::now());
    }
}

/// The counts up to which one connection has acted on the [`Invalidations`].
#[derive(Debug, Default)]
pub(super) struct SeenInvalidations {
    plans: AtomicU32,
    types: AtomicU32,
    roles: AtomicU32,
}

impl SeenInvalidations {
    /// Those of a connection that is opened now: none of what was found out before concerns it.
    pub(super) fn new(invalidations: &Invalidations) -> Self {
        let now = |count: &AtomicU32| AtomicU32::new(count.load(Ordering::Relaxed));
        Self {
            plans: now(&invalidations.plans),
            types: now(&invalidations.types),
            roles: now(&invalidations.roles),
        }
    }

    /// Whether the prepared statements must be prepared anew. True once for each occasion.
    pub(super) fn take_stale_plans(&self, invalidations: &Invalidations) -> bool {
        let now = invalidations.plans.load(Ordering::Relaxed);
        now != self.plans.load(Ordering::Relaxed) && now != self.plans.swap(now, Ordering::Relaxed)
    }

    /// Has this connection alone prepare its statements anew.
    pub(super) fn invalidate_own_plans(&self, invalidations: &Invalidations) {
        let unseen = invalidations.plans.load(Ordering::Relaxed).wrapping_sub(1);
        self.plans.store(unseen, Ordering::Relaxed);
    }

    /// Whether the client may know a type by an OID that is gone. The cache of types cannot be emptied, so the
    /// connection has to be replaced.
    pub(super) fn has_stale_types(&self, invalidations: &Invalidations) -> bool {
        self.types.load(Ordering::Relaxed) != invalidations.types.load(Ordering::Relaxed)
    }

    /// Whether the server may take no writes any more.
    pub(super) fn must_recheck_role(&self, invalidations: &Invalidations) -> bool {
        self.roles.load(Ordering::Relaxed) != invalidations.roles.load(Ordering::Relaxed)
    }

    /// Notes that the server was asked, and takes writes.
    pub(super) fn note_role_checked(&self, invalidations: &Invalidations) {
        self.roles.store(invalidations.roles.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}
