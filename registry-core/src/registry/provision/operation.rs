//! The code that creating and dropping a tenant share.

use std::marker::PhantomData;
use std::panic::Location;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::administration::{AdministerError, Administration, Connected, administered};
use super::error::{CreateTenantError, DropTenantError};
use super::placement::{Placement, PlacementError, TenantLocation};
use crate::backend::Backend;
use crate::backend::namespace::Namespace;
use crate::bind::{self, Bind};
use crate::cause::DriverError;
use crate::engine::{AcquireError, AnyEngine};
use crate::registry::bind_entry::BindEntry;
use crate::registry::close::all_returned;
use crate::registry::handle::Registry;
use crate::registry::locate::Located;
use crate::registry::migrate::{MigrateError, MigrationConnection};
use crate::registry::route::{Route, check_backend};
use crate::registry::tenants::Tenant;
use crate::settings::{BindKey, EngineSettings};

/// One call of `create_tenant` or `drop_tenant`.
pub(super) struct TenantOperation<B: Bind> {
    pub(super) registry: Registry,
    pub(super) key: BindKey,
    pub(super) tenant: Tenant,
    pub(super) runtime: Handle,
    pub(super) started: Instant,
    bind: PhantomData<fn() -> B>,
}

impl<B: Bind> TenantOperation<B> {
    pub(super) fn new(registry: &Registry, name: &str) -> Result<Self, (BindKey, PlacementError)> {
        let key = bind::key_of::<B>();
        let tenant = registry.tenant(name).map_err(|error| (key, PlacementError::Tenant(error)))?;
        let runtime = Handle::try_current().map_err(|_| (key, PlacementError::NoRuntime))?;
        let (registry, started) = (registry.clone(), Instant::now());
        Ok(Self { registry, key, tenant, runtime, started, bind: PhantomData })
    }

    /// The place of the tenant's data, before or after it is created. It waits for a resolver, for `acquire_timeout` at
    /// most.
    pub(super) async fn placement(&self) -> Result<Placement, (BindKey, PlacementError)> {
        self.locate().await.map_err(|error| (self.key, error))
    }

    async fn locate(&self) -> Result<Placement, PlacementError> {
        let (registry, tenant, key) = (&self.registry, &self.tenant, self.key);
        if registry.is_closed() {
            return Err(AcquireError::Closed { key }.into());
        }
        if registry.sqlite_copies().is_some() {
            return Err(PlacementError::Isolated);
        }
        let Some(entry) = registry.0.binds.bind::<B>() else {
            return Err(AcquireError::from(registry.unknown_bind(&key)).into());
        };
        if matches!(entry, BindEntry::Single(_)) {
            return Err(PlacementError::NotPerTenant);
        }
        let located = registry.locate_tenant(entry, tenant, self.started).await?;
        let Located { settings, schema } = located;
        check_backend(key, B::Connection::KIND, settings.url.backend())
            .map_err(AcquireError::from)?;
        if settings.migrates_through_pooler() {
            return Err(PlacementError::Pooler);
        }
        let location = match (schema, settings.url_to_migrate().sqlite_file()) {
            (Some(schema), _) => TenantLocation::Namespace(Namespace::Schema(schema)),
            (None, Some(file)) if file.is_memory() => return Err(PlacementError::InMemory),
            (None, Some(_)) => TenantLocation::SqliteFile,
            (None, None) => match settings.url_to_migrate().database_name() {
                Some(name) => TenantLocation::Namespace(Namespace::Database(name)),
                None => {
                    let source = "the path of its URL has to be the name of the database".into();
                    let tenant = tenant.name().to_owned();
                    return Err(AcquireError::Resolve { key, tenant, source }.into());
                }
            },
        };
        let settings = administered(settings);
        Ok(Placement { settings, location })
    }

    /// A connection with these settings, for migrations, or to administer the server. It has an engine of its own,
    /// which no other caller shares.
    pub(super) async fn connect(
        &self,
        settings: &EngineSettings,
        schema: Option<&str>,
    ) -> Result<Connected<B::Connection>, AcquireError> {
        let connected = self.administration().connect(settings, schema).await?;
        connected.ok_or_else(|| Route::Tenant(&self.tenant).unknown_tenant::<B>())
    }

    /// A connection from which the namespace can be created and dropped, with the namespace's lock.
    pub(super) async fn administer(
        &self,
        settings: &EngineSettings,
        namespace: &Namespace,
    ) -> Result<MigrationConnection<B::Connection>, AdministerError> {
        self.administration().administer(settings, namespace).await
    }

    pub(super) fn administration(&self) -> Administration<'_> {
        let Self { registry, key, started, .. } = self;
        Administration { registry, key: *key, started: *started }
    }

    /// Whether the calling task holds a session of the tenant's own engine. It would wait for itself.
    pub(super) fn is_held_by_caller(&self) -> bool {
        let is_own =
            matches!(self.registry.0.binds.bind::<B>(), Some(BindEntry::DatabasePerTenant(_)));
        let found = Route::Tenant(&self.tenant).find_unchecked::<B>(&self.registry);
        is_own && matches!(found, Ok(Some(found)) if found.engine.is_held_by_caller())
    }

    /// Forgets that the migrations in the tenant's schema were complete. (The engine of a database that was dropped is
    /// closed, and a new one knows nothing of it.)
    pub(super) fn forget_checked_migrations(&self) {
        if let Some(entry) = self.registry.0.binds.bind::<B>() {
            entry.forget_checked_migrations(&self.tenant);
        }
    }

    /// Closes the tenant's own engine, and waits until its sessions are returned, for `acquire_timeout` at most. (With a
    /// schema for each tenant there is none.)
    pub(super) async fn close_engines(&self) -> Result<(), DropTenantError> {
        let Some(BindEntry::DatabasePerTenant(bind)) = self.registry.0.binds.bind::<B>() else {
            return Ok(());
        };
        let closed = self.registry.begin_close_of_tenant(bind, &self.tenant);
        let limit = self.registry.0.bind_defaults.acquire_timeout(self.key);
        let report = all_returned(closed, Some(limit), Location::caller()).await;
        match report.lent.iter().map(|(_, lent)| lent).sum() {
            0 => Ok(()),
            lent => Err(DropTenantError::InUse {
                key: self.key,
                tenant: self.tenant.name().to_owned(),
                lent,
            }),
        }
    }

    pub(super) fn exists_error(&self) -> CreateTenantError {
        CreateTenantError::Exists { key: self.key, tenant: self.tenant.name().to_owned() }
    }

    pub(super) fn migrate_error(&self, source: MigrateError) -> CreateTenantError {
        let (tenant, source) = (self.tenant.name().to_owned(), Box::new(source));
        CreateTenantError::Migrate { key: self.key, tenant, source }
    }

    pub(super) fn not_undone_error(
        &self,
        cause: CreateTenantError,
        source: DriverError,
    ) -> CreateTenantError {
        let (tenant, cause) = (self.tenant.name().to_owned(), Box::new(cause));
        CreateTenantError::NotUndone { key: self.key, tenant, cause, source }
    }

    pub(super) fn create_error(&self, source: DriverError) -> CreateTenantError {
        CreateTenantError::Create { key: self.key, tenant: self.tenant.name().to_owned(), source }
    }

    pub(super) fn drop_error(&self, source: DriverError) -> DropTenantError {
        DropTenantError::Drop { key: self.key, tenant: self.tenant.name().to_owned(), source }
    }

    pub(super) fn unknown_tenant_error(&self) -> DropTenantError {
        DropTenantError::Acquire(Route::Tenant(&self.tenant).unknown_tenant::<B>())
    }
}
