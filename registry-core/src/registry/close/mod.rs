//! Closing a registry, or some of its engines.
//!
//! `report` has the result, and `wait` the wait for sessions. [`Registry::close`] also waits for the callers in
//! [`closing_state`](super::closing_state), which have not noticed yet that the registry is closed.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;

use super::bind_entry::BindEntry;
use super::closing_state::{SessionCounts, add_count};
use super::handle::Registry;
use super::tenants::{Tenant, TenantBind};
use crate::engine::AnyEngine;
use crate::on_demand::EngineIdentity;
use crate::settings::{BindSettings, InvalidUrl, TenantError};

mod report;
mod wait;

pub use report::CloseReport;
pub(super) use wait::all_returned;
use wait::{CallSite, each_returned, inactivity_limit, report_unreturned, wait_within};

impl Registry {
    /// Closes every engine, and returns a report when all sessions are back.
    ///
    /// From now on acquiring fails with [`AcquireError::Closed`](crate::AcquireError::Closed), at once also for callers
    /// that wait, whether for a connection, a resolver or credentials. Then it waits until all lent sessions have been
    /// returned, until the end of each connection was sent to its server (for `check_timeout` at most, 1 s by default,
    /// because the server may be gone), and until SQLite's files are closed. A query whose future was dropped runs to
    /// its end first. [`close_within`](Self::close_within) sets a limit.
    ///
    /// Every clone of the registry is closed, too. Dropping the future stops the waiting; the registry stays closed.
    /// Outside a Tokio runtime it does not wait.
    ///
    /// If the calling task holds a session, a unit of work or a stream of rows itself, it would wait for itself for
    /// ever. So if only the calling task still holds sessions, and has not used them for 5 s, `close` stops waiting for
    /// them. The report lists them, and an event at error level has the place of this call. A session that was handed
    /// to another task counts as held by that task from its first statement there.
    ///
    /// ```
    /// use registry_core::{AcquireError, Registry, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let session = registry.session_for::<events::table>().await?;
    /// drop(session);
    ///
    /// assert!(registry.close().await.is_complete());
    /// let error = registry.session_for::<events::table>().await.unwrap_err();
    /// assert!(matches!(error, AcquireError::Closed { .. }));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn close(&self) -> impl Future<Output = CloseReport> + Send {
        close(self, None, Location::caller())
    }

    /// Closes every engine as [`close`](Self::close) does, and waits for `limit` at most. The report lists the engines
    /// that still have sessions lent. These sessions stay usable until they are returned.
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::{Registry, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let session = registry.session_for::<events::table>().await?;
    ///
    /// let report = registry.close_within(Duration::from_millis(10)).await;
    /// assert!(!report.is_complete());
    /// assert_eq!(report.lent[0].1, 1);
    /// # drop(session);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn close_within(&self, limit: Duration) -> impl Future<Output = CloseReport> + Send {
        close(self, Some(limit), Location::caller())
    }

    /// Closes the engines that were opened on demand for that URL, whatever their options, and returns a report when
    /// their sessions are back.
    ///
    /// The engine of a tenant at that URL is closed as well (its SQLite URL has `mode=rw` added). These engines lend no
    /// more sessions; lent sessions stay usable until they are returned. Later callers for the URL get another engine.
    /// The report has sessions that are still lent only if there is no Tokio runtime to wait in, or if the calling task
    /// holds them itself: see [`close`](Self::close). Dropping the future only stops the waiting.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`](crate::settings::InvalidUrl) if `url` is not the URL of a database.
    ///
    /// ```
    /// use registry_core::{Registry, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let session = registry.session_by_url::<events::table>("sqlite::memory:").await?;
    /// drop(session);
    ///
    /// assert!(registry.close_engine("sqlite::memory:").await?.is_complete());
    /// assert!(registry.status().on_demand.engines.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn close_engine(
        &self,
        url: impl Into<BindSettings>,
    ) -> impl Future<Output = Result<CloseReport, InvalidUrl>> {
        let call_site = Location::caller();
        async move {
            let url = url.into().into_url()?;
            let is_due = |identity: &EngineIdentity| url.is_opened_as(&identity.settings().url);
            let closed = self.0.on_demand.close(is_due);
            Ok(all_returned(closed, None, call_site).await)
        }
    }

    /// Closes the engines of a tenant in all binds, invalidates the answers of resolvers about it, and returns a report
    /// when its sessions are back. It waits, and can be dropped, like [`close_engine`](Self::close_engine).
    ///
    /// With a schema for each tenant, the engine is that of all tenants and stays open. In either case, the migrations of
    /// the tenant are checked again when it is next used, if the
    /// [builder](crate::RegistryBuilder::migrations) was told them.
    ///
    /// # Errors
    ///
    /// [`TenantError`] if `name` is not a valid name of a tenant.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("crm", "sqlite://tenants/{tenant}.db").build()?;
    /// assert!(registry.close_tenant("acme").await?.is_complete());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn close_tenant(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<CloseReport, TenantError>> + Send {
        let call_site = Location::caller();
        async move {
            let tenant = self.tenant(name)?;
            let mut closed = Vec::new();
            for entry in self.entries() {
                match entry {
                    BindEntry::DatabasePerTenant(bind) => {
                        closed.extend(self.begin_close_of_tenant(bind, &tenant));
                    }
                    // The engine is of all tenants. What was found of this one's migrations is asked again.
                    BindEntry::SchemaPerTenant { .. } => entry.forget_checked_migrations(&tenant),
                    BindEntry::Single(_) => {}
                }
            }
            Ok(all_returned(closed, None, call_site).await)
        }
    }

    /// Closes the engines of a tenant in one bind, without a wait.
    pub(super) fn begin_close_of_tenant(
        &self,
        bind: &TenantBind,
        tenant: &Tenant,
    ) -> Vec<Arc<dyn AnyEngine>> {
        let (on_demand, name) = (&self.0.on_demand, tenant.checked_name());
        bind.invalidate(name);
        let mut closed = on_demand.close_by_alias(&bind.engine_alias(name));
        // The cache may have forgotten the alias. With a URL template the engine can be found without an alias.
        if let Some(identity) = bind.identity_in_template(tenant) {
            closed.extend(on_demand.close(|other| *other == identity));
        }
        closed
    }
}

async fn close(registry: &Registry, limit: Option<Duration>, call_site: CallSite) -> CloseReport {
    let closing = &registry.0.closing;
    closing.begin();
    let mut engines = registry.engines();
    engines.iter().for_each(|engine| engine.begin_close());
    engines.extend(registry.replaced());
    engines.extend(registry.0.on_demand.close_all());
    let (held_by_caller, inactivity_limit) = (SessionCounts::default(), inactivity_limit(limit));
    let returned = each_returned(&engines, &held_by_caller, inactivity_limit);
    let noticed = closing.all_openers_left(&held_by_caller, inactivity_limit);
    wait_within(join(returned, noticed), limit).await;
    let mut report = report_unreturned(&engines, held_by_caller, call_site);
    for (key, _) in &*closing.opening() {
        add_count(&mut report.lent, *key, 1);
    }
    report
}
