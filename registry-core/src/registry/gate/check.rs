//! One check of the migrations of a tenant.

use std::sync::Arc;

use tokio::time::Instant;

use crate::engine::{AcquireError, EngineUse, MigrationNames};
use crate::panicked::caught;
use crate::registry::handle::Registry;
use crate::registry::migrate::{
    KnownMigrations, MigrateError, MigrationEntry, MigrationStatus, OpenDatabase, logged,
};
use crate::settings::{BindKey, WhenPending, WhenUnknown};

/// What a check has found, for every caller that waits for it.
#[derive(Clone)]
pub(super) enum Outcome {
    /// Nothing is pending, or nothing any more.
    Complete,
    /// These are pending.
    Pending(Arc<[String]>),
    /// These were run, and the program does not have them.
    Unknown(Arc<[String]>),
    /// The migrations could not be read, or not be run.
    Failed(Arc<MigrateError>),
    /// The check has not come to its end.
    Interrupted,
}

impl Outcome {
    /// The error for a caller.
    pub(super) fn error(self, key: BindKey, tenant: &str) -> AcquireError {
        let tenant = tenant.to_owned();
        match self {
            Self::Pending(names) => {
                AcquireError::PendingMigrations { key, tenant, migrations: names.to_vec() }
            }
            Self::Unknown(names) => {
                AcquireError::UnknownMigrations { key, tenant, migrations: names.to_vec() }
            }
            Self::Failed(error) => {
                let acquire = match &*error {
                    MigrateError::Acquire(error) => error.for_another_caller(),
                    MigrateError::WrongBackend(wrong) => Some((*wrong).clone().into()),
                    _ => None,
                };
                acquire.unwrap_or(AcquireError::Migrations { key, tenant, source: error })
            }
            // These two are no errors, and their callers do not ask. `Closed` is not transient, so nobody would retry.
            Self::Complete | Self::Interrupted => AcquireError::Closed { key },
        }
    }
}

/// A database whose migrations are checked.
pub(super) struct Check {
    pub(super) registry: Registry,
    pub(super) known: Arc<dyn KnownMigrations>,
    pub(super) database: OpenDatabase,
}

impl Check {
    pub(super) async fn run(self) -> Outcome {
        let begin = self.database.engine.checked_migrations().begin_check();
        let checked = match caught(self.check()).await {
            Ok(checked) => checked,
            Err(panicked) => {
                let (key, source) = (self.known.key(), panicked.into());
                Err(MigrateError::List { key, source })
            }
        };
        let outcome = checked.unwrap_or_else(|error| Outcome::Failed(Arc::new(error)));
        if matches!(outcome, Outcome::Complete) {
            let OpenDatabase { engine, schema, .. } = &self.database;
            engine.checked_migrations().insert(self.known.key(), schema.as_deref(), begin);
        }
        outcome
    }

    async fn check(&self) -> Result<Outcome, MigrateError> {
        let options = &self.database.engine.settings().options;
        let status = self.status().await?;
        let unknown = names(status.unknown());
        if !unknown.is_empty() {
            if options.when_unknown == WhenUnknown::Fail {
                return Ok(Outcome::Unknown(unknown.into()));
            }
            let migrations = MigrationNames(&unknown);
            tracing::warn!(
                target: "registry",
                bind = %self.known.key(),
                tenant = self.database.tenant,
                %migrations,
                "migrations were run on a tenant that the program does not have"
            );
        }
        let pending = names(status.pending());
        if pending.is_empty() {
            return Ok(Outcome::Complete);
        }
        // In the transaction of a test nothing is committed, so the tenant has to be migrated before.
        let is_isolated = self.database.engine.settings().is_isolated;
        if options.when_pending == WhenPending::Migrate && !is_isolated {
            self.migrate().await?;
            return Ok(Outcome::Complete);
        }
        Ok(Outcome::Pending(pending.into()))
    }

    async fn status(&self) -> Result<MigrationStatus, MigrateError> {
        let started = Instant::now();
        let mut has_lost_connection = false;
        loop {
            match self.known.status_on(&self.registry, self.database()).await {
                // The connection may have been lost since its last use. The engine checks the next one before it lends
                // it.
                Err(error) if may_have_lost_connection(&error) && !has_lost_connection => {
                    has_lost_connection = true;
                }
                Err(error) if self.has_freed_resources(&error, started).await => {}
                outcome => return outcome,
            }
        }
    }

    async fn migrate(&self) -> Result<(), MigrateError> {
        let (started, bind, tenant) = (Instant::now(), self.known.key(), &self.database.tenant);
        loop {
            match self.known.run_on(&self.registry, self.database()).await {
                Ok(report) => {
                    let run = report.applied.len();
                    tracing::info!(target: "registry", %bind, tenant, run, "a tenant was migrated before its first use");
                    return Ok(());
                }
                Err(error) if self.has_freed_resources(&error, started).await => {}
                Err(error) => {
                    // The callers may all have left.
                    let cause = logged(&error);
                    tracing::warn!(target: "registry", %bind, tenant, error = %cause, "a tenant could not be migrated before its first use");
                    return Err(error);
                }
            }
        }
    }

    /// Whether an operation failed for lack of resources of the operating system, and an unused engine was closed to free
    /// some.
    async fn has_freed_resources(&self, error: &MigrateError, started: Instant) -> bool {
        let limit = self.database.engine.settings().options.acquire_timeout;
        matches!(error, MigrateError::Acquire(error) if error.lacks_resources())
            && self.registry.free_resources(started, limit).await
    }

    fn database(&self) -> OpenDatabase {
        let OpenDatabase { engine, schema, tenant } = &self.database;
        OpenDatabase {
            engine: EngineUse::new(Arc::clone(engine.engine())),
            schema: schema.clone(),
            tenant: tenant.clone(),
        }
    }
}

fn may_have_lost_connection(error: &MigrateError) -> bool {
    match error {
        MigrateError::List { .. } => true,
        MigrateError::Acquire(error) => error.is_unreachable(),
        _ => false,
    }
}

/// The names of migrations, or their versions where no name is known.
pub(in crate::registry) fn names<'a>(
    entries: impl Iterator<Item = &'a MigrationEntry>,
) -> Vec<String> {
    entries.map(|entry| entry.name.clone().unwrap_or_else(|| entry.version.clone())).collect()
}
