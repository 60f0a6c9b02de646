//! The metrics of an engine. Their names are in `meters/list.rs`, and their labels in `docs/guide/watching.md`.

use std::sync::OnceLock;
use std::time::Duration;

use crate::meters::{Counter, Gauge, Histogram, Timer, describe_once_more, list};
use crate::settings::{BindKey, EngineSettings, Role};

/// Why a connection was closed while its engine was open.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) enum CloseReason {
    /// The connection had been idle for `idle_timeout`.
    Idle,
    /// The connection had reached its `max_lifetime`.
    Expired,
    /// The connection did not answer a check.
    Unanswered,
    /// A finding on another connection of the engine required that the connection be replaced.
    Outdated,
    /// A borrower has made a change to the session that cannot be undone.
    Changed,
    /// The connection was returned in a state that cannot be reset, or its reset failed.
    Unclean,
    /// The program has taken the connection out of the engine. It is not closed, but the engine has it no longer.
    Taken,
}

impl CloseReason {
    pub(in crate::engine) fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Unanswered => "unanswered",
            Self::Outdated => "outdated",
            Self::Changed => "changed",
            Self::Unclean => "unclean",
            Self::Taken => "taken",
        }
    }
}

/// Why a query is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryReason {
    /// Its prepared statement no longer fitted its table.
    StalePlan,
    /// The connection has cached a type or a statement that no longer exists.
    StaleConnection,
    /// The connection was lost.
    LostConnection,
}

impl RetryReason {
    pub(in crate::engine) fn as_str(self) -> &'static str {
        match self {
            Self::StalePlan | Self::StaleConnection => "stale",
            Self::LostConnection => "lost",
        }
    }
}

/// The metrics of one engine. They belong to the recorder that is installed when the engine first counts something.
///
/// Several engines may have the same labels. So an engine only changes a gauge by its own part, and the gauge is the sum
/// over all of them.
pub(in crate::engine) struct EngineMeters {
    key: BindKey,
    role: Role,
    /// How many connections there may be. `None` of an engine for one session, which is no pool and is in no status.
    max: Option<u32>,
    handles: OnceLock<Handles>,
}

struct Handles {
    max: Gauge,
    active: Gauge,
    idle: Gauge,
    pending: Gauge,
    acquire: Histogram,
    creation: Histogram,
    usage: Histogram,
    timeout: Counter,
    failed: Counter,
    hits: Counter,
}

impl EngineMeters {
    pub(in crate::engine) fn new(settings: &EngineSettings) -> Self {
        let max = (!settings.is_one_off).then_some(settings.options.max_connections);
        Self { key: settings.key, role: settings.role, max, handles: OnceLock::new() }
    }

    /// Lets the recorder know of the engine before its first use.
    pub(in crate::engine) fn begin(&self) {
        self.handles();
    }

    fn handles(&self) -> &Handles {
        self.handles.get_or_init(|| {
            describe_once_more();
            let Self { key, role, .. } = self;
            let labels: [(_, &dyn std::fmt::Display); 2] = [("bind", key), ("role", role)];
            let gauge = |metric| match self.max {
                Some(_) => Gauge::new(metric, &labels),
                None => Gauge::unseen(),
            };
            let histogram = |metric| Histogram::new(metric, &labels);
            let counter = |metric| Counter::new(metric, &labels);
            let handles = Handles {
                max: gauge(&list::CONNECTIONS_MAX),
                active: gauge(&list::CONNECTIONS_ACTIVE),
                idle: gauge(&list::CONNECTIONS_IDLE),
                pending: gauge(&list::CONNECTIONS_PENDING),
                acquire: histogram(&list::CONNECTIONS_ACQUIRE),
                creation: histogram(&list::CONNECTIONS_CREATION),
                usage: histogram(&list::CONNECTIONS_USAGE),
                timeout: counter(&list::CONNECTIONS_TIMEOUT),
                failed: counter(&list::CONNECTIONS_FAILED),
                hits: Counter::new(&list::ENGINES_HITS, &labels[..1]),
            };
            handles.max.add(self.max.unwrap_or_default().into());
            handles
        })
    }

    /// The numbers of the pool's connections change by this. Only the [pool](super::super::pool) calls it, at each of its
    /// transitions, so that the gauges are what it counts itself.
    pub(in crate::engine) fn note_connections(&self, active: i64, idle: i64) {
        let handles = self.handles();
        handles.active.add(active);
        handles.idle.add(idle);
    }

