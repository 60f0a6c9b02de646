//! Checks when a program starts: whether the databases answer, and whether the program's models fit them.

use std::error::Error;
use std::sync::Arc;

use futures_util::future::join_all;

use super::bind_entry::BindEntry;
use super::handle::Registry;
use crate::bind::BoundItem;
use crate::engine::{AnyEngine, CheckFailure, ReplicaCheck};
use crate::settings::{BindKey, EngineSettings, WrongBackend};
use migrations::check_migrations;

mod error;
mod migrations;

pub use error::{VerifyError, VerifyFailure};

impl Registry {
    /// Checks the databases and the program's models, before the first request is served, and returns every failure at
    /// once.
    ///
    /// It connects to every bind, all at once, and compares every bound model and table of the program with the
    /// settings: whether the settings have its bind, and whether the bind's URL has its backend. A bind with `required
    /// = false` that cannot be reached is a warning, in the report and in the log. Binds with a database for each
    /// tenant are not connected to.
    ///
    /// It also compares the migrations that [`RegistryBuilder::migrations`](crate::RegistryBuilder::migrations) was told
    /// with those that were run on the binds with one database. Pending ones are a failure, or with
    /// `when_pending = "serve"` a warning. Those that the program does not have are a warning, or with
    /// `when_unknown = "fail"` a failure. Tenants are checked when they are first used, and not here.
    ///
    /// It waits for `acquire_timeout` (30 s by default) and `check_timeout` (1 s) at most. Dropping the future stops it.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] with every failure, each with its bind key and cause.
    ///
    /// ```standalone_crate
    /// use registry_core::{Registry, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let report = registry.verify().await?;
    /// assert_eq!(report.answered.len(), 1);
    ///
    /// let without_analytics = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let error = without_analytics.verify().await.unwrap_err();
    /// assert_eq!(error.failures().len(), 1); // the table `events`, with its file and line
    /// # Ok(())
    /// # }
    /// ```
    pub async fn verify(&self) -> Result<VerifyReport, VerifyError> {
        let items: Vec<&BoundItem> = inventory::iter::<BoundItem>.into_iter().collect();
        let mut failures = misbound_items(self, &items);
        let mut report =
            VerifyReport { bound: items.len(), answered: Vec::new(), warnings: Vec::new() };
        let engines = self.engines();
        let checks = join_all(engines.iter().map(|engine| engine.clone().check(None))).await;
        for (engine, outcome) in engines.iter().zip(checks) {
            let settings = engine.settings();
            let failure = match outcome {
                Ok(()) => {
                    report.answered.push(settings.key);
                    continue;
                }
                Err(failure) => failure_of(settings.key, failure),
            };
            if settings.required {
                failures.push(failure);
            } else {
                tracing::warn!(
                    target: "registry",
                    bind = %settings.key,
                    error = &failure as &dyn Error,
                    "a bind that is not required cannot be used"
                );
                report.warnings.push(failure);
            }
        }
        for (settings, check) in replicas(&engines).await {
            let (key, host) = (settings.key, check.host);
            // A replica that is down must not keep the program from starting: its reads go elsewhere. So do those after
            // tokens, if it hides its position.
            let (is_required, failure) = match check.outcome {
                Err(problem) => (
                    settings.required && !problem.is_transient(),
                    VerifyFailure::Replica { key, host, source: problem.into() },
                ),
                Ok(_) if check.hides_position => {
                    (false, VerifyFailure::ReplicaPosition { key, host })
                }
                Ok(_) => continue,
            };
            if is_required {
                failures.push(failure);
            } else {
                tracing::warn!(
                    target: "registry",
                    bind = %settings.key,
                    error = &failure as &dyn Error,
                    "a replica cannot be used, or not for all reads"
                );
                report.warnings.push(failure);
            }
        }
        for (key, failure, is_failure) in check_migrations(self, &report.answered).await {
            if is_failure {
                failures.push(failure);
            } else {
                tracing::warn!(
                    target: "registry",
                    bind = %key,
                    error = &failure as &dyn Error,
                    "the migrations of a bind are not those of the program"
                );
                report.warnings.push(failure);
            }
        }
        if failures.is_empty() { Ok(report) } else { Err(VerifyError { failures }) }
    }
}

/// The result of a successful [`Registry::verify`], with its warnings.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifyReport {
    /// How many models and tables of the program are bound.
    pub bound: usize,
    /// The binds that answered.
    pub answered: Vec<BindKey>,
    /// Why binds with `required = false` did not answer.
    pub warnings: Vec<VerifyFailure>,
}

/// The examination of every replica of these engines.
async fn replicas(engines: &[Arc<dyn AnyEngine>]) -> Vec<(&EngineSettings, ReplicaCheck)> {
    let checks = engines.iter().map(|engine| async move {
        let checks = engine.clone().check_replicas(None).await;
        checks.into_iter().map(move |check| (engine.settings(), check))
    });
    join_all(checks).await.into_iter().flatten().collect()
}

/// The models and tables whose bind is missing in the settings, or has another backend there.
fn misbound_items(registry: &Registry, items: &[&BoundItem]) -> Vec<VerifyFailure> {
    let mut failures: Vec<(String, VerifyFailure)> = Vec::new();
    for found in items {
        let item = format!("{} `{}`", found.noun, found.path);
        let place = format!("{}:{}", found.file, found.line);
        let failure = match registry.0.binds.key(&found.key).map(BindEntry::backend) {
            None => VerifyFailure::UnknownBind {
                item,
                place: place.clone(),
                source: registry.unknown_bind(&found.key),
            },
            Some(Some(backend)) if backend != found.backend => {
                let (key, expected) = (found.key, found.backend);
                let source = WrongBackend { key, expected, found: backend };
                VerifyFailure::WrongBackend { item, place: place.clone(), source }
            }
            Some(_) => continue,
        };
        failures.push((place, failure));
    }
    // The linker collects the items in no particular order.
    failures.sort_by(|(a, _), (b, _)| a.cmp(b));
    failures.into_iter().map(|(_, failure)| failure).collect()
}

pub(super) fn failure_of(key: BindKey, failure: CheckFailure) -> VerifyFailure {
    match failure {
        CheckFailure::Acquire(error) => VerifyFailure::Acquire(error),
        CheckFailure::Check(source) => VerifyFailure::Check { key, source },
    }
}
