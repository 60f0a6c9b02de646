//! What one connection has found out that makes the others of its engine doubtful.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::host_failover::FailedHosts;

/// For how long a server may go on counting a connection that was closed.
const LINGER: Duration = Duration::from_secs(5);

/// What the connections of an engine have found out, each counted, so that every connection can tell whether
/// it has heard of it.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Prepared statements do not fit their tables any more.
    pub(super) plans: AtomicU32,
    /// A type has another number than the client knows it by.
    pub(super) types: AtomicU32,
    /// A server that took writes takes none.
    pub(super) roles: AtomicU32,
    /// The hosts that have failed.
    pub(super) hosts: FailedHosts,
    /// When a connection was closed last.
    closed: Mutex<Option<Instant>>,
}

impl Doubts {
    /// Whether the server may still count a connection that was closed: it learns of that a little later, and ends
    /// what the connection was doing first.
    pub(super) fn has_closed_lately(&self) -> bool {
        let closed = *self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.is_some_and(|at| at.elapsed() < LINGER)
    }
}

/// Kept with a connection: it notes when that is closed.
#[derive(Debug, Default)]
pub(super) struct Open(Arc<Doubts>);

impl Open {
    pub(super) fn new(doubts: &Arc<Doubts>) -> Self {
        Self(Arc::clone(doubts))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// How many of them a connection has heard of.
#[derive(Debug, Default)]
pub(super) struct Heard {
    plans: AtomicU32,
    types: AtomicU32,
    roles: AtomicU32,
}

impl Heard {
    /// A connection that is opened now.
    pub(super) fn all(doubts: &Doubts) -> Self {
        let now = |count: &AtomicU32| AtomicU32::new(count.load(Ordering::Relaxed));
        Self { plans: now(&doubts.plans), types: now(&doubts.types), roles: now(&doubts.roles) }
    }

    /// Whether prepared statements are to be forgotten. It says so once.
    pub(super) fn take_stale_plans(&self, doubts: &Doubts) -> bool {
        let now = doubts.plans.load(Ordering::Relaxed);
        now != self.plans.load(Ordering::Relaxed) && now != self.plans.swap(now, Ordering::Relaxed)
    }

    /// Has this connection alone forget its prepared statements.
    pub(super) fn doubt_own_plans(&self, doubts: &Doubts) {
        let other = doubts.plans.load(Ordering::Relaxed).wrapping_sub(1);
        self.plans.store(other, Ordering::Relaxed);
    }

    /// Whether the client knows a type by a number that may be gone: nothing but another connection helps.
    pub(super) fn has_stale_types(&self, doubts: &Doubts) -> bool {
        self.types.load(Ordering::Relaxed) != doubts.types.load(Ordering::Relaxed)
    }

    /// Whether the server may take no writes any more.
    pub(super) fn has_doubtful_role(&self, doubts: &Doubts) -> bool {
        self.roles.load(Ordering::Relaxed) != doubts.roles.load(Ordering::Relaxed)
    }

    /// The server was asked, and takes writes.
    pub(super) fn role_is_known(&self, doubts: &Doubts) {
        self.roles.store(doubts.roles.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}
