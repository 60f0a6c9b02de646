//! How many queries a scope has run on each bind, and how long they took.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::query::RecordedQuery;
use crate::bind_key::BindKey;

/// The queries of a scope on one bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BindTiming {
    pub(crate) bind: BindKey,
    pub(crate) queries: u64,
    /// The sum of their times.
    pub(crate) elapsed: Duration,
}

/// Counts the queries of a scope, whether or not they are recorded. Off at first.
#[derive(Debug, Default)]
pub(super) struct Timings {
    is_on: AtomicBool,
    binds: Mutex<Vec<BindTiming>>,
}

impl Timings {
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    #[cfg(feature = "axum")]
    pub(super) fn start(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    pub(super) fn note(&self, query: &RecordedQuery) {
        if !self.is_on() {
            return;
        }
        let mut binds = self.binds.lock().unwrap_or_else(PoisonError::into_inner);
        let at = binds.iter().position(|timing| timing.bind == query.bind).unwrap_or_else(|| {
            binds.push(BindTiming { bind: query.bind, queries: 0, elapsed: Duration::ZERO });
            binds.len() - 1
        });
        binds[at].queries += 1;
        binds[at].elapsed += query.elapsed;
    }

    /// The binds with queries, in the order of their keys.
    #[cfg(feature = "axum")]
    pub(super) fn binds(&self) -> Vec<BindTiming> {
        let mut binds = self.binds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        binds.sort_unstable_by_key(|timing| timing.bind);
        binds
    }
}
