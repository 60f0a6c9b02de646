//! Opening the engine of a route, for tenants and by URL.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::bind_entry::BindEntry;
use super::handle::Registry;
use super::route::{FoundEngine, Route, check_backend};
use super::tenants::TenantBind;
use crate::backend::Backend;
use crate::bind::{self, Bind};
use crate::engine::{AcquireError, AnyEngine, EngineUse};
use crate::on_demand::{EngineAlias, EngineIdentity, OnDemandEngines, OpenError};
use crate::settings::{BindSettings, TenantName};

/// The engine of a route, and the alias to remember it by.
struct Target<'r> {
    identity: EngineIdentity,
    alias: TargetAlias<'r>,
}

/// The alias to store for the next lookup.
enum TargetAlias<'r> {
    /// No alias: the caller finds the engine by its identity.
    None,
    Url(EngineAlias),
    Tenant {
        /// Read before the resolver was asked, so that a replacement in between is noticed.
        alias: EngineAlias,
        /// When the answer of the resolver expires.
        until: Option<std::time::Instant>,
        bind: &'r TenantBind,
        tenant: &'r TenantName,
        /// The bind's count of invalidations, read before the resolver was asked, so that an invalidation in between is
        /// noticed.
        invalidations: u64,
    },
}

impl TargetAlias<'_> {
    /// True if the bind was replaced while the engine was opened, so the engine points at the tenant's old database.
    fn is_replaced(&self) -> bool {
        match self {
            Self::Tenant { alias, bind, tenant, .. } => *alias != bind.engine_alias(tenant),
            Self::None | Self::Url(_) => false,
        }
    }

    /// Remembers the alias, unless the answer of the resolver was invalidated in between. (The engine is lent in any
    /// case, because it was requested before the invalidation.)
    fn remember(self, on_demand: &OnDemandEngines, identity: &EngineIdentity) {
        match self {
            Self::None => {}
            Self::Url(alias) => on_demand.add_alias(alias, identity, None),
            Self::Tenant { alias, until, bind, invalidations, .. } => {
                if invalidations == bind.invalidations() {
                    on_demand.add_alias(alias, identity, until);
                }
            }
        }
    }
}

impl<'r> Route<'r> {
    /// Finds the engine, or opens it, and waits until the migrations of a tenant were checked.
    ///
    /// `within` limits the total wait, measured from `started`; without it, `acquire_timeout` does. The wait ends at
    /// once with [`AcquireError::Closed`] when the registry is closed, even while a resolver is being asked.
    ///
    /// Cancellation: dropping the future gives up the place in the queue for an engine, and the share in the answer of
    /// a resolver. A check of migrations goes on.
    pub(crate) async fn open<B: Bind>(
        &self,
        registry: &'r Registry,
        started: Instant,
        within: Option<Duration>,
    ) -> Result<FoundEngine<B::Connection>, AcquireError> {
        loop {
            let found = self.open_unchecked::<B>(registry, started, within).await?;
            let Self::Tenant(tenant) = self else { return Ok(found) };
            if self.is_gate_open::<B>(registry, &found) {
                return Ok(found);
            }
            let key = self.bind_key::<B>();
            let engine: Arc<dyn AnyEngine> = Arc::clone(found.engine.engine()) as _;
            let place = (&engine, found.schema.as_deref());
            let passing = registry.pass_gate(key, tenant, place, started, within);
            match registry.0.closing.unless_closed(key, Box::pin(passing)).await {
                None => return Err(AcquireError::Closed { key }),
                // The engine was replaced, or closed with its tenant.
                Some(Err(AcquireError::Closed { .. })) if !registry.is_closed() => {}
                Some(passed) => return passed.map(|()| found),
            }
        }
    }

    /// Finds the engine, or opens it, whatever the state of its migrations. It waits like [`open`](Self::open).
    pub(crate) async fn open_unchecked<B: Bind>(
        &self,
        registry: &'r Registry,
        started: Instant,
        within: Option<Duration>,
    ) -> Result<FoundEngine<B::Connection>, AcquireError> {
        if let Some(found) = self.find_unchecked::<B>(registry)? {
            return Ok(found);
        }
        let key = self.bind_key::<B>();
        let opening = self.find_or_open::<B>(registry, started, within);
        let opened = registry.0.closing.unless_closed(key, opening).await;
        opened.unwrap_or(Err(AcquireError::Closed { key }))
    }

