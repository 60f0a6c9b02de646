//! Creating and dropping the databases, schemas and files of tenants.
//!
//! This file has [`Registry::create_tenant`] and [`Registry::drop_tenant`]. `operation` has what they have in common,
//! `placement` where a tenant has its data, `file` the steps for a SQLite file, `namespace` those for a database or
//! schema on a server, and `error` the errors. What a backend does to a namespace is in `backend::namespace`.

use diesel::migration::MigrationSource;

use crate::bind::Bind;
use crate::registry::handle::Registry;
use crate::registry::migrate::{DieselBackend, MigrateReport};

mod error;
mod file;
mod namespace;
mod operation;
mod placement;

pub use error::{CreateTenantError, DropTenantError};
use operation::TenantOperation;
use placement::{Placement, TenantLocation};

impl Registry {
    /// Creates the database, schema or SQLite file of a new tenant of the bind `B`, runs all of `migrations` in it, and
    /// returns which those were. No other call creates a tenant.
    ///
    /// All or nothing: if a migration fails or panics, or the connection breaks, nothing is left. It waits for other
    /// processes that create or drop the same tenant: of two that create it at once, one does, and the other gets
    /// [`CreateTenantError::Exists`]. Once it has begun, dropping the future does not stop it. Where a
    /// [`TenantResolver`](crate::TenantResolver) finds the settings of tenants, it must know the new one already.
    ///
    /// - PostgreSQL, a database for each tenant: created from the database `postgres` (or `template1`) of the same
    ///   server, by a user that has `CREATEDB`, under a name of its own (`registry-creating-..`), and renamed when its
    ///   migrations have been run. Until then, the tenant is unknown.
    /// - PostgreSQL, a schema for each tenant: the schema has a comment until its migrations have been run. A caller that
    ///   asks for the tenant meanwhile finds what there is so far. Rights of other users on it are for migrations to
    ///   grant.
    /// - MySQL and MariaDB: the database, with `utf8mb4`, has a table `__registry_unfinished` until its migrations have
    ///   been run. A caller that asks for the tenant meanwhile finds what there is so far.
    /// - SQLite: the file has a name that ends in `-creating`, beside its place, until its migrations have been run.
    ///   Until then, the tenant is unknown. The folder of a relative path is created. Where a log (`-wal` or `-journal`)
    ///   is left of a database that does not exist any more, nothing is created and the error names it: SQLite would
    ///   write what the log has over the new database.
    ///
    /// The migrations run as [`migrate`](Self::migrate) runs them, and go to the `migrate_url`. What a process that is
    /// killed meanwhile leaves behind is removed by the next call for the same tenant, and by
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
    /// [`CreateTenantError`]. Nothing was created then, except perhaps for [`CreateTenantError::NotUndone`].
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
            if created.is_ok() {
                tracing::info!(target: "registry", bind = %operation.key, tenant, "a tenant was created");
            }
            created
        });
        // The task does not panic, so it can only have ended early with its runtime.
        created.await.unwrap_or(Err(CreateTenantError::Interrupted { key }))
    }

    /// Drops the database, schema or SQLite file of a tenant of the bind `B`, with everything in it. The name is given
    /// twice, since nothing brings the data back. [`create_tenant`](Self::create_tenant) has an example.
    ///
    /// The tenant's engine is closed first, and its sessions that are lent are waited for, for `acquire_timeout` at
    /// most (30 s by default). Once it has begun, dropping the future does not stop it. What other processes have open:
    ///
    /// - PostgreSQL does not drop a database to which anybody is connected. A schema is dropped, unless a transaction
    ///   uses it that is still open after ten seconds.
    /// - MySQL and MariaDB drop a database under its users.
    /// - SQLite: the file is not dropped while a transaction is open in it, and, in WAL mode, while a connection is open
    ///   that has read or written. Other connections are not noticed, such as an idle one in another journal mode: it
    ///   keeps the file without a name, reads what was in it, and cannot write.
    ///
    /// A SQLite tenant whose file is a symbolic link is refused, as the data would stay. Another name of the same file (a
    /// hard link) keeps it. What is left of a tenant whose database does not exist any more, such as its `-wal`, is
    /// removed.
    ///
    /// # Errors
    ///
    /// [`DropTenantError`]. Nothing was dropped then.
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
            if dropped.is_ok() {
                tracing::info!(target: "registry", bind = %operation.key, tenant, "a tenant was dropped");
            }
            dropped
        });
        dropped.await.unwrap_or(Err(DropTenantError::Interrupted { key }))
    }
}
