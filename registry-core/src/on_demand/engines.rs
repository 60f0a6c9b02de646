//! The operations on engines that are opened on demand: find, open, close, and free resources.

use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::cache::{Closed, EngineCache, Requested};
use super::identity::{EngineAlias, EngineIdentity};
use super::lifecycle::{CloseReason, MIN_SWEEP_PERIOD, Shared};
use super::policy::WaiterId;
use super::status::{OnDemandEngine, OnDemandStatus};
use crate::engine::use_count::EngineOwner;
use crate::engine::{self, AnyEngine, EngineUse};
use crate::settings::{BindKey, OnDemandOptions};

/// How many aliases are remembered: this many for each engine that may be open, and `MIN_ALIASES` at the least.
const ALIASES_PER_ENGINE: NonZeroUsize = NonZeroUsize::new(16).unwrap();
const MIN_ALIASES: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// The engines that a registry opens on demand.
#[derive(Clone)]
pub(crate) struct OnDemandEngines(Arc<Shared>);

/// Why no engine could be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    Closed,
    /// All engines that may be open stayed in use.
    TimedOut {
        max_engines: u32,
        /// How many callers wait for room.
        waiting: usize,
    },
}

impl OnDemandEngines {
    pub(crate) fn new(options: OnDemandOptions) -> Self {
        let max_engines =
            NonZeroUsize::new(options.max_engines as usize).unwrap_or(NonZeroUsize::MIN);
        let max_aliases = max_engines.saturating_mul(ALIASES_PER_ENGINE).max(MIN_ALIASES);
        let cache = EngineCache::new(max_engines, max_aliases);
        Self(Arc::new(Shared::new(cache, options)))
    }

    /// The engine with this `identity`, if it is open.
    pub(crate) fn find(&self, identity: &EngineIdentity) -> Option<EngineUse<dyn AnyEngine>> {
        self.0.cache.find(identity).inspect(|engine| engine.note_hit())
    }

    /// The engine with this `alias`, if the engine is open and the alias has not expired.
    pub(crate) fn find_by_alias(&self, alias: &EngineAlias) -> Option<EngineUse<dyn AnyEngine>> {
        self.0.cache.find_by_alias(alias).inspect(|engine| engine.note_hit())
    }

    /// Finds the engine with this `identity`, or opens it. Callers that request the same engine share it (single
    /// flight). If `max_engines` are open, it waits until one can be evicted, for `within` at most.
    ///
    /// Cancellation: dropping the future gives up the place in the queue.
    pub(crate) async fn open(
        &self,
        identity: EngineIdentity,
        within: Duration,
    ) -> Result<EngineUse<dyn AnyEngine>, OpenError> {
        if let Some(found) = self.find(&identity) {
            return Ok(found);
        }
        self.0.use_runtime(Handle::current());
        let owner: Weak<dyn EngineOwner> = Arc::<Shared>::downgrade(&self.0);
        let engine = engine::open(Arc::clone(identity.settings()), Some(owner));
        let key = identity.settings().key;
        let Requested { waiter, is_hit, changes } = self.0.cache.request(identity, engine);
        let waiter = WaiterGuard { shared: &self.0, waiter };
        self.0.apply(changes);
        if !is_hit {
            engine::engine_missed(key);
        }
        match timeout(within, waiter.granted()).await {
            Ok(Ok(engine)) => {
                if is_hit {
                    engine.note_hit();
                }
                Ok(engine)
            }
            Ok(Err(Closed)) => Err(OpenError::Closed),
            Err(_) => {
                // Dropped first, so that this caller is not counted as waiting.
                drop(waiter);
                let waiting = self.0.cache.waiting();
                Err(OpenError::TimedOut { max_engines: self.0.options.max_engines, waiting })
            }
        }
    }

