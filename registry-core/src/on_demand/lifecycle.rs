//! The effects of opening and closing an engine outside of the cache: events, the task that waits for the engine's last
//! connection, and the task that closes idle engines.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::cache::{EngineCache, EngineChanges};
use super::identity::{EngineAlias, EngineIdentity};
use super::policy::{CachedEngine, ClosedWhile};
use crate::engine::use_count::EngineOwner;
use crate::engine::{self, AnyEngine, EngineUse};
use crate::latch::Latch;
use crate::settings::OnDemandOptions;

/// The bounds of the period of the idle sweeper, which is half of `engine_idle_timeout`.
pub(super) const MIN_SWEEP_PERIOD: Duration = Duration::from_millis(10);
const MAX_SWEEP_PERIOD: Duration = Duration::from_secs(30);

impl CachedEngine for Arc<dyn AnyEngine> {
    type Use = EngineUse<dyn AnyEngine>;

    fn begin_use(&self) -> EngineUse<dyn AnyEngine> {
        EngineUse::new(Arc::clone(self))
    }

    fn is_used(&self) -> bool {
        self.use_count().is_used()
    }

    fn had_checkout(&self) -> bool {
        self.use_count().had_checkout()
    }
}

/// Why an engine is closed.
#[derive(Debug, Clone, Copy)]
pub(super) enum CloseReason {
    /// To make room for another engine, or because the engine could not connect.
    Evicted,
    /// Nobody has used it for `engine_idle_timeout`.
    Idle,
    /// A call such as `close_tenant` or `close` has requested it.
    Requested,
}

/// The state that all clones of [`OnDemandEngines`](super::engines::OnDemandEngines) share.
pub(super) struct Shared {
    pub(super) cache: EngineCache<EngineIdentity, EngineAlias, Arc<dyn AnyEngine>>,
    pub(super) options: OnDemandOptions,
    /// The runtime of the latest request. It is needed to wait for the last connection of an engine that a thread
    /// without a runtime closes.
    runtime: Mutex<Option<Handle>>,
    /// Whether the task that closes idle engines is running.
    has_sweeper: Arc<AtomicBool>,
    /// Set when no engine is opened any more. It stops the sweeper.
    shutdown: Arc<Latch>,
}

impl Shared {
    pub(super) fn new(
        cache: EngineCache<EngineIdentity, EngineAlias, Arc<dyn AnyEngine>>,
        options: OnDemandOptions,
    ) -> Self {
        Self {
            cache,
            options,
            runtime: Mutex::new(None),
            has_sweeper: Arc::default(),
            shutdown: Arc::default(),
        }
    }

    /// Remembers the caller's runtime, and starts the sweeper there if none is running.
    pub(super) fn use_runtime(self: &Arc<Self>, runtime: Handle) {
        self.ensure_sweeper(&runtime);
        *self.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime);
    }

    pub(super) fn shut_down(&self) {
        self.shutdown.set();
    }

    /// Carries out the decisions of the cache.
    pub(super) fn apply(self: &Arc<Self>, changes: EngineChanges<Arc<dyn AnyEngine>>) {
        for engine in changes.opened {
            engine::engine_opened(engine.settings());
        }
        self.close_each(changes.evicted, CloseReason::Evicted);
    }

    /// Closes engines that the cache has removed. Each counts against `max_engines` until its connections are closed. A
    /// spawned task waits for that.
    pub(super) fn close_each(
        self: &Arc<Self>,
        engines: Vec<Arc<dyn AnyEngine>>,
        reason: CloseReason,
    ) {
        for engine in engines {
            engine.begin_close();
            let (closed, reason) = match reason {
                CloseReason::Requested => (ClosedWhile::InUse, "closed"),
                CloseReason::Idle => (ClosedWhile::Unused, "idle"),
                CloseReason::Evicted if engine.use_count().had_checkout() => {
                    (ClosedWhile::Unused, "evicted")
                }
                CloseReason::Evicted => (ClosedWhile::Unused, "failed"),
            };
            engine::engine_closed(engine.settings(), reason);
            let counted = CountedUntilClosed { shared: Arc::downgrade(self), closed };
            let closing = async move {
                engine.all_returned().await;
                drop(counted);
            };
            let current = Handle::try_current().ok();
            let latest = || self.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // Without a runtime, or if it has ended, the future is dropped. Then no connection is left, either.
            match current.or_else(latest) {
                Some(runtime) => drop(runtime.spawn(closing)),
                None => drop(closing),
            }
        }
    }

    fn ensure_sweeper(self: &Arc<Self>, runtime: &Handle) {
        let Some(limit) = self.options.engine_idle_timeout else { return };
        if self.has_sweeper.swap(true, Ordering::Relaxed) {
            return;
        }
        let guard = SweeperGuard(Arc::clone(&self.has_sweeper));
        let (shared, shutdown) = (Arc::downgrade(self), Arc::clone(&self.shutdown));
        runtime.spawn(async move {
            let _guard = guard;
            let period = (limit / 2).clamp(MIN_SWEEP_PERIOD, MAX_SWEEP_PERIOD);
            while shutdown.unless_set(sleep(period)).await.is_some() {
                let Some(shared) = shared.upgrade() else { return };
                shared.close_each(shared.cache.close_unused(limit), CloseReason::Idle);
            }
        });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.shut_down();
        for (engine, _) in self.cache.engines_with_aliases() {
            engine::engine_ended(engine.settings().key);
        }
    }
}

impl EngineOwner for Shared {
    fn is_waited_for(&self) -> bool {
        self.cache.is_waited_for()
    }

    fn unused(self: Arc<Self>) {
        self.apply(self.cache.reevaluate());
    }
}

/// Counts a closed engine against `max_engines` until this guard is dropped. A runtime that ends drops it, too.
struct CountedUntilClosed {
    shared: Weak<Shared>,
    closed: ClosedWhile,
}

impl Drop for CountedUntilClosed {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.apply(shared.cache.fully_closed(self.closed));
        }
    }
}

/// Resets `has_sweeper` when the task of the sweeper ends or its runtime drops it.
struct SweeperGuard(Arc<AtomicBool>);

impl Drop for SweeperGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