    /// Runs the steps below, and starts over if the bind is replaced meanwhile.
    async fn find_or_open<B: Bind>(
        &self,
        registry: &'r Registry,
        started: Instant,
        within: Option<Duration>,
    ) -> Result<FoundEngine<B::Connection>, AcquireError> {
        loop {
            // 1. Is it open? Another caller may have opened it since this one looked.
            if let Some(found) = self.find_unchecked::<B>(registry)? {
                return Ok(found);
            }
            // 2. Which engine is it? This may call a resolver. Concurrent callers share one call (single flight).
            let Target { identity, alias } = self.target::<B>(registry, started, within).await?;
            // 3. Open it. Concurrent callers share the engine (single flight), and wait for room together.
            let engine = self.open_engine::<B>(registry, &identity, started, within).await?;
            // 4. Is it still the right one?
            if alias.is_replaced() {
                continue;
            }
            // 5. Let the next caller find it in step 1.
            alias.remember(&registry.0.on_demand, &identity);
            return FoundEngine::new(engine);
        }
    }

    /// Determines the engine of the route.
    async fn target<B: Bind>(
        &self,
        registry: &'r Registry,
        started: Instant,
        within: Option<Duration>,
    ) -> Result<Target<'r>, AcquireError> {
        match (self, registry.0.binds.bind::<B>()) {
            (Self::Settings(identity), _) => {
                Ok(Target { identity: (**identity).clone(), alias: TargetAlias::None })
            }
            (Self::Url(url), _) => {
                let identity = identity_for_settings::<B>(registry, url.into())?;
                let alias = EngineAlias::Url(bind::key_of::<B>(), url.clone());
                Ok(Target { identity, alias: TargetAlias::Url(alias) })
            }
            (Self::Tenant(tenant), Some(BindEntry::DatabasePerTenant(bind))) => {
                let name = tenant.checked_name();
                // Both are read before the resolver is asked, so that an answer from before a change is not mistaken
                // for one from after it.
                let (alias, invalidations) = (bind.engine_alias(name), bind.invalidations());
                let defaults = &registry.0.bind_defaults;
                let limit = within.unwrap_or(defaults.acquire_timeout(bind.key()));
                let (identity, until) =
                    bind.identity_within(tenant, defaults, started, limit).await?;
                let found = identity.settings().url.backend();
                check_backend(bind.key(), B::Connection::KIND, found)?;
                let alias = TargetAlias::Tenant { alias, until, bind, tenant: name, invalidations };
                Ok(Target { identity, alias })
            }
            // Unreachable: only the routes above lead to engines that are opened on demand. For every other route,
            // `find` has returned the engine or failed. `Closed` is the least harmful answer: it is not transient, so
            // no caller retries it.
            _ => Err(AcquireError::Closed { key: self.bind_key::<B>() }),
        }
    }

    async fn open_engine<B: Bind>(
        &self,
        registry: &Registry,
        identity: &EngineIdentity,
        started: Instant,
        within: Option<Duration>,
    ) -> Result<EngineUse<dyn AnyEngine>, AcquireError> {
        let limit = within.unwrap_or(identity.settings().options.acquire_timeout);
        let remaining = limit.saturating_sub(started.elapsed());
        let opened = registry.0.on_demand.open(identity.clone(), remaining).await;
        opened.map_err(|error| {
            let key = self.bind_key::<B>();
            match error {
                OpenError::Closed => AcquireError::Closed { key },
                OpenError::TimedOut { max_engines, waiting } => {
                    AcquireError::TooManyEngines { key, after: limit, max_engines, waiting }
                }
            }
        })
    }
}

impl Registry {
    /// Evicts one unused on-demand engine, to free its operating system resources (file descriptors, ports). Returns
    /// whether the caller should try again. `limit` is the caller's total wait, measured from `started`.
    pub(crate) async fn free_resources(&self, started: Instant, limit: Duration) -> bool {
        let remaining = limit.saturating_sub(started.elapsed());
        let freed = timeout(remaining, self.0.on_demand.free_resources()).await;
        freed == Ok(true) && started.elapsed() < limit
    }
}

/// The identity of the engine for `settings`. Options that are not given are inherited from the bind.
pub(super) fn identity_for_settings<B: Bind>(
    registry: &Registry,
    settings: BindSettings,
) -> Result<EngineIdentity, AcquireError> {
    let key = bind::key_of::<B>();
    let settings = registry.0.bind_defaults.engine_settings(key, settings);
    let settings = settings.map_err(|source| AcquireError::Settings { key, source })?;
    check_backend(key, B::Connection::KIND, settings.url.backend())?;
    if settings.has_tenants() {
        return Err(AcquireError::NoTenant { key });
    }
    Ok(EngineIdentity::new(settings))
}
