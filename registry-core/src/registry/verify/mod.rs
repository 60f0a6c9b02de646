//! Finding out whether the databases answer, and whether the program fits them.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::Registry;
use super::bind_entry::BindEntry;
use crate::bind::BoundItem;
use crate::cause::Chain;
use crate::engine::CheckFailure;
use crate::settings::{BindKey, WrongBackend};

mod error;

pub use error::{VerifyError, VerifyFailure};

/// What [`Registry::verify`] found to be in order, and what it only warns of.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifyReport {
    /// How many models and tables of the program are bound.
    pub bound: usize,
    /// The binds that answered.
    pub answered: Vec<BindKey>,
    /// Binds with `required = false` that did not.
    pub warnings: Vec<VerifyFailure>,
}

/// Whether each database answered, see [`Registry::check`].
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// One entry a bind, in the order of their keys.
    pub binds: Vec<BindHealth>,
}

impl CheckReport {
    /// Whether all of them answered.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.binds.iter().all(|bind| bind.failure.is_none())
    }
}

/// Whether one database answered.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BindHealth {
    /// The bind key.
    pub key: BindKey,
    /// Why it did not answer, with the causes; `None` if it did.
    pub failure: Option<String>,
    /// How long that took.
    pub took: Duration,
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.binds.iter().map(|bind| bind.key.len()).max().unwrap_or_default();
        for (at, bind) in self.binds.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            let outcome = bind.failure.as_deref().unwrap_or("ok");
            write!(f, "{:<width$}  {:>9.3?}  {outcome}", bind.key, bind.took)?;
        }
        Ok(())
    }
}

pub(super) async fn verify(registry: &Registry) -> Result<VerifyReport, VerifyError> {
    let items: Vec<&BoundItem> = inventory::iter::<BoundItem>.into_iter().collect();
    let mut failures = unfit(registry, &items);
    let mut report =
        VerifyReport { bound: items.len(), answered: Vec::new(), warnings: Vec::new() };
    let engines = registry.engines();
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
    if failures.is_empty() { Ok(report) } else { Err(VerifyError { failures }) }
}

pub(super) async fn check(registry: &Registry, limit: Duration) -> CheckReport {
    let engines = registry.engines();
    let checks = engines.iter().map(|engine| async move {
        let started = Instant::now();
        let key = engine.settings().key;
        let check = engine.clone().check(Some(limit));
        let outcome = match Handle::try_current() {
            Ok(_) => timeout(limit, check).await,
            // It says so itself, at once.
            Err(_) => Ok(check.await),
        };
        let outcome = match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(Chain(&failure_of(key, failure)).to_string()),
            Err(_) => {
                let limit = humantime::format_duration(limit);
                Err(format!("bind `{key}`: no answer within {limit}"))
            }
        };
        BindHealth { key, failure: outcome.err(), took: started.elapsed() }
    });
    CheckReport { binds: join_all(checks).await }
}

/// The models and tables that the registry has no place for.
fn unfit(registry: &Registry, items: &[&BoundItem]) -> Vec<VerifyFailure> {
    let mut failures: Vec<(String, VerifyFailure)> = Vec::new();
    for found in items {
        let item = format!("{} `{}`", found.noun, found.path);
        let place = format!("{}:{}", found.file, found.line);
        let failure = match registry.0.table.by_key(&found.key).map(BindEntry::backend) {
            None => VerifyFailure::UnknownBind {
                item,
                place: place.clone(),
                source: registry.unknown(&found.key),
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
    // The linker collects them in no particular order.
    failures.sort_by(|(a, _), (b, _)| a.cmp(b));
    failures.into_iter().map(|(_, failure)| failure).collect()
}

fn failure_of(key: BindKey, failure: CheckFailure) -> VerifyFailure {
    match failure {
        CheckFailure::Acquire(error) => VerifyFailure::Acquire(error),
        CheckFailure::Check(source) => VerifyFailure::Check { key, source },
    }
}
