//! Creating and dropping the databases, schemas and files of tenants.
//!
//! This file has [`Registry::create_tenant`] and [`Registry::drop_tenant`]. `operation` has the code that both share,
//! `placement` the place of a tenant's data, `database` the same two operations for the one database of a bind,
//! `administration` the connections for both, `file` the steps for a SQLite file, `namespace` the steps for a database
//! or schema on a server, and `error` the errors. The operations of a backend on a namespace are in
//! `backend::namespace`.

use diesel::migration::MigrationSource;

use crate::bind::Bind;
use crate::registry::handle::Registry;
use crate::registry::migrate::{DieselBackend, MigrateReport};

mod administration;
#[cfg(feature = "cli")]
mod database;
mod error;
mod file;
mod namespace;
mod operation;
mod placement;

#[cfg(feature = "cli")]
pub(crate) use database::DatabaseError;
pub use error::{CreateTenantError, DropTenantError};
use operation::TenantOperation;
use placement::{Placement, TenantLocation};

impl Registry {
    /// Creates the database, schema or SQLite file of a new tenant of the bind `B`, runs all of `migrations` in it, and
    /// returns the names of the migrations. No other call creates a tenant.
    ///
    /// All or nothing: if a migration fails or panics, or the connection breaks, nothing is left. It waits for other
    /// processes that create or drop the same tenant. If two processes create it at once, one succeeds, and the other
    /// gets [`CreateTenantError::Exists`]. Once it has begun, dropping the future does not stop it. If the bind has a
    /// [`TenantResolver`](crate::TenantResolver), it must know the new tenant already.
    ///
    /// - PostgreSQL, a database for each tenant: created from the database `postgres` (or `template1`) of the same
    ///   server, by a user that has `CREATEDB`, under a name of its own (`registry-creating-..`), and renamed when its
    ///   migrations have been run. Until then, the tenant is unknown.
    /// - PostgreSQL, a schema for each tenant: the schema has a comment until its migrations have been run. A caller
    ///   for the tenant meanwhile finds the unfinished schema. Migrations must grant the rights of other users on it.
    /// - MySQL and MariaDB: the database, with `utf8mb4`, has a table `__registry_unfinished` until its migrations have
    ///   been run. A caller for the tenant meanwhile finds the unfinished database.
    /// - SQLite: the file has a name that ends in `-creating`, beside its place, until its migrations have been run.
    ///   Until then, the tenant is unknown. The folder of a relative path is created. If a log (`-wal` or `-journal`)
    ///   of a database that does not exist any more is there, nothing is created, and the error names the log: SQLite
    ///   would apply its changes to the new database.
    ///
    /// The migrations run like those of [`migrate`](Self::migrate), at the `migrate_url`. If a process is killed
    /// meanwhile, the next call for the same tenant removes the unfinished database, and so does
    /// [`drop_tenant`](Self::drop_tenant). (A MySQL database on which the process was killed, or lost its connection,
    /// before it had that table counts as existing.)
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
    /// use registry_core::{AcquireError, CreateTenantError, Registry, binds};
    ///
    /// binds! { pub Invoices: Sqlite = "crm"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let url = format!("sqlite://{}/{{tenant}}.db", folder.path().display());
    /// // url = "sqlite:///srv/tenants/{tenant}.db"
    /// let registry = Registry::builder().bind("crm", url).build()?;
    /// let acme = registry.tenant("acme")?;
    /// let error = acme.session::<Invoices>().await.unwrap_err();
    /// assert!(matches!(error, AcquireError::UnknownTenant { .. }));
    ///
    /// registry.create_tenant::<Invoices>("acme", MIGRATIONS).await?;
    /// let session = acme.session::<Invoices>().await?;
    /// # drop(session);
    ///
    /// let again = registry.create_tenant::<Invoices>("acme", MIGRATIONS).await;
    /// assert!(matches!(again, Err(CreateTenantError::Exists { .. })));
    ///
    /// registry.drop_tenant::<Invoices>("acme", "acme").await?;
    /// assert!(acme.session::<Invoices>().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CreateTenantError`]. In this case nothing was created, except perhaps for [`CreateTenantError::NotUndone`].
    pub async fn create_tenant<B: Bind>(
        &self,
        name: &str,
        migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
    ) -> Result<MigrateReport, CreateTenantError> {
        let operation = TenantOperation::<B>::new(self, name)?;
        let key = operation.key;
        let created = operation.runtime.clone().spawn(async move {
            let Placement { settings, location } = operation.placement().await?;
            let tenant = operation.tenant.name();
            let created = match location {
                TenantLocation::SqliteFile => file::create(&operation, settings, migrations).await,
                TenantLocation::Namespace(namespace) => {
                    namespace::create(&operation, settings, namespace, migrations).await
                }
            };
            operation.forget_checked_migrations();
            if created.is_ok() {
                tracing::info!(target: "registry", bind = %operation.key, tenant, "a tenant was created");
            }
            created
        });
        // The task does not panic, so it can only have ended early because its runtime ended.
        created.await.unwrap_or(Err(CreateTenantError::Interrupted { key }))
    }

