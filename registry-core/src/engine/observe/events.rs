//! The `tracing` events that do not belong to one connection: engines, queries, warnings.

use super::meters;
use super::stats::TARGET;
use crate::settings::{BindKey, EngineSettings};

/// Emits the event that an engine was opened on demand.
pub(crate) fn engine_opened(settings: &EngineSettings) {
    let EngineSettings { key: bind, url, tenant, .. } = settings;
    meters::engine_opened(*bind);
    let tenant = tenant.as_deref();
    tracing::debug!(target: TARGET, %bind, tenant, %url, "an engine was opened");
}

/// Emits the event that an engine that was opened on demand is closed. No caller finds it any more.
pub(crate) fn engine_closed(settings: &EngineSettings, reason: &'static str) {
    let EngineSettings { key: bind, url, tenant, .. } = settings;
    meters::engine_closed(*bind, reason);
    let tenant = tenant.as_deref();
    tracing::debug!(target: TARGET, %bind, tenant, %url, reason, "an engine was closed");
}

/// Reports that a replica answers for the first time, or again.
pub(in crate::engine) fn replica_answers(settings: &EngineSettings, replica: &str) {
    let EngineSettings { key: bind, tenant, .. } = settings;
    let tenant = tenant.as_deref();
    tracing::info!(target: TARGET, %bind, tenant, replica, "a replica answers");
}

/// Reports that a replica cannot be used any more.
pub(in crate::engine) fn replica_failed(settings: &EngineSettings, replica: &str, reason: &str) {
    let EngineSettings { key: bind, tenant, .. } = settings;
    let tenant = tenant.as_deref();
    tracing::warn!(target: TARGET, %bind, tenant, replica, reason, "a replica is out: it does not answer");
}

/// Reports that a server in the list of replicas answers, and is no replica of the bind's primary.
pub(in crate::engine) fn replica_is_none(settings: &EngineSettings, replica: &str, reason: &str) {
    let EngineSettings { key: bind, tenant, .. } = settings;
    let tenant = tenant.as_deref();
    tracing::warn!(target: TARGET, %bind, tenant, replica, reason, "a replica gets no reads: it is none of the bind's primary");
}

/// Reports that the account may not see how far a replica is for certain.
pub(in crate::engine) fn replica_hides_position(settings: &EngineSettings, replica: &str) {
    let EngineSettings { key: bind, tenant, .. } = settings;
    let tenant = tenant.as_deref();
    tracing::warn!(
        target: TARGET,
        %bind,
        tenant,
        replica,
        "reads after tokens go to the primary: the account may not see the timeline of the replica, which needs `GRANT \
         pg_read_all_stats`"
    );
}

/// Warns of a query on the registry by a task that has a session of the same bind.
pub(crate) fn warn_query_beside_session(bind: BindKey, place: &std::panic::Location<'_>) {
    tracing::warn!(
        target: TARGET,
        %bind,
        %place,
        "a query is run on the registry by a task that has a session of the same bind: it does not \
         see what a transaction of that session has not committed"
    );
}

/// Warns of a query on the registry by a task that has a unit of work open on another bind.
pub(crate) fn warn_query_beside_work(bind: &str, place: &std::panic::Location<'_>) {
    tracing::warn!(
        target: TARGET,
        bind,
        %place,
        "a query is run on the registry by a task that has a unit of work, and is no part of it: it is \
         committed by itself (said once for this place)"
    );
}
