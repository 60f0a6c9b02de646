//! One engine of a known connection type.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, TryAcquireError};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use super::checkout::{Checkout, Held};
use super::connect::CHECK;
use super::doubts::Doubts;
use super::engine_use::EngineUse;
use super::maintenance;
use super::meters::Timer;
use super::pool::Pool;
use super::starving::Starving;
use super::stats::Stats;
use super::status::{EngineStatus, LastError};
use super::use_count::{EngineOwner, UseCount};
use super::watch::Watch;
use super::{AnyEngine, CheckFailure, Kept};
use crate::backend::observed::Observed;
use crate::backend::{Backend, ConnectError};
use crate::engine::AcquireError;
use crate::engine::caller::Caller;
use crate::latch::Latch;
use crate::settings::EngineSettings;

/// One engine: settings, permits and pool.
///
/// A session takes a permit first. The permits are the queue: first come first served, with a limit,
/// a time-out and an end. Whoever has a permit finds a slot, and sees to it that the slot has a live
/// connection ([`TypedEngine::fill`]).
pub(crate) struct TypedEngine<C: Backend> {
    pub(super) settings: Arc<EngineSettings>,
    pub(super) pool: Pool<C>,
    pub(super) permits: Semaphore,
    pub(super) stats: Stats,
    uses: UseCount,
    /// Whether there was a connection. In test isolation there is one, and never another.
    pub(super) has_connected: AtomicBool,
    /// Set when it is closed.
    pub(super) closing: Latch,
    /// Wakes [`TypedEngine::all_returned`].
    pub(super) returned: Notify,
    /// Wakes the maintenance, which must not keep the engine alive while it sleeps.
    pub(super) maintenance: Arc<Notify>,
    /// Whether a runtime that is alive runs the maintenance.
    pub(super) is_maintained: Arc<AtomicBool>,
    /// Every connection that there is, as it is watched.
    pub(super) watched: Mutex<Vec<Weak<Watch>>>,
    /// The streams of its connections, which outlive those for as long as it takes to say good-bye.
    pub(super) streams: Mutex<Vec<Weak<Observed>>>,
    /// Who has a permit, and waits for a connection that is opened or looked at.
    filling: Mutex<Vec<Caller>>,
    /// Those who wait for a connection of others, as the server takes no more.
    pub(super) starving: Starving<C>,
    /// What its connections have found out that concerns the others.
    pub(super) doubts: Arc<Doubts>,
}

/// What can be had without waiting.
pub(crate) enum AcquireAttempt<C: Backend> {
    /// A session with a connection that was used a moment ago.
    Ready(Checkout<C>),
    /// A permit, and a slot that must be looked at first.
    Held(Held<C>),
    /// Nothing: others are in front.
    Wait(EngineUse<TypedEngine<C>>, Timer),
}

impl<C: Backend> TypedEngine<C> {
    /// `owner` has opened it on demand.
    pub(crate) fn new(settings: Arc<EngineSettings>, owner: Option<Weak<dyn EngineOwner>>) -> Self {
        let max = settings.options.max_connections;
        Self {
            pool: Pool::new(max),
            permits: Semaphore::new(max as usize),
            stats: Stats::new(settings.key, max),
            settings,
            uses: UseCount::new(owner),
            has_connected: AtomicBool::new(false),
            closing: Latch::default(),
            returned: Notify::new(),
            maintenance: Arc::new(Notify::new()),
            is_maintained: Arc::new(AtomicBool::new(false)),
            watched: Mutex::new(Vec::new()),
            streams: Mutex::new(Vec::new()),
            filling: Mutex::default(),
            starving: Starving::default(),
            doubts: Arc::default(),
        }
    }