    /// Remembers an alias of an open engine until `until`. Without `until`, the alias is remembered as long as the
    /// engine is open.
    pub(crate) fn add_alias(
        &self,
        alias: EngineAlias,
        identity: &EngineIdentity,
        until: Option<Instant>,
    ) {
        self.0.cache.add_alias(alias, identity, until);
    }

    /// Closes the engine with this `alias`, if it is open, like [`close`](Self::close).
    pub(crate) fn close_by_alias(&self, alias: &EngineAlias) -> Vec<Arc<dyn AnyEngine>> {
        match self.0.cache.remove_alias(alias) {
            Some(identity) => self.close(|other| *other == identity),
            None => Vec::new(),
        }
    }

    /// Closes the engines that `is_due` selects, whether they are used or not, and returns them. Sessions that are
    /// lent stay usable until they are returned, and are not lent again; another engine of the same identity may
    /// be opened at once.
    pub(crate) fn close(
        &self,
        is_due: impl FnMut(&EngineIdentity) -> bool,
    ) -> Vec<Arc<dyn AnyEngine>> {
        let due = self.0.cache.close(is_due);
        self.0.close_each(due.clone(), CloseReason::Requested);
        due
    }

    /// Evicts an unused engine, to free its operating system resources (file descriptors, ports). Returns whether
    /// another try can succeed: false if there is no engine left, neither open nor closing.
    pub(crate) async fn free_resources(&self) -> bool {
        match self.0.cache.evict() {
            Some(engine) => {
                self.0.close_each(vec![Arc::clone(&engine)], CloseReason::Evicted);
                engine.all_returned().await;
                true
            }
            None => {
                // All engines are in use, so this waits a little. The pause is also long enough for the caller's own
                // engine, which could not connect, to be closed, so that `is_empty` does not count it.
                sleep(MIN_SWEEP_PERIOD).await;
                !self.0.cache.is_empty()
            }
        }
    }

    /// The identities of the open engines with an alias for a tenant of this bind.
    pub(crate) fn identities_of_tenants(&self, bind: BindKey) -> Vec<EngineIdentity> {
        self.0.cache.identities_by_alias(|alias| match alias {
            EngineAlias::Tenant { key, .. } => *key == bind,
            EngineAlias::Url(..) => false,
        })
    }

    /// Closes all engines, and opens none from now on.
    pub(crate) fn close_all(&self) -> Vec<Arc<dyn AnyEngine>> {
        self.0.shut_down();
        let all = self.0.cache.close_all();
        self.0.close_each(all.clone(), CloseReason::Requested);
        all
    }

    /// The engines that are open.
    pub(crate) fn engines(&self) -> Vec<Arc<dyn AnyEngine>> {
        self.0.cache.engines_with_aliases().into_iter().map(|(engine, _)| engine).collect()
    }

    /// How many engines can be open at once.
    pub(crate) fn max_engines(&self) -> u32 {
        self.0.options.max_engines
    }

    pub(crate) fn status(&self) -> OnDemandStatus {
        let engines = self.0.cache.engines_with_aliases();
        let counters = self.0.cache.counters();
        OnDemandStatus {
            max_engines: self.0.options.max_engines,
            engines: engines
                .iter()
                .map(|(engine, aliases)| OnDemandEngine::new(engine, aliases))
                .collect(),
            closing: self.0.cache.closing(),
            waiting: self.0.cache.waiting(),
            hits: counters.hits,
            misses: counters.misses,
            evictions: counters.evictions,
            expired: counters.expired,
            since_last: None,
        }
    }
}

impl fmt::Debug for OnDemandEngines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDemandEngines").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// A place in the queue of the cache, given up when this is dropped.
struct WaiterGuard<'a> {
    shared: &'a Shared,
    waiter: WaiterId,
}

impl WaiterGuard<'_> {
    fn granted(&self) -> impl Future<Output = Result<EngineUse<dyn AnyEngine>, Closed>> {
        poll_fn(|cx| self.shared.cache.poll_granted(self.waiter, cx))
    }
}

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.shared.cache.cancel(self.waiter);
    }
}
