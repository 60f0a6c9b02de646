//! The queries of each engine: how many, and how long they took.

use std::time::Duration;

use crate::registry::Registry;
use crate::settings::BindKey;

/// The queries of one engine in one second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Activity {
    pub(super) per_second: f64,
    /// Half of the queries took no longer. `None` if there was no query.
    pub(super) p50: Option<Duration>,
    /// 95 of 100 queries took no longer. `None` if there was no query.
    pub(super) p95: Option<Duration>,
}

/// Reads the counters of all engines, and remembers them until the next reading.
#[derive(Debug, Default)]
pub(super) struct ActivityReader {}

impl ActivityReader {
    /// What a bind did since the last reading, `elapsed` ago.
    pub(super) fn read(
        &mut self,
        _registry: &Registry,
        _key: BindKey,
        _elapsed: Duration,
    ) -> Option<Activity> {
        None
    }
}
