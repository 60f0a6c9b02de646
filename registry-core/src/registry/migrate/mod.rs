//! Running migrations.
//!
//! This file has [`Registry::migrate`], from a bind to a connection. `connection` has the connection, `run` the run on
//! it, `files` the handling of too few file descriptors, and `report` and `error` the outcome. The code of each backend
//! for a single migration is in `backend::migrate`.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use diesel::migration::MigrationSource;
use diesel_async::AsyncConnectionCore;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::handle::Registry;
use super::route::Route;
use super::tenants::Tenant;
use crate::bind::Bind;
use crate::engine::{AcquireError, AnyEngine, WriteRequest};
use crate::settings::Pooler;

mod connection;
mod error;
mod files;
mod report;
mod run;

pub(super) use connection::MigrationConnection;
pub use error::MigrateError;
pub use report::MigrateReport;
pub(super) use run::{check_versions, run_migrations};

/// The backend type of Diesel for the bind `B`.
pub(super) type DieselBackend<B> = <<B as Bind>::Connection as AsyncConnectionCore>::Backend;

impl Registry {
    /// Runs the pending migrations of the bind `B`, in order, and returns their names.
    ///
    /// They run on a connection outside of the pool, without `statement_timeout` and `read_only`. It goes to the
    /// `migrate_url` if the bind has one; with a [pooler](crate::Pooler), the bind must have one. The migrations run
    /// under a lock that keeps other processes from migrating the same database meanwhile: an advisory lock of
    /// PostgreSQL, `GET_LOCK` of MySQL and MariaDB, a locked file beside a SQLite database (`app.db-migrate.lock`,
    /// which stays).
    ///
    /// It waits for that lock, then on SQLite for its turn among the writers of this process, for `acquire_timeout` at
    /// most, and works on every kind of Tokio runtime. Once the migrations have begun, dropping the
    /// future does not stop them: they run to their end in a thread.
    ///
    /// ```
    /// # use diesel::migration::{Migration, MigrationSource};
    /// # struct AnalyticsMigrations;
    /// # impl MigrationSource<diesel::sqlite::Sqlite> for AnalyticsMigrations {
    /// #     fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>>> {
    /// #         Ok(Vec::new())
    /// #     }
    /// # }
    /// # const MIGRATIONS: AnalyticsMigrations = AnalyticsMigrations;
    /// use registry_core::{Registry, binds};
    ///
    /// binds! { pub Analytics: Sqlite = "analytics"; }
    /// // const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/analytics");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let report = registry.migrate::<Analytics>(MIGRATIONS).await?;
    /// println!("{report}"); // bind `analytics`: migrations run now: 2, before: 5
    /// # assert_eq!(report.skipped, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # What the report relies on
    ///
    /// - The version of a migration is the part before the first `_` in its name, without `-`. Two migrations with the
    ///   same version in `migrations` are refused before anything runs. So is a version that this database has run
    ///   under another name, for this bind or for another bind that shares the database. Diesel's table has no names,
    ///   so a second table, `__registry_schema_migrations`, stores them. A version that Diesel's own tool has run gets
    ///   the name of the migration that has this version when it is first seen here. Do not rename a migration that was
    ///   run. If it was renamed, restore its name, or give it a new version.
    /// - After each migration, a transaction that the migration left open is rolled back, and the database is asked
    ///   whether the version is stored.
    /// - A migration that ends the transaction that it runs in with a `ROLLBACK` of its own counts as failed, because
    ///   its changes are undone. With a `COMMIT` of its own it counts as run, and its later statements are not in a
    ///   transaction. Transactions that a migration begins itself are not restricted.
    /// - Settings that a migration changes in its session (`search_path`, `foreign_key_checks`, `PRAGMA query_only`)
    ///   are restored for the next migration and for the table of versions. That covers all variables of MySQL and
    ///   MariaDB; on PostgreSQL the role and the settings (an application's own settings, such as `app.name`, only if
    ///   `on_connect` names them); on SQLite also `case_sensitive_like`, attached databases, and temporary tables. On
    ///   other backends, temporary tables and user variables (`@x`) remain for the next migration.
    /// - On SQLite, migrations run with foreign keys off, because rebuilding a table would otherwise delete the rows
    ///   that refer to it (<https://www.sqlite.org/lang_altertable.html#otheralter>). So no `ON DELETE` takes effect in
    ///   them. If more rows of a table refer to a missing row of another after a migration than before it, that is an
    ///   error that names one such row, and the migration is rolled back. Rows are counted, because they have no stable
    ///   identity: a migration that repairs one such row and breaks another in the same two tables is not noticed. If
    ///   it renames one of the tables, old broken rows count as new. A key that SQLite cannot read ("foreign key
    ///   mismatch") is an error if the migration introduced it. Outside of migrations, foreign keys are enforced as
    ///   ever. A bind whose `on_connect` turns them off is not checked.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key and, if a migration failed, its name. The migrations before it stay applied.
    #[track_caller]
    pub fn migrate<B: Bind>(
        &self,
        migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
    ) -> impl Future<Output = Result<MigrateReport, MigrateError>> + Send {
        self.migrate_along::<B>(Route::Bind, migrations, Location::caller())
    }

