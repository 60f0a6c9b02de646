//! Waiting until the sessions of closed engines are returned.

use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::report::CloseReport;
use crate::engine::AnyEngine;
use crate::engine::STANDSTILL;
use crate::registry::closing_state::{SessionCounts, add_count};

/// The place of a call in the program.
pub(crate) type CallSite = &'static Location<'static>;

/// Waits until the sessions of engines that were closed are returned, for `limit` at most.
pub(crate) async fn all_returned(
    engines: Vec<Arc<dyn AnyEngine>>,
    limit: Option<Duration>,
    call_site: CallSite,
) -> CloseReport {
    let held_by_caller = SessionCounts::default();
    let returned = each_returned(&engines, &held_by_caller, inactivity_limit(limit));
    wait_within(returned, limit).await;
    report_unreturned(&engines, held_by_caller, call_site)
}

/// How long close waits for sessions that the calling task holds and does not use. The task may have handed them to
/// another task that has not run a statement yet, or another future of the task, as in a `join!`, may use them. A
/// caller with a `limit` gets the report within that limit.
pub(super) fn inactivity_limit(limit: Option<Duration>) -> Duration {
    limit.map_or(STANDSTILL, |limit| (limit / 2).clamp(Duration::from_secs(1), STANDSTILL))
}

/// Waits until the sessions of all these engines are returned. Sessions that the calling task keeps are added to
/// `held_by_caller`.
pub(super) async fn each_returned(
    engines: &[Arc<dyn AnyEngine>],
    held_by_caller: &SessionCounts,
    inactivity_limit: Duration,
) {
    let returned = engines.iter().map(|engine| returned(engine, held_by_caller, inactivity_limit));
    join_all(returned).await;
}

/// Waits until no session of an engine is lent, except for sessions that the calling task holds and does not use: the
/// task would wait for itself.
async fn returned(
    engine: &Arc<dyn AnyEngine>,
    held_by_caller: &SessionCounts,
    inactivity_limit: Duration,
) {
    let mut returned = Arc::clone(engine).all_returned();
    let mut before = engine.idle_holdings_of_caller();
    while timeout(inactivity_limit, &mut returned).await.is_err() {
        let kept = engine.idle_holdings_of_caller();
        let caller_has_all = kept.sessions > 0 && kept.sessions == engine.checkout_count();
        if caller_has_all && kept == before {
            let mut held = held_by_caller.lock().unwrap_or_else(PoisonError::into_inner);
            add_count(&mut held, engine.settings().key, kept.sessions);
            return;
        }
        before = kept;
    }
}

pub(super) async fn wait_within<T>(all: impl Future<Output = T>, limit: Option<Duration>) {
    if Handle::try_current().is_err() {
        // No timer would wake the caller, so it does not wait. The report lists the sessions that are still lent.
        return;
    }
    match limit {
        Some(limit) => drop(timeout(limit, all).await),
        None => drop(all.await),
    }
}

/// Reports the sessions that are still lent. If the calling task holds some of them, an event is logged as well.
pub(super) fn report_unreturned(
    engines: &[Arc<dyn AnyEngine>],
    held_by_caller: SessionCounts,
    call_site: CallSite,
) -> CloseReport {
    let held_by_caller = held_by_caller.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (bind, sessions) in &held_by_caller {
        tracing::error!(
            target: "registry",
            %bind,
            sessions,
            place = %call_site,
            "not all sessions are waited for: the task that closes has some itself, and would wait for ever"
        );
    }
    let lent = engines.iter().filter(|engine| engine.checkout_count() > 0);
    let lent = lent.map(|engine| (engine.settings().key, engine.checkout_count())).collect();
    CloseReport { lent, held_by_caller }
}
