//! Opening the engine that a route leads to, for tenants and by URL.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::bind_entry::BindEntry;
use super::bind_table::bind_key_of;
use super::handle::Registry;
use super::route::{FoundEngine, Route, check_backend};
use super::tenants::TenantBind;
use crate::backend::Backend;
use crate::bind::Bind;
use crate::engine::{AcquireError, AnyEngine, EngineUse};
use crate::on_demand::{EngineAlias, EngineIdentity, OnDemandEngines, OpenError};
use crate::settings::{BindSettings, TenantName};

/// The engine that a route leads to, and how to remember that.
struct Target<'r> {
    identity: EngineIdentity,
    alias: TargetAlias<'r>,
}

/// What the engine will be found by next time.
enum TargetAlias<'r> {
    /// Its identity, which the caller has.
    None,
    Url(EngineAlias),
    Tenant {
        /// As it was before the bind was asked where the tenant is.
        alias: EngineAlias,
        /// Until when the answer of a resolver holds.
        until: Option<std::time::Instant>,
        bind: &'r TenantBind,
        tenant: &'r TenantName,
        /// How many invalidations the bind had seen before it was asked.
        invalidations: u64,
    },
}

impl TargetAlias<'_> {
    /// Whether the settings of the bind were replaced since: the engine is for the database that the tenant had
    /// before.
    fn is_replaced(&self) -> bool {
        match self {
            Self::Tenant { alias, bind, tenant, .. } => *alias != bind.engine_alias(tenant),
            Self::None | Self::Url(_) => false,
        }
    }

    /// Remembers the alias, unless the answer that led to it was invalidated since. (The engine is lent all the same:
    /// it was requested before.)
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
    /// The engine, opened if it is not open.
    ///
    /// The caller has waited since `started`, and waits for `within` at most, or for `acquire_timeout`. The wait ends
    /// at once with [`AcquireError::Closed`] when the registry is closed, even while a resolver is being asked.
    ///
    /// Cancellation: dropping the future gives up the place in the queue for an engine, and the share in the answer of
    /// a resolver.
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
        let opening = self.find_or_open::<B>(registry, started, within);
        let opened = registry.0.closing.unless_closed(key, opening).await;
        opened.unwrap_or(Err(AcquireError::Closed { key }))
    }

    /// The steps, from the top again whenever the settings of the bind are replaced meanwhile.
    async fn find_or_open<B: Bind>(
        &self,
        registry: &'r Registry,
        started: Instant,
        within: Option<Duration>,
    ) -> Result<FoundEngine<B::Connection>, AcquireError> {
        loop {
            // 1. Is it open? Another caller may have opened it since this one looked.
            if let Some(found) = self.find::<B>(registry)? {
                return Ok(found);
            }
            // 2. Which engine is it? That may be a question to a resolver, which callers that ask at the same time
            //    share (single flight).
            let Target { identity, alias } = self.target::<B>(registry, started, within).await?;
            // 3. Open it. Callers that want the same engine share it (single flight), and wait for room together.
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

    /// Which engine the route leads to.
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
                let alias = EngineAlias::Url(bind_key_of::<B>(), url.clone());
                Ok(Target { identity, alias: TargetAlias::Url(alias) })
            }
            (Self::Tenant(tenant), Some(BindEntry::DatabasePerTenant(bind))) => {
                let name = tenant.checked_name();
                // Both are read before the source is asked, so that an answer from before a change is not taken for
                // one from after it.
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
            // Only the routes above lead to engines that are opened on demand, so `find` has found this one.
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
    /// Has an unused engine that was opened on demand closed, to free the operating system's resources that it has.
    /// Returns whether the caller, which has waited since `started` and waits for `limit` at most, should try again.
    pub(crate) async fn free_resources(&self, started: Instant, limit: Duration) -> bool {
        let remaining = limit.saturating_sub(started.elapsed());
        let freed = timeout(remaining, self.0.on_demand.free_resources()).await;
        freed == Ok(true) && started.elapsed() < limit
    }
}

/// The identity of the engine for settings that are not those of the bind. What they leave out is as the bind has it.
pub(super) fn identity_for_settings<B: Bind>(
    registry: &Registry,
    settings: BindSettings,
) -> Result<EngineIdentity, AcquireError> {
    let key = bind_key_of::<B>();
    let settings = registry.0.bind_defaults.engine_settings(key, settings);
    let settings = settings.map_err(|source| AcquireError::Settings { key, source })?;
    check_backend(key, B::Connection::KIND, settings.url.backend())?;
    if settings.url.is_per_tenant() || settings.tenant_schema.is_some() {
        return Err(AcquireError::NoTenant { key });
    }
    Ok(EngineIdentity::new(settings))
}
