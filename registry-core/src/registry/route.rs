//! From what is asked for to the engine that has it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Registry;
use super::bind_entry::BindEntry;
use super::bind_table::key_of;
use super::tenants::{Tenant, TenantBind};
use crate::backend::{Backend, ConnectError};
use crate::bind::Bind;
use crate::engine::{AcquireError, AnyEngine, EngineUse, ResolverTimedOut, TypedEngine};
use crate::on_demand::{EngineIdentity, EngineName, NotOpened};
use crate::settings::{BackendKind, BindKey, BindSettings, DatabaseUrl, TenantName, WrongBackend};

/// Where a session is to come from.
pub(crate) enum Route<'r> {
    /// The bind's own engine.
    Bind,
    /// The engine of that key.
    Key(BindKey),
    /// The tenant's engine, or schema, of the bind.
    Tenant(&'r Tenant),
    /// The engine at that URL, opened on demand, with the options of the bind.
    Url(DatabaseUrl),
    /// An engine with these settings, opened on demand.
    Settings(Box<EngineIdentity>),
}

/// An engine, and what a session of it has to be prepared with.
pub(crate) struct FoundEngine<C: Backend> {
    pub(crate) engine: EngineUse<TypedEngine<C>>,
    pub(crate) schema: Option<String>,
}

/// An engine that is to be opened.
struct Wanted<'r> {
    identity: EngineIdentity,
    /// What it is asked for by, and until when that holds.
    name: Option<(EngineName, Option<std::time::Instant>)>,
    bind: Option<Asked<'r>>,
}

/// The bind that was asked where its tenant is, and how often it had been told to forget by then.
struct Asked<'r> {
    bind: &'r TenantBind,
    tenant: &'r TenantName,
    forgotten: u64,
}

impl<'r> Route<'r> {
    /// The engine, if it is there: one that is opened on demand may not be.
    pub(crate) fn find<B: Bind>(
        &self,
        registry: &Registry,
    ) -> Result<Option<FoundEngine<B::Connection>>, AcquireError> {
        let table = &registry.0.table;
        let (entry, tenant) = match self {
            Self::Bind => (table.of::<B>(), None),
            Self::Key(key) => (table.by_key(key), None),
            Self::Tenant(tenant) => (table.of::<B>(), Some(*tenant)),
            Self::Url(url) => {
                let name = EngineName::Url(key_of::<B>(), url.clone());
                let engine = registry.0.on_demand.find_named(&name);
                return engine.map(|engine| typed(engine, None)).transpose();
            }
            Self::Settings(identity) => {
                let engine = registry.0.on_demand.find(identity);
                return engine.map(|engine| typed(engine, None)).transpose();
            }
        };
        let Some(entry) = entry else {
            return Err(registry.unknown(&self.bind_key::<B>()).into());
        };
        match (entry, tenant) {
            (BindEntry::Engine(engine), _) => {
                typed(EngineUse::new(engine.current()), None).map(Some)
            }
            (_, None) => Err(AcquireError::NoTenant { key: entry.key() }),
            (BindEntry::Schemas { engine, schema }, Some(tenant)) => {
                let schema = schema_of(entry.key(), schema, tenant)?;
                typed(EngineUse::new(engine.current()), Some(schema)).map(Some)
            }
            (BindEntry::Tenants(bind), Some(tenant)) => {
                let name = bind.engine_name(tenant.checked_name());
                let engine = registry.0.on_demand.find_named(&name);
                engine.map(|engine| typed(engine, None)).transpose()
            }
        }
    }

    /// The name of the tenant that it is for.
    pub(crate) fn tenant(&self) -> Option<Arc<str>> {
        match self {
            Self::Tenant(tenant) => Some(Arc::clone(tenant.checked_name().shared())),
            _ => None,
        }
    }

    /// The engine, opened if it is not there.
    ///
    /// The caller has waited since `started`, and waits for `within` at the most, or `acquire_timeout`.
    ///
    /// It ends at once when the registry is closed, whoever was being asked.
    pub(crate) async fn open<B: Bind>(
        &self,
        registry: &'r Registry,
        started: Instant,
        within: Option<Duration>,
    ) -> Result<FoundEngine<B::Connection>, AcquireError> {
        if let Some(found) = self.find::<B>(registry)? {
            return Ok(found);
        }
        let key = self.bind_key::<B>();
        let opening = self.open_unless_found::<B>(registry, started, within);
        let opened = registry.0.closing.unless_closed(key, opening).await;
        opened.unwrap_or(Err(AcquireError::Closed { key }))
    }

    async fn open_unless_found<B: Bind>(
        &self,
        registry: &'r Registry,
        started: Instant,
        within: Option<Duration>,
    ) -> Result<FoundEngine<B::Connection>, AcquireError> {
        loop {
            if let Some(found) = self.find::<B>(registry)? {
                return Ok(found);
            }
            let Wanted { identity, name, bind } =
                self.wanted::<B>(registry, started, within).await?;
            let settings = identity.settings();
            let limit = within.unwrap_or(settings.options.acquire_timeout);
            let left = limit.saturating_sub(started.elapsed());
            let opened = registry.0.on_demand.open(identity.clone(), left).await;
            let engine = opened.map_err(|error| {
                let key = self.bind_key::<B>();
                match error {
                    NotOpened::Closed => AcquireError::Closed { key },
                    NotOpened::TimedOut { max_engines, waiting } => {
                        AcquireError::TooManyEngines { key, after: limit, max_engines, waiting }
                    }
                }
            })?;
            match (name, bind) {
                // Replaced meanwhile: this would be the tenant's database of before.
                (Some((name, _)), Some(Asked { bind, tenant, .. }))
                    if name != bind.engine_name(tenant) =>
                {
                    continue;
                }
                // What was said of it was to be forgotten meanwhile.
                (Some(_), Some(Asked { bind, forgotten, .. })) if forgotten != bind.forgotten() => {
                }
                (Some((name, until)), _) => registry.0.on_demand.name(name, &identity, until),
                (None, _) => {}
            }
            return typed(engine, None);
        }
    }

