//! The error of running migrations.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::cause::{DriverError, Logged};
use crate::engine::AcquireError;
use crate::settings::{BindKey, UnknownBind, WrongBackend, nearest};

/// Why the migrations of a bind were not run, or not all of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The settings have no bind of that key.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),
    /// The program expects one backend behind that bind, and its URL names another.
    #[error(transparent)]
    WrongBackend(#[from] WrongBackend),
    /// The bind has a database for each tenant: migrate each, by
    /// [`Tenant::migrate`](crate::Tenant::migrate).
    #[error("bind `{key}` has a database for each tenant: migrate through `registry.tenant(..)`")]
    NoTenant {
        /// The bind key.
        key: BindKey,
    },
    /// On a registry for test isolation nothing is committed, so migrations must be run before.
    #[error("bind `{key}`: migrations are run before test isolation, and not in it")]
    Isolated {
        /// The bind key.
        key: BindKey,
    },
    /// Migrations need one server connection for all of their statements, and a pooler gives each transaction another.
    #[error(
        "bind `{key}`: migrations cannot be run through its `pooler`: say `migrate_url`, the URL of the \
         server itself"
    )]
    Pooler {
        /// The bind key.
        key: BindKey,
    },
    /// The call was made outside a Tokio runtime.
    #[error("bind `{key}`: migrations can only be run inside a Tokio runtime")]
    NoRuntime {
        /// The bind key.
        key: BindKey,
    },
    /// No connection to run them on could be opened.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The lock that keeps two processes from migrating at once could not be acquired.
    #[error("bind `{key}`: the migration lock could not be taken")]
    Lock {
        /// The bind key.
        key: BindKey,
        /// Why not.
        #[source]
        source: DriverError,
    },
    /// The migrations that were run before, or the migrations of the program, could not be read.
    #[error("bind `{key}`: the pending migrations could not be listed")]
    List {
        /// The bind key.
        key: BindKey,
        /// Why not.
        #[source]
        source: DriverError,
    },
    /// Two migrations of the source have the same version, so only one of them would ever be run. Nothing was run.
    ///
    /// The version is the part before the first `_` in a migration's name, without `-`. On MySQL and MariaDB, the table
    /// of versions compares without case, so versions that differ only in case are the same version.
    #[error(
        "bind `{key}`: the migrations `{}` and `{}` have one version, `{version}`: nothing was run; give one of \
         them another",
        migrations[0], migrations[1]
    )]
    SameVersion {
        /// The bind key.
        key: BindKey,
        /// The version.
        version: String,
        /// The names of both, in alphabetical order.
        migrations: [String; 2],
    },
    /// A version is too long for the table of versions on PostgreSQL, MySQL and MariaDB, where the column is a
    /// `VARCHAR(50)`. Nothing was run.
    #[error(
        "bind `{key}`: the version of the migration `{migration}` has {} characters, and the table of versions \
         takes {limit}: nothing was run; the version is what stands before the first `_`",
        version.chars().count()
    )]
    VersionTooLong {
        /// The bind key.
        key: BindKey,
        /// The name of the migration.
        migration: Box<str>,
        /// The version.
        version: Box<str>,
        /// How many characters it may have.
        limit: usize,
    },
    /// This database has run the version under another name: as a migration of another bind that shares the database,
    /// or as a migration that was renamed since. Nothing was run.
    #[error(
        "bind `{key}`: the migration `{migration}` has the version `{version}`, and this database has run \
         `{applied_as}` of bind `{applied_by}` as that version: nothing was run; {}",
        if *key == **applied_by {
            "if it is the same migration, give it its name back, and else another version"
        } else {
            "give one of them another version"
        }
    )]
    VersionTaken {
        /// The bind key.
        key: BindKey,
        /// The version.
        version: Box<str>,
        /// The name of the migration with this version in the program.
        migration: Box<str>,
        /// The name of the migration that was run.
        applied_as: Box<str>,
        /// The key of the bind that ran it.
        applied_by: Box<str>,
    },
    /// The program has no migration of the version up to which to run. Nothing was run.
    #[error("bind `{key}`: there is no migration `{version}`{}", NearestOf(version, known))]
    UnknownVersion {
        /// The bind key.
        key: BindKey,
        /// The version or the name that was asked for.
        version: String,
        /// The names of the program's migrations, in the order of their versions.
        known: Vec<String>,
    },
    /// A migration that would be reverted has no `down.sql`, or, in Rust, no `down`. Nothing was reverted.
    #[error(
        "bind `{key}`: the migration `{migration}` cannot be reverted, as it has neither a `down.sql` nor a `down`: \
         nothing was reverted"
    )]
    Irreversible {
        /// The bind key.
        key: BindKey,
        /// The name of the migration.
        migration: String,
    },
    /// A migration that would be reverted is not one of the program, so its SQL is not known. Nothing was reverted.
    #[error(
        "bind `{key}`: the migration {} was run on this database, and this program does not have it: nothing was \
         reverted; revert it with a program that has it",
        match name {
            Some(name) => format!("`{name}`"),
            None => format!("of version `{version}`"),
        }
    )]
    NotInProgram {
        /// The bind key.
        key: BindKey,
        /// The version.
        version: String,
        /// The name, if the database has a record of it.
        name: Option<String>,
    },
    /// A migration that would be reverted was run by another bind that shares the database. Nothing was reverted.
    #[error(
        "bind `{key}`: the migration `{migration}` was run by bind `{applied_by}` on this database: nothing was \
         reverted; revert it through that bind"
    )]
    OfAnotherBind {
        /// The bind key.
        key: BindKey,
        /// The name of the migration.
        migration: String,
        /// The key of the bind that ran it.
        applied_by: String,
    },
    /// A migration could not be reverted, and counts as run still. Those before it were reverted, and stay so.
    #[error(
        "bind `{key}`: the migration `{migration}` could not be reverted, after {} had been reverted{}{}",
        reverted.len(),
        if *in_part { "; a part of it may have been reverted, and stays so" } else { "" },
        Tries(*tries)
    )]
    Revert {
        /// The bind key.
        key: BindKey,
        /// The name of the migration that was to be reverted.
        migration: String,
        /// The names of the migrations that this call reverted before it.
        reverted: Box<[String]>,
        /// Whether a part of it may have been reverted permanently, as with `Migration`.
        in_part: bool,
        /// How often it was tried: more than once only if it waited too long for a lock, see
        /// [`lock_retries`](crate::Migrations::lock_retries).
        tries: u32,
        /// What the database reported.
        #[source]
        source: DriverError,
    },
    /// A migration failed. Those before it were run and stay.
    #[error(
        "bind `{key}`: the migration `{migration}` failed, after {} had been run{}{}{}",
        applied.len(),
        if reverted.is_empty() { "" } else { "; it had been reverted before, and is pending now" },
        if *in_part { "; a part of it may have been applied, and stays" } else { "" },
        Tries(*tries)
    )]
    Migration {
        /// The bind key.
        key: BindKey,
        /// The name of the migration that failed.
        migration: String,
        /// The names of the migrations that this call reverted before it.
        reverted: Box<[String]>,
        /// The names of the migrations that this call ran before it.
        applied: Vec<String>,
        /// Whether a part of the migration may have been applied permanently. That is so if the migration has committed
        /// (as DDL does on MySQL and MariaDB), has changed a table without transactions (MyISAM, Aria, MEMORY), has
        /// ended its transaction by itself, was not to run in a transaction, or if the connection broke during the
        /// commit.
        in_part: bool,
        /// How often it was tried: more than once only if it waited too long for a lock, see
        /// [`lock_retries`](crate::Migrations::lock_retries).
        tries: u32,
        /// What the database reported.
        #[source]
        source: DriverError,
    },
    /// The [`time_limit`](crate::Migrations::time_limit) was reached. What was run or reverted before stays so.
    #[error(
        "bind `{key}`: the time limit of {} was reached{}, after {} had been run{}{}",
        humantime::format_duration(*limit),
        match migration {
            Some(migration) => format!(" in the migration `{migration}`"),
            None => String::new(),
        },
        applied.len(),
        match reverted.len() {
            0 => String::new(),
            count => format!(" and {count} reverted"),
        },
        if *in_part { "; a part of it may have been applied, and stays" } else { "" }
    )]
    TimeLimit {
        /// The bind key.
        key: BindKey,
        /// The limit.
        limit: Duration,
        /// The name of the migration that was stopped. `None` if none was running: while the change waited for a
        /// connection or for a lock of the registry's, or between two migrations.
        migration: Option<Box<str>>,
        /// The names of the migrations that this call reverted.
        reverted: Box<[String]>,
        /// The names of the migrations that this call ran.
        applied: Box<[String]>,
        /// Whether a part of the migration may have been applied permanently, as with `Migration`.
        in_part: bool,
        /// With what the stopped migration failed.
        #[source]
        source: Option<DriverError>,
    },
    /// The change was stopped by Ctrl-C or SIGTERM on the command line (feature `cli`), before its next
    /// migration.
    #[error(
        "bind `{key}`: it was stopped before the next migration, after {} had been run{}",
        applied.len(),
        match reverted.len() {
            0 => String::new(),
            count => format!(" and {count} reverted"),
        }
    )]
    Stopped {
        /// The bind key.
        key: BindKey,
        /// The migrations that were reverted before, in this order.
        reverted: Box<[String]>,
        /// The migrations that were run before, in this order.
        applied: Box<[String]>,
    },
    /// A migration, or the code that lists them, panicked. The transaction of that migration was rolled back. Those before
    /// it were run and stay.
    #[error("bind `{key}`: the migrations panicked")]
    Panicked {
        /// The bind key.
        key: BindKey,
        /// The name of the migration that panicked, if it was one.
        migration: Option<String>,
        /// The names of the migrations that this call reverted before it.
        reverted: Box<[String]>,
        /// The names of the migrations that this call ran before it.
        applied: Vec<String>,
    },
}

