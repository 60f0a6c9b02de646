//! Closing a registry.

use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::Registry;
use crate::bind_key::BindKey;

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
    let engines = &registry.0.engines;
    for engine in engines {
        engine.begin_close();
    }
    if Handle::try_current().is_err() {
        // Nobody could wake us when the time is over.
        return report(registry);
    }
    let all = join_all(engines.iter().map(|engine| engine.clone().all_returned()));
    match limit {
        // What did not come back in time is in the report.
        Some(limit) => drop(timeout(limit, all).await),
        None => drop(all.await),
    }
    report(registry)
}

fn report(registry: &Registry) -> CloseReport {
    let lent = registry.0.engines.iter().filter(|engine| engine.lent() > 0);
    CloseReport { lent: lent.map(|engine| (engine.settings().key, engine.lent())).collect() }
}