    /// A session at once, if one can be had without any input or output. Preferably one whose connection
    /// was last in `schema`.
    pub(crate) fn try_lend(
        engine: EngineUse<Self>,
        runtime: &Handle,
        schema: Option<&str>,
    ) -> Result<AcquireAttempt<C>, AcquireError> {
        let asked = Timer::start();
        let taken = engine.permits.try_acquire().map(SemaphorePermit::forget);
        match taken {
            Ok(()) => {}
            Err(TryAcquireError::NoPermits) => return Ok(AcquireAttempt::Wait(engine, asked)),
            Err(TryAcquireError::Closed) => return Err(engine.closed_error()),
        }
        let mut held = Held::new(engine, asked);
        let engine = held.engine();
        engine.see_to_maintenance(runtime);
        engine.stats.direct();
        let mut lease = engine.pool.take(schema);
        engine.wake_maintenance();
        let is_fresh = lease.as_mut().is_some_and(|lease| engine.is_fresh(lease, runtime));
        held.put(lease);
        Ok(if is_fresh {
            AcquireAttempt::Ready(Checkout::new(held))
        } else {
            AcquireAttempt::Held(held)
        })
    }

    /// A session, whatever it takes. Dropping the future gives everything back.
    ///
    /// The caller has waited since `started`, and waits for `within` at the most, or `acquire_timeout`.
    pub(crate) async fn lend(
        attempt: AcquireAttempt<C>,
        started: Instant,
        within: Option<Duration>,
        schema: Option<&str>,
    ) -> Result<Checkout<C>, AcquireError> {
        let engine = match &attempt {
            AcquireAttempt::Ready(checkout) => Arc::clone(checkout.engine()),
            AcquireAttempt::Held(held) => Arc::clone(held.engine()),
            AcquireAttempt::Wait(engine, _) => Arc::clone(engine.engine()),
        };
        let within = within.unwrap_or(engine.settings.options.acquire_timeout);
        let span = engine.stats.acquire_span();
        let outcome = engine.lend_within(attempt, started, within, schema).instrument(span).await;
        engine.stats.acquired(&outcome, started);
        outcome
    }

    async fn lend_within(
        self: &Arc<Self>,
        attempt: AcquireAttempt<C>,
        started: Instant,
        within: Duration,
        schema: Option<&str>,
    ) -> Result<Checkout<C>, AcquireError> {
        let mut held = match attempt {
            AcquireAttempt::Ready(checkout) => return Ok(checkout),
            AcquireAttempt::Held(held) => held,
            AcquireAttempt::Wait(engine, asked) => {
                Self::wait(engine, started, within, asked).await?
            }
        };
        while held.lease_mut().is_none() {
            match self.pool.take(schema) {
                // The maintenance has them all in its hands, for a moment.
                None if started.elapsed() < within => tokio::task::yield_now().await,
                None => return Err(self.timed_out(within)),
                lease => held.put(lease),
            }
        }
        if self.settings.is_isolated {
            held = Box::pin(Self::fill_apart(held, started, within)).await?;
        } else if let Some(lease) = held.lease_mut()
            && !self.is_fresh(lease, &Handle::current())
        {
            let _filling = Filling::new(self);
            let filling = self.fill(&mut held, started, within);
            // Boxed: it is large and rare, and each caller that waits would make room for it.
            Box::pin(self.unless_closed(filling)).await??;
        }
        Ok(Checkout::new(held))
    }

    /// Waits for a permit, behind those who came before.
    async fn wait(
        engine: EngineUse<Self>,
        started: Instant,
        within: Duration,
        asked: Timer,
    ) -> Result<Held<C>, AcquireError> {
        let options = &engine.settings.options;
        let waiting = engine.stats.wait();
        if let Some(limit) = options.queue_limit.filter(|limit| waiting.before >= *limit) {
            return Err(AcquireError::QueueFull { key: engine.settings.key, limit });
        }
        // Dropped after the future that waits: a permit may be on its way to that while the engine is
        // closed, and come back without anybody's noticing.
        let returns = Returns(&engine);
        let permit = engine.permits.acquire();
        // A time so long that it has no end on the clock is waited for without a timer.
        let permit = async {
            let permit = match started.checked_add(within) {
                Some(deadline) => timeout_at(deadline, permit).await,
                None => Ok(permit.await),
            };
            permit.map(|permit| permit.map(SemaphorePermit::forget))
        };
        let permit = if engine.settings.is_isolated {
            engine.unless_for_itself(permit).await?
        } else {
            permit.await
        };
        drop((waiting, returns));
        match permit {
            Ok(Ok(())) => {
                engine.stats.waited();
                Ok(Held::new(engine, asked))
            }
            Ok(Err(_)) => Err(engine.closed_error()),
            Err(_) if engine.settings.is_isolated && engine.is_kept_by_caller() => {
                Err(AcquireError::Isolated { key: engine.settings.key })
            }
            Err(_) => Err(engine.timed_out(within)),
        }
    }

