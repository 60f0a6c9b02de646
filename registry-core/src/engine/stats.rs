//! What an engine counts and tells: its status, its metrics, and its events and spans, which have their
//! names and fields here and nowhere else.
//!
//! They are listed in the crate's documentation.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::Span;

use super::meters::{self, Closed, Meters, Timer};
use crate::backend::ConnectError;
use crate::cause::Chain;
use crate::engine::AcquireError;
use crate::settings::{BindKey, EngineSettings};

const TARGET: &str = "registry";

/// The counters of one engine, and its voice.
pub(super) struct Stats {
    key: BindKey,
    /// The tenant that has the engine for itself, if one has.
    tenant: Option<Arc<str>>,
    meters: Meters,
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

/// Who a connection is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Somebody who is told what goes wrong.
    Caller,
    /// Nobody: it is to be ready.
    Later,
    /// The same, after it has failed before: that was said already.
    LaterAgain,
}

impl Stats {
    pub(super) fn new(key: BindKey, max_connections: u32) -> Self {
        Self {
            key,
            tenant: None,
            meters: Meters::new(key, max_connections),
            direct: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
            last_error: Mutex::new(None),
        }
    }

    pub(super) fn set_tenant(&mut self, tenant: Option<Arc<str>>) {
        self.tenant = tenant;
    }

    pub(super) fn acquires(&self) -> Acquires {
        Acquires {
            direct: self.direct.load(Ordering::Relaxed),
            waited: self.waited.load(Ordering::Relaxed),
            timed_out: self.timed_out.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    pub(super) fn last_error(&self) -> Option<LastError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn direct(&self) {
        self.direct.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
        self.meters.timed_out();
    }

    /// Counts a caller as waiting until the guard is dropped.
    pub(super) fn wait(&self) -> Waiting<'_> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        self.meters.waits();
        Waiting { stats: self, before }
    }

    pub(super) fn acquire_span(&self) -> Span {
        tracing::debug_span!(target: TARGET, "acquire", bind = %self.key, tenant = self.tenant())
    }

    pub(super) fn connect_span(&self) -> Span {
        tracing::debug_span!(target: TARGET, "connect", bind = %self.key, tenant = self.tenant())
    }

    /// A session was not there at once, and this is what came of it.
    pub(super) fn acquired<T>(&self, outcome: &Result<T, AcquireError>, asked: Instant) {
        let (bind, tenant) = (self.key, self.tenant());
        // The clock is only read where somebody listens.
        let wait = || asked.elapsed().as_secs_f64();
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

    pub(super) fn lent(&self, asked: Timer, idle: impl FnOnce() -> u32) {
        self.meters.lent(asked, idle);
    }

    pub(super) fn returned(&self, lent: Timer, idle: impl FnOnce() -> u32) {
        self.meters.returned(lent, idle);
    }

    pub(super) fn connected(&self, began: Timer, elapsed: Duration) {
        self.meters.connected(began);
        let (bind, tenant, elapsed) = (self.key, self.tenant(), elapsed.as_secs_f64());
        tracing::debug!(target: TARGET, %bind, tenant, elapsed, "a connection was opened");
    }

    pub(super) fn could_not_connect(&self, error: &Arc<ConnectError>, whose: For) {
        self.meters.failed();
        let last = LastError { error: Arc::clone(error), at: SystemTime::now() };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        let (bind, tenant, error) = (self.key, self.tenant(), Chain(&**error));
        match whose {
            For::Caller | For::LaterAgain => {
                tracing::debug!(target: TARGET, %bind, tenant, %error, "a connection could not be opened");
            }
            For::Later => {
                tracing::warn!(target: TARGET, %bind, tenant, %error, "a connection could not be opened");
            }
        }
    }

    pub(super) fn closed(&self, reason: Closed) {
        self.meters.closed(reason);
        let (bind, tenant, reason) = (self.key, self.tenant(), reason.as_str());
        if reason == Closed::Unclean.as_str() {
            tracing::warn!(target: TARGET, %bind, tenant, reason, "a connection was closed");
        } else {
            tracing::debug!(target: TARGET, %bind, tenant, reason, "a connection was closed");
        }
    }
}

/// An engine was opened on demand.
pub(crate) fn engine_opened(settings: &EngineSettings) {
    let EngineSettings { key: bind, url, tenant, .. } = settings;
    meters::engine_opened(*bind);
    let tenant = tenant.as_deref();
    tracing::debug!(target: TARGET, %bind, tenant, %url, "an engine was opened");
}

/// An engine that was opened on demand is found no more.
pub(crate) fn engine_closed(settings: &EngineSettings, reason: &'static str) {
    let EngineSettings { key: bind, url, tenant, .. } = settings;
    meters::engine_closed(*bind, reason);
    let tenant = tenant.as_deref();
    tracing::debug!(target: TARGET, %bind, tenant, %url, reason, "an engine was closed");
}

/// Warns that a query is run beside a session of the same bind, which its task has.
pub(crate) fn beside_session(bind: BindKey, place: &std::panic::Location<'_>) {
    tracing::warn!(
        target: TARGET,
        %bind,
        %place,
        "a query is run on the registry by a task that has a session of the same bind: it does not \
         see what a transaction of that session has not committed"
    );
}

/// Warns of a query on the registry by a task that has a unit of work open on another bind.
pub(crate) fn beside_work(bind: &str, place: &std::panic::Location<'_>) {
    tracing::warn!(
        target: TARGET,
        bind,
        %place,
        "a query is run on the registry by a task that has a unit of work, and is no part of it: it is \
         committed by itself (said once for this place)"
    );
}

/// Reports a query that took `elapsed`.
pub(super) fn slow_query(bind: BindKey, tenant: Option<&str>, sql: &str, elapsed: Duration) {
    let elapsed = elapsed.as_secs_f64();
    tracing::warn!(target: TARGET, %bind, tenant, elapsed, sql, "slow query");
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
        self.stats.meters.waits_no_more();
    }
}
