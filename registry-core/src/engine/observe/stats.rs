//! The counters of an engine, and the `tracing` spans and events of its acquires and connections.
//!
//! Their names and fields are set here and in [`events`](super::events), and listed in `docs/guide/watching.md`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::Span;

use super::super::error::AcquireError;
use super::meters::{CloseReason, EngineMeters, Pending, RetryReason};
use super::since::Opened;
use crate::backend::ConnectError;
use crate::cause::Chain;
use crate::meters::Timer;
use crate::settings::{BindKey, EngineSettings};

pub(super) const TARGET: &str = "registry";

/// The counters of one engine. Each method also updates the metrics, and emits the event if there is one.
pub(in crate::engine) struct Stats {
    key: BindKey,
    /// The tenant of the engine, if the engine belongs to a tenant.
    tenant: Option<Arc<str>>,
    meters: Arc<EngineMeters>,
    pub(in crate::engine) opened: Opened,
    direct: AtomicU64,
    waited: AtomicU64,
    timed_out: AtomicU64,
    waiting: AtomicU32,
    last_error: Mutex<Option<ConnectFailure>>,
}

/// The last failure to open a connection.
#[derive(Debug, Clone)]
pub(in crate::engine) struct ConnectFailure {
    pub(in crate::engine) error: Arc<ConnectError>,
    pub(in crate::engine) at: SystemTime,
}

/// A snapshot of the counters of one engine's acquires.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct AcquireCounts {
    pub(in crate::engine) direct: u64,
    pub(in crate::engine) waited: u64,
    pub(in crate::engine) timed_out: u64,
    pub(in crate::engine) waiting: u32,
}

/// The purpose of opening a connection, which decides the log level of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum ConnectPurpose {
    /// For a caller, who gets the error.
    Caller,
    /// To keep `min_idle`. No caller gets the error, so it is logged as a warning.
    WarmUp,
    /// To keep `min_idle`, after a failed attempt that was already logged as a warning.
    WarmUpRetry,
}

impl Stats {
    pub(in crate::engine) fn new(settings: &EngineSettings) -> Self {
        Self {
            key: settings.key,
            tenant: None,
            meters: Arc::new(EngineMeters::new(settings)),
            opened: Opened::now(),
            direct: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
            last_error: Mutex::new(None),
        }
    }

    pub(in crate::engine) fn meters(&self) -> &Arc<EngineMeters> {
        &self.meters
    }

    pub(in crate::engine) fn set_tenant(&mut self, tenant: Option<Arc<str>>) {
        self.tenant = tenant;
    }

    pub(in crate::engine) fn acquire_counts(&self) -> AcquireCounts {
        AcquireCounts {
            direct: self.direct.load(Ordering::Relaxed),
            waited: self.waited.load(Ordering::Relaxed),
            timed_out: self.timed_out.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    pub(in crate::engine) fn last_connect_failure(&self) -> Option<ConnectFailure> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::engine) fn note_direct(&self) {
        self.direct.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::engine) fn note_waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::engine) fn note_timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
        self.meters.note_timed_out();
    }

    /// Counts a caller as waiting until the guard is dropped.
    pub(in crate::engine) fn note_waiting(&self) -> Waiting<'_> {
        let queued_before = self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting { stats: self, _pending: self.meters.note_pending(), queued_before }
    }

    pub(in crate::engine) fn acquire_span(&self) -> Span {
        tracing::debug_span!(target: TARGET, "acquire", bind = %self.key, tenant = self.tenant())
    }

    pub(in crate::engine) fn connect_span(&self) -> Span {
        tracing::debug_span!(target: TARGET, "connect", bind = %self.key, tenant = self.tenant())
    }

    /// Emits the outcome of an acquire that had to wait or connect.
    pub(in crate::engine) fn log_acquire<T>(
        &self,
        outcome: &Result<T, AcquireError>,
        requested: Instant,
    ) {
        let (bind, tenant) = (self.key, self.tenant());
        // A closure, so that the clock is only read if the event is enabled.
        let wait = || requested.elapsed().as_secs_f64();
        match outcome {
            Ok(_) => {
                tracing::debug!(target: TARGET, %bind, tenant, wait = wait(), "a session was acquired")
            }
            Err(error) => {
                let (error, wait) = (Chain(error), wait());
                tracing::debug!(target: TARGET, %bind, tenant, wait, %error, "a session could not be acquired");
            }
        }
    }

    fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    pub(in crate::engine) fn note_checkout(&self, requested: Timer) {
        self.meters.note_checkout(requested);
    }

    pub(in crate::engine) fn note_return(&self, checked_out: Timer) {
        self.meters.note_return(checked_out);
    }

    pub(in crate::engine) fn note_connected(&self, began: Timer, elapsed: Duration) {
        self.meters.note_connected(began);
        let (bind, tenant, elapsed) = (self.key, self.tenant(), elapsed.as_secs_f64());
        tracing::debug!(target: TARGET, %bind, tenant, elapsed, "a connection was opened");
    }

    pub(in crate::engine) fn note_connect_failure(
        &self,
        error: &Arc<ConnectError>,
        purpose: ConnectPurpose,
    ) {
        self.meters.note_connect_failure();
        let last = ConnectFailure { error: Arc::clone(error), at: SystemTime::now() };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        let (bind, tenant, error) = (self.key, self.tenant(), Chain(&**error));
        match purpose {
            ConnectPurpose::Caller | ConnectPurpose::WarmUpRetry => {
                tracing::debug!(target: TARGET, %bind, tenant, %error, "a connection could not be opened");
            }
            ConnectPurpose::WarmUp => {
                tracing::warn!(target: TARGET, %bind, tenant, %error, "a connection could not be opened");
            }
        }
    }

    /// The program has taken a connection out of the engine.
    pub(in crate::engine) fn note_taken(&self) {
        self.meters.note_closed(CloseReason::Taken);
        let (bind, tenant) = (self.key, self.tenant());
        tracing::debug!(target: TARGET, %bind, tenant, "a connection was taken out of its engine");
    }

    /// Counts a query that is run again. `tenant` is that of the checkout, as an engine may serve several.
    pub(in crate::engine) fn note_retry(
        &self,
        reason: RetryReason,
        tenant: Option<&str>,
        place: &std::panic::Location<'_>,
    ) {
        self.meters.note_retry(reason);
        let (bind, reason) = (self.key, reason.as_str());
        tracing::info!(target: TARGET, %bind, tenant, reason, %place, "a query is run again");
    }

    pub(in crate::engine) fn note_closed(&self, reason: CloseReason) {
        self.meters.note_closed(reason);
        let (bind, tenant, reason) = (self.key, self.tenant(), reason.as_str());
        if reason == CloseReason::Unclean.as_str() {
            tracing::warn!(target: TARGET, %bind, tenant, reason, "a connection was closed");
        } else {
            tracing::debug!(target: TARGET, %bind, tenant, reason, "a connection was closed");
        }
    }
}

/// Counts a caller as waiting until this is dropped.
pub(in crate::engine) struct Waiting<'a> {
    stats: &'a Stats,
    _pending: Pending<'a>,
    /// The number of callers that were already waiting before this one.
    pub(in crate::engine) queued_before: u32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.stats.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
