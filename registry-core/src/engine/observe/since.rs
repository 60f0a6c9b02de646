//! What an engine has done between two snapshots.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::status::EngineStatus;
use crate::serialized::as_seconds;

/// The acquires of an engine since an earlier snapshot: a part of [`EngineStatus`](crate::EngineStatus).
///
/// As in the status itself, those are counted that got their turn in the queue, also if the server could then not be reached.
/// Connections to replicas are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AcquiresSince {
    /// How long ago the earlier snapshot was. It is serialized in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub over: Duration,
    /// Acquires per second that did not time out: `direct` and `waited`.
    pub per_second: f64,
    /// Acquires since then that did not have to wait.
    pub direct: u64,
    /// Acquires since then that waited for others.
    pub waited: u64,
    /// Acquires since then that timed out.
    pub timed_out: u64,
}

/// Which engine it is among all of this process, and since when. Another engine may have the same bind, tenant and URL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    pub(crate) number: u64,
    pub(crate) at: Instant,
}

impl Opened {
    pub(super) fn now() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), at: Instant::now() }
    }
}

/// The counters of an engine's acquires in a snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AcquireCounters {
    direct: u64,
    waited: u64,
    timed_out: u64,
}

impl AcquireCounters {
    pub(crate) fn of(status: &EngineStatus) -> Self {
        let EngineStatus { direct, waited, timed_out, .. } = *status;
        Self { direct, waited, timed_out }
    }

    /// What has been counted since an earlier snapshot, which was `over` ago.
    pub(crate) fn since(self, earlier: Self, over: Duration) -> AcquiresSince {
        let direct = self.direct.saturating_sub(earlier.direct);
        let waited = self.waited.saturating_sub(earlier.waited);
        let timed_out = self.timed_out.saturating_sub(earlier.timed_out);
        let per_second = direct.saturating_add(waited) as f64 / over.as_secs_f64();
        AcquiresSince { over, per_second, direct, waited, timed_out }
    }
}
