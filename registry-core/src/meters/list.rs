//! Every metric. `docs/guide/watching.md` has the same list with the labels.

/// A metric.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "metrics"),
    expect(dead_code, reason = "without the feature, no metric is named to anybody")
)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    /// One sentence, for people who look at a dashboard.
    pub(crate) help: &'static str,
}

/// How the values of a metric are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only goes up. Its name ends with `_total`.
    Counter,
    /// Single values, of which the recorder keeps the distribution.
    Histogram,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    Seconds,
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: Unit::Count, help }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, help }
}

const fn seconds(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, unit: Unit::Seconds, help }
}

pub(crate) const CONNECTIONS_ACTIVE: Metric =
    gauge("registry_connections_active", "Connections that are lent, being opened or being reset.");
pub(crate) const CONNECTIONS_IDLE: Metric =
    gauge("registry_connections_idle", "Connections that are open and idle.");
pub(crate) const CONNECTIONS_MAX: Metric =
    gauge("registry_connections_max", "How many connections there may be.");
pub(crate) const CONNECTIONS_PENDING: Metric = gauge(
    "registry_connections_pending",
    "Callers that wait for a connection, and writers that wait for their turn to write to a SQLite file.",
);
pub(crate) const CONNECTIONS_ACQUIRE: Metric = seconds(
    "registry_connections_acquire_seconds",
    "How long acquiring a session took, without the wait for a turn to write.",
);
pub(crate) const CONNECTIONS_CREATION: Metric =
    seconds("registry_connections_creation_seconds", "How long opening a connection took.");
pub(crate) const CONNECTIONS_USAGE: Metric =
    seconds("registry_connections_usage_seconds", "How long a session was lent.");
pub(crate) const CONNECTIONS_TIMEOUT: Metric =
    counter("registry_connections_timeout_total", "Acquires that ended with a time-out.");
pub(crate) const CONNECTIONS_FAILED: Metric =
    counter("registry_connections_failed_total", "Connections that could not be opened.");
pub(crate) const CONNECTIONS_CLOSED: Metric = counter(
    "registry_connections_closed_total",
    "Connections that were closed while their engine was open, or taken out of it.",
);
#[cfg(feature = "metrics")]
pub(crate) const QUERY_DURATION: Metric = seconds(
    "registry_query_duration_seconds",
    "How long a query took, from sending it to its last row or its error.",
);
pub(crate) const QUERIES_RETRIED: Metric =
    counter("registry_queries_retried_total", "Queries that were run again.");
pub(crate) const UNITS_OF_WORK: Metric = counter(
    "registry_units_of_work_total",
    "Transactions of units of work that have ended, one for each bind that a unit of work has touched.",
);
pub(crate) const READS: Metric =
    counter("registry_reads_total", "Reads of readers, by where they went.");
pub(crate) const REPLICA_WAIT: Metric = seconds(
    "registry_replica_wait_seconds",
    "How long reads have waited for a replica that is fit.",
);
pub(crate) const REPLICA_UP: Metric =
    gauge("registry_replica_up", "Whether a replica answers: 1 or 0.");
pub(crate) const REPLICA_LAG: Metric = Metric {
    name: "registry_replica_lag_seconds",
    kind: Kind::Gauge,
    unit: Unit::Seconds,
    help: "How far a replica is behind, at most; not a number while that is not known.",
};
pub(crate) const ENGINES_OPEN: Metric =
    gauge("registry_engines_open", "Engines that are open on demand.");
pub(crate) const ENGINES_OPENED: Metric =
    counter("registry_engines_opened_total", "Engines that were opened on demand.");
pub(crate) const ENGINES_CLOSED: Metric =
    counter("registry_engines_closed_total", "Engines that were open on demand and were closed.");
pub(crate) const ENGINES_HITS: Metric = counter(
    "registry_engines_hits_total",
    "How often an engine on demand was asked for and found open.",
);
pub(crate) const ENGINES_MISSES: Metric = counter(
    "registry_engines_misses_total",
    "How often an engine on demand was asked for and had to be opened.",
);

/// All of them, in the order of the guide.
#[cfg(feature = "metrics")]
pub(crate) const ALL: &[&Metric] = &[
    &CONNECTIONS_ACTIVE,
    &CONNECTIONS_IDLE,
    &CONNECTIONS_MAX,
    &CONNECTIONS_PENDING,
    &CONNECTIONS_ACQUIRE,
    &CONNECTIONS_CREATION,
    &CONNECTIONS_USAGE,
    &CONNECTIONS_TIMEOUT,
    &CONNECTIONS_FAILED,
    &CONNECTIONS_CLOSED,
    &QUERY_DURATION,
    &QUERIES_RETRIED,
    &UNITS_OF_WORK,
    &READS,
    &REPLICA_WAIT,
    &REPLICA_UP,
    &REPLICA_LAG,
    &ENGINES_OPEN,
    &ENGINES_OPENED,
    &ENGINES_CLOSED,
    &ENGINES_HITS,
    &ENGINES_MISSES,
];
