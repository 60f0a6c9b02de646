//! Snapshots of the engines that are opened on demand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::identity::EngineAlias;
use crate::engine::{AnyEngine, EngineStatus};
use crate::serialized::as_seconds;

/// A snapshot of all engines that are opened on demand, with the counters of their LRU cache.
///
/// It is a part of [`Status`](crate::Status). Its `Display` is one line of totals, without the engines.
///
/// ```
/// use registry_core::{Registry, bind_tables};
///
/// diesel::table! { events (id) { id -> Integer, } }
/// bind_tables!(db = "analytics", backend = Sqlite; events);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// let session = registry.session_by_url::<events::table>("sqlite::memory:").await?;
///
/// let on_demand = registry.status().on_demand;
/// assert_eq!(on_demand.engines.len(), 1);
/// assert_eq!((on_demand.hits, on_demand.misses), (0, 1));
/// # drop(session);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct OnDemandStatus {
    /// How many engines there may be at once: `max_engines`, 64 by default.
    pub max_engines: u32,
    /// The open engines, the most recently used first.
    pub engines: Vec<OnDemandEngine>,
    /// How many engines are closed and still have connections. They count against `max_engines`.
    pub closing: usize,
    /// How many callers wait until an engine can be evicted.
    pub waiting: usize,
    /// How often an engine was found open.
    pub hits: u64,
    /// How often an engine had to be opened.
    pub misses: u64,
    /// How often an engine was closed to make room for another.
    pub evictions: u64,
    /// How often an engine was closed after `engine_idle_timeout` without use.
    pub expired: u64,
    /// What was counted since the last look, see [`Registry::status`](crate::Registry::status), or since an earlier
    /// snapshot, see [`Status::since`](crate::Status::since). `None` at the first look.
    pub since_last: Option<OnDemandSince>,
}

/// How many engines were opened and closed since an earlier snapshot: a part of [`OnDemandStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OnDemandSince {
    /// How long ago the earlier snapshot was. It is serialized in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub over: Duration,
    /// How often an engine was found open since then.
    pub hits: u64,
    /// How often an engine had to be opened since then.
    pub misses: u64,
    /// How often an engine was closed since then to make room for another.
    pub evictions: u64,
    /// How often an engine was closed since then after `engine_idle_timeout` without use.
    pub expired: u64,
}

impl OnDemandStatus {
    /// What was counted since an earlier snapshot, which was `over` ago.
    pub(crate) fn since(&self, earlier: &Self, over: Duration) -> OnDemandSince {
        OnDemandSince {
            over,
            hits: self.hits.saturating_sub(earlier.hits),
            misses: self.misses.saturating_sub(earlier.misses),
            evictions: self.evictions.saturating_sub(earlier.evictions),
            expired: self.expired.saturating_sub(earlier.expired),
        }
    }
}

/// One line, without the engines.
impl fmt::Display for OnDemandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max_engines, closing, waiting, hits, misses, evictions, expired, .. } = self;
        write!(
            f,
            "on demand: {} of at most {max_engines} engines, {closing} closing, {waiting} waiting; \
             {hits} hits, {misses} misses, {evictions} evictions, {expired} expired",
            self.engines.len()
        )
    }
}

/// A snapshot of one engine that was opened on demand.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct OnDemandEngine {
    /// The tenants of the engine, in alphabetical order, as far as their aliases are remembered (in all engines
    /// together, 16 times `max_engines`, but at least 1024). Empty for an engine that was opened by URL.
    pub tenants: Vec<String>,
    /// The status of its pool.
    #[serde(flatten)]
    pub engine: EngineStatus,
}

impl OnDemandEngine {
    pub(super) fn new(engine: &Arc<dyn AnyEngine>, aliases: &[EngineAlias]) -> Self {
        let tenants = aliases.iter().filter_map(|alias| match alias {
            EngineAlias::Tenant { tenant, .. } => Some(tenant.to_string()),
            EngineAlias::Url(..) => None,
        });
        let mut tenants: Vec<String> = tenants.collect();
        tenants.sort_unstable();
        Self { tenants, engine: engine.status() }
    }
}
