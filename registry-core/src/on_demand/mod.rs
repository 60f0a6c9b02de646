//! Engines that are opened on demand: one for each URL and options, as many as are allowed at once.

use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::engine::use_count::EngineOwner;
use crate::engine::{self, AnyEngine, EngineUse};
use crate::latch::Latch;
use crate::settings::{BindKey, DatabaseUrl, OnDemandOptions};

mod cache;
#[cfg(test)]
mod cache_tests;
mod identity;
mod policy;
#[cfg(test)]
mod policy_tests;
mod status;

/// What [`cache`] is built on: the standard library's, or those of a model checker.
mod sync {
    pub(super) use std::sync::atomic::{AtomicUsize, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
}

use cache::{EngineCache, EngineChanges};
pub(crate) use identity::EngineIdentity;
use policy::{ClosedWhile, WaiterId};
pub use status::{OnDemandEngine, OnDemandStatus};

/// For each engine that may be open, this many names are remembered, and so many at the least.
const ALIASES_PER_ENGINE: usize = 16;
const MIN_ALIASES: usize = 1024;

/// How often idle engines are looked for.
const MIN_SWEEP_PERIOD: Duration = Duration::from_millis(10);
const MAX_SWEEP_PERIOD: Duration = Duration::from_secs(30);

/// The engines that a registry opens on demand.
#[derive(Clone)]
pub(crate) struct OnDemand(Arc<Inner>);

struct Inner {
    cache: EngineCache<EngineIdentity, EngineAlias, Arc<dyn AnyEngine>>,
    options: OnDemandOptions,
    /// Where those live who opened an engine last: engines may be closed by somebody who has no runtime.
    runtime: Mutex<Option<Handle>>,
    /// Whether a runtime that is alive looks for engines that are idle for too long.
    has_sweeper: Arc<AtomicBool>,
    /// Set when no engine is opened any more.
    shutdown: Arc<Latch>,
}

/// What an engine is asked for by: finding out its identity would take longer than finding it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum EngineAlias {
    Tenant {
        key: BindKey,
        /// How often the settings of that bind had been replaced: names of before find nothing any more.
        generation: u64,
        tenant: Arc<str>,
    },
    /// A URL without a word about options.
    Url(BindKey, DatabaseUrl),
}

/// Why an engine is closed.
#[derive(Debug, Clone, Copy)]
enum CloseReason {
    /// To make room for another.
    Evicted,
    /// Nobody has used it for `engine_idle_timeout`.
    Idle,
    /// It was asked for.
    Closed,
}

/// Why no engine could be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    Closed,
    TimedOut { max_engines: u32, waiting: usize },
}

impl policy::CachedEngine for Arc<dyn AnyEngine> {
    type Use = EngineUse<dyn AnyEngine>;

    fn begin_use(&self) -> EngineUse<dyn AnyEngine> {
        EngineUse::new(Arc::clone(self))
    }

    fn is_used(&self) -> bool {
        self.uses().is_used()
    }

    fn has_lent(&self) -> bool {
        self.uses().has_lent()
    }
}

impl OnDemand {
    pub(crate) fn new(options: OnDemandOptions) -> Self {
        let max = NonZeroUsize::new(options.max_engines as usize).unwrap_or(NonZeroUsize::MIN);
        let names = max.saturating_mul(const { NonZeroUsize::new(ALIASES_PER_ENGINE).unwrap() });
        let names = names.max(const { NonZeroUsize::new(MIN_ALIASES).unwrap() });
        Self(Arc::new(Inner {
            cache: EngineCache::new(max, names),
            options,
            runtime: Mutex::new(None),
            has_sweeper: Arc::new(AtomicBool::new(false)),
            shutdown: Arc::default(),
        }))
    }

    /// The engine of that identity, if it is open.
    pub(crate) fn find(&self, identity: &EngineIdentity) -> Option<EngineUse<dyn AnyEngine>> {
        self.0.cache.find(identity)
    }

    /// The engine of that name, if it is open and the name still holds.
    pub(crate) fn find_by_alias(&self, name: &EngineAlias) -> Option<EngineUse<dyn AnyEngine>> {
        self.0.cache.find_by_alias(name)
    }

