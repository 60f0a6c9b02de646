//! The metrics of an engine, through the `metrics` facade. Without the feature `metrics`, nothing is measured.
//!
//! `docs/guide/watching.md` lists their names.

#[cfg(feature = "metrics")]
pub(crate) use on::Timer;
#[cfg(feature = "metrics")]
pub(in crate::engine) use on::{
    Meters, engine_closed, engine_opened, note_read, note_replica, note_wait_for_replica,
};

#[cfg(not(feature = "metrics"))]
pub(crate) use off::Timer;
#[cfg(not(feature = "metrics"))]
pub(in crate::engine) use off::{
    Meters, engine_closed, engine_opened, note_read, note_replica, note_wait_for_replica,
};

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

#[cfg(feature = "metrics")]
mod on {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

    use super::{CloseReason, RetryReason};
    use crate::settings::BindKey;

    /// The metrics of one engine. They belong to the recorder that is installed when the engine first counts something.
    ///
    /// Several engines may have the same key. So an engine only changes a gauge by its own part, and the gauge is the sum
    /// over all engines of its key.
    pub(in crate::engine) struct Meters {
        key: BindKey,
        max: u32,
        /// The part of this engine in the gauge of idle connections.
        idle: AtomicU32,
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
    }

    /// When a measured time began.
    #[derive(Clone, Copy)]
    pub(crate) struct Timer(Instant);

    impl Timer {
        pub(in crate::engine) fn start() -> Self {
            Self(Instant::now())
        }
    }

    impl Meters {
        pub(in crate::engine) fn new(key: BindKey, max: u32) -> Self {
            Self { key, max, idle: AtomicU32::new(0), handles: OnceLock::new() }
        }

        fn handles(&self) -> &Handles {
            self.handles.get_or_init(|| {
                let bind = || self.key.to_string();
                let max = gauge!("registry_connections_max", "bind" => bind());
                max.increment(self.max);
                Handles {
                    max,
                    active: gauge!("registry_connections_active", "bind" => bind()),
                    idle: gauge!("registry_connections_idle", "bind" => bind()),
                    pending: gauge!("registry_connections_pending", "bind" => bind()),
                    acquire: histogram!("registry_connections_acquire_seconds", "bind" => bind()),
                    creation: histogram!("registry_connections_creation_seconds", "bind" => bind()),
                    usage: histogram!("registry_connections_usage_seconds", "bind" => bind()),
                    timeout: counter!("registry_connections_timeout_total", "bind" => bind()),
                    failed: counter!("registry_connections_failed_total", "bind" => bind()),
                }
            })
        }

        pub(in crate::engine) fn note_checkout(
            &self,
            requested: Timer,
            idle: impl FnOnce() -> u32,
        ) {
            let handles = self.handles();
            handles.acquire.record(requested.0.elapsed());
            handles.active.increment(1);
            self.set_idle(handles, idle());
        }

        pub(in crate::engine) fn note_return(
            &self,
            checked_out: Timer,
            idle: impl FnOnce() -> u32,
        ) {
            let handles = self.handles();
            handles.usage.record(checked_out.0.elapsed());
            handles.active.decrement(1);
            self.set_idle(handles, idle());
        }

        fn set_idle(&self, handles: &Handles, now: u32) {
            let before = self.idle.swap(now, Ordering::Relaxed);
            handles.idle.increment(f64::from(now) - f64::from(before));
        }

        pub(in crate::engine) fn note_waiting(&self) {
            self.handles().pending.increment(1);
        }

        pub(in crate::engine) fn note_waiting_ended(&self) {
            self.handles().pending.decrement(1);
        }

        pub(in crate::engine) fn note_timed_out(&self) {
            self.handles().timeout.increment(1);
        }

        pub(in crate::engine) fn note_connected(&self, began: Timer) {
            self.handles().creation.record(began.0.elapsed());
        }

        pub(in crate::engine) fn note_connect_failure(&self) {
            self.handles().failed.increment(1);
        }

