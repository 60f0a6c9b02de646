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

use cache::{Changes, Shelf};
pub(crate) use identity::EngineIdentity;
use policy::{Leaving, Ticket};
pub use status::{OnDemandEngine, OnDemandStatus};

/// For each engine that may be open, this many names are remembered, and so many at the least.
const NAMES_AN_ENGINE: usize = 16;
const NAMES: usize = 1024;

/// How often idle engines are looked for.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
const LONGEST_PERIOD: Duration = Duration::from_secs(30);

/// The engines that a registry opens on demand.
#[derive(Clone)]
pub(crate) struct OnDemand(Arc<Inner>);

struct Inner {
    shelf: Shelf<EngineIdentity, EngineName, Arc<dyn AnyEngine>>,
    options: OnDemandOptions,
    /// Where those live who opened an engine last: engines may be closed by somebody who has no runtime.
    runtime: Mutex<Option<Handle>>,
    /// Whether a runtime that is alive looks for engines that are idle for too long.
    is_swept: Arc<AtomicBool>,
    /// Set when no engine is opened any more.
    is_over: Arc<Latch>,
}

/// What an engine is asked for by: finding out its identity would take longer than finding it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum EngineName {
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
enum Reason {
    /// To make room for another.
    Evicted,
    /// Nobody has used it for `engine_idle_timeout`.
    Idle,
    /// It was asked for.
    Closed,
}

/// Why no engine could be opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    Closed,
    TimedOut { max_engines: u32, waiting: usize },
}

impl policy::Engine for Arc<dyn AnyEngine> {
    type Use = EngineUse<dyn AnyEngine>;

    fn begin_use(&self) -> EngineUse<dyn AnyEngine> {
        EngineUse::new(Arc::clone(self))
    }

    fn is_used(&self) -> bool {
        self.use_count().is_used()
    }

    fn has_lent(&self) -> bool {
        self.use_count().had_checkout()
    }
}

impl OnDemand {
    pub(crate) fn new(options: OnDemandOptions) -> Self {
        let max = NonZeroUsize::new(options.max_engines as usize).unwrap_or(NonZeroUsize::MIN);
        let names = max.saturating_mul(const { NonZeroUsize::new(NAMES_AN_ENGINE).unwrap() });
        let names = names.max(const { NonZeroUsize::new(NAMES).unwrap() });
        Self(Arc::new(Inner {
            shelf: Shelf::new(max, names),
            options,
            runtime: Mutex::new(None),
            is_swept: Arc::new(AtomicBool::new(false)),
            is_over: Arc::default(),
        }))
    }

    /// The engine of that identity, if it is open.
    pub(crate) fn find(&self, identity: &EngineIdentity) -> Option<EngineUse<dyn AnyEngine>> {
        self.0.shelf.find(identity)
    }

    /// The engine of that name, if it is open and the name still holds.
    pub(crate) fn find_named(&self, name: &EngineName) -> Option<EngineUse<dyn AnyEngine>> {
        self.0.shelf.find_named(name)
    }

