//! One engine of a known connection type.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use diesel::connection::CacheSize;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, TryAcquireError};
use tokio::time::{Instant, timeout};

use super::loan::{Held, Loan, Permit};
use super::maintenance;
use super::pool::{Lease, Pool};
use super::slow::SlowQueries;
use super::stats::Stats;
use super::status::{EngineStatus, LastError};
use super::{AnyEngine, CheckFailure};
use crate::backend::Backend;
use crate::error::{AcquireError, ConnectError};
use crate::settings::{EngineOptions, EngineSettings};

/// What checks whether a connection answers. Every backend understands it.
const CHECK: &str = "SELECT 1";

/// One engine: settings, permits and pool.
///
/// A session takes a permit first. The permits are the queue: first come first served, with a limit,
/// a time-out and an end. Whoever has a permit finds a slot, and sees to it that the slot has a live
/// connection ([`Core::fill`]).
pub(crate) struct Core<C: Backend> {
    pub(super) settings: EngineSettings,
    pub(super) pool: Pool<C>,
    pub(super) permits: Semaphore,
    pub(super) stats: Stats,
    /// Wakes [`Core::all_returned`].
    pub(super) returned: Notify,
    /// Wakes the maintenance, which must not keep the engine alive while it sleeps.
    pub(super) maintenance: Arc<Notify>,
    /// Whether a runtime that is alive runs the maintenance.
    pub(super) is_maintained: Arc<AtomicBool>,
}

/// What can be had without waiting.
pub(crate) enum Attempt<C: Backend> {
    /// A session with a connection that was used a moment ago.
    Ready(Loan<C>),
    /// A permit, and a slot that must be looked at first.
    Held(Held<C>),
    /// Nothing: others are in front.
    Wait,
}

impl<C: Backend> Core<C> {
    pub(crate) fn new(settings: EngineSettings) -> Self {
        let max = settings.options.max_connections;
        Self {
            settings,
            pool: Pool::new(max),
            permits: Semaphore::new(max as usize),
            stats: Stats::default(),
            returned: Notify::new(),
            maintenance: Arc::new(Notify::new()),
            is_maintained: Arc::new(AtomicBool::new(false)),
        }
    }

