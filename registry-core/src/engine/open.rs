//! Opening an engine from its settings, and [`AnyEngine`] for each connection type.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::check::CHECK;
use super::checked_migrations::CheckedMigrations;
use super::engine_use::EngineUse;
use super::error::AcquireError;
use super::handle::{AnyEngine, CheckFailure, IdleHoldings};
use super::observe::status::{EngineStatus, LastError};
use super::observe::watch::{CheckoutPurpose, ConnectionWatch};
use super::reading::ReplicaCheck;
use super::typed::TypedEngine;
use super::use_count::{EngineOwner, UseCount};
use crate::attribution::own;
use crate::backend::position::Position;
use crate::backend::{Backend, ConnectError};
use crate::settings::{BackendKind, EngineSettings, Role};

/// Opens the engine of these settings. The engine connects at its first use. `owner` is set if the engine is opened on
/// demand.
pub(crate) fn open(
    settings: Arc<EngineSettings>,
    owner: Option<Weak<dyn EngineOwner>>,
) -> Arc<dyn AnyEngine> {
    match settings.url.backend() {
        #[cfg(feature = "postgres")]
        BackendKind::Postgres => open_typed::<crate::backend::Postgres>(settings, owner),
        #[cfg(feature = "mysql")]
        BackendKind::Mysql => open_typed::<crate::backend::Mysql>(settings, owner),
        #[cfg(feature = "sqlite")]
        BackendKind::Sqlite => open_typed::<crate::backend::Sqlite>(settings, owner),
        #[cfg(not(all(feature = "postgres", feature = "mysql", feature = "sqlite")))]
        off => unreachable!("the settings refuse {off}, whose feature is off"),
    }
}

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
fn open_typed<C: Backend>(
    settings: Arc<EngineSettings>,
    owner: Option<Weak<dyn EngineOwner>>,
) -> Arc<dyn AnyEngine> {
    let tenant = settings.tenant.clone();
    let mut engine = TypedEngine::<C>::new(settings, owner);
    engine.stats.set_tenant(tenant);
    Arc::new(engine)
}

impl<C: Backend> AnyEngine for TypedEngine<C> {
    fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    fn status(&self) -> EngineStatus {
        let counts = self.pool.counts();
        let acquires = self.stats.acquire_counts();
        EngineStatus {
            key: self.settings.key,
            url: self.settings.url.clone(),
            backend: C::KIND,
            in_use: counts.in_use,
            idle: counts.idle,
            max: self.settings.options.max_connections,
            waiting: acquires.waiting.saturating_add(self.waiting_writers()),
            direct: acquires.direct,
            waited: acquires.waited,
            timed_out: acquires.timed_out,
            last_error: self
                .stats
                .last_connect_failure()
                .map(|last| LastError::new(&last.error, last.at)),
            reads: self.read_status(),
            replicas: self.replica_status(),
            since_last: None,
            opened: self.stats.opened,
        }
    }

