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
use super::run::{ChangeTask, Subject, make_change, read_status, too_late};
use super::source::SharedSource;
use super::status::MigrationStatus;
use super::{Change, DieselBackend};
use crate::backend::migrate;
use crate::bind::{self, Bind};
use crate::engine::{WriteRequest, wait_until};
use crate::registry::handle::Registry;
use crate::registry::route::Route;
use crate::registry::tenants::Tenant;

/// The migrations of a bind, and what can be done with them, see [`Registry::migrations`].
///
/// It is cheap to clone, and has no connection. Each method opens one for itself, outside of the pool. The methods that read
/// ([`status`](Self::status), [`pending`](Self::pending), [`plan`](Self::plan)) change no table, take no lock and do not wait
/// for the migrations of another process. Those that change ([`run`](Self::run), [`run_to`](Self::run_to),
/// [`revert`](Self::revert), [`redo`](Self::redo)) take the lock for migrations, as [`Registry::migrate`] does.
///
/// ```
/// use registry_core::migrations::{MigrationSet, RustMigration};
/// use registry_core::{Registry, Sqlite, binds};
///
/// binds! { pub Analytics: Sqlite = "analytics"; }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// // Mostly, the source is `EmbeddedMigrations` of `diesel_migrations`.
/// let source = MigrationSet::<Sqlite>::new()
///     .and(RustMigration::<Sqlite>::new("20260101000000_first", |_| Ok(())).down(|_| Ok(())))
///     .and(RustMigration::<Sqlite>::new("20260201000000_second", |_| Ok(())).down(|_| Ok(())));
/// let migrations = registry.migrations::<Analytics>(source);
///
/// assert_eq!(migrations.pending().await?, ["20260101000000_first", "20260201000000_second"]);
/// migrations.run_to("20260101000000").await?;
/// migrations.run().await?;
/// println!("{}", migrations.status().await?); // a table
/// assert_eq!(migrations.revert(1).await?.reverted, ["20260201000000_second"]);
/// # Ok(())
/// # }
/// ```
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

    /// With the place in the program that is named to writers which wait.
    pub(super) fn given_at(self, place: &'static Location<'static>) -> Self {
        Self { place, ..self }
    }

    pub(super) fn with_options(self, options: MigrateOptions) -> Self {
        Self { options, ..self }
    }

    /// Limits how long a statement of a migration waits for a lock of another session: `lock_timeout` of PostgreSQL,
    /// `lock_wait_timeout` and `innodb_lock_wait_timeout` of MySQL and MariaDB (rounded up to whole seconds),
    /// `busy_timeout` of SQLite. By default, the session's own setting applies, which is no limit on PostgreSQL, a day on
    /// MariaDB, and a year on MySQL.
    ///
    /// On PostgreSQL, a statement such as `ALTER TABLE` waits until all transactions that have used the table are over, and
    /// everyone who comes after it waits behind it, those that only read the table as well. With a limit of a few seconds,
    /// the others wait for that long at most, and the migration is tried again later: see
    /// [`lock_retries`](Self::lock_retries).
    ///
    /// A migration can set another limit for itself.
    #[must_use]
    pub fn lock_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.options.lock_timeout = limit.into();
        self
    }

    /// How often a migration is tried again that could not get a lock. The default is 10 with a
    /// [`lock_timeout`](Self::lock_timeout), and else 0.
    ///
    /// A migration is tried again only if the server has said that it failed for a lock, and nothing of it has stayed. So it
    /// is not tried again if it does not run in a transaction, nor, on MySQL and MariaDB, if a statement that commits was
    /// run before the one that waited. Through a Unix socket, PostgreSQL's answer is not known, so no migration is tried
    /// again there. Deadlocks on PostgreSQL count as well.
    ///
    /// The pause before the first repetition is 50 to 100 ms long, and each is twice as long as the one before, up to 10 s.
    /// Meanwhile, the migration has no transaction open, and keeps the lock for migrations. The error says how often it was
    /// tried.
    #[must_use]
    pub fn lock_retries(mut self, retries: u32) -> Self {
        self.options.lock_retries = Some(retries);
        self
    }

    /// Limits how long a change takes as a whole, with the waiting for its connection and for the lock for migrations. No
    /// limit by default.
    ///
    /// When it is reached, the running statement is cancelled on the server, and its migration rolled back, as far as the
    /// backend can ([`MigrateError::TimeLimit`] says whether a part may stay). Migrations that were run before stay. SQLite
    /// cannot cancel a statement: there, the migration that is running runs to its end and stays, and so it does where a
    /// migration in Rust runs no statement. Migrations after it are not begun.
    #[must_use]
    pub fn time_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.options.time_limit = limit.into();
        self
    }

    /// Which migrations were run, which are pending, and which are unknown to the program.
    ///
    /// It creates no table, and no file on SQLite: a database that does not exist yet has no migrations. It waits for a
    /// connection, for `acquire_timeout` at most, and can be dropped. With a [pooler](crate::Pooler) and without
    /// `migrate_url`, it goes through the pooler.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key; [`MigrateError::VersionTaken`] if the database has run a version of the program
    /// as another migration.
    pub async fn status(&self) -> Result<MigrationStatus, MigrateError> {
        self.read(|status, _| status).await
    }

    /// The names of the pending migrations, in the order in which they will be run. It waits as [`status`](Self::status)
    /// does.
    ///
    /// # Errors
    ///
    /// As of [`status`](Self::status).
    pub async fn pending(&self) -> Result<Vec<String>, MigrateError> {
        let status = self.status().await?;
        Ok(status.pending().filter_map(|migration| migration.name.clone()).collect())
    }

    /// The pending migrations with their SQL, which is run nowhere. It waits as [`status`](Self::status) does.
    ///
    /// The SQL is known of the migrations of `EmbeddedMigrations` and `FileBasedMigrations`, also in a
    /// [`MigrationSet`](super::MigrationSet). The code of other migrations, in Rust or of a type of the program's own, is
    /// not called, because it may do something else than running SQL.
    ///
    /// # Errors
    ///
    /// As of [`status`](Self::status).
    pub async fn plan(&self) -> Result<MigrationPlan, MigrateError> {
        self.read(plan::<B>).await
    }

    /// Runs the pending migrations, in order. [`Registry::migrate`] says on which connection, what it waits for, and what the
    /// report relies on.
    ///
    /// Once the migrations have begun, dropping the future does not stop them. That is so for all changes.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key and, if a migration failed, its name.
    pub async fn run(&self) -> Result<MigrateReport, MigrateError> {
        self.change(Change::Run).await
    }

    /// Runs the pending migrations up to this one and with it. It is named by its version, with or without `-`, or by its
    /// full name. If it was run before, migrations before it that are pending still are run. It reverts nothing.
    ///
    /// # Errors
    ///
    /// [`MigrateError::UnknownVersion`] if the program has no such migration: then nothing is run. And as of
    /// [`run`](Self::run).
    pub async fn run_to(&self, version: &str) -> Result<MigrateReport, MigrateError> {
        self.change(Change::RunTo(version.to_owned())).await
    }

    /// Reverts the last `n` migrations that were run on this database, the one of the highest version first. If there are
    /// fewer, it reverts all of them. On a database that several binds share, those of other binds do not count.
    ///
    /// # Errors
    ///
    /// Before anything is reverted: [`MigrateError::NotInProgram`] if the program does not have one of them,
    /// [`MigrateError::Irreversible`] if one of them has no `down.sql`, [`MigrateError::OfAnotherBind`] if another bind has
    /// run it. [`MigrateError::Revert`] if one of them fails.
    pub async fn revert(&self, n: usize) -> Result<MigrateReport, MigrateError> {
        self.change(Change::Revert(n)).await
    }

    /// Reverts the last migration that was run, and runs it again, under one lock. It does nothing if none was run.
    ///
    /// # Errors
    ///
    /// As of [`revert`](Self::revert), and [`MigrateError::Migration`] if it cannot be run again: then it is pending.
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
        let task =
            ChangeTask::new(self.subject(), self.source.clone(), change, self.options.clone());
        let connecting = connect::<B>(&self.registry, self.route(), Purpose::Change);
        let connected = wait_until(task.end, connecting).await;
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
            options: self.options.clone(),
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