    /// The engine of that identity: opened if it is not, once there is room. Dropping the future
    /// gives up the place in the queue.
    pub(crate) async fn open(
        &self,
        identity: EngineIdentity,
        within: Duration,
    ) -> Result<EngineUse<dyn AnyEngine>, NotOpened> {
        if let Some(found) = self.find(&identity) {
            return Ok(found);
        }
        let runtime = Handle::current();
        self.0.see_to_sweeping(&runtime);
        *self.0.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime);
        let owner: Weak<dyn EngineOwner> = Arc::<Inner>::downgrade(&self.0);
        let engine = engine::open(Arc::clone(identity.settings()), Some(owner));
        let (ticket, changes) = self.0.shelf.ask(identity, engine);
        let place = Place { inner: &self.0, ticket };
        self.0.apply(changes);
        match timeout(within, place.granted()).await {
            Ok(Ok(engine)) => Ok(engine),
            Ok(Err(cache::Closed)) => Err(NotOpened::Closed),
            Err(_) => {
                drop(place);
                let (waiting, _) = self.0.shelf.waiting_and_leaving();
                Err(NotOpened::TimedOut { max_engines: self.0.options.max_engines, waiting })
            }
        }
    }

    /// Remembers the name of an engine, until then or for as long as it is open.
    pub(crate) fn name(
        &self,
        name: EngineName,
        identity: &EngineIdentity,
        until: Option<std::time::Instant>,
    ) {
        self.0.shelf.name(name, identity, until);
    }

    /// Closes the engine of that name, if it is open. Its sessions are not lent again.
    pub(crate) fn close_named(&self, name: &EngineName) -> Vec<Arc<dyn AnyEngine>> {
        match self.0.shelf.forget_name(name) {
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
        let due = self.0.shelf.close(is_due);
        self.0.close_each(due.clone(), Reason::Closed);
        due
    }

    /// Has an engine that nobody uses give back what it has of the operating system's resources, or waits
    /// a little where all are used. False if there is none: then nothing can be had in this way.
    pub(crate) async fn give_way(&self) -> bool {
        match self.0.shelf.evict() {
            Some(engine) => {
                self.0.close_each(vec![Arc::clone(&engine)], Reason::Evicted);
                engine.all_returned().await;
                true
            }
            None => {
                // By then, the caller's own that could not be opened is gone.
                sleep(SHORTEST_PERIOD).await;
                !self.0.shelf.is_empty()
            }
        }
    }

    /// The engines that the tenants of a bind were found in.
    pub(crate) fn identities_of(&self, bind: BindKey) -> Vec<EngineIdentity> {
        self.0.shelf.keys_named(|name| match name {
            EngineName::Tenant { key, .. } => *key == bind,
            EngineName::Url(..) => false,
        })
    }

    /// Closes all engines, and opens none from now on.
    pub(crate) fn close_all(&self) -> Vec<Arc<dyn AnyEngine>> {
        self.0.is_over.set();
        let all = self.0.shelf.close_all();
        self.0.close_each(all.clone(), Reason::Closed);
        all
    }

    /// Those that are open.
    pub(crate) fn engines(&self) -> Vec<Arc<dyn AnyEngine>> {
        self.0.shelf.list().into_iter().map(|(engine, _)| engine).collect()
    }

    pub(crate) fn status(&self) -> OnDemandStatus {
        let engines = self.0.shelf.list();
        let counts = self.0.shelf.counts();
        let (waiting, closing) = self.0.shelf.waiting_and_leaving();
        OnDemandStatus {
            max_engines: self.0.options.max_engines,
            engines: engines
                .iter()
                .map(|(engine, names)| OnDemandEngine::new(engine, names))
                .collect(),
            closing,
            waiting,
            hits: counts.hits,
            misses: counts.misses,
            evictions: counts.evictions,
            expired: counts.expired,
        }
    }
}

impl fmt::Debug for OnDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDemand").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Inner {
    fn apply(self: &Arc<Self>, changes: Changes<Arc<dyn AnyEngine>>) {
        for engine in changes.opened {
            engine::engine_opened(engine.settings());
        }
        self.close_each(changes.evicted, Reason::Evicted);
    }

    /// Closes engines that are no longer found. They count until their connections are closed.
    fn close_each(self: &Arc<Self>, engines: Vec<Arc<dyn AnyEngine>>, reason: Reason) {
        for engine in engines {
            engine.begin_close();
            let (leaving, reason) = match reason {
                Reason::Closed => (Leaving::Draining, "closed"),
                Reason::Idle => (Leaving::Closing, "idle"),
                Reason::Evicted if engine.use_count().had_checkout() => {
                    (Leaving::Closing, "evicted")
                }
                Reason::Evicted => (Leaving::Closing, "failed"),
            };
            engine::engine_closed(engine.settings(), reason);
            let gone = Gone { inner: Arc::downgrade(self), leaving };
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

    fn see_to_sweeping(self: &Arc<Self>, runtime: &Handle) {
        let Some(limit) = self.options.engine_idle_timeout else { return };
        if self.is_swept.swap(true, Ordering::Relaxed) {
            return;
        }
        let swept = Swept(Arc::clone(&self.is_swept));
        let (inner, is_over) = (Arc::downgrade(self), Arc::clone(&self.is_over));
        runtime.spawn(async move {
            let _swept = swept;
            let period = (limit / 2).clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
            while is_over.unless_set(sleep(period)).await.is_some() {
                let Some(inner) = inner.upgrade() else { return };
                inner.close_each(inner.shelf.close_unused(limit), Reason::Idle);
            }
        });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.is_over.set();
    }
}

impl EngineOwner for Inner {
    fn is_waited_for(&self) -> bool {
        self.shelf.is_waited_for()
    }

    fn unused(self: Arc<Self>) {
        self.apply(self.shelf.look_again());
    }
}

/// Counts an engine as gone when it is dropped, in whatever way.
struct Gone {
    inner: Weak<Inner>,
    leaving: Leaving,
}

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.apply(inner.shelf.left(self.leaving));
        }
    }
}

/// Says that idle engines are looked for, until it is dropped: when its runtime ends.
struct Swept(Arc<AtomicBool>);

impl Drop for Swept {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A place in the queue, left when it is dropped.
struct Place<'a> {
    inner: &'a Inner,
    ticket: Ticket,
}

impl Place<'_> {
    fn granted(&self) -> impl Future<Output = Result<EngineUse<dyn AnyEngine>, cache::Closed>> {
        poll_fn(|cx| self.inner.shelf.poll(self.ticket, cx))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.inner.shelf.leave(self.ticket);
    }
}