    /// A session at once, if one can be had without any input or output.
    pub(crate) fn try_lend(self: &Arc<Self>, runtime: &Handle) -> Result<Attempt<C>, AcquireError> {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => Permit::new(Arc::clone(self), permit),
            Err(TryAcquireError::NoPermits) => return Ok(Attempt::Wait),
            Err(TryAcquireError::Closed) => return Err(self.closed_error()),
        };
        self.see_to_maintenance(runtime);
        self.stats.count_direct();
        let lease = self.pool.take();
        let is_fresh = lease.as_ref().is_some_and(|lease| self.is_fresh(lease, runtime));
        let held = Held::new(lease, permit);
        Ok(if is_fresh { Attempt::Ready(Loan::new(held)) } else { Attempt::Held(held) })
    }

    /// A session, whatever it takes. Dropping the future gives everything back.
    pub(crate) async fn lend(
        self: Arc<Self>,
        held: Option<Held<C>>,
        within: Option<Duration>,
    ) -> Result<Loan<C>, AcquireError> {
        let within = within.unwrap_or(self.settings.options.acquire_timeout);
        let started = Instant::now();
        let mut held = match held {
            Some(held) => held,
            None => Held::new(None, self.wait(within).await?),
        };
        while held.lease_mut().is_none() {
            match self.pool.take() {
                Some(lease) => held.put(lease),
                // Between two instructions of another caller; see `Pool::take`.
                None => tokio::task::yield_now().await,
            }
        }
        let left = within.saturating_sub(started.elapsed());
        if let Some(lease) = held.lease_mut() {
            self.fill(lease, left).await.map_err(|error| self.could_not_connect(error))?;
        }
        Ok(Loan::new(held))
    }

    /// Waits for a permit, behind those who came before.
    async fn wait(self: &Arc<Self>, within: Duration) -> Result<Permit<C>, AcquireError> {
        let options = &self.settings.options;
        let waiting = self.stats.wait();
        if let Some(limit) = options.queue_limit.filter(|limit| waiting.before >= *limit) {
            return Err(AcquireError::QueueFull { key: self.settings.key, limit });
        }
        match timeout(within, self.permits.acquire()).await {
            Ok(Ok(permit)) => {
                self.stats.count_waited();
                Ok(Permit::new(Arc::clone(self), permit))
            }
            Ok(Err(_)) => Err(self.closed_error()),
            Err(_) => {
                let others = waiting.before;
                drop(waiting);
                self.stats.count_timed_out();
                let counts = self.pool.counts();
                Err(AcquireError::TimedOut {
                    key: self.settings.key,
                    after: within,
                    in_use: counts.in_use,
                    idle: counts.idle,
                    max: options.max_connections,
                    waiting: self.stats.acquires().waiting.max(others.saturating_sub(1)),
                    last_error: self.stats.last_error().map(|last| last.error),
                })
            }
        }
    }

    /// Whether the slot has a connection that can be lent without a look at it.
    fn is_fresh(&self, lease: &Lease<C>, runtime: &Handle) -> bool {
        let now = std::time::Instant::now();
        lease.connection().is_some()
            && lease.idle_for(now) <= self.settings.options.check_idle_after
            && !lease.is_expired(now)
            && (lease.is_of(runtime.id()) || self.settings.url.is_memory())
    }

    /// Sees to it that the slot has a live connection: checks the one it has, and connects if there
    /// is none or it does not answer.
    pub(super) async fn fill(
        &self,
        lease: &mut Lease<C>,
        left: Duration,
    ) -> Result<(), ConnectError> {
        let runtime = Handle::current();
        let started = Instant::now();
        if self.is_fresh(lease, &runtime) {
            return Ok(());
        }
        if self.is_worth_a_check(lease, &runtime) {
            // Taken out for as long as it is not known to work: dropped with the future, it is not
            // put back.
            if let Some(mut connection) = lease.take() {
                let limit = self.settings.options.check_timeout.min(left);
                if let Ok(Ok(())) = timeout(limit, connection.batch_execute(CHECK)).await {
                    lease.put_back(connection);
                    lease.touch();
                    return Ok(());
                }
                tracing::debug!(
                    target: "registry",
                    bind = %self.settings.key,
                    "an idle connection did not answer and is replaced"
                );
            }
        }
        drop(lease.take());
        let connection = self.connect(left.saturating_sub(started.elapsed())).await?;
        lease.fill(connection, self.lifetime(), runtime.id());
        Ok(())
    }

    fn is_worth_a_check(&self, lease: &Lease<C>, runtime: &Handle) -> bool {
        if self.settings.url.is_memory() {
            // Its connection is the database: it is never replaced.
            return lease.connection().is_some();
        }
        lease.is_of(runtime.id()) && !lease.is_expired(std::time::Instant::now())
    }

    /// Opens a connection and makes it ready to be lent.
    pub(super) async fn connect(&self, left: Duration) -> Result<C, ConnectError> {
        let options = &self.settings.options;
        self.open_within(options, options.connect_timeout.min(left)).await
    }

    /// Opens a connection for migrations, which write and take their time.
    pub(crate) async fn connect_to_migrate(&self) -> Result<C, ConnectError> {
        let options = EngineOptions {
            read_only: false,
            statement_timeout: None,
            log_slow_queries: None,
            ..self.settings.options.clone()
        };
        self.open_within(&options, options.connect_timeout).await
    }

    async fn open_within(
        &self,
        options: &EngineOptions,
        limit: Duration,
    ) -> Result<C, ConnectError> {
        let ready = async {
            let mut connection = C::open(&self.settings.url, options).await?;
            run_each(&mut connection, &options.on_connect).await?;
            if !options.statement_cache {
                connection.set_prepared_statement_cache_size(CacheSize::Disabled);
            }
            if let Some(threshold) = options.log_slow_queries {
                connection.set_instrumentation(SlowQueries::new(self.settings.key, threshold));
            }
            Ok(connection)
        };
        match timeout(limit, ready).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::TimedOut { after: limit }),
        }
    }

    fn could_not_connect(&self, error: ConnectError) -> AcquireError {
        if matches!(error, ConnectError::TimedOut { .. }) {
            self.stats.count_timed_out();
        }
        let source = Arc::new(error);
        self.stats.record_error(&source);
        AcquireError::Connect { key: self.settings.key, url: self.settings.url.to_string(), source }
    }

    /// `max_lifetime`, less a random part of at most 2.5 %, so that connections that were opened
    /// together do not all expire at once (HikariCP's rule).
    pub(super) fn lifetime(&self) -> Option<Duration> {
        let lifetime = self.settings.options.max_lifetime?;
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u8);
        let share = 0.025 * (random as f64 / u64::MAX as f64);
        Some(lifetime.mul_f64(1.0 - share))
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

    pub(super) fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    fn closed_error(&self) -> AcquireError {
        AcquireError::Closed { key: self.settings.key }
    }

    async fn all_returned(&self) {
        loop {
            let returned = self.returned.notified();
            tokio::pin!(returned);
            // Registered before the look, so that a return in between is not missed.
            returned.as_mut().enable();
            if self.lent() == 0 {
                return;
            }
            returned.await;
        }
    }

    fn lent(&self) -> u32 {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        self.settings.options.max_connections.saturating_sub(free)
    }
}

/// Runs statements one after another.
pub(super) async fn run_each<C: Backend>(
    connection: &mut C,
    statements: &[String],
) -> Result<(), ConnectError> {
    for statement in statements {
        connection.batch_execute(statement).await.map_err(|error| ConnectError::Setup {
            statement: statement.clone(),
            source: error.into(),
        })?;
    }
    Ok(())
}

impl<C: Backend> AnyEngine for Core<C> {
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
            let runtime = Handle::current();
            let mut loan = match self.try_lend(&runtime)? {
                Attempt::Ready(loan) => loan,
                Attempt::Held(held) => Arc::clone(&self).lend(Some(held), within).await?,
                Attempt::Wait => Arc::clone(&self).lend(None, within).await?,
            };
            let limit = self.settings.options.check_timeout;
            match timeout(limit, loan.connection_mut().batch_execute(CHECK)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    loan.discard();
                    Err(CheckFailure::Check(error.into()))
                }
                Err(_) => {
                    loan.discard();
                    Err(CheckFailure::Check(Box::new(ConnectError::TimedOut { after: limit })))
                }
            }
        })
    }

    fn begin_close(&self) {
        self.permits.close();
        self.maintenance.notify_one();
        self.pool.retain(|_| false);
    }

    fn all_returned(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { Core::all_returned(&self).await })
    }

    fn lent(&self) -> u32 {
        Core::lent(self)
    }
}

impl<C: Backend> Drop for Core<C> {
    fn drop(&mut self) {
        self.maintenance.notify_one();
    }
}
