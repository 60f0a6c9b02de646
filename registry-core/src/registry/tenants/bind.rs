//! A bind with a database for each tenant, and how the engine of a tenant is found.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::resolver::TenantResolver;
use super::tenant::Tenant;
use crate::backend::ConnectError;
use crate::engine::{AcquireError, CheckFailure, ResolverTimedOut};
use crate::on_demand::{EngineAlias, EngineIdentity};
use crate::panicked::caught;
use crate::registry::sqlite_copies::IsolationError;
use crate::settings::{
    BackendKind, BindDefaults, BindKey, BindSettings, EngineSettings, SettingsError, TenantName,
};

/// A bind with a database for each tenant.
pub(crate) struct TenantBind {
    key: BindKey,
    source: RwLock<TenantSource>,
    /// How often the source was replaced. It is a part of each alias, so that an alias from before a replacement finds
    /// no engine.
    generation: AtomicU64,
    /// How often the answer for any tenant was invalidated. An answer that was requested before an invalidation is not
    /// cached after it.
    invalidations: AtomicU64,
    /// The running calls to the resolver, which callers for the same tenant share (single flight).
    running_calls: Mutex<HashMap<TenantName, Arc<ResolverCall>>>,
}

/// The source of the settings of a tenant.
#[derive(Clone)]
pub(crate) enum TenantSource {
    /// Settings with `{tenant}` in their URL.
    Template(Arc<EngineSettings>),
    Resolver(TenantResolver),
}

/// The identity of a tenant's engine, and the time until which the answer is valid. `None` means as long as the engine
/// is open.
type Resolved = (EngineIdentity, Option<Instant>);

/// A call to the resolver. Callers share its answer.
type ResolverCall = OnceCell<Resolved>;

impl TenantBind {
    pub(crate) fn new(key: BindKey, source: TenantSource) -> Self {
        Self {
            key,
            source: RwLock::new(source),
            generation: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            running_calls: Mutex::default(),
        }
    }

    pub(crate) fn key(&self) -> BindKey {
        self.key
    }

    /// The alias by which the engine of a tenant is found.
    pub(crate) fn engine_alias(&self, tenant: &TenantName) -> EngineAlias {
        EngineAlias::Tenant {
            key: self.key,
            generation: self.generation.load(Ordering::SeqCst),
            tenant: Arc::clone(tenant.shared()),
        }
    }