    fn check(
        self: Arc<Self>,
        wait_limit: Option<Duration>,
    ) -> BoxFuture<'static, Result<(), CheckFailure>> {
        Box::pin(async move {
            let Ok(runtime) = Handle::try_current() else {
                return Err(AcquireError::NoRuntime { key: self.settings.key }.into());
            };
            let limit = self.settings.options.check_timeout;
            let attempt =
                Self::try_acquire(EngineUse::new(Arc::clone(&self)), &runtime, None, None)?;
            let mut checkout = Self::acquire(attempt, Instant::now(), wait_limit, None).await?;
            match timeout(limit, own(checkout.connection_mut().batch_execute(CHECK))).await {
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

    fn ask_position(
        self: Arc<Self>,
        wait_limit: Option<Duration>,
    ) -> BoxFuture<'static, Result<Option<Position>, CheckFailure>> {
        Box::pin(async move {
            let Ok(runtime) = Handle::try_current() else {
                return Err(AcquireError::NoRuntime { key: self.settings.key }.into());
            };
            let limit = self.settings.options.check_timeout;
            let attempt =
                Self::try_acquire(EngineUse::new(Arc::clone(&self)), &runtime, None, None)?;
            let mut checkout = Self::acquire(attempt, Instant::now(), wait_limit, None).await?;
            let effects = checkout.session_effects();
            let answer = timeout(limit, own(checkout.connection_mut().server_state())).await;
            checkout.restore_session_effects(effects);
            match answer {
                Ok(Ok(state)) if state.role == Some(Role::Replica) => Ok(None),
                Ok(Ok(state)) => Ok(state.position),
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

    fn check_replicas(
        self: Arc<Self>,
        limit: Option<Duration>,
    ) -> BoxFuture<'static, Vec<ReplicaCheck>> {
        self.examine_replicas(limit)
    }

    fn copy_to(self: Arc<Self>, file: &Path) -> BoxFuture<'static, Result<(), CheckFailure>> {
        let copy = format!("VACUUM INTO '{}'", file.display().to_string().replace('\'', "''"));
        Box::pin(async move {
            let Ok(runtime) = Handle::try_current() else {
                return Err(AcquireError::NoRuntime { key: self.settings.key }.into());
            };
            let attempt =
                Self::try_acquire(EngineUse::new(Arc::clone(&self)), &runtime, None, None)?;
            let mut checkout = Self::acquire(attempt, Instant::now(), None, None).await?;
            let read_only = self.settings.options.read_only;
            if read_only {
                // The connection is closed afterwards, because it is writable for a moment.
                checkout.discard();
            }
            let connection = checkout.connection_mut();
            let copied = async {
                if !read_only {
                    return connection.batch_execute(&copy).await;
                }
                // SQLite refuses `VACUUM INTO` on a `query_only` connection, though it writes nothing into the original.
                connection.leave_work().await?;
                connection.batch_execute(&copy).await?;
                connection.enter_work(true).await.map(drop)
            };
            copied.await.map_err(|error| CheckFailure::Check(error.into()))
        })
    }

    fn begin_close(&self) {
        TypedEngine::begin_close(self);
    }

    fn all_returned(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // Those for reads are closed by now, so no other one comes.
            let for_reads = self.engines_for_reads();
            for engine in [&self].into_iter().chain(&for_reads) {
                TypedEngine::all_returned(engine).await;
                engine.all_streams_closed().await;
            }
            C::wait_until_closed(&self.settings.url).await;
        })
    }

    fn checkout_count(&self) -> u32 {
        let for_reads = self.engines_for_reads();
        let for_reads: u32 =
            for_reads.iter().map(|engine| TypedEngine::checkout_count(engine)).sum();
        TypedEngine::checkout_count(self) + for_reads
    }

    fn use_count(&self) -> &UseCount {
        &self.use_count
    }

    fn note_hit(&self) {
        self.stats.meters().note_hit();
    }

    fn checked_migrations(&self) -> &CheckedMigrations {
        &self.checked_migrations
    }

    fn idle_holdings_of_caller(&self) -> IdleHoldings {
        let mut statements = 0;
        let mut is_idle = |watch: &ConnectionWatch| {
            let is_idle = watch.purpose() != CheckoutPurpose::Query
                && !watch.is_cut_short()
                && !watch.observed.stream.is_in_flight();
            statements += if is_idle { watch.statement_count() } else { 0 };
            is_idle
        };
        // An acquire that the task is polling is not counted: it ends when the engine is closed.
        let mut sessions = self.holders.count_of_caller(&mut is_idle);
        sessions += self.holders.count_filling_of_caller();
        for engine in self.engines_for_reads() {
            sessions += engine.holders.count_of_caller(&mut is_idle);
            sessions += engine.holders.count_filling_of_caller();
        }
        IdleHoldings { sessions, statements }
    }

    fn has_unit_of_work_of_caller(&self) -> bool {
        self.holders.count_of_caller(|watch| watch.purpose() == CheckoutPurpose::UnitOfWork) > 0
    }

    fn runs_work_statement(&self, task: u64) -> bool {
        let is_at_statement = |watch: &ConnectionWatch| {
            watch.purpose() == CheckoutPurpose::UnitOfWork
                && (watch.is_cut_short() || watch.observed.stream.is_in_flight())
        };
        self.holders.count_of(task, is_at_statement) > 0
    }

    fn is_held_by_caller(&self) -> bool {
        let is_kept = |watch: &ConnectionWatch| {
            matches!(watch.purpose(), CheckoutPurpose::Session | CheckoutPurpose::UnitOfWork)
        };
        self.holders.count_of_caller(is_kept) > 0
    }
}
