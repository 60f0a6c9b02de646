//! What an engine counts.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::error::ConnectError;

/// The counters of one engine.
#[derive(Debug, Default)]
pub(super) struct Stats {
    direct: AtomicU64,
    waited: AtomicU64,
    timed_out: AtomicU64,
    waiting: AtomicU32,
    last_error: Mutex<Option<LastError>>,
}

#[derive(Debug, Clone)]
pub(super) struct LastError {
    pub(super) error: Arc<ConnectError>,
    pub(super) at: SystemTime,
}

/// A snapshot of the acquires of one engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acquires {
    pub(super) direct: u64,
    pub(super) waited: u64,
    pub(super) timed_out: u64,
    pub(super) waiting: u32,
}

impl Stats {
    pub(super) fn count_direct(&self) {
        self.direct.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a caller as waiting until the guard is dropped.
    pub(super) fn wait(&self) -> Waiting<'_> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting { stats: self, before }
    }

    pub(super) fn acquires(&self) -> Acquires {
        Acquires {
            direct: self.direct.load(Ordering::Relaxed),
            waited: self.waited.load(Ordering::Relaxed),
            timed_out: self.timed_out.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    pub(super) fn record_error(&self, error: &Arc<ConnectError>) {
        let last = LastError { error: Arc::clone(error), at: SystemTime::now() };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    pub(super) fn last_error(&self) -> Option<LastError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A caller that waits.
pub(super) struct Waiting<'a> {
    stats: &'a Stats,
    /// How many waited before it.
    pub(super) before: u32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.stats.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
