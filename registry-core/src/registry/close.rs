//! Closing a registry.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::Registry;
use crate::bind_key::BindKey;
use crate::engine::AnyEngine;

/// What closing a registry came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CloseReport {
    /// The engines that still had sessions lent when the wait ended, and how many. Empty after
    /// [`Registry::close`].
    pub lent: Vec<(BindKey, u32)>,
}

impl CloseReport {
    /// Whether all sessions came back.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lent.is_empty()
    }
}

impl fmt::Display for CloseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_complete() {
            return f.write_str("closed: all sessions came back");
        }
        f.write_str("closed, with sessions still lent:")?;
        for (key, lent) in &self.lent {
            write!(f, "\n  bind `{key}`: {lent}")?;
        }
        Ok(())
    }
}

pub(super) async fn close(registry: &Registry, limit: Option<Duration>) -> CloseReport {
    registry.0.is_closed.store(true, Ordering::SeqCst);
    let mut engines = registry.engines();
    engines.iter().for_each(|engine| engine.begin_close());
    engines.extend(registry.replaced());
    engines.extend(registry.0.on_demand.close_all());
    all_returned(engines, limit).await
}

/// Waits until the sessions of engines that were closed have come back, for `limit` at most.
pub(super) async fn all_returned(
    engines: Vec<Arc<dyn AnyEngine>>,
    limit: Option<Duration>,
) -> CloseReport {
    if Handle::try_current().is_err() {
        // Nobody could wake us when the time is over.
        return report(&engines);
    }
    let all = join_all(engines.iter().map(|engine| engine.clone().all_returned()));
    match limit {
        // What did not come back in time is in the report.
        Some(limit) => drop(timeout(limit, all).await),
        None => drop(all.await),
    }
    report(&engines)
}

fn report(engines: &[Arc<dyn AnyEngine>]) -> CloseReport {
    let lent = engines.iter().filter(|engine| engine.lent() > 0);
    CloseReport { lent: lent.map(|engine| (engine.settings().key, engine.lent())).collect() }
}
