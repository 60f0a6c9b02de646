//! Whether the migrations that the builder was told are complete in the binds with one database.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::VerifyFailure;
use crate::engine::{AnyEngine, EngineUse};
use crate::registry::bind_entry::BindEntry;
use crate::registry::gate::names;
use crate::registry::handle::Registry;
use crate::registry::migrate::{KnownMigrations, MigrateError, MigrationStatus, OpenDatabase};
use crate::settings::{BindKey, WhenPending, WhenUnknown};

/// What is wrong with the migrations of a bind, and whether that is a failure and not a warning.
type Finding = (BindKey, VerifyFailure, bool);

/// What is wrong with the migrations of the binds that have `answered`.
pub(super) async fn check_migrations(registry: &Registry, answered: &[BindKey]) -> Vec<Finding> {
    let checks = registry.known_migrations().filter_map(|known| {
        let key = known.key();
        match registry.0.binds.key(&key) {
            Some(BindEntry::Single(engine)) if answered.contains(&key) => {
                Some(check_bind(registry, known, engine.current()))
            }
            _ => None,
        }
    });
    join_all(checks).await.into_iter().flatten().collect()
}

async fn check_bind(
    registry: &Registry,
    known: &Arc<dyn KnownMigrations>,
    engine: Arc<dyn AnyEngine>,
) -> Vec<Finding> {
    let key = known.key();
    let settings = engine.settings();
    let status = match status(registry, known, &engine).await {
        Ok(status) => status,
        Err(source) => {
            return vec![(key, VerifyFailure::Migrations { key, source }, settings.required)];
        }
    };
    let mut failures = Vec::new();
    let pending = names(status.pending());
    if !pending.is_empty() {
        let is_failure = settings.options.when_pending != WhenPending::Serve;
        let failure = VerifyFailure::PendingMigrations { key, migrations: pending };
        failures.push((key, failure, settings.required && is_failure));
    }
    let unknown = names(status.unknown());
    if !unknown.is_empty() {
        let is_failure = settings.options.when_unknown == WhenUnknown::Fail;
        let failure = VerifyFailure::UnknownMigrations { key, migrations: unknown };
        failures.push((key, failure, settings.required && is_failure));
    }
    failures
}

/// Waits for `acquire_timeout` at most.
async fn status(
    registry: &Registry,
    known: &Arc<dyn KnownMigrations>,
    engine: &Arc<dyn AnyEngine>,
) -> Result<MigrationStatus, MigrateError> {
    let database =
        OpenDatabase { engine: EngineUse::new(Arc::clone(engine)), schema: None, tenant: None };
    let limit = engine.settings().options.acquire_timeout;
    let status = timeout(limit, known.status_on(registry, database)).await;
    status.unwrap_or_else(|_| {
        let source = format!("no answer within {}", humantime::format_duration(limit)).into();
        Err(MigrateError::List { key: known.key(), source })
    })
}
