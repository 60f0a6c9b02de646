//! Closing a registry.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Registry;
use crate::bind_key::BindKey;
use crate::engine::AnyEngine;
use crate::latch::Latch;

/// What closing a registry came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CloseReport {
    /// The engines that still had sessions lent when the wait ended, and how many, with those who had not
    /// heard yet that they wait for one in vain. Empty after [`Registry::close`].
    pub lent: Vec<(BindKey, u32)>,
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
        }
        Ok(())
    }
}

/// Whether a registry is closed, and who has yet to hear of it.
#[derive(Debug, Default)]
pub(super) struct Closing {
    begun: Latch,
    /// How many wait for an engine: for somebody who says which one, or for room for it.
    opening: Mutex<BTreeMap<BindKey, u32>>,
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

    /// Waits until all who waited for an engine have heard that there is none any more.
    async fn all_told(&self) {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.opening().is_empty() {
                return;
            }
            told.await;
        }
    }

    fn opening(&self) -> MutexGuard<'_, BTreeMap<BindKey, u32>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for an engine.
struct Opening<'a> {
    closing: &'a Closing,
    key: BindKey,
}

impl<'a> Opening<'a> {
    fn new(closing: &'a Closing, key: BindKey) -> Self {
        *closing.opening().entry(key).or_default() += 1;
        Self { closing, key }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let mut opening = self.closing.opening();
        if let Some(number) = opening.get_mut(&self.key) {
            *number -= 1;
            if *number == 0 {
                opening.remove(&self.key);
            }
        }
        drop(opening);
        if self.closing.has_begun() {
            self.closing.told.notify_waiters();
        }
    }
}

pub(super) async fn close(registry: &Registry, limit: Option<Duration>) -> CloseReport {
    let closing = &registry.0.closing;
    closing.begun.set();
    let mut engines = registry.engines();
    engines.iter().for_each(|engine| engine.begin_close());
    engines.extend(registry.replaced());
    engines.extend(registry.0.on_demand.close_all());
    wait(join(all_of(&engines), closing.all_told()), limit).await;
    let mut report = report(&engines);
    for (key, number) in &*closing.opening() {
        match report.lent.iter_mut().find(|(other, _)| other == key) {
            Some((_, lent)) => *lent += number,
            None => report.lent.push((*key, *number)),
        }
    }
    report
}

/// Waits until the sessions of engines that were closed have come back, for `limit` at most.
pub(super) async fn all_returned(
    engines: Vec<Arc<dyn AnyEngine>>,
    limit: Option<Duration>,
) -> CloseReport {
    wait(all_of(&engines), limit).await;
    report(&engines)
}

async fn all_of(engines: &[Arc<dyn AnyEngine>]) {
    join_all(engines.iter().map(|engine| engine.clone().all_returned())).await;
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

fn report(engines: &[Arc<dyn AnyEngine>]) -> CloseReport {
    let lent = engines.iter().filter(|engine| engine.lent() > 0);
    CloseReport { lent: lent.map(|engine| (engine.settings().key, engine.lent())).collect() }
}
