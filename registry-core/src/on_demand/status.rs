//! How the engines that are opened on demand are doing.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::EngineAlias;
use crate::engine::{AnyEngine, EngineStatus};

/// A snapshot of the engines that are opened on demand, all together.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct OnDemandStatus {
    /// How many there may be at once: `max_engines`.
    pub max_engines: u32,
    /// Those that are open, the most recently used first.
    pub engines: Vec<OnDemandEngine>,
    /// Those that are closed, with connections that are not yet. They count as well.
    pub closing: usize,
    /// Callers that wait for an engine to be unused.
    pub waiting: usize,
    /// How often an engine was found open.
    pub hits: u64,
    /// How often one had to be opened.
    pub misses: u64,
    /// How often one was closed to make room for another.
    pub evictions: u64,
    /// How often one was closed after `engine_idle_timeout`.
    pub expired: u64,
}

/// In one line, without the engines.
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
    /// The tenants that were found there, of those that are remembered. None for one that was
    /// opened by URL.
    pub tenants: Vec<String>,
    /// How it is doing.
    #[serde(flatten)]
    pub engine: EngineStatus,
}

impl OnDemandEngine {
    pub(super) fn new(engine: &Arc<dyn AnyEngine>, names: &[EngineAlias]) -> Self {
        let tenants = names.iter().filter_map(|name| match name {
            EngineAlias::Tenant { tenant, .. } => Some(tenant.to_string()),
            EngineAlias::Url(..) => None,
        });
        let mut tenants: Vec<String> = tenants.collect();
        tenants.sort_unstable();
        Self { tenants, engine: engine.status() }
    }
}
