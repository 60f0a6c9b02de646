//! Where the databases of tenants are.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::tenant::Tenant;
use crate::backend::ConnectError;
use crate::cause::DriverError;
use crate::engine::{AcquireError, CheckFailure};
use crate::on_demand::{EngineIdentity, EngineName};
use crate::panicked::caught;
use crate::registry::IsolationError;
use crate::settings::{
    BackendKind, BindDefaults, BindKey, BindSettings, DatabaseUrl, EngineSettings, SettingsError,
    TenantName,
};

/// Finds the settings of a tenant's database: in a table, in a vault, or anywhere else.
///
/// It is asked when an engine has to be opened for a tenant, and once more after its time to live, however
/// many ask at that moment. What it fails with is told to those who asked, and not remembered. The names
/// that it is asked about are those of [`Registry::tenant`](crate::Registry::tenant).
///
/// ```
/// use std::time::Duration;
/// use registry_core::{BindSettings, Registry, TenantResolver, UnknownBind};
///
/// let resolver = TenantResolver::new(|tenant| {
///     let tenant = tenant.clone();
///     async move {
///         // A table of tenants could be asked here: `tenant.registry()` has its database as well.
///         let is_known = tenant.name().starts_with("customer-");
///         let url = format!("sqlite://tenants/{}.db", tenant.name());
///         Ok::<_, std::convert::Infallible>(is_known.then(|| BindSettings::new(url)))
///     }
/// });
/// let registry = Registry::builder()
///     .tenants("crm", resolver.time_to_live(Duration::from_secs(60)))
///     .build()?;
/// # let _ = registry;
/// # Ok::<(), registry_core::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct TenantResolver {
    ask: Arc<Ask>,
    time_to_live: Option<Duration>,
}

type Answer = Result<Option<BindSettings>, DriverError>;
type Ask = dyn Fn(&Tenant) -> BoxFuture<'static, Answer> + Send + Sync;

impl TenantResolver {
    /// A resolver that calls `ask`, which answers with [`BindSettings`], or with `None` if there is
    /// no such tenant.
    pub fn new<F, R, S, E>(ask: F) -> Self
    where
        F: Fn(&Tenant) -> R + Send + Sync + 'static,
        R: Future<Output = Result<S, E>> + Send + 'static,
        S: Into<Option<BindSettings>>,
        E: Into<DriverError>,
    {
        let ask = move |tenant: &Tenant| -> BoxFuture<'static, Answer> {
            let asked = ask(tenant);
            Box::pin(async move { asked.await.map(Into::into).map_err(Into::into) })
        };
        Self { ask: Arc::new(ask), time_to_live: Some(Duration::from_secs(5 * 60)) }
    }

    /// For how long an answer holds. 5 minutes by default; `None` is for as long as the engine is
    /// open.
    ///
    /// If the next answer differs, sessions are acquired from another engine, and the first goes as
    /// every engine does that nobody uses.
    #[must_use]
    pub fn time_to_live(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.time_to_live = limit.into();
        self
    }
}

impl fmt::Debug for TenantResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantResolver")
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}

/// A bind with a database for each tenant.
pub(crate) struct TenantBind {
    key: BindKey,
    source: RwLock<TenantSource>,
    /// How often the source was replaced.
    generation: AtomicU64,
    /// How often what is known of a tenant was to be forgotten.
    forgotten: AtomicU64,
    /// Those tenants that a resolver is being asked about.
    asked: Mutex<HashMap<TenantName, Arc<Asked>>>,
}

#[derive(Clone)]
pub(crate) enum TenantSource {
    Template(Arc<EngineSettings>),
    Resolver(TenantResolver),
}

/// An answer on its way, for all who want it.
type Asked = OnceCell<(EngineIdentity, Option<Instant>)>;

