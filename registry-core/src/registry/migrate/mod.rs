//! Running migrations.
//!
//! The code of each backend for a single migration is in `backend::migrate`.
//!
//! | file | contents |
//! |---|---|
//! | `mod` | [`Registry::migrate`] and [`Registry::migrations`], and both of a tenant |
//! | `migrations` | [`Migrations`]: what can be done with the migrations of a bind |
//! | `known` | [`KnownMigrations`]: the same for callers that do not know the type of the bind |
//! | `on_engine` | the same on an engine that is open already |
//! | `source`, `set`, `rust`, `options` | the inputs: the migrations of the program, in SQL and in Rust, and how a change waits |
//! | `connection` | from a bind to the connection that migrations run on |
//! | `run` | a change on that connection, under the lock, in a thread where it may block |
//! | `files` | too few file descriptors |
//! | `report`, `status`, `plan`, `error` | the outcomes |

use std::future::Future;

use diesel::migration::MigrationSource;
use diesel_async::AsyncConnectionCore;

use super::handle::Registry;
use super::tenants::Tenant;
use crate::bind::Bind;

mod connection;
mod error;
mod files;
mod known;
mod migrations;
mod on_engine;
mod options;
mod plan;
mod report;
mod run;
mod rust;
mod set;
mod source;
mod status;

pub(crate) use crate::backend::migrate::Change;
pub(super) use connection::{MigrationConnection, Purpose, connect};
pub use error::MigrateError;
pub(crate) use error::logged;
pub(crate) use known::{KnownMigrations, MigrationsDigest, known};
pub use migrations::Migrations;
pub(super) use on_engine::OpenDatabase;
pub(crate) use options::MigrateOptions;
pub use plan::{MigrationPlan, PlannedMigration};
pub use report::MigrateReport;
pub(super) use run::{panicked, run_migrations};
pub use rust::{BlockingConnection, RustMigration};
pub use set::MigrationSet;
pub(crate) use source::SharedSource;
pub use status::{MigrationEntry, MigrationState, MigrationStatus};

/// The backend type of Diesel for the bind `B`.
pub(crate) type DieselBackend<B> = <<B as Bind>::Connection as AsyncConnectionCore>::Backend;

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
        let migrations = self.migrations::<B>(migrations);
        async move { migrations.run().await }
    }

    /// The migrations of the bind `B`: their state in its database, and what changes it.
    ///
    /// It connects to nothing by itself. Each method of [`Migrations`] lists `migrations` anew.
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
    /// use std::time::Duration;
    ///
    /// use registry_core::{Registry, binds};
    ///
    /// binds! { pub Analytics: Sqlite = "analytics"; }
    /// // const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/analytics");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let migrations = registry.migrations::<Analytics>(MIGRATIONS);
    /// println!("{}", migrations.plan().await?); // the SQL of what is pending
    /// let report = migrations.lock_timeout(Duration::from_secs(5)).run().await?;
    /// println!("{report}");
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn migrations<B: Bind>(
        &self,
        migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
    ) -> Migrations<B> {
        Migrations::new(self.clone(), None, SharedSource::new(migrations))
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
        let migrations = self.migrations::<B>(migrations);
        async move { migrations.run().await }
    }

    /// The migrations of the bind `B`: their state in the tenant's database, or in its schema, and what changes it, see
    /// [`Registry::migrations`].
    ///
    /// ```
    /// use registry_core::migrations::MigrationSet;
    /// use registry_core::{Registry, Sqlite, binds};
    ///
    /// binds! { Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite://{}/{{tenant}}.db", folder.path().display());
    /// # std::fs::write(folder.path().join("acme.db"), "")?;
    /// // url = "sqlite:///srv/tenants/{tenant}.db"
    /// let registry = Registry::builder().bind("analytics", url).build()?;
    /// let migrations = registry.tenant("acme")?.migrations::<Analytics>(MigrationSet::<Sqlite>::new());
    /// let status = migrations.status().await?;
    /// assert_eq!(status.to_string(), "bind `analytics`, tenant `acme`: no migrations");
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn migrations<B: Bind>(
        &self,
        migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
    ) -> Migrations<B> {
        Migrations::new(self.registry().clone(), Some(self.clone()), SharedSource::new(migrations))
    }
}