/// `error` in an event: with its causes, and without the values that a database repeats of a statement.
pub(crate) fn logged<'a>(error: &'a (dyn StdError + 'static)) -> Logged<'a> {
    Logged::new(error, |error| {
        // What a migration returns is of any type.
        let error = error.downcast_ref::<MigrateError>();
        error.is_some_and(|error| {
            use MigrateError::{Migration, Revert, TimeLimit};
            matches!(error, Migration { .. } | Revert { .. } | TimeLimit { .. })
        })
    })
}

/// How often a migration was tried, unless it was once.
struct Tries(u32);

impl fmt::Display for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 | 1 => Ok(()),
            tries => write!(f, "; it was tried {tries} times, as another session held a lock"),
        }
    }
}

/// The known name that is nearest to what was asked for.
struct NearestOf<'a>(&'a str, &'a [String]);

impl fmt::Display for NearestOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(wanted, known) = self;
        let version_of = |name: &str| name.split('_').next().unwrap_or_default().replace('-', "");
        let versions: Vec<_> = known.iter().map(|name| version_of(name)).collect();
        let by_name = nearest(wanted, known.iter().map(String::as_str));
        let by_version = || {
            let version = nearest(&version_of(wanted), versions.iter().map(String::as_str))?;
            known.iter().find(|name| version_of(name) == version).map(String::as_str)
        };
        match (by_name.or_else(by_version), known.last()) {
            (Some(nearest), _) => write!(f, "; did you mean `{nearest}`?"),
            (None, Some(last)) => write!(f, "; the last one of the program is `{last}`"),
            (None, None) => f.write_str("; the program has none"),
        }
    }
}
