//! What can be done with the migrations of a bind.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use tokio::runtime::Handle;

use super::connection::{Purpose, connect};
use super::error::MigrateError;
use super::options::MigrateOptions;
use super::plan::{MigrationPlan, PlannedMigration};
use super::report::MigrateReport;
use super::run::{ChangeTask, Subject, make_change, read_status, too_late, until};
use super::source::SharedSource;
use super::status::MigrationStatus;
use super::{Change, DieselBackend};
use crate::backend::migrate;
use crate::bind::{self, Bind};
use crate::engine::WriteRequest;
use crate::registry::handle::Registry;
use crate::registry::route::Route;
use crate::registry::tenants::Tenant;

/// The migrations of a bind, and what can be done with them, see [`Registry::migrations`].
///
/// It is cheap to clone, and has no connection. Each method opens one for itself, outside of the pool.
pub struct Migrations<B: Bind> {
    registry: Registry,
    tenant: Option<Tenant>,
    source: SharedSource<B::Connection>,
    options: MigrateOptions,
    place: &'static Location<'static>,
}

impl<B: Bind> Migrations<B> {
    #[track_caller]
    pub(super) fn new(
        registry: Registry,
        tenant: Option<Tenant>,
        source: SharedSource<B::Connection>,
    ) -> Self {
        let place = Location::caller();
        Self { registry, tenant, source, options: MigrateOptions::default(), place }
    }

    pub(super) fn with_options(self, options: MigrateOptions) -> Self {
        Self { options, ..self }
    }

    /// Limits how long a statement of a migration waits for a lock. None by default.
    #[must_use]
    pub fn lock_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.options.lock_timeout = limit.into();
        self
    }

    /// How often a migration is run again that has waited for a lock for the
    /// [`lock_timeout`](Self::lock_timeout).
    #[must_use]
    pub fn lock_retries(mut self, retries: u32) -> Self {
        self.options.lock_retries = Some(retries);
        self
    }

    /// Limits how long a change takes as a whole. None by default.
    #[must_use]
    pub fn time_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.options.time_limit = limit.into();
        self
    }

    /// Which migrations were run, and which are pending. It writes nothing, and takes no lock.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key.
    pub async fn status(&self) -> Result<MigrationStatus, MigrateError> {
        self.read(|status, _| status).await
    }

    /// The names of the pending migrations, in the order in which they will be run. It writes nothing, and takes no lock.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key.
    pub async fn pending(&self) -> Result<Vec<String>, MigrateError> {
        let status = self.status().await?;
        Ok(status.pending().filter_map(|migration| migration.name.clone()).collect())
    }

    /// The pending migrations with their SQL. It is run nowhere, writes nothing, and takes no lock.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key.
    pub async fn plan(&self) -> Result<MigrationPlan, MigrateError> {
        self.read(plan::<B>).await
    }

    /// Runs the pending migrations, see [`Registry::migrate`].
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key and, if a migration failed, its name.
    pub async fn run(&self) -> Result<MigrateReport, MigrateError> {
        self.change(Change::Run).await
    }

    /// Runs the pending migrations up to this one and with it.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key and, if a migration failed, its name.
    pub async fn run_to(&self, version: &str) -> Result<MigrateReport, MigrateError> {
        self.change(Change::RunTo(version.to_owned())).await
    }

    /// Reverts the last `n` migrations that were run, the newest first.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key and, if a migration failed, its name.
    pub async fn revert(&self, n: usize) -> Result<MigrateReport, MigrateError> {
        self.change(Change::Revert(n)).await
    }

    /// Reverts the last migration that was run, and runs it again.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key and, if a migration failed, its name.
    pub async fn redo(&self) -> Result<MigrateReport, MigrateError> {
        self.change(Change::Redo).await
    }

    fn route(&self) -> Route<'_> {
        match &self.tenant {
            Some(tenant) => Route::Tenant(tenant),
            None => Route::Bind,
        }
    }

    fn subject(&self) -> Subject {
        let tenant = self.tenant.as_ref().map(|tenant| tenant.name().to_owned());
        Subject { key: bind::key_of::<B>(), tenant }
    }

    fn runtime(&self) -> Result<Handle, MigrateError> {
        Handle::try_current().map_err(|_| MigrateError::NoRuntime { key: bind::key_of::<B>() })
    }

    async fn read<R: Send + 'static>(
        &self,
        read: impl FnOnce(MigrationStatus, &migrate::Migrations<DieselBackend<B>>) -> R + Send + 'static,
    ) -> Result<R, MigrateError> {
        let runtime = self.runtime()?;
        let (engine, connection) =
            connect::<B>(&self.registry, self.route(), Purpose::Read).await?;
        let (source, subject) = (self.source.clone(), self.subject());
        read_status(&self.registry, runtime, engine, connection, source, subject, read).await
    }

    pub(super) async fn change(&self, change: Change) -> Result<MigrateReport, MigrateError> {
        let runtime = self.runtime()?;
        let task = ChangeTask::new(self.subject(), self.source.clone(), change, self.options);
        let connecting = connect::<B>(&self.registry, self.route(), Purpose::Change);
        let connected = until(task.end, connecting).await;
        let (engine, connection) =
            connected.map_err(|_| too_late(task.subject.key, &self.options))??;
        let write = Some(WriteRequest { unit: None, place: self.place });
        make_change(&self.registry, runtime, engine, connection, task, write).await
    }
}

fn plan<B: Bind>(
    status: MigrationStatus,
    migrations: &migrate::Migrations<DieselBackend<B>>,
) -> MigrationPlan {
    let is_pending = |version: &str| status.pending().any(|pending| pending.version == version);
    let planned = migrations
        .iter()
        .filter(|migration| is_pending(&migration.name().version().to_string()))
        .map(|migration| PlannedMigration::of(&**migration))
        .collect();
    MigrationPlan { key: status.key, tenant: status.tenant, migrations: planned }
}

impl<B: Bind> Clone for Migrations<B> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            tenant: self.tenant.clone(),
            source: self.source.clone(),
            options: self.options,
            place: self.place,
        }
    }
}

impl<B: Bind> fmt::Debug for Migrations<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrations")
            .field("bind", &bind::key_of::<B>())
            .field("tenant", &self.tenant)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