    /// Drops the database, schema or SQLite file of a tenant of the bind `B`, with everything in it. The name is given
    /// twice, because the data cannot be restored. [`create_tenant`](Self::create_tenant) has an example.
    ///
    /// The tenant's engine is closed first, and the call waits for its lent sessions, for `acquire_timeout` at most (30
    /// s by default). Once it has begun, dropping the future does not stop it. If other processes use the database:
    ///
    /// - PostgreSQL does not drop a database to which anybody is connected. A schema is dropped, unless a transaction
    ///   uses it that is still open after ten seconds.
    /// - MySQL and MariaDB drop a database although it is used.
    /// - SQLite: the file is not dropped while a transaction is open in it, and, in WAL mode, while a connection is
    ///   open that has read or written. Other connections are not noticed, such as an idle connection in another
    ///   journal mode: it keeps the file without a name, can read its old content, and cannot write.
    ///
    /// A SQLite tenant whose file is a symbolic link is refused, because the data would stay. If the file has another
    /// name (a hard link), the data stays under that name. Left-over files of a tenant whose database does not exist
    /// any more, such as its `-wal`, are removed.
    ///
    /// # Errors
    ///
    /// [`DropTenantError`]. In this case nothing was dropped.
    ///
    /// ```
    /// use registry_core::{Error, Registry, binds};
    ///
    /// binds! { Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let file = folder.path().join("acme.db");
    /// # std::fs::write(&file, "").unwrap();
    /// # let url = format!("sqlite://{}/{{tenant}}.db", folder.path().display());
    /// let registry = Registry::builder().bind("analytics", url).build()?; // ../{tenant}.db
    /// registry.drop_tenant::<Analytics>("acme", "acme").await?;
    /// assert!(!file.exists());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drop_tenant<B: Bind>(
        &self,
        name: &str,
        name_again: &str,
    ) -> Result<(), DropTenantError> {
        let operation = TenantOperation::<B>::new(self, name)?;
        let key = operation.key;
        if name != name_again {
            return Err(DropTenantError::NamesDiffer { key });
        }
        if operation.is_held_by_caller() {
            return Err(DropTenantError::InUse { key, tenant: name.to_owned(), lent: 1 });
        }
        let dropped = operation.runtime.clone().spawn(async move {
            let Placement { settings, location } = operation.placement().await?;
            let tenant = operation.tenant.name();
            let dropped = match location {
                TenantLocation::SqliteFile => file::remove(&operation, settings).await,
                TenantLocation::Namespace(namespace) => {
                    namespace::remove(&operation, settings, namespace).await
                }
            };
            operation.forget_checked_migrations();
            if dropped.is_ok() {
                tracing::info!(target: "registry", bind = %operation.key, tenant, "a tenant was dropped");
            }
            dropped
        });
        dropped.await.unwrap_or(Err(DropTenantError::Interrupted { key }))
    }
}