impl TenantBind {
    pub(crate) fn new(key: BindKey, source: TenantSource) -> Self {
        Self {
            key,
            source: RwLock::new(source),
            generation: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn key(&self) -> BindKey {
        self.key
    }

    /// What the engine of a tenant is called.
    pub(crate) fn engine_name(&self, tenant: &TenantName) -> EngineName {
        EngineName::Tenant {
            key: self.key,
            generation: self.generation.load(Ordering::SeqCst),
            tenant: Arc::clone(tenant.shared()),
        }
    }

    pub(crate) fn source(&self) -> TenantSource {
        self.source.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was said of a tenant, and what is being said.
    pub(crate) fn forget(&self, tenant: &TenantName) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.asked().remove(tenant);
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// The same in test isolation.
    pub(crate) fn isolated(&self) -> Self {
        let source = match self.source() {
            TenantSource::Template(settings) if settings.url.backend() != BackendKind::Sqlite => {
                TenantSource::Template(Arc::new(settings.isolated(None)))
            }
            source => source,
        };
        Self::new(self.key, source)
    }

    /// Looks elsewhere from now on.
    pub(crate) fn replace(&self, source: TenantSource) {
        *self.source.write().unwrap_or_else(PoisonError::into_inner) = source;
        // Whoever has found the old source out meanwhile names its engine by the old generation.
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.asked().clear();
    }

    /// Which engine is the tenant's, and until when that is known.
    pub(crate) async fn identity_of(
        &self,
        tenant: &Tenant,
        bind_defaults: &BindDefaults,
    ) -> Result<(EngineIdentity, Option<Instant>), AcquireError> {
        let resolver = match self.source() {
            TenantSource::Template(settings) => {
                let identity = self.identity((*settings).clone(), tenant)?;
                return Ok((self.isolated_identity(identity, tenant).await?, None));
            }
            TenantSource::Resolver(resolver) => resolver,
        };
        let cell = Arc::clone(self.asked().entry(tenant.checked_name().clone()).or_default());
        let asking = Asking { bind: self, tenant: tenant.checked_name(), cell: Some(cell) };
        let Some(cell) = &asking.cell else {
            unreachable!("it is only emptied when it is dropped")
        };
        cell.get_or_try_init(|| self.ask(&resolver, tenant, bind_defaults)).await.cloned()
    }

    /// Which engine is the tenant's, where nobody has to be asked.
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
    ) -> Result<(EngineIdentity, Option<Instant>), AcquireError> {
        let key = self.key;
        // The callback itself may panic as well as the future that it returns.
        let answer = caught(async { (resolver.ask)(tenant).await }).await;
        let answer = answer.unwrap_or_else(|panicked| Err(panicked.into()));
        let answer = answer.map_err(|source| AcquireError::Resolve {
            key,
            tenant: tenant.name().to_owned(),
            source,
        })?;
        let until = resolver.time_to_live.and_then(|limit| Instant::now().checked_add(limit));
        let Some(bind) = answer else {
            let tenant = tenant.name().to_owned();
            return Err(AcquireError::UnknownTenant { key, tenant, source: None });
        };
        let settings = bind_defaults
            .tenant_engine_settings(key, bind)
            .map_err(|source| AcquireError::Settings { key, source })?;
        if settings.tenant_schema.is_some() {
            let message =
                "a resolver finds databases; a bind with a schema for each tenant has one";
            let source = SettingsError::from_problem("tenant_schema", message);
            return Err(AcquireError::Settings { key, source });
        }
        let identity = self.identity(settings, tenant)?;
        Ok((self.isolated_identity(identity, tenant).await?, until))
    }

    /// In test isolation, a SQLite database is a copy of the tenant's, made when it is first asked for.
    async fn isolated_identity(
        &self,
        identity: EngineIdentity,
        tenant: &Tenant,
    ) -> Result<EngineIdentity, AcquireError> {
        let (key, settings) = (self.key, identity.settings());
        let Some(copies) = tenant.registry().copies() else { return Ok(identity) };
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

    fn identity(
        &self,
        mut settings: EngineSettings,
        tenant: &Tenant,
    ) -> Result<EngineIdentity, AcquireError> {
        if settings.url.is_per_tenant() {
            settings.tenant = Some(Arc::clone(tenant.checked_name().shared()));
        }
        let named = |url: &DatabaseUrl| url.for_tenant(tenant.name());
        let urls = named(&settings.url)
            .and_then(|url| Ok((url, settings.migrate_url.as_ref().map(named).transpose()?)));
        match urls {
            Ok((url, migrate_url)) => {
                settings.url = url;
                settings.migrate_url = migrate_url;
            }
            Err(unfit) => {
                return Err(AcquireError::Resolve {
                    key: self.key,
                    tenant: tenant.name().to_owned(),
                    source: unfit.into(),
                });
            }
        }
        Ok(EngineIdentity::new(settings))
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<TenantName, Arc<Asked>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who wants an answer. The last one takes it along: an answer is only shared by those who
/// ask at the same time.
struct Asking<'a> {
    bind: &'a TenantBind,
    tenant: &'a TenantName,
    cell: Option<Arc<Asked>>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut asked = self.bind.asked();
        let own = self.cell.take();
        let is_shared = match (asked.get(self.tenant), &own) {
            (Some(shared), Some(own)) => Arc::ptr_eq(shared, own),
            _ => false,
        };
        // Under the lock, so that of two who leave at once one is the last.
        drop(own);
        if is_shared && asked.get(self.tenant).is_some_and(|cell| Arc::strong_count(cell) == 1) {
            asked.remove(self.tenant);
        }
    }
}