    pub(crate) fn source(&self) -> TenantSource {
        self.source.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Invalidates the resolver's answers about a tenant, including the answer of a running call.
    pub(crate) fn invalidate(&self, tenant: &TenantName) {
        self.invalidations.fetch_add(1, Ordering::SeqCst);
        self.running_calls().remove(tenant);
    }

    pub(crate) fn invalidations(&self) -> u64 {
        self.invalidations.load(Ordering::SeqCst)
    }

    /// The same bind in a registry for test isolation.
    pub(crate) fn isolated(&self) -> Self {
        let source = match self.source() {
            TenantSource::Template(settings) if settings.url.backend() != BackendKind::Sqlite => {
                TenantSource::Template(Arc::new(settings.isolated(None)))
            }
            source => source,
        };
        Self::new(self.key, source)
    }

    /// Replaces the source of the settings.
    pub(crate) fn replace(&self, source: TenantSource) {
        *self.source.write().unwrap_or_else(PoisonError::into_inner) = source;
        // Incremented after the source is written. A caller reads the generation before the source, so a caller with
        // the old source has the old generation.
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.running_calls().clear();
    }

    /// The identity of the tenant's engine, and the time until which it is valid. `limit` is the caller's total wait,
    /// measured from `started`.
    ///
    /// Cancellation: if the future is dropped, other callers that share the call to the resolver continue it. If there
    /// are none, the call is dropped.
    pub(crate) async fn identity_within(
        &self,
        tenant: &Tenant,
        bind_defaults: &BindDefaults,
        started: tokio::time::Instant,
        limit: Duration,
    ) -> Result<Resolved, AcquireError> {
        let remaining = limit.saturating_sub(started.elapsed());
        let resolving = timeout(remaining, self.identity_for(tenant, bind_defaults));
        resolving.await.unwrap_or_else(|_| {
            Err(AcquireError::Resolve {
                key: self.key,
                tenant: tenant.name().to_owned(),
                source: ResolverTimedOut { after: limit }.into(),
            })
        })
    }

    async fn identity_for(
        &self,
        tenant: &Tenant,
        bind_defaults: &BindDefaults,
    ) -> Result<Resolved, AcquireError> {
        let resolver = match self.source() {
            TenantSource::Template(settings) => {
                let identity = self.identity((*settings).clone(), tenant)?;
                return Ok((self.isolated_identity(identity, tenant).await?, None));
            }
            TenantSource::Resolver(resolver) => resolver,
        };
        let share = CallShare::join(self, tenant.checked_name());
        share.call().get_or_try_init(|| self.ask(&resolver, tenant, bind_defaults)).await.cloned()
    }

    /// The identity of the tenant's engine, if no resolver is needed to find it.
    pub(crate) fn identity_in_template(&self, tenant: &Tenant) -> Option<EngineIdentity> {
        match self.source() {
            TenantSource::Template(settings) => self.identity((*settings).clone(), tenant).ok(),
            TenantSource::Resolver(_) => None,
        }
    }

    async fn ask(
        &self,
        resolver: &TenantResolver,
        tenant: &Tenant,
        bind_defaults: &BindDefaults,
    ) -> Result<Resolved, AcquireError> {
        let key = self.key;
        // Called inside of `caught`, because the callback itself may panic, like the future that it returns.
        let answer = caught(async { resolver.resolve(tenant).await }).await;
        let answer = answer.unwrap_or_else(|panicked| Err(panicked.into()));
        let answer = answer.map_err(|source| AcquireError::Resolve {
            key,
            tenant: tenant.name().to_owned(),
            source,
        })?;
        let lifetime = resolver.lifetime_of_answers();
        let until = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime));
        let Some(bind) = answer else {
            let tenant = tenant.name().to_owned();
            return Err(AcquireError::UnknownTenant { key, tenant, source: None });
        };
        let identity = self.identity_from_answer(bind, tenant, bind_defaults)?;
        Ok((self.isolated_identity(identity, tenant).await?, until))
    }

    fn identity_from_answer(
        &self,
        answer: BindSettings,
        tenant: &Tenant,
        bind_defaults: &BindDefaults,
    ) -> Result<EngineIdentity, AcquireError> {
        let key = self.key;
        let settings = bind_defaults
            .tenant_engine_settings(key, answer)
            .map_err(|source| AcquireError::Settings { key, source })?;
        if settings.tenant_schema.is_some() {
            let message = "a resolver finds a database for each tenant, and cannot give a schema for each tenant";
            let source = SettingsError::from_problem("tenant_schema", message);
            return Err(AcquireError::Settings { key, source });
        }
        self.identity(settings, tenant)
    }

    /// In test isolation, the SQLite database of a tenant is replaced by a copy, which is made when the tenant is first
    /// used.
    async fn isolated_identity(
        &self,
        identity: EngineIdentity,
        tenant: &Tenant,
    ) -> Result<EngineIdentity, AcquireError> {
        let (key, settings) = (self.key, identity.settings());
        let Some(copies) = tenant.registry().sqlite_copies() else { return Ok(identity) };
        if settings.url.backend() != BackendKind::Sqlite {
            return Ok(identity);
        }
        let copy = copies.of_identity(&identity).await.map_err(|failure| match failure {
            CheckFailure::Acquire(AcquireError::Connect { source, .. })
                if matches!(*source, ConnectError::UnknownDatabase(_)) =>
            {
                let tenant = tenant.name().to_owned();
                AcquireError::UnknownTenant { key, tenant, source: Some(source) }
            }
            CheckFailure::Acquire(error) => error,
            CheckFailure::Check(source) => AcquireError::Resolve {
                key,
                tenant: tenant.name().to_owned(),
                source: IsolationError::Copy { key, source }.into(),
            },
        })?;
        Ok(EngineIdentity::new(settings.isolated(Some(settings.url.at_file(&copy)))))
    }

    /// The identity of the engine for these settings, with the tenant's name put into their URLs.
    fn identity(
        &self,
        mut settings: EngineSettings,
        tenant: &Tenant,
    ) -> Result<EngineIdentity, AcquireError> {
        if settings.url.is_per_tenant() {
            settings.tenant = Some(Arc::clone(tenant.checked_name().shared()));
        }
        let named =
            settings.for_tenant(tenant.name()).map_err(|invalid| AcquireError::Resolve {
                key: self.key,
                tenant: tenant.name().to_owned(),
                source: invalid.into(),
            })?;
        Ok(EngineIdentity::new(named))
    }

    fn running_calls(&self) -> MutexGuard<'_, HashMap<TenantName, Arc<ResolverCall>>> {
        self.running_calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller's share in a call to the resolver. When the last share is dropped, it removes the call, so that only
/// concurrent callers share an answer.
struct CallShare<'a> {
    bind: &'a TenantBind,
    tenant: &'a TenantName,
    /// `None` only while this is dropped.
    call: Option<Arc<ResolverCall>>,
}

impl<'a> CallShare<'a> {
    /// Joins the running call for that tenant, or starts one.
    fn join(bind: &'a TenantBind, tenant: &'a TenantName) -> Self {
        let call = Arc::clone(bind.running_calls().entry(tenant.clone()).or_default());
        Self { bind, tenant, call: Some(call) }
    }

    fn call(&self) -> &ResolverCall {
        let Some(call) = &self.call else { unreachable!("it is only taken by `drop`") };
        call
    }
}

impl Drop for CallShare<'_> {
    fn drop(&mut self) {
        let mut running = self.bind.running_calls();
        let call = self.call.take();
        // After an invalidation, the map may contain a later call, or no call.
        let is_running = match (running.get(self.tenant), &call) {
            (Some(running), Some(call)) => Arc::ptr_eq(running, call),
            _ => false,
        };
        // Dropped under the lock, so that if two shares are dropped at once, exactly one of them sees that it is the
        // last.
        drop(call);
        if is_running && running.get(self.tenant).is_some_and(|call| Arc::strong_count(call) == 1) {
            running.remove(self.tenant);
        }
    }
}
