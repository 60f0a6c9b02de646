//! Checks that concurrent callers share.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::check::{Check, Outcome};
use crate::engine::AnyEngine;
use crate::registry::handle::Registry;
use crate::registry::migrate::{KnownMigrations, OpenDatabase};
use crate::settings::BindKey;

/// The checks that run now. There is at most one for each bind in each database or schema (single flight).
#[derive(Default)]
pub(super) struct SharedChecks(Mutex<HashMap<CheckedPlace, Shared<BoxFuture<'static, Outcome>>>>);

/// What is checked. The engine is known by its address, which no other engine gets while the check holds a use of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CheckedPlace {
    key: BindKey,
    engine: usize,
    schema: Option<String>,
}

impl SharedChecks {
    /// The check of a database that runs now, or else a new one, and whether it is new. It runs in a task of its own, to
    /// its end.
    pub(super) fn join(
        self: &Arc<Self>,
        registry: &Registry,
        known: &Arc<dyn KnownMigrations>,
        database: OpenDatabase,
    ) -> (impl Future<Output = Outcome> + Send + use<>, bool) {
        let engine: *const dyn AnyEngine = Arc::as_ptr(database.engine.engine());
        let place = CheckedPlace {
            key: known.key(),
            engine: engine.cast::<()>().addr(),
            schema: database.schema.clone(),
        };
        let (sender, receiver) = oneshot::channel();
        let waiting = receiver.map(|outcome| outcome.unwrap_or(Outcome::Interrupted));
        let waiting = {
            let mut running = self.lock();
            if let Some(check) = running.get(&place) {
                return (check.clone(), false);
            }
            let waiting = waiting.boxed().shared();
            running.insert(place.clone(), waiting.clone());
            waiting
        };
        let _engine = Arc::clone(database.engine.engine());
        let end = EndOfCheck { checks: Arc::clone(self), place, _engine };
        let check = Check { registry: registry.clone(), known: Arc::clone(known), database };
        // Spawned without the lock: a runtime that shuts down drops the task at once, and that takes the lock.
        tokio::spawn(async move {
            let outcome = check.run().await;
            // Before the outcome is sent: a caller who wants a later check must not find this one.
            drop(end);
            // If nobody waits any more, the outcome is noted on the engine, or found again by the next caller.
            let _ = sender.send(outcome);
        });
        (waiting, true)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CheckedPlace, Shared<BoxFuture<'static, Outcome>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a check from those that run, when its task ends or is dropped.
struct EndOfCheck {
    checks: Arc<SharedChecks>,
    place: CheckedPlace,
    /// Keeps the address of the engine from being given to another one.
    _engine: Arc<dyn AnyEngine>,
}

impl Drop for EndOfCheck {
    fn drop(&mut self) {
        let removed = self.checks.lock().remove(&self.place);
        // Dropped without the lock.
        drop(removed);
    }
}
