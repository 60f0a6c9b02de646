//! Closing a registry.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Registry;
use crate::engine::AnyEngine;
use crate::engine::{Caller, STANDSTILL};
use crate::latch::Latch;
use crate::settings::BindKey;

/// What closing a registry came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CloseReport {
    /// The engines that still had sessions lent when the wait ended, and how many, with those who had not
    /// heard yet that they wait for one in vain. After [`Registry::close`] it is empty, unless the task that closes
    /// has some itself.
    pub lent: Vec<(BindKey, u32)>,
    /// The engines whose sessions were not waited for, as the task that closes has them itself, and how many those
    /// are. They are among [`lent`](Self::lent). It has done nothing with them for 5 s, or for half of the limit if
    /// that is less, but for 1 s at least: what is beside it in the same task, as in a `join!`, may be at something else for so long before it
    /// uses its session again.
    pub held_by_caller: Vec<(BindKey, u32)>,
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
            if let Some((_, own)) = self.held_by_caller.iter().find(|(other, _)| other == key) {
                write!(f, ", of which the task that closes has {own} itself")?;
            }
        }
        Ok(())
    }
}

/// Whether a registry is closed, and who has yet to hear of it.
#[derive(Debug, Default)]
pub(super) struct Closing {
    begun: Latch,
    /// Who waits for an engine: for somebody who says which one, or for room for it.
    opening: Mutex<Vec<(BindKey, Caller)>>,
    /// Wakes [`Closing::all_told`].
    told: Notify,
}

impl Closing {
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_set()
    }

    /// What comes of `work`, which is to find an engine for that bind; `None` if the registry is closed first.
    pub(super) async fn unless_closed<T>(
        &self,
        key: BindKey,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let _opening = Opening::new(self, key);
        self.begun.unless_set(work).await
    }

    /// Waits until all who waited for an engine have heard that there is none any more, but for those futures that the
    /// calling task has and does not poll.
    async fn all_told(&self, own: &Own, standstill: Duration) {
        let caller = Caller::current();
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.opening().is_empty() {
                return;
            }
            if timeout(standstill, told).await.is_ok() {
                continue;
            }
            let opening = self.opening();
            if opening.iter().all(|(_, whose)| *whose == caller) {
                let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
                opening.iter().for_each(|(key, _)| add(&mut own, *key, 1));
                return;
            }
        }
    }

    fn opening(&self) -> MutexGuard<'_, Vec<(BindKey, Caller)>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for an engine.
struct Opening<'a> {
    closing: &'a Closing,
    key: BindKey,
    caller: Caller,
}

impl<'a> Opening<'a> {
    fn new(closing: &'a Closing, key: BindKey) -> Self {
        let caller = Caller::current();
        closing.opening().push((key, caller));
        Self { closing, key, caller }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let mut opening = self.closing.opening();
        if let Some(at) = opening.iter().position(|other| *other == (self.key, self.caller)) {
            opening.swap_remove(at);
        }
        drop(opening);
        if self.closing.has_begun() {
            self.closing.told.notify_waiters();
        }
    }
}

/// For how long the sessions of the calling task itself are waited for, if it does nothing with them. It may have
/// handed them to a task that has yet to begin with them, or be beside itself in a `join!`. Whoever has set a limit is
/// told within it.
fn standstill(limit: Option<Duration>) -> Duration {
    limit.map_or(STANDSTILL, |limit| (limit / 2).clamp(Duration::from_secs(1), STANDSTILL))
}

/// A place in the program.
pub(super) type Place = &'static Location<'static>;

pub(super) async fn close(
    registry: &Registry,
    limit: Option<Duration>,
    place: Place,
) -> CloseReport {
    let closing = &registry.0.closing;
    closing.begun.set();
    let mut engines = registry.engines();
    engines.iter().for_each(|engine| engine.begin_close());
    engines.extend(registry.replaced());
    engines.extend(registry.0.on_demand.close_all());
    let (own, still) = (Mutex::default(), standstill(limit));
    wait(join(all_of(&engines, &own, still), closing.all_told(&own, still)), limit).await;
    let mut report = report(&engines, own, place);
    for (key, _) in &*closing.opening() {
        add(&mut report.lent, *key, 1);
    }
    report
}

/// Waits until the sessions of engines that were closed have come back, for `limit` at most.
pub(super) async fn all_returned(
    engines: Vec<Arc<dyn AnyEngine>>,
    limit: Option<Duration>,
    place: Place,
) -> CloseReport {
    let own = Mutex::default();
    wait(all_of(&engines, &own, standstill(limit)), limit).await;
    report(&engines, own, place)
}

/// The engines whose sessions the calling task has, and how many.
type Own = Mutex<Vec<(BindKey, u32)>>;

async fn all_of(engines: &[Arc<dyn AnyEngine>], own: &Own, standstill: Duration) {
    join_all(engines.iter().map(|engine| returned(engine, own, standstill))).await;
}

/// Waits until no session of an engine is lent, but for those that the calling task has and does nothing with: it would
/// wait for itself.
async fn returned(engine: &Arc<dyn AnyEngine>, own: &Own, standstill: Duration) {
    let mut returned = Arc::clone(engine).all_returned();
    let mut before = engine.idle_holdings_of_caller();
    while timeout(standstill, &mut returned).await.is_err() {
        let kept = engine.idle_holdings_of_caller();
        if kept == before && kept.sessions > 0 && kept.sessions == engine.checkout_count() {
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            add(&mut own, engine.settings().key, kept.sessions);
            return;
        }
        before = kept;
    }
}

fn add(numbers: &mut Vec<(BindKey, u32)>, key: BindKey, number: u32) {
    match numbers.iter_mut().find(|(other, _)| *other == key) {
        Some((_, sum)) => *sum += number,
        None => numbers.push((key, number)),
    }
}

async fn wait<T>(all: impl Future<Output = T>, limit: Option<Duration>) {
    if Handle::try_current().is_err() {
        // Nobody could wake us when the time is over.
        return;
    }
    match limit {
        // What did not come back in time is in the report.
        Some(limit) => drop(timeout(limit, all).await),
        None => drop(all.await),
    }
}

fn report(engines: &[Arc<dyn AnyEngine>], own: Own, place: Place) -> CloseReport {
    let held_by_caller = own.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (bind, sessions) in &held_by_caller {
        tracing::error!(
            target: "registry",
            %bind,
            sessions,
            %place,
            "not all sessions are waited for: the task that closes has some itself, and would wait for ever"
        );
    }
    let lent = engines.iter().filter(|engine| engine.checkout_count() > 0);
    let lent = lent.map(|engine| (engine.settings().key, engine.checkout_count())).collect();
    CloseReport { lent, held_by_caller }
}