        pub(in crate::engine) fn note_closed(&self, reason: CloseReason) {
            let bind = self.key.to_string();
            let reason = reason.as_str();
            counter!("registry_connections_closed_total", "bind" => bind, "reason" => reason)
                .increment(1);
        }

        pub(in crate::engine) fn note_retry(&self, reason: RetryReason) {
            let bind = self.key.to_string();
            let reason = reason.as_str();
            counter!("registry_queries_retried_total", "bind" => bind, "reason" => reason)
                .increment(1);
        }
    }

    impl Drop for Meters {
        fn drop(&mut self) {
            if let Some(handles) = self.handles.get() {
                self.set_idle(handles, 0);
                handles.max.decrement(self.max);
            }
        }
    }

    pub(in crate::engine) fn engine_opened(key: BindKey) {
        gauge!("registry_engines_open", "bind" => key.to_string()).increment(1);
        counter!("registry_engines_opened_total", "bind" => key.to_string()).increment(1);
    }

    pub(in crate::engine) fn engine_closed(key: BindKey, reason: &'static str) {
        gauge!("registry_engines_open", "bind" => key.to_string()).decrement(1);
        counter!("registry_engines_closed_total", "bind" => key.to_string(), "reason" => reason)
            .increment(1);
    }

    /// Counts a read: on `replica`, `primary` or `none`.
    pub(in crate::engine) fn note_read(key: BindKey, on: &'static str, reason: &'static str) {
        let bind = key.to_string();
        counter!("registry_reads_total", "bind" => bind, "on" => on, "reason" => reason)
            .increment(1);
    }

    /// Records what is known of a replica: whether it answers, and its lag. A lag that is not known must not look like the
    /// last one that was.
    pub(in crate::engine) fn note_replica(
        key: BindKey,
        host: &str,
        lag: Option<Duration>,
        up: bool,
    ) {
        let labels = || [("bind", key.to_string()), ("replica", host.to_owned())];
        gauge!("registry_replica_up", &labels()).set(if up { 1.0 } else { 0.0 });
        let lag = lag.map_or(f64::NAN, |lag| lag.as_secs_f64());
        gauge!("registry_replica_lag_seconds", &labels()).set(lag);
    }

    pub(in crate::engine) fn note_wait_for_replica(key: BindKey, waited: Duration) {
        histogram!("registry_replica_wait_seconds", "bind" => key.to_string()).record(waited);
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use std::time::Duration;

    use super::{CloseReason, RetryReason};
    use crate::settings::BindKey;

    /// Measures nothing.
    pub(in crate::engine) struct Meters;

    /// Holds no time.
    #[derive(Clone, Copy)]
    pub(crate) struct Timer;

    impl Timer {
        pub(in crate::engine) fn start() -> Self {
            Self
        }
    }

    impl Meters {
        pub(in crate::engine) fn new(_: BindKey, _: u32) -> Self {
            Self
        }

        pub(in crate::engine) fn note_checkout(&self, _: Timer, _: impl FnOnce() -> u32) {}

        pub(in crate::engine) fn note_return(&self, _: Timer, _: impl FnOnce() -> u32) {}

        pub(in crate::engine) fn note_waiting(&self) {}

        pub(in crate::engine) fn note_waiting_ended(&self) {}

        pub(in crate::engine) fn note_timed_out(&self) {}

        pub(in crate::engine) fn note_connected(&self, _: Timer) {}

        pub(in crate::engine) fn note_connect_failure(&self) {}

        pub(in crate::engine) fn note_closed(&self, _: CloseReason) {}

        pub(in crate::engine) fn note_retry(&self, _: RetryReason) {}
    }

    pub(in crate::engine) fn engine_opened(_: BindKey) {}

    pub(in crate::engine) fn engine_closed(_: BindKey, _: &'static str) {}

    pub(in crate::engine) fn note_read(_: BindKey, _: &'static str, _: &'static str) {}

    pub(in crate::engine) fn note_replica(_: BindKey, _: &str, _: Option<Duration>, _: bool) {}

    pub(in crate::engine) fn note_wait_for_replica(_: BindKey, _: Duration) {}
}