    /// Runs the pending migrations on the engine of `route`.
    pub(super) async fn migrate_along<B: Bind>(
        &self,
        route: Route<'_>,
        migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
        place: &'static Location<'static>,
    ) -> Result<MigrateReport, MigrateError> {
        let key = route.bind_key::<B>();
        let Ok(runtime) = Handle::try_current() else {
            return Err(MigrateError::NoRuntime { key });
        };
        let started = Instant::now();
        // Repeated whenever the operating system's resources ran out and an unused engine was evicted to free some.
        let (engine, connection) = loop {
            let found = route.open::<B>(self, started, None).await.map_err(not_found)?;
            let engine = Arc::clone(found.engine.engine());
            let settings = engine.settings();
            if settings.is_isolated {
                return Err(MigrateError::Isolated { key });
            }
            if settings.options.pooler != Pooler::None && settings.migrate_url.is_none() {
                return Err(MigrateError::Pooler { key });
            }
            match MigrationConnection::open(found.engine, found.schema.as_deref()).await {
                Err(error) if error.lacks_resources() => {
                    let limit = settings.options.acquire_timeout;
                    drop(engine);
                    if !self.free_resources(started, limit).await {
                        return Err(route.error_for_caller::<B>(error).into());
                    }
                }
                opened => break (engine, opened.map_err(|e| route.error_for_caller::<B>(e))?),
            }
        };
        let Some(connection) = connection else {
            return Err(route.unknown_tenant::<B>().into());
        };
        let write = Some(WriteRequest { unit: None, place });
        run_migrations(self, runtime, engine, connection, migrations, write).await
    }
}

impl Tenant {
    /// Runs the pending migrations of the bind `B` in the tenant's database, or in its schema, and returns their names.
    /// It waits, and can be dropped, like [`Registry::migrate`].
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key and, if a migration failed, its name.
    ///
    /// ```standalone_crate
    /// # use diesel::migration::{Migration, MigrationSource};
    /// # struct Crm;
    /// # impl MigrationSource<diesel::sqlite::Sqlite> for Crm {
    /// #     fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>>> {
    /// #         Ok(Vec::new())
    /// #     }
    /// # }
    /// # const MIGRATIONS: Crm = Crm;
    /// use registry_core::{Registry, binds};
    ///
    /// binds! { pub Invoices: Sqlite = "crm"; }
    /// // const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/crm");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let url = format!("sqlite://{}/{{tenant}}.db", folder.path().display());
    /// # std::fs::write(folder.path().join("acme.db"), "").unwrap();
    /// # std::fs::write(folder.path().join("globex.db"), "").unwrap();
    /// // url = "sqlite:///srv/tenants/{tenant}.db"
    /// let registry = Registry::builder().bind("crm", url).build()?;
    /// for name in ["acme", "globex"] {
    ///     let report = registry.tenant(name)?.migrate::<Invoices>(MIGRATIONS).await?;
    ///     println!("{name}: {report}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn migrate<B: Bind>(
        &self,
        migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
    ) -> impl Future<Output = Result<MigrateReport, MigrateError>> + Send {
        self.registry().migrate_along::<B>(Route::Tenant(self), migrations, Location::caller())
    }
}

/// Why no engine for the migrations could be acquired.
fn not_found(error: AcquireError) -> MigrateError {
    match error {
        AcquireError::UnknownBind(error) => MigrateError::UnknownBind(error),
        AcquireError::WrongBackend(error) => MigrateError::WrongBackend(error),
        AcquireError::NoTenant { key } => MigrateError::NoTenant { key },
        error => MigrateError::Acquire(error),
    }
}
