//! The error of migrating all tenants.

use super::report::{MigrateTenantsReport, progress};
use crate::cause::DriverError;
use crate::registry::migrate::MigrateError;
use crate::settings::{BindKey, UnknownBind, WrongBackend};

/// Why not every tenant has all migrations.
///
/// [`report`](Self::report) has what was done until then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateTenantsError {
    /// Tenants failed, or were not reached.
    #[error("{0}")]
    Tenants(Box<MigrateTenantsReport>),
    /// The settings have no bind of that key.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),
    /// The program expects one backend behind that bind, and its URL names another.
    #[error(transparent)]
    WrongBackend(#[from] WrongBackend),
    /// The bind has one database for everybody.
    #[error("bind `{key}` has no database or schema for each tenant: use `migrate`")]
    NotPerTenant {
        /// The bind key.
        key: BindKey,
    },
    /// On a registry for test isolation nothing is committed, so migrations must be run before.
    #[error("bind `{key}`: migrations are run before test isolation, and not in it")]
    Isolated {
        /// The bind key.
        key: BindKey,
    },
    /// The call was made outside a Tokio runtime.
    #[error("bind `{key}`: migrations can only be run inside a Tokio runtime")]
    NoRuntime {
        /// The bind key.
        key: BindKey,
    },
    /// The migrations of the program could not be read, or cannot be run on any database. No tenant was looked at.
    #[error(transparent)]
    Migrations(Box<MigrateError>),
    /// The ledger could not be read or written. Nothing new was begun after that.
    #[error(
        "bind `{key}`: the ledger of its tenants, in bind `{ledger}`, cannot be used ({})",
        progress(report)
    )]
    Ledger {
        /// The bind key of the tenants.
        key: BindKey,
        /// The bind key of the ledger.
        ledger: BindKey,
        /// What was done before.
        report: Box<MigrateTenantsReport>,
        /// Why not.
        #[source]
        source: DriverError,
    },
    /// Another run migrates the tenants of this bind. Nothing was begun.
    #[error(
        "bind `{key}`: another run migrates its tenants, {}; gave up after {}",
        holder_text(holder.as_deref(), since.as_deref()),
        humantime::format_duration(*after)
    )]
    LeaseHeld {
        /// The bind key of the tenants.
        key: BindKey,
        /// The bind key of the ledger.
        ledger: BindKey,
        /// The host and the process that has the lease, as it has named itself.
        holder: Option<Box<str>>,
        /// Since when, in UTC.
        since: Option<Box<str>>,
        /// How long this run has waited.
        after: std::time::Duration,
        /// What was found to be up to date before.
        report: Box<MigrateTenantsReport>,
    },
    /// The lease was lost during the run, so another run may have begun. Nothing new was begun after that.
    #[error(
        "bind `{key}`: the lease in bind `{ledger}` was lost, so another run may migrate its tenants ({})",
        progress(report)
    )]
    LeaseLost {
        /// The bind key of the tenants.
        key: BindKey,
        /// The bind key of the ledger.
        ledger: BindKey,
        /// What was done before.
        report: Box<MigrateTenantsReport>,
        /// How it was noticed. `None` if the server answered that another connection has the lease, or none.
        #[source]
        source: Option<DriverError>,
    },
    /// The stream of names gave an error. It was not read any further, so there may be tenants that were not reached.
    #[error(
        "bind `{key}`: the names of its tenants could not be read to their end ({})",
        progress(report)
    )]
    Names {
        /// The bind key.
        key: BindKey,
        /// What was done. It does not count the tenants whose names were not read.
        report: Box<MigrateTenantsReport>,
        /// The error of the stream.
        #[source]
        source: DriverError,
    },
    /// The stream of names, or the closure for outcomes, panicked. Nothing new was begun after that.
    #[error("bind `{key}`: {what} panicked: {message} ({})", progress(report))]
    Panicked {
        /// The bind key.
        key: BindKey,
        /// What has panicked.
        what: &'static str,
        /// The message of the panic.
        message: String,
        /// What was done.
        report: Box<MigrateTenantsReport>,
    },
    /// The runtime ended during the run. What has begun may have ended, or not.
    #[error("bind `{key}`: the runtime ended while its tenants were migrated")]
    Interrupted {
        /// The bind key.
        key: BindKey,
    },
}

impl MigrateTenantsError {
    /// What was done until then. `None` if no tenant was looked at.
    #[must_use]
    pub fn report(&self) -> Option<&MigrateTenantsReport> {
        match self {
            Self::Tenants(report)
            | Self::Ledger { report, .. }
            | Self::LeaseHeld { report, .. }
            | Self::LeaseLost { report, .. }
            | Self::Names { report, .. }
            | Self::Panicked { report, .. } => Some(report),
            Self::UnknownBind(_)
            | Self::WrongBackend(_)
            | Self::NotPerTenant { .. }
            | Self::Isolated { .. }
            | Self::NoRuntime { .. }
            | Self::Migrations(_)
            | Self::Interrupted { .. } => None,
        }
    }
}

fn holder_text(holder: Option<&str>, since: Option<&str>) -> String {
    match (holder, since) {
        (Some(holder), Some(since)) => format!("{holder}, since {since}"),
        _ => "and has not said which it is".to_owned(),
    }
}