    pub(super) fn timed_out(&self, after: Duration) -> AcquireError {
        self.stats.timed_out();
        let counts = self.pool.counts();
        AcquireError::TimedOut {
            key: self.settings.key,
            after,
            in_use: counts.in_use,
            idle: counts.idle,
            max: self.settings.options.max_connections,
            waiting: self.stats.acquires().waiting,
            held_by_caller: self.held_by_caller(|_| true),
            last_error: self.stats.last_error().map(|last| last.error),
        }
    }

    /// How many sessions of this engine the calling task has, of those that count.
    pub(super) fn held_by_caller(&self, counts: impl FnMut(&Watch) -> bool) -> u32 {
        self.held_by(Caller::current().number(), counts)
    }

    fn held_by(&self, caller: u64, mut counts: impl FnMut(&Watch) -> bool) -> u32 {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let holders = watched.iter().filter_map(Weak::upgrade);
        let own =
            holders.filter(|watch| watch.holder.load(Ordering::Relaxed) == caller && counts(watch));
        u32::try_from(own.count()).unwrap_or(u32::MAX)
    }

    /// Starts the maintenance if no runtime that is alive runs it.
    fn see_to_maintenance(self: &Arc<Self>, runtime: &Handle) {
        if !self.is_maintained.load(Ordering::Relaxed)
            && !self.is_maintained.swap(true, Ordering::Relaxed)
        {
            let woken = Arc::clone(&self.maintenance);
            let alive = maintenance::Alive::new(Arc::clone(&self.is_maintained));
            let engine: Weak<Self> = Arc::downgrade(self);
            runtime.spawn(maintenance::run(engine, woken, alive));
        }
    }

    /// Has `min_idle` looked after, if it is no longer kept now that an idle connection is taken.
    fn wake_maintenance(&self) {
        let min_idle = self.settings.options.min_idle;
        if min_idle > 0 && self.pool.counts().idle < min_idle {
            self.maintenance.notify_one();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    pub(super) fn closed_error(&self) -> AcquireError {
        AcquireError::Closed { key: self.settings.key }
    }

    pub(super) fn lent(&self) -> u32 {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        self.settings.options.max_connections.saturating_sub(free)
    }
}

/// Somebody who waits for a connection that is opened or looked at.
struct Filling<'a, C: Backend> {
    engine: &'a TypedEngine<C>,
    caller: Caller,
}

impl<'a, C: Backend> Filling<'a, C> {
    fn new(engine: &'a TypedEngine<C>) -> Self {
        let caller = Caller::current();
        engine.filling.lock().unwrap_or_else(PoisonError::into_inner).push(caller);
        Self { engine, caller }
    }
}

impl<C: Backend> Drop for Filling<'_, C> {
    fn drop(&mut self) {
        let mut filling = self.engine.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = filling.iter().position(|other| *other == self.caller) {
            filling.swap_remove(at);
        }
    }
}

/// Wakes [`TypedEngine::all_returned`] when it is dropped.
struct Returns<'a, C: Backend>(&'a TypedEngine<C>);

impl<C: Backend> Drop for Returns<'_, C> {
    fn drop(&mut self) {
        if self.0.is_closed() {
            self.0.returned.notify_waiters();
        }
    }
}

impl<C: Backend> AnyEngine for TypedEngine<C> {
    fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    fn status(&self) -> EngineStatus {
        let counts = self.pool.counts();
        let acquires = self.stats.acquires();
        EngineStatus {
            key: self.settings.key,
            url: self.settings.url.clone(),
            backend: C::KIND,
            in_use: counts.in_use,
            idle: counts.idle,
            max: self.settings.options.max_connections,
            waiting: acquires.waiting,
            direct: acquires.direct,
            waited: acquires.waited,
            timed_out: acquires.timed_out,
            last_error: self.stats.last_error().map(|last| LastError::new(&last.error, last.at)),
        }
    }

