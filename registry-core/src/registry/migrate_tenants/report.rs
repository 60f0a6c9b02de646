//! What happened to each tenant, and to all of them.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::cause::Chain;
use crate::registry::migrate::MigrateError;
use crate::settings::{BindKey, TenantError};

/// How many failures a report keeps.
pub(super) const KEPT_FAILURES: usize = 100;

/// What happened to one tenant.
///
/// It is shown in one line, such as ``acme: 2 migrations run: 2026_tables, 2027_index``.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct TenantOutcome {
    /// The name of the tenant, as it was given.
    pub tenant: String,
    /// What happened.
    pub result: TenantResult,
}

/// What happened to one tenant: a part of a [`TenantOutcome`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TenantResult {
    /// Its migrations were run: their names, in order. At least one.
    Applied(Vec<String>),
    /// There was nothing to run, by its own table of versions or by the ledger.
    UpToDate,
    /// It could not be migrated, or only in part.
    Failed(TenantFailure),
    /// The run had stopped before, so nothing was done, and nothing asked.
    NotReached,
    /// The stream had that name before, among the last 10,000 names. The first time counts, and this one was ignored.
    Repeated,
}

/// Why a tenant was not migrated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TenantFailure {
    /// The name cannot be the name of a tenant.
    #[error(transparent)]
    InvalidName(#[from] TenantError),
    /// Its migrations could not be run, or not all of them.
    #[error(transparent)]
    Migrate(Box<MigrateError>),
    /// The code that migrates it panicked, with that message.
    #[error("migrating the tenant panicked: {0}")]
    Panicked(String),
}

/// The error and its causes, outermost first.
impl Serialize for TenantFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sources = std::iter::successors(self.source(), |&error| error.source());
        let causes: Vec<String> = sources.map(ToString::to_string).collect();
        let mut failure = serializer.serialize_struct("TenantFailure", 2)?;
        failure.serialize_field("error", &self.to_string())?;
        failure.serialize_field("causes", &causes)?;
        failure.end()
    }
}

impl fmt::Display for TenantOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.tenant, self.result)
    }
}

impl fmt::Display for TenantResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied(names) => {
                let word = if names.len() == 1 { "migration" } else { "migrations" };
                write!(f, "{} {word} run: {}", names.len(), names.join(", "))
            }
            Self::UpToDate => f.write_str("up to date"),
            Self::Failed(failure) => write!(f, "failed: {}", OneLine(failure)),
            Self::NotReached => f.write_str("not reached"),
            Self::Repeated => f.write_str("named again, and ignored"),
        }
    }
}

/// An error with its causes, in one line: what databases report may have several.
struct OneLine<'a>(&'a TenantFailure);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = Chain(self.0).to_string();
        let mut lines = chain.lines().map(str::trim).filter(|line| !line.is_empty());
        f.write_str(lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| write!(f, " {line}"))
    }
}

/// How many tenants were migrated, and which could not be.
///
/// It is shown as a line with the numbers, and a line for each failure.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct MigrateTenantsReport {
    /// The key of the bind.
    pub key: BindKey,
    /// How many tenants had migrations run now.
    pub applied: u64,
    /// How many had nothing to run.
    pub up_to_date: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were not looked at, because the run had stopped before.
    pub not_reached: u64,
    /// Whether the stream still had names, or might have had, when the run ended: after a stop, the rest of them is read for
    /// two seconds at most.
    pub has_unread_names: bool,
    /// How often the stream repeated a name. These are not counted as tenants.
    pub repeated: u64,
    /// The failed tenants: the first 100.
    pub failures: Vec<TenantOutcome>,
    /// How long it took.
    pub elapsed: Duration,
}

impl MigrateTenantsReport {
    pub(super) fn new(key: BindKey) -> Self {
        Self {
            key,
            applied: 0,
            up_to_date: 0,
            failed: 0,
            not_reached: 0,
            has_unread_names: false,
            repeated: 0,
            failures: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Whether every tenant has all migrations: none failed, and all were reached.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.not_reached == 0 && !self.has_unread_names
    }

    /// How many tenants were read from the stream. A name that it repeated counts once.
    #[must_use]
    pub fn tenants(&self) -> u64 {
        self.applied + self.up_to_date + self.failed + self.not_reached
    }

    /// Counts an outcome, and keeps it if it is one of the first failures.
    pub(super) fn add(&mut self, outcome: TenantOutcome) {
        let count = match outcome.result {
            TenantResult::Applied(_) => &mut self.applied,
            TenantResult::UpToDate => &mut self.up_to_date,
            TenantResult::Failed(_) => &mut self.failed,
            TenantResult::NotReached => &mut self.not_reached,
            TenantResult::Repeated => &mut self.repeated,
        };
        *count += 1;
        if matches!(outcome.result, TenantResult::Failed(_)) && self.failures.len() < KEPT_FAILURES
        {
            self.failures.push(outcome);
        }
    }
}

/// How many tenants came to which end.
pub(super) fn progress(report: &MigrateTenantsReport) -> String {
    let MigrateTenantsReport { applied, up_to_date, failed, not_reached, .. } = report;
    format!(
        "tenants migrated: {applied}, up to date: {up_to_date}, failed: {failed}, not reached: {not_reached}"
    )
}

impl fmt::Display for MigrateTenantsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, repeated, .. } = self;
        write!(f, "bind `{key}`: {}", progress(self))?;
        if self.has_unread_names {
            f.write_str(" (and those whose names were not read)")?;
        }
        if *repeated > 0 {
            write!(f, "; names repeated: {repeated}")?;
        }
        for failure in &self.failures {
            write!(f, "\n  {failure}")?;
        }
        match self.failed - self.failures.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
