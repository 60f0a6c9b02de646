//! The callback that finds the settings of a tenant's database.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::tenant::Tenant;
use crate::cause::DriverError;
use crate::settings::BindSettings;

/// Finds the settings of a tenant's database: in a table, in a vault, or anywhere else.
///
/// The registry calls the resolver when an engine must be opened for a tenant, and again after the time to live of the
/// answer. Callers that want the same tenant at the same time share one call (single flight). A failure is reported to
/// them as [`AcquireError::Resolve`](crate::AcquireError::Resolve) and not cached. The call counts against the caller's
/// `acquire_timeout`; if all callers give up, its future is dropped. Each name was checked by
/// [`Registry::tenant`](crate::Registry::tenant).
///
/// ```
/// use std::time::Duration;
/// use registry_core::{BindSettings, Registry, TenantResolver};
///
/// let resolver = TenantResolver::new(|tenant| {
///     let tenant = tenant.clone();
///     async move {
///         // A table of tenants could be queried here, through `tenant.registry()`.
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
    resolve: Arc<ResolverFn>,
    time_to_live: Option<Duration>,
}

/// `None` means that the tenant is unknown.
type ResolverAnswer = Result<Option<BindSettings>, DriverError>;
type ResolverFn = dyn Fn(&Tenant) -> BoxFuture<'static, ResolverAnswer> + Send + Sync;

impl TenantResolver {
    /// A resolver that calls `ask`. Its future resolves to [`BindSettings`], or to `None` if there is no such tenant.
    pub fn new<F, R, S, E>(ask: F) -> Self
    where
        F: Fn(&Tenant) -> R + Send + Sync + 'static,
        R: Future<Output = Result<S, E>> + Send + 'static,
        S: Into<Option<BindSettings>>,
        E: Into<DriverError>,
    {
        let resolve = move |tenant: &Tenant| -> BoxFuture<'static, ResolverAnswer> {
            let answer = ask(tenant);
            Box::pin(async move { answer.await.map(Into::into).map_err(Into::into) })
        };
        Self { resolve: Arc::new(resolve), time_to_live: Some(Duration::from_secs(5 * 60)) }
    }

    /// Sets how long an answer is cached. 5 minutes by default; with `None` it is cached as long as the engine is open.
    ///
    /// If the next answer differs, new sessions are acquired from another engine, and the earlier engine is closed like
    /// every other unused engine.
    #[must_use]
    pub fn time_to_live(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.time_to_live = limit.into();
        self
    }

    pub(super) fn resolve(&self, tenant: &Tenant) -> BoxFuture<'static, ResolverAnswer> {
        (self.resolve)(tenant)
    }

    pub(super) fn lifetime_of_answers(&self) -> Option<Duration> {
        self.time_to_live
    }
}

impl fmt::Debug for TenantResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantResolver")
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}
