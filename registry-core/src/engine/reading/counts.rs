//! Where reads went, and why.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::super::observe::meters;
use crate::settings::BindKey;

/// Why a read went to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnPrimary {
    /// The bind has no replicas.
    NoneConfigured,
    /// A replica could be reached, and was behind what the read asks for.
    Behind,
    /// No replica could be reached, or nothing is known of any.
    NoReplica,
}

/// The counters of the reads of one bind.
#[derive(Debug)]
pub(super) struct ReadCounts {
    key: BindKey,
    on_replicas: AtomicU64,
    without_replicas: AtomicU64,
    behind: AtomicU64,
    no_replica: AtomicU64,
    refused: AtomicU64,
    waits: AtomicU64,
    waited_micros: AtomicU64,
}

impl ReadCounts {
    pub(super) fn new(key: BindKey) -> Self {
        Self {
            key,
            on_replicas: AtomicU64::new(0),
            without_replicas: AtomicU64::new(0),
            behind: AtomicU64::new(0),
            no_replica: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            waited_micros: AtomicU64::new(0),
        }
    }

    pub(super) fn note_on_replica(&self) {
        self.on_replicas.fetch_add(1, Relaxed);
        meters::note_read(self.key, "replica", "fit");
    }

    pub(super) fn note_on_primary(&self, why: OnPrimary) {
        let (count, reason) = match why {
            OnPrimary::NoneConfigured => (&self.without_replicas, "none configured"),
            OnPrimary::Behind => (&self.behind, "behind"),
            OnPrimary::NoReplica => (&self.no_replica, "no replica"),
        };
        count.fetch_add(1, Relaxed);
        meters::note_read(self.key, "primary", reason);
    }

    /// Counts a read that was refused, because no replica was fit (`when_behind = "error"`).
    pub(super) fn note_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
        meters::note_read(self.key, "none", "behind");
    }

    pub(super) fn note_wait(&self, waited: Duration) {
        self.waits.fetch_add(1, Relaxed);
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.waited_micros.fetch_add(micros, Relaxed);
        meters::note_wait_for_replica(self.key, waited);
    }

    pub(super) fn status(&self) -> super::ReadStatus {
        super::ReadStatus {
            on_replicas: self.on_replicas.load(Relaxed),
            without_replicas: self.without_replicas.load(Relaxed),
            behind: self.behind.load(Relaxed),
            no_replica: self.no_replica.load(Relaxed),
            refused: self.refused.load(Relaxed),
            waits: self.waits.load(Relaxed),
            waited: Duration::from_micros(self.waited_micros.load(Relaxed)),
            ..super::ReadStatus::default()
        }
    }
}