    fn check(
        self: Arc<Self>,
        within: Option<Duration>,
    ) -> BoxFuture<'static, Result<(), CheckFailure>> {
        Box::pin(async move {
            let Ok(runtime) = Handle::try_current() else {
                return Err(AcquireError::NoRuntime { key: self.settings.key }.into());
            };
            let limit = self.settings.options.check_timeout;
            let attempt = Self::try_lend(EngineUse::new(Arc::clone(&self)), &runtime, None)?;
            let mut checkout = Self::lend(attempt, Instant::now(), within, None).await?;
            match timeout(limit, checkout.connection_mut().batch_execute(CHECK)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    checkout.discard();
                    Err(CheckFailure::Check(error.into()))
                }
                Err(_) => {
                    checkout.discard();
                    Err(CheckFailure::Check(Box::new(ConnectError::TimedOut { after: limit })))
                }
            }
        })
    }

    fn copy_to(self: Arc<Self>, file: &Path) -> BoxFuture<'static, Result<(), CheckFailure>> {
        let copy = format!("VACUUM INTO '{}'", file.display().to_string().replace('\'', "''"));
        Box::pin(async move {
            let Ok(runtime) = Handle::try_current() else {
                return Err(AcquireError::NoRuntime { key: self.settings.key }.into());
            };
            let attempt = Self::try_lend(EngineUse::new(Arc::clone(&self)), &runtime, None)?;
            let mut checkout = Self::lend(attempt, Instant::now(), None, None).await?;
            let read_only = self.settings.options.read_only;
            if read_only {
                // It is not lent again with what follows.
                checkout.discard();
            }
            let connection = checkout.connection_mut();
            let copied = async {
                if !read_only {
                    return connection.batch_execute(&copy).await;
                }
                // Of the original nothing is written, but SQLite refuses it all the same.
                connection.leave_work().await?;
                connection.batch_execute(&copy).await?;
                connection.enter_work(true).await.map(drop)
            };
            copied.await.map_err(|error| CheckFailure::Check(error.into()))
        })
    }

    fn begin_close(&self) {
        self.permits.close();
        self.closing.set();
        self.maintenance.notify_one();
        self.pool.retain(|_| false);
    }

    fn all_returned(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            TypedEngine::all_returned(&self).await;
            self.all_gone().await;
            C::wait_until_closed(&self.settings.url).await;
        })
    }

    fn lent(&self) -> u32 {
        TypedEngine::lent(self)
    }

    fn uses(&self) -> &UseCount {
        &self.uses
    }

    fn kept_by_caller(&self) -> Kept {
        let mut statements = 0;
        let sessions = self.held_by_caller(|watch| {
            let is_idle = !watch.lets_go_by_itself()
                && !watch.is_cut_short()
                && !watch.observed.stream.is_in_flight();
            statements += if is_idle { watch.started() } else { 0 };
            is_idle
        });
        let caller = Caller::current();
        let filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever is polled hears of the end of the engine at once.
        let filling = filling.iter().filter(|other| **other == caller).count();
        Kept { sessions: sessions + u32::try_from(filling).unwrap_or(u32::MAX), statements }
    }

    fn is_worked_on_by_caller(&self) -> bool {
        self.held_by_caller(|watch| watch.is_in_work.load(Ordering::Relaxed)) > 0
    }

    fn is_at_work(&self, task: u64) -> bool {
        let is_at_statement = |watch: &Watch| {
            watch.is_in_work.load(Ordering::Relaxed)
                && (watch.is_cut_short() || watch.observed.stream.is_in_flight())
        };
        self.held_by(task, is_at_statement) > 0
    }

    fn is_held_by_caller(&self) -> bool {
        self.held_by_caller(|watch| !watch.is_for_query.load(Ordering::Relaxed)) > 0
    }
}

impl<C: Backend> Drop for TypedEngine<C> {
    fn drop(&mut self) {
        self.maintenance.notify_one();
    }
}
