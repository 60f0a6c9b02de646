//! The errors of `verify`.

use std::error::Error as StdError;
use std::fmt;

use crate::cause::{Chain, DriverError};
use crate::engine::{AcquireError, MigrationNames};
use crate::registry::migrate::MigrateError;
use crate::settings::{BindKey, UnknownBind, WrongBackend};

/// Everything that [`Registry::verify`](crate::Registry::verify) found wrong.
#[derive(Debug)]
pub struct VerifyError {
    pub(crate) failures: Vec<VerifyFailure>,
}

impl VerifyError {
    /// The failures. Failures of the program's models and tables come first.
    #[must_use]
    pub fn failures(&self) -> &[VerifyFailure] {
        &self.failures
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.failures.len();
        write!(f, "{count} {} with the binds:", if count == 1 { "problem" } else { "problems" })?;
        for failure in &self.failures {
            // An error that collects several has no single `source()`, so the chains are printed here.
            write!(f, "\n  {}", Chain(failure))?;
        }
        Ok(())
    }
}

impl StdError for VerifyError {}

/// One thing that [`Registry::verify`](crate::Registry::verify) found wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyFailure {
    /// A model or table of the program is bound to a bind that the settings do not have.
    #[error("{item} ({place})")]
    UnknownBind {
        /// The model or table, such as "model app::Event".
        item: String,
        /// Its file and line.
        place: String,
        /// The unknown key, and the keys in the settings.
        #[source]
        source: UnknownBind,
    },
    /// A model or table of the program expects another backend than the bind's URL names.
    #[error("{item} ({place})")]
    WrongBackend {
        /// The model or table, such as "model app::Event".
        item: String,
        /// Its file and line.
        place: String,
        /// The expected backend, and the backend of the URL.
        #[source]
        source: WrongBackend,
    },
    /// No connection could be opened.
    #[error(transparent)]
    Acquire(AcquireError),
    /// A replica of a bind cannot be used: its server is the wrong one, or refuses the connection.
    #[error("bind `{key}`: the replica {host} cannot be used")]
    Replica {
        /// The bind.
        key: BindKey,
        /// The address and the port of the server, or the URL in the settings if that is not known.
        host: String,
        /// Why.
        #[source]
        source: DriverError,
    },
    /// Reads after tokens do not use a replica of a bind, because the account may not see how far the replica is for certain
    /// (PostgreSQL). This is always a warning.
    #[error(
        "bind `{key}`: reads after tokens do not use the replica {host}, because the account may not see its timeline: that \
         needs `GRANT pg_read_all_stats`"
    )]
    ReplicaPosition {
        /// The bind.
        key: BindKey,
        /// The address and the port of the server.
        host: String,
    },
    /// A connection was opened, and the check on it failed.
    #[error("bind `{key}`: the connection does not answer")]
    Check {
        /// The bind key.
        key: BindKey,
        /// Why the check failed.
        #[source]
        source: DriverError,
    },

    /// Migrations of the program, which the [builder](crate::RegistryBuilder::migrations) was told, were not run on the
    /// database. With `when_pending = "serve"`, this is a warning.
    #[error("bind `{key}`: pending migrations ({}): run them before", MigrationNames(migrations))]
    PendingMigrations {
        /// The bind key.
        key: BindKey,
        /// The names of the migrations, in the order in which they are run.
        migrations: Vec<String>,
    },

    /// Migrations were run on the database that the program does not have. A warning, unless the bind has
    /// `when_unknown = "fail"`.
    #[error(
        "bind `{key}`: migrations were run that the program does not have ({})",
        MigrationNames(migrations)
    )]
    UnknownMigrations {
        /// The bind key.
        key: BindKey,
        /// The names of the migrations, or their versions where no name is recorded.
        migrations: Vec<String>,
    },

    /// It could not be read which migrations were run.
    #[error("bind `{key}`: its migrations could not be checked")]
    Migrations {
        /// The bind key.
        key: BindKey,
        /// Why.
        #[source]
        source: MigrateError,
    },
}
