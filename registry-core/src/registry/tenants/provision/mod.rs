//! Making and dropping the databases and schemas of tenants.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use diesel::migration::MigrationSource;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::tenant::Tenant;
use crate::backend::namespace::Namespace;
use crate::bind::Bind;
use crate::cause::DriverError;
use crate::engine::{self, AcquireError, AnyEngine, EngineUse, TypedEngine};
use crate::registry::Registry;
use crate::registry::bind_entry::BindEntry;
use crate::registry::bind_table::key_of;
use crate::registry::close::all_returned;
use crate::registry::migrate::{BackendOf, Connected, MigrateError, MigrateReport};
use crate::registry::route::{Route, check_backend, resolved, schema_of, typed};
use crate::settings::{BindKey, EngineSettings, Pooler};

mod error;
mod file;
mod namespace;

pub use error::{CreateTenantError, DropTenantError};

impl Registry {
    /// Makes the database, schema or SQLite file of a new tenant of the bind `B`, and runs all of `migrations` in
    /// it. It is the only call that makes one: whatever else asks for an unknown tenant makes nothing.
    ///
    /// All or nothing: if a migration fails, if it panics, or if the connection breaks, nothing is left. Once it has
    /// begun, dropping the future does not stop it. Of two processes that create one tenant at once, one does, and
    /// the other hears [`CreateTenantError::Exists`]. Where a [`TenantResolver`](crate::TenantResolver) finds the
    /// settings of tenants, it must know the new one already.
    ///
    /// - PostgreSQL, a database for each tenant: made in the database `postgres` (or `template1`) of the same
    ///   server, by a user that has `CREATEDB`, under a name of its own (`registry-creating-..`), and renamed when
    ///   its migrations have been run. Until then, the tenant is unknown.
    /// - PostgreSQL, a schema for each tenant: the schema has a comment until its migrations have been run. Whoever
    ///   asks for the tenant meanwhile finds what there is so far. Rights of other users on it are for migrations to
    ///   grant.
    /// - MySQL and MariaDB: the database, with `utf8mb4`, has a table `__registry_unfinished` until its migrations
    ///   have been run. Whoever asks for the tenant meanwhile finds what there is so far.
    /// - SQLite: the file has a name that ends in `-creating`, beside its place, until its migrations have been run.
    ///   Until then, the tenant is unknown. A relative path has its folder made. Where a log (`-wal` or `-journal`)
    ///   is left of a database that is not there any more, nothing is made and the error names it: SQLite would
    ///   write over the new database what the log has.
    ///
    /// They run as [`migrate`](Self::migrate) runs them, and go to the `migrate_url`. What a process leaves behind
    /// that is killed meanwhile is removed by the next call for the same tenant, and by
    /// [`drop_tenant`](Self::drop_tenant). (A database of MySQL's on which the process was killed, or lost its
    /// connection, before it had that table counts as existing.)
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
    /// [`CreateTenantError`]. Nothing was made then, but for [`CreateTenantError::NotUndone`].
    pub async fn create_tenant<B: Bind>(
        &self,
        name: &str,
        migrations: impl MigrationSource<BackendOf<B>> + Send + 'static,
    ) -> Result<MigrateReport, CreateTenantError> {
        let asked = Asked::<B>::new(self, name)?;
        let key = asked.key;
        let created = asked.runtime.clone().spawn(async move {
            let place = asked.place().await?;
            let (tenant, Place { settings, at }) = (asked.tenant.name(), place);
            let created = match at {
                At::File => file::create(&asked, settings, migrations).await,
                At::Namespace(it) => namespace::create(&asked, settings, it, migrations).await,
            };
            if created.is_ok() {
                tracing::info!(target: "registry", bind = %asked.key, tenant, "a tenant was created");
            }
            created
        });
        // It has no panics of its own; a runtime that ends takes it along.
        created.await.unwrap_or(Err(CreateTenantError::Interrupted { key }))
    }

