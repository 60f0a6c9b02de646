//! The gate in front of the databases of tenants: whether the migrations that the builder was told are complete there.
//!
//! | file | contents |
//! |---|---|
//! | `mod` | [`Gate`]: the migrations by their bind, and whether a database that was found may be used |
//! | `check` | one check: what is pending, and running it with `when_pending = "migrate"` |
//! | `shared_check` | concurrent callers share a check, which goes on if they leave |
//!
//! The gate stands between an engine that is open and its first use: in [`Route::find`](super::route::Route::find) and
//! [`Route::open`](super::route::Route::open), through which every session, reader, query and unit of work of a tenant
//! comes. What was found is noted on the engine, for each bind and schema, so a later caller only looks there. Migrations
//! themselves, and creating and dropping tenants, go around the gate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::handle::Registry;
use super::migrate::{KnownMigrations, OpenDatabase};
use super::tenants::Tenant;
use crate::engine::{AcquireError, AnyEngine, EngineUse};
use crate::settings::{BindKey, WhenPending};

mod check;
mod shared_check;

use check::Outcome;
pub(super) use check::names;
use shared_check::SharedChecks;

/// The migrations that the registry's builder was told, and the checks of tenants that run now.
#[derive(Default)]
pub(super) struct Gate {
    known: Arc<BTreeMap<BindKey, Arc<dyn KnownMigrations>>>,
    checks: Arc<SharedChecks>,
}

impl Gate {
    pub(super) fn new(known: BTreeMap<BindKey, Arc<dyn KnownMigrations>>) -> Self {
        Self { known: Arc::new(known), checks: Arc::default() }
    }

    /// The same for another registry with the same binds.
    pub(super) fn of_other_registry(&self) -> Self {
        Self { known: Arc::clone(&self.known), checks: Arc::default() }
    }

    /// The migrations that have to be checked before the database of a tenant is used. `None` if it may be used.
    fn unchecked(
        &self,
        key: BindKey,
        engine: &dyn AnyEngine,
        schema: Option<&str>,
    ) -> Option<&Arc<dyn KnownMigrations>> {
        if self.known.is_empty() || engine.settings().options.when_pending == WhenPending::Serve {
            return None;
        }
        let known = self.known.get(&key)?;
        (!engine.checked_migrations().contains(key, schema)).then_some(known)
    }

    /// Whether the database of a tenant, or its schema, may be used without a check.
    pub(super) fn is_open(
        &self,
        key: BindKey,
        engine: &dyn AnyEngine,
        schema: Option<&str>,
    ) -> bool {
        self.unchecked(key, engine, schema).is_none()
    }
}

impl Registry {
    /// The migrations that the builder was told, in the order of the keys of their binds.
    pub(crate) fn known_migrations(&self) -> impl Iterator<Item = &Arc<dyn KnownMigrations>> {
        self.0.gate.known.values()
    }

    /// Waits until the migrations of a tenant were checked, and with `when_pending = "migrate"` run, for `acquire_timeout`
    /// at most, or as long as `within` says.
    pub(super) async fn pass_gate(
        &self,
        key: BindKey,
        tenant: &Tenant,
        (engine, schema): (&Arc<dyn AnyEngine>, Option<&str>),
        started: Instant,
        within: Option<Duration>,
    ) -> Result<(), AcquireError> {
        let limit = within.unwrap_or(engine.settings().options.acquire_timeout);
        let passing = async {
            // Whether the check has begun after this caller came. An earlier one may have asked the database before the
            // migrations were run that this caller knows of.
            let mut is_recent = false;
            while let Some(known) = self.0.gate.unchecked(key, &**engine, schema) {
                let database = OpenDatabase {
                    engine: EngineUse::new(Arc::clone(engine)),
                    schema: schema.map(str::to_owned),
                    tenant: Some(tenant.name().to_owned()),
                };
                let (check, is_new) = self.0.gate.checks.join(self, known, database);
                is_recent |= is_new;
                match check.await {
                    Outcome::Complete => return Ok(()),
                    Outcome::Pending(_) if !is_recent => is_recent = true,
                    // The runtime of the caller that had begun the check has ended.
                    Outcome::Interrupted => tokio::task::yield_now().await,
                    outcome => return Err(outcome.error(key, tenant.name())),
                }
            }
            Ok(())
        };
        match timeout(limit.saturating_sub(started.elapsed()), passing).await {
            Ok(passed) => passed,
            Err(_) => {
                let tenant = tenant.name().to_owned();
                Err(AcquireError::MigrationsTimedOut { key, tenant, after: limit })
            }
        }
    }
}
