//! From a caller's request to the engine for it, if that engine is open. Otherwise [`open`](super::open) opens it.

use std::sync::Arc;

use super::bind_entry::BindEntry;
use super::handle::Registry;
use super::tenants::Tenant;
use crate::backend::{Backend, ConnectError};
use crate::bind::{self, Bind};
use crate::engine::{AcquireError, AnyEngine, EngineUse, TypedEngine};
use crate::on_demand::{EngineAlias, EngineIdentity};
use crate::settings::{BackendKind, BindKey, DatabaseUrl, TenantName, WrongBackend};

/// A caller's request: which engine a session comes from.
pub(crate) enum Route<'r> {
    /// The engine of the bind type.
    Bind,
    /// The engine of the bind with this key.
    Key(BindKey),
    /// The tenant's engine for the bind type, or its schema there.
    Tenant(&'r Tenant),
    /// The engine at this URL, opened on demand, with the options of the bind.
    Url(DatabaseUrl),
    /// The engine with these settings, opened on demand.
    Settings(Box<EngineIdentity>),
}

/// An engine, and the schema to which a session of the engine must be switched.
pub(crate) struct FoundEngine<C: Backend> {
    pub(crate) engine: EngineUse<TypedEngine<C>>,
    pub(crate) schema: Option<String>,
}

impl<C: Backend> FoundEngine<C> {
    /// The engine of a bind whose sessions need no schema.
    pub(super) fn new(engine: EngineUse<dyn AnyEngine>) -> Result<Self, AcquireError> {
        Self::with_schema(engine, None)
    }

    fn with_schema(
        engine: EngineUse<dyn AnyEngine>,
        schema: Option<String>,
    ) -> Result<Self, AcquireError> {
        let settings = engine.settings();
        let (key, found) = (settings.key, settings.url.backend());
        match engine.downcast() {
            Some(engine) => Ok(Self { engine, schema }),
            None => Err(WrongBackend { key, expected: C::KIND, found }.into()),
        }
    }
}

impl Route<'_> {
    /// The engine, if it is open and its database may be used. `None` means that it has to be opened on demand, or that
    /// the migrations of the tenant have to be checked: [`open`](Self::open) does both.
    pub(crate) fn find<B: Bind>(
        &self,
        registry: &Registry,
    ) -> Result<Option<FoundEngine<B::Connection>>, AcquireError> {
        let found = self.find_unchecked::<B>(registry)?;
        Ok(found.filter(|found| self.is_gate_open::<B>(registry, found)))
    }

    /// Whether the database, or the schema, may be used without a check of its migrations.
    pub(super) fn is_gate_open<B: Bind>(
        &self,
        registry: &Registry,
        FoundEngine { engine, schema }: &FoundEngine<B::Connection>,
    ) -> bool {
        match self {
            Self::Tenant(_) => {
                registry.0.gate.is_open(bind::key_of::<B>(), &**engine, schema.as_deref())
            }
            _ => true,
        }
    }

    /// The engine, if it is open, whatever the state of its migrations. `None` means that it has to be opened on demand.
    pub(crate) fn find_unchecked<B: Bind>(
        &self,
        registry: &Registry,
    ) -> Result<Option<FoundEngine<B::Connection>>, AcquireError> {
        let (binds, on_demand) = (&registry.0.binds, &registry.0.on_demand);
        let (entry, tenant) = match self {
            Self::Bind => (binds.bind::<B>(), None),
            Self::Key(key) => (binds.key(key), None),
            Self::Tenant(tenant) => (binds.bind::<B>(), Some(*tenant)),
            Self::Url(url) => {
                let alias = EngineAlias::Url(bind::key_of::<B>(), url.clone());
                return on_demand.find_by_alias(&alias).map(FoundEngine::new).transpose();
            }
            Self::Settings(identity) => {
                return on_demand.find(identity).map(FoundEngine::new).transpose();
            }
        };
        let Some(entry) = entry else {
            return Err(registry.unknown_bind(&self.bind_key::<B>()).into());
        };
        match (entry, tenant) {
            (BindEntry::Single(engine), _) => {
                FoundEngine::new(EngineUse::new(engine.current())).map(Some)
            }
            (_, None) => Err(AcquireError::NoTenant { key: entry.key() }),
            (BindEntry::SchemaPerTenant { engine, schema }, Some(tenant)) => {
                let schema = tenant.schema_name(entry.key(), schema)?;
                FoundEngine::with_schema(EngineUse::new(engine.current()), Some(schema)).map(Some)
            }
            (BindEntry::DatabasePerTenant(bind), Some(tenant)) => {
                let alias = bind.engine_alias(tenant.checked_name());
                on_demand.find_by_alias(&alias).map(FoundEngine::new).transpose()
            }
        }
    }

    /// The name of the tenant, if the session is for one.
    pub(crate) fn tenant(&self) -> Option<Arc<str>> {
        match self {
            Self::Tenant(tenant) => Some(Arc::clone(tenant.checked_name().shared())),
            _ => None,
        }
    }

    pub(crate) fn bind_key<B: Bind>(&self) -> BindKey {
        match self {
            Self::Key(key) => *key,
            _ => bind::key_of::<B>(),
        }
    }

    /// The error for the caller: it has the bind key that the caller used, because binds can share an engine, and a
    /// missing database of a tenant is reported as an unknown tenant.
    pub(crate) fn error_for_caller<B: Bind>(&self, error: AcquireError) -> AcquireError {
        match (self, error) {
            (Self::Tenant(tenant), AcquireError::Connect { source, key, .. })
                if matches!(*source, ConnectError::UnknownDatabase(_)) =>
            {
                AcquireError::UnknownTenant {
                    key,
                    tenant: tenant.name().to_owned(),
                    source: Some(source),
                }
            }
            (_, error) => error,
        }
        .of_bind(self.bind_key::<B>())
    }

    /// The error for a tenant that has no schema or no database.
    pub(crate) fn unknown_tenant<B: Bind>(&self) -> AcquireError {
        let tenant = match self {
            Self::Tenant(tenant) => tenant.name().to_owned(),
            _ => String::new(),
        };
        AcquireError::UnknownTenant { key: self.bind_key::<B>(), tenant, source: None }
    }
}

impl Registry {
    /// The engine of a bind, or of a tenant's database, if it is open.
    pub(super) fn open_engine_of(
        &self,
        key: &str,
        tenant: Option<&str>,
    ) -> Option<Arc<dyn AnyEngine>> {
        match (self.0.binds.key(key)?, tenant) {
            (BindEntry::DatabasePerTenant(bind), Some(tenant)) => {
                let alias = bind.engine_alias(&TenantName::new(tenant).ok()?);
                let found = self.0.on_demand.find_by_alias(&alias)?;
                Some(Arc::clone(found.engine()))
            }
            (entry, _) => entry.engine(),
        }
    }
}

pub(super) fn check_backend(
    key: BindKey,
    expected: BackendKind,
    found: BackendKind,
) -> Result<(), WrongBackend> {
    if found == expected { Ok(()) } else { Err(WrongBackend { key, expected, found }) }
}