    /// Drops the database, schema or SQLite file of a tenant of the bind `B`, with everything in it. The name is
    /// said twice, since nothing brings it back.
    ///
    /// The tenant's engine is closed first, and its sessions that are lent are waited for, for `acquire_timeout` at
    /// the most. Once it has begun, dropping the future does not stop it. What other processes have open:
    ///
    /// - PostgreSQL does not drop a database to which anybody is connected. A schema is dropped, unless a
    ///   transaction uses it that is still open after ten seconds.
    /// - MySQL and MariaDB drop it under whoever uses it.
    /// - SQLite: it is refused while a transaction is open in it, and, in its WAL mode, while a connection is open
    ///   that has read or written. Others are not noticed, such as an idle connection in another journal mode: it
    ///   keeps the file without a name, reads what was in it, and cannot write.
    ///
    /// Of SQLite, a tenant whose file is a symbolic link is refused: the data would stay. Another name of the same
    /// file (a hard link) keeps it. What is left of a tenant whose database is not there any more, such as its
    /// `-wal`, is removed.
    ///
    /// # Errors
    ///
    /// [`DropTenantError`]. Nothing was dropped then.
    pub async fn drop_tenant<B: Bind>(
        &self,
        name: &str,
        name_again: &str,
    ) -> Result<(), DropTenantError> {
        let asked = Asked::<B>::new(self, name)?;
        let key = asked.key;
        if name != name_again {
            return Err(DropTenantError::NamesDiffer { key });
        }
        if asked.is_held_by_caller() {
            return Err(DropTenantError::InUse { key, tenant: name.to_owned(), lent: 1 });
        }
        let dropped = asked.runtime.clone().spawn(async move {
            let place = asked.place().await?;
            let (tenant, Place { settings, at }) = (asked.tenant.name(), place);
            let dropped = match at {
                At::File => file::remove(&asked, settings).await,
                At::Namespace(it) => namespace::remove(&asked, settings, it).await,
            };
            if dropped.is_ok() {
                tracing::info!(target: "registry", bind = %asked.key, tenant, "a tenant was dropped");
            }
            dropped
        });
        dropped.await.unwrap_or(Err(DropTenantError::Interrupted { key }))
    }
}

/// What was asked for.
struct Asked<B: Bind> {
    registry: Registry,
    key: BindKey,
    tenant: Tenant,
    runtime: Handle,
    started: Instant,
    bind: PhantomData<fn() -> B>,
}

/// Where a tenant has its data.
struct Place {
    /// Those of the tenant's engine, but that all go to where migrations go.
    settings: EngineSettings,
    at: At,
}

enum At {
    /// A SQLite file, that of the URL.
    File,
    Namespace(Namespace),
}

/// Why there is no place for a tenant.
pub(crate) enum PlacementError {
    Isolated,
    NotPerTenant,
    InMemory,
    Pooler,
    NoRuntime,
    Tenant(crate::settings::TenantError),
    Acquire(Box<AcquireError>),
}

impl From<AcquireError> for PlacementError {
    fn from(error: AcquireError) -> Self {
        Self::Acquire(Box::new(error))
    }
}

impl<B: Bind> Asked<B> {
    fn new(registry: &Registry, name: &str) -> Result<Self, (BindKey, PlacementError)> {
        let key = key_of::<B>();
        let tenant = registry.tenant(name).map_err(|error| (key, PlacementError::Tenant(error)))?;
        let runtime = Handle::try_current().map_err(|_| (key, PlacementError::NoRuntime))?;
        let (registry, started) = (registry.clone(), Instant::now());
        Ok(Self { registry, key, tenant, runtime, started, bind: PhantomData })
    }

    async fn place(&self) -> Result<Place, (BindKey, PlacementError)> {
        self.find_place().await.map_err(|error| (self.key, error))
    }

    async fn find_place(&self) -> Result<Place, PlacementError> {
        let (registry, tenant, key) = (&self.registry, &self.tenant, self.key);
        if registry.is_closed() {
            return Err(AcquireError::Closed { key }.into());
        }
        if registry.copies().is_some() {
            return Err(PlacementError::Isolated);
        }
        let Some(entry) = registry.0.table.of::<B>() else {
            return Err(AcquireError::from(registry.unknown(&key)).into());
        };
        let (settings, schema) = match entry {
            BindEntry::Engine(_) => return Err(PlacementError::NotPerTenant),
            BindEntry::Schemas { engine, schema } => {
                let schema = schema_of(key, schema, tenant)?;
                (engine.current().settings().clone(), Some(schema))
            }
            BindEntry::Tenants(bind) => {
                let limit = registry.0.bind_defaults.acquire_timeout(key);
                let asked = bind.identity_of(tenant, &registry.0.bind_defaults);
                let resolving = resolved(bind, tenant, self.started, limit, asked);
                let resolved = registry.0.closing.unless_closed(key, resolving).await;
                let (identity, _) = resolved.unwrap_or(Err(AcquireError::Closed { key }))?;
                ((**identity.settings()).clone(), None)
            }
        };
        check_backend::<B::Connection>(key, settings.url.backend()).map_err(AcquireError::from)?;
        if settings.options.pooler != Pooler::None && settings.migrate_url.is_none() {
            return Err(PlacementError::Pooler);
        }
        let at = match (schema, settings.url_to_migrate().sqlite_file()) {
            (Some(schema), _) => At::Namespace(Namespace::Schema(schema)),
            (None, Some(file)) if file.is_memory() => return Err(PlacementError::InMemory),
            (None, Some(_)) => At::File,
            (None, None) => match settings.url_to_migrate().database_name() {
                Some(name) => At::Namespace(Namespace::Database(name)),
                None => {
                    let source = "the path of its URL has to be the name of the database".into();
                    let tenant = tenant.name().to_owned();
                    return Err(AcquireError::Resolve { key, tenant, source }.into());
                }
            },
        };
        let mut settings = settings;
        settings.url = settings.url_to_migrate().clone();
        settings.migrate_url = None;
        settings.options.pooler = Pooler::None;
        settings.options.min_idle = 0;
        settings.tenant_schema = None;
        Ok(Place { settings, at })
    }