    /// The pool ends with these connections.
    pub(in crate::engine) fn note_pool_ended(&self, active: u32, idle: u32) {
        if let Some(handles) = self.handles.get() {
            handles.active.add(-i64::from(active));
            handles.idle.add(-i64::from(idle));
        }
    }

    /// Counts a caller as waiting until the guard is dropped.
    pub(in crate::engine) fn note_pending(&self) -> Pending<'_> {
        let pending = &self.handles().pending;
        pending.add(1);
        Pending(pending)
    }

    pub(in crate::engine) fn note_checkout(&self, requested: Timer) {
        self.handles().acquire.record_since(requested);
    }

    pub(in crate::engine) fn note_return(&self, checked_out: Timer) {
        self.handles().usage.record_since(checked_out);
    }

    pub(in crate::engine) fn note_timed_out(&self) {
        self.handles().timeout.add_one();
    }

    pub(in crate::engine) fn note_connected(&self, began: Timer) {
        self.handles().creation.record_since(began);
    }

    pub(in crate::engine) fn note_connect_failure(&self) {
        self.handles().failed.add_one();
    }

    /// The engine was asked for and found open.
    pub(in crate::engine) fn note_hit(&self) {
        self.handles().hits.add_one();
    }

    pub(in crate::engine) fn note_closed(&self, reason: CloseReason) {
        let (bind, role, reason) = (&self.key, &self.role, &reason.as_str());
        let labels: [(_, &dyn std::fmt::Display); 3] =
            [("bind", bind), ("role", role), ("reason", reason)];
        Counter::new(&list::CONNECTIONS_CLOSED, &labels).add_one();
    }

    pub(in crate::engine) fn note_retry(&self, reason: RetryReason) {
        let labels: [(_, &dyn std::fmt::Display); 2] =
            [("bind", &self.key), ("reason", &reason.as_str())];
        Counter::new(&list::QUERIES_RETRIED, &labels).add_one();
    }
}

impl Drop for EngineMeters {
    fn drop(&mut self) {
        if let Some(handles) = self.handles.get() {
            handles.max.add(-i64::from(self.max.unwrap_or_default()));
        }
    }
}

/// A caller that waits, until this is dropped.
pub(in crate::engine) struct Pending<'a>(&'a Gauge);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

pub(in crate::engine) fn engine_opened(key: BindKey) {
    Gauge::new(&list::ENGINES_OPEN, &[("bind", &key)]).add(1);
    Counter::new(&list::ENGINES_OPENED, &[("bind", &key)]).add_one();
}

pub(in crate::engine) fn engine_closed(key: BindKey, reason: &'static str) {
    engine_ended(key);
    Counter::new(&list::ENGINES_CLOSED, &[("bind", &key), ("reason", &reason)]).add_one();
}

/// An engine on demand is open no longer, because it was closed or its registry was dropped.
pub(crate) fn engine_ended(key: BindKey) {
    Gauge::new(&list::ENGINES_OPEN, &[("bind", &key)]).add(-1);
}

/// An engine was asked for, and has to be opened on demand.
pub(crate) fn engine_missed(key: BindKey) {
    Counter::new(&list::ENGINES_MISSES, &[("bind", &key)]).add_one();
}

/// Counts a read: on `replica`, `primary` or `none`.
pub(in crate::engine) fn note_read(key: BindKey, on: &'static str, reason: &'static str) {
    let labels: [(_, &dyn std::fmt::Display); 3] =
        [("bind", &key), ("on", &on), ("reason", &reason)];
    Counter::new(&list::READS, &labels).add_one();
}

/// Records what is known of a replica: whether it answers, and its lag. A lag that is not known must not look like the
/// last one that was.
pub(in crate::engine) fn note_replica(key: BindKey, host: &str, lag: Option<Duration>, up: bool) {
    let labels: [(_, &dyn std::fmt::Display); 2] = [("bind", &key), ("replica", &host)];
    Gauge::new(&list::REPLICA_UP, &labels).set(if up { 1.0 } else { 0.0 });
    let lag = lag.map_or(f64::NAN, |lag| lag.as_secs_f64());
    Gauge::new(&list::REPLICA_LAG, &labels).set(lag);
}

pub(in crate::engine) fn note_wait_for_replica(key: BindKey, waited: Duration) {
    Histogram::new(&list::REPLICA_WAIT, &[("bind", &key)]).record(waited);
}
