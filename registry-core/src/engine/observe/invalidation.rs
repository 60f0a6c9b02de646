//! Findings on one connection that concern the other connections of its engine.
//!
//! [`Invalidations`] has a counter for each kind of finding. A connection with a finding increments the counter, and each
//! connection stores in [`SeenInvalidations`] the counts up to which it has acted. So the first connection needs no list of
//! the other connections, and each of them reacts at its next use.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::host_failover::FailedHosts;

/// The time for which a server may still count a connection after it was closed.
const CLOSE_LAG: Duration = Duration::from_secs(5);

/// The findings on the connections of one engine, shared by all of them.
#[derive(Debug, Default)]
pub(in crate::engine) struct Invalidations {
    /// The number of times that a prepared statement no longer fitted its table.
    plans: AtomicU32,
    /// The number of times that a type had another OID than the client has cached.
    types: AtomicU32,
    /// The number of times that a server refused a write although the engine expects writes.
    roles: AtomicU32,
    /// The number of times that a connection was lost.
    losses: AtomicU32,
    /// The hosts that have failed recently.
    pub(in crate::engine) hosts: FailedHosts,
    /// When a connection was last closed.
    last_closed: Mutex<Option<Instant>>,
}

impl Invalidations {
    /// Makes every connection of the engine prepare its statements again.
    pub(super) fn invalidate_plans(&self) {
        self.plans.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes the engine replace all its connections.
    pub(super) fn invalidate_types(&self) {
        self.types.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes every connection of the engine ask its server whether it accepts writes.
    pub(super) fn invalidate_roles(&self) {
        self.roles.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes every connection of the engine be checked before it is lent, however recently it was used: what has ended one
    /// connection, such as a restart of the server, has mostly ended the others as well.
    /// How many connections were lost, as far as their errors tell.
    pub(in crate::engine) fn loss_count(&self) -> u32 {
        self.losses.load(Ordering::Relaxed)
    }

    pub(super) fn doubt_connections(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the server may still count a connection that was closed: the server notices the disconnect only after a
    /// delay, and first ends the connection's running statement.
    pub(in crate::engine) fn has_closed_recently(&self) -> bool {
        let last_closed = *self.last_closed.lock().unwrap_or_else(PoisonError::into_inner);
        last_closed.is_some_and(|at| at.elapsed() < CLOSE_LAG)
    }
}

/// Records the time at which a connection is closed. Stored with the connection, and dropped with it.
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

/// The counts of [`Invalidations`] up to which one connection has acted.
#[derive(Debug, Default)]
pub(super) struct SeenInvalidations {
    plans: AtomicU32,
    types: AtomicU32,
    roles: AtomicU32,
    losses: AtomicU32,
}

impl SeenInvalidations {
    /// The counts for a connection that is opened now. Earlier findings do not concern it.
    pub(super) fn new(invalidations: &Invalidations) -> Self {
        let now = |count: &AtomicU32| AtomicU32::new(count.load(Ordering::Relaxed));
        Self {
            plans: now(&invalidations.plans),
            types: now(&invalidations.types),
            roles: now(&invalidations.roles),
            losses: now(&invalidations.losses),
        }
    }

    /// Whether the prepared statements must be prepared again. True once for each finding.
    pub(super) fn take_stale_plans(&self, invalidations: &Invalidations) -> bool {
        let now = invalidations.plans.load(Ordering::Relaxed);
        now != self.plans.load(Ordering::Relaxed) && now != self.plans.swap(now, Ordering::Relaxed)
    }

    /// As [`take_stale_plans`](Self::take_stale_plans), and stays true.
    pub(super) fn has_stale_plans(&self, invalidations: &Invalidations) -> bool {
        invalidations.plans.load(Ordering::Relaxed) != self.plans.load(Ordering::Relaxed)
    }

    /// Makes this connection alone prepare its statements again.
    pub(super) fn invalidate_own_plans(&self, invalidations: &Invalidations) {
        let unseen = invalidations.plans.load(Ordering::Relaxed).wrapping_sub(1);
        self.plans.store(unseen, Ordering::Relaxed);
    }

    /// Whether the client may have cached a type's OID that no longer exists. The cache of types cannot be emptied, so the
    /// connection has to be replaced.
    pub(super) fn has_stale_types(&self, invalidations: &Invalidations) -> bool {
        self.types.load(Ordering::Relaxed) != invalidations.types.load(Ordering::Relaxed)
    }

    /// Whether the server may have stopped accepting writes.
    pub(super) fn must_recheck_role(&self, invalidations: &Invalidations) -> bool {
        self.roles.load(Ordering::Relaxed) != invalidations.roles.load(Ordering::Relaxed)
    }

    /// Records that the server was asked and accepts writes.
    pub(super) fn note_role_checked(&self, invalidations: &Invalidations) {
        self.roles.store(invalidations.roles.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether another connection was lost since this one was last known to work.
    pub(super) fn is_in_doubt(&self, invalidations: &Invalidations) -> bool {
        self.losses.load(Ordering::Relaxed) != invalidations.losses.load(Ordering::Relaxed)
    }

    /// The number of losses so far, for [`note_alive`](Self::note_alive).
    pub(super) fn loss_count(invalidations: &Invalidations) -> u32 {
        invalidations.losses.load(Ordering::Relaxed)
    }

    /// Records that the server has answered a check that began when there had been `losses`.
    pub(super) fn note_alive(&self, losses: u32) {
        self.losses.store(losses, Ordering::Relaxed);
    }
}