    /// The engine of that identity: opened if it is not, once there is room. Dropping the future
    /// gives up the place in the queue.
    pub(crate) async fn open(
        &self,
        identity: EngineIdentity,
        within: Duration,
    ) -> Result<EngineUse<dyn AnyEngine>, OpenError> {
        if let Some(found) = self.find(&identity) {
            return Ok(found);
        }
        let runtime = Handle::current();
        self.0.ensure_sweeper(&runtime);
        *self.0.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime);
        let owner: Weak<dyn EngineOwner> = Arc::<Inner>::downgrade(&self.0);
        let engine = engine::open(Arc::clone(identity.settings()), Some(owner));
        let (waiter, changes) = self.0.cache.request(identity, engine);
        let place = Place { inner: &self.0, waiter };
        self.0.apply(changes);
        match timeout(within, place.granted()).await {
            Ok(Ok(engine)) => Ok(engine),
            Ok(Err(cache::Closed)) => Err(OpenError::Closed),
            Err(_) => {
                drop(place);
                let (waiting, _) = self.0.cache.waiting_and_leaving();
                Err(OpenError::TimedOut { max_engines: self.0.options.max_engines, waiting })
            }
        }
    }

    /// Remembers the name of an engine, until then or for as long as it is open.
    pub(crate) fn add_alias(
        &self,
        name: EngineAlias,
        identity: &EngineIdentity,
        until: Option<std::time::Instant>,
    ) {
        self.0.cache.add_alias(name, identity, until);
    }

    /// Closes the engine of that name, if it is open. Its sessions are not lent again.
    pub(crate) fn close_by_alias(&self, name: &EngineAlias) -> Vec<Arc<dyn AnyEngine>> {
        match self.0.cache.remove_alias(name) {
            Some(identity) => self.close(|other| *other == identity),
            None => Vec::new(),
        }
    }

    /// Closes the engines that are due, used or not, and returns them. What they have lent comes back
    /// unhindered, and others may be opened in their place.
    pub(crate) fn close(
        &self,
        is_due: impl FnMut(&EngineIdentity) -> bool,
    ) -> Vec<Arc<dyn AnyEngine>> {
        let due = self.0.cache.close(is_due);
        self.0.close_each(due.clone(), CloseReason::Closed);
        due
    }

    /// Has an engine that nobody uses give back what it has of the operating system's resources, or waits
    /// a little where all are used. False if there is none: then nothing can be had in this way.
    pub(crate) async fn free_resources(&self) -> bool {
        match self.0.cache.evict() {
            Some(engine) => {
                self.0.close_each(vec![Arc::clone(&engine)], CloseReason::Evicted);
                engine.all_returned().await;
                true
            }
            None => {
                // By then, the caller's own that could not be opened is gone.
                sleep(MIN_SWEEP_PERIOD).await;
                !self.0.cache.is_empty()
            }
        }
    }

    /// The engines that the tenants of a bind were found in.
    pub(crate) fn identities_of_tenants(&self, bind: BindKey) -> Vec<EngineIdentity> {
        self.0.cache.keys_by_alias(|name| match name {
            EngineAlias::Tenant { key, .. } => *key == bind,
            EngineAlias::Url(..) => false,
        })
    }

    /// Closes all engines, and opens none from now on.
    pub(crate) fn close_all(&self) -> Vec<Arc<dyn AnyEngine>> {
        self.0.shutdown.set();
        let all = self.0.cache.close_all();
        self.0.close_each(all.clone(), CloseReason::Closed);
        all
    }

    /// Those that are open.
    pub(crate) fn engines(&self) -> Vec<Arc<dyn AnyEngine>> {
        self.0.cache.list().into_iter().map(|(engine, _)| engine).collect()
    }

    pub(crate) fn status(&self) -> OnDemandStatus {
        let engines = self.0.cache.list();
        let counters = self.0.cache.counters();
        let (waiting, closing) = self.0.cache.waiting_and_leaving();
        OnDemandStatus {
            max_engines: self.0.options.max_engines,
            engines: engines
                .iter()
                .map(|(engine, names)| OnDemandEngine::new(engine, names))
                .collect(),
            closing,
            waiting,
            hits: counters.hits,
            misses: counters.misses,
            evictions: counters.evictions,
            expired: counters.expired,
        }
    }
}

impl fmt::Debug for OnDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDemand").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Inner {
    fn apply(self: &Arc<Self>, changes: EngineChanges<Arc<dyn AnyEngine>>) {
        for engine in changes.opened {
            engine::engine_opened(engine.settings());
        }
        self.close_each(changes.evicted, CloseReason::Evicted);
    }

    /// Closes engines that are no longer found. They count until their connections are closed.
    fn close_each(self: &Arc<Self>, engines: Vec<Arc<dyn AnyEngine>>, reason: CloseReason) {
        for engine in engines {
            engine.begin_close();
            let (leaving, reason) = match reason {
                CloseReason::Closed => (ClosedWhile::InUse, "closed"),
                CloseReason::Idle => (ClosedWhile::Unused, "idle"),
                CloseReason::Evicted if engine.uses().has_lent() => {
                    (ClosedWhile::Unused, "evicted")
                }
                CloseReason::Evicted => (ClosedWhile::Unused, "failed"),
            };
            engine::engine_closed(engine.settings(), reason);
            let gone = ClosedOnDrop { inner: Arc::downgrade(self), leaving };
            let closing = async move {
                engine.all_returned().await;
                drop(gone);
            };
            let runtime = Handle::try_current().ok();
            let stored = || self.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // A runtime that has ended drops what it is given: the engine is gone then as well.
            match runtime.or_else(stored) {
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
        let swept = SweeperGuard(Arc::clone(&self.has_sweeper));
        let (inner, shutdown) = (Arc::downgrade(self), Arc::clone(&self.shutdown));
        runtime.spawn(async move {
            let _swept = swept;
            let period = (limit / 2).clamp(MIN_SWEEP_PERIOD, MAX_SWEEP_PERIOD);
            while shutdown.unless_set(sleep(period)).await.is_some() {
                let Some(inner) = inner.upgrade() else { return };
                inner.close_each(inner.cache.close_unused(limit), CloseReason::Idle);
            }
        });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown.set();
    }
}

impl EngineOwner for Inner {
    fn is_waited_for(&self) -> bool {
        self.cache.is_waited_for()
    }

    fn unused(self: Arc<Self>) {
        self.apply(self.cache.reevaluate());
    }
}

/// CacheCounters an engine as gone when it is dropped, in whatever way.
struct ClosedOnDrop {
    inner: Weak<Inner>,
    leaving: ClosedWhile,
}

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.apply(inner.cache.left(self.leaving));
        }
    }
}

/// Says that idle engines are looked for, until it is dropped: when its runtime ends.
struct SweeperGuard(Arc<AtomicBool>);

impl Drop for SweeperGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A place in the queue, left when it is dropped.
struct Place<'a> {
    inner: &'a Inner,
    waiter: WaiterId,
}

impl Place<'_> {
    fn granted(&self) -> impl Future<Output = Result<EngineUse<dyn AnyEngine>, cache::Closed>> {
        poll_fn(|cx| self.inner.cache.poll(self.waiter, cx))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.inner.cache.leave(self.waiter);
    }
}