    /// Which engine is to be opened.
    async fn wanted<B: Bind>(
        &self,
        registry: &'r Registry,
        started: Instant,
        within: Option<Duration>,
    ) -> Result<Wanted<'r>, AcquireError> {
        match (self, registry.0.table.of::<B>()) {
            (Self::Settings(identity), _) => {
                Ok(Wanted { identity: (**identity).clone(), name: None, bind: None })
            }
            (Self::Url(url), _) => {
                let identity = identity_of::<B>(registry, url.into())?;
                let name = EngineName::Url(key_of::<B>(), url.clone());
                Ok(Wanted { identity, name: Some((name, None)), bind: None })
            }
            (Self::Tenant(tenant), Some(BindEntry::Tenants(bind))) => {
                // Before the source is asked, so that an answer of before is not taken for a later one.
                let (name, forgotten) = (bind.engine_name(tenant.checked_name()), bind.forgotten());
                let limit = within.unwrap_or(registry.0.bind_defaults.acquire_timeout(bind.key()));
                let asked = bind.identity_of(tenant, &registry.0.bind_defaults);
                let (identity, until) = resolved(bind, tenant, started, limit, asked).await?;
                let found = identity.settings().url.backend();
                check_backend::<B::Connection>(bind.key(), found)?;
                let asked = Asked { bind, tenant: tenant.checked_name(), forgotten };
                Ok(Wanted { identity, name: Some((name, until)), bind: Some(asked) })
            }
            // What is not opened on demand is there.
            _ => Err(AcquireError::Closed { key: self.bind_key::<B>() }),
        }
    }

    /// An error as it is told to whoever asked.
    pub(crate) fn told<B: Bind>(&self, error: AcquireError) -> AcquireError {
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

    /// The tenant has no schema.
    pub(crate) fn unknown_schema<B: Bind>(&self) -> AcquireError {
        let tenant = match self {
            Self::Tenant(tenant) => tenant.name().to_owned(),
            _ => String::new(),
        };
        AcquireError::UnknownTenant { key: self.bind_key::<B>(), tenant, source: None }
    }

    pub(crate) fn bind_key<B: Bind>(&self) -> BindKey {
        match self {
            Self::Key(key) => *key,
            _ => key_of::<B>(),
        }
    }
}

/// The engine for these settings, which are not those of the bind.
pub(crate) fn identity_of<B: Bind>(
    registry: &Registry,
    settings: BindSettings,
) -> Result<EngineIdentity, AcquireError> {
    let key = key_of::<B>();
    let settings = registry.0.bind_defaults.engine_settings(key, settings);
    let settings = settings.map_err(|source| AcquireError::Settings { key, source })?;
    check_backend::<B::Connection>(key, settings.url.backend())?;
    if settings.url.is_per_tenant() || settings.tenant_schema.is_some() {
        return Err(AcquireError::NoTenant { key });
    }
    Ok(EngineIdentity::new(settings))
}

/// The schema of a tenant.
pub(super) fn schema_of(
    key: BindKey,
    template: &str,
    tenant: &Tenant,
) -> Result<String, AcquireError> {
    let schema = template.replace(crate::settings::TENANT_PLACEHOLDER, tenant.name());
    // PostgreSQL would cut the name, and it could be that of another tenant then.
    if schema.len() > LONGEST_SCHEMA {
        let source = format!("the name of the schema is longer than {LONGEST_SCHEMA} bytes").into();
        return Err(AcquireError::Resolve { key, tenant: tenant.name().to_owned(), source });
    }
    Ok(schema)
}

/// NAMEDATALEN of PostgreSQL, less one.
const LONGEST_SCHEMA: usize = 63;

pub(super) async fn resolved<T>(
    bind: &TenantBind,
    tenant: &Tenant,
    started: Instant,
    limit: Duration,
    resolving: impl Future<Output = Result<T, AcquireError>>,
) -> Result<T, AcquireError> {
    timeout(limit.saturating_sub(started.elapsed()), resolving).await.unwrap_or_else(|_| {
        Err(AcquireError::Resolve {
            key: bind.key(),
            tenant: tenant.name().to_owned(),
            source: ResolverTimedOut { after: limit }.into(),
        })
    })
}

pub(super) fn typed<C: Backend>(
    engine: EngineUse<dyn AnyEngine>,
    schema: Option<String>,
) -> Result<FoundEngine<C>, AcquireError> {
    let settings = engine.settings();
    let (key, found) = (settings.key, settings.url.backend());
    match engine.downcast() {
        Some(engine) => Ok(FoundEngine { engine, schema }),
        None => Err(WrongBackend { key, expected: C::KIND, found }.into()),
    }
}

pub(super) fn check_backend<C: Backend>(
    key: BindKey,
    found: BackendKind,
) -> Result<(), WrongBackend> {
    if found == C::KIND { Ok(()) } else { Err(WrongBackend { key, expected: C::KIND, found }) }
}