    /// A connection with these settings, for migrations or for what the tenant is in.
    async fn connect(
        &self,
        settings: &EngineSettings,
        schema: Option<&str>,
    ) -> Result<(Arc<TypedEngine<B::Connection>>, Connected<B::Connection>), AcquireError> {
        loop {
            let engine = engine::open(Arc::new(settings.clone()), None);
            let engine: EngineUse<TypedEngine<B::Connection>> =
                typed(EngineUse::new(engine), None)?.engine;
            let core = Arc::clone(engine.engine());
            match Connected::open(engine, schema).await {
                Ok(Some(connected)) => return Ok((core, connected)),
                Ok(None) => return Err(Route::Tenant(&self.tenant).unknown_schema::<B>()),
                Err(error) if error.lacks_resources() => {
                    let limit = settings.options.acquire_timeout;
                    if !self.registry.gives_way(self.started, limit).await {
                        return Err(error.of_bind(self.key));
                    }
                }
                Err(error) => return Err(error.of_bind(self.key)),
            }
        }
    }

    /// Whether the calling task has a session of the tenant's own engine.
    fn is_held_by_caller(&self) -> bool {
        let is_own = matches!(self.registry.0.table.of::<B>(), Some(BindEntry::Tenants(_)));
        let found = Route::Tenant(&self.tenant).find::<B>(&self.registry);
        is_own && matches!(found, Ok(Some(found)) if found.engine.is_held_by_caller())
    }

    /// Closes the tenant's own engine, and waits until what it has lent is back.
    async fn close_engines(&self) -> Result<(), DropTenantError> {
        let Some(BindEntry::Tenants(bind)) = self.registry.0.table.of::<B>() else { return Ok(()) };
        let (on_demand, tenant) = (&self.registry.0.on_demand, &self.tenant);
        bind.forget(tenant.checked_name());
        let mut closed = on_demand.close_named(&bind.engine_name(tenant.checked_name()));
        if let Some(identity) = bind.identity_in_template(tenant) {
            closed.extend(on_demand.close(|other| *other == identity));
        }
        let limit = self.registry.0.bind_defaults.acquire_timeout(self.key);
        let place = Location::caller();
        let report = all_returned(closed, Some(limit), place).await;
        match report.lent.iter().map(|(_, lent)| lent).sum() {
            0 => Ok(()),
            lent => Err(DropTenantError::InUse {
                key: self.key,
                tenant: tenant.name().to_owned(),
                lent,
            }),
        }
    }

    fn exists(&self) -> CreateTenantError {
        CreateTenantError::Exists { key: self.key, tenant: self.tenant.name().to_owned() }
    }

    fn not_migrated(&self, source: MigrateError) -> CreateTenantError {
        let (tenant, source) = (self.tenant.name().to_owned(), Box::new(source));
        CreateTenantError::Migrate { key: self.key, tenant, source }
    }

    fn not_undone(&self, cause: CreateTenantError, source: DriverError) -> CreateTenantError {
        let (tenant, cause) = (self.tenant.name().to_owned(), Box::new(cause));
        CreateTenantError::NotUndone { key: self.key, tenant, cause, source }
    }

    fn not_created(&self, source: DriverError) -> CreateTenantError {
        CreateTenantError::Create { key: self.key, tenant: self.tenant.name().to_owned(), source }
    }

    fn not_dropped(&self, source: DriverError) -> DropTenantError {
        DropTenantError::Drop { key: self.key, tenant: self.tenant.name().to_owned(), source }
    }

    /// There is no such tenant.
    fn unknown(&self) -> DropTenantError {
        DropTenantError::Acquire(Route::Tenant(&self.tenant).unknown_schema::<B>())
    }
}
