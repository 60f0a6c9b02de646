//! The inputs and the result of a run of migrations.

use std::collections::HashMap;
use std::fmt;

use diesel::migration::Migration;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
use diesel_async::AsyncConnectionCore;

use crate::cause::DriverError;
use crate::settings::BindKey;

/// Every migration of a program for one bind.
pub(crate) type Migrations<DB> = Vec<Box<dyn Migration<DB>>>;

/// The backend of a connection, as Diesel knows it.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(super) type BackendOf<C> = <C as AsyncConnectionCore>::Backend;

/// The migration lock of a database, held until this value is dropped, or, on a server, until the connection is closed.
#[derive(Debug, Default)]
pub struct MigrationLock {
    /// Locked by the operating system, which releases the lock however the process ends.
    pub(in crate::backend) _file: Option<std::fs::File>,
}

/// Frees file descriptors of other components when this process has run out of them. Blocks.
pub trait ReclaimFiles {
    /// Called before migrations are read from files: makes file descriptors available, as far as possible.
    fn reclaim(&self);

    /// Whether an operation failed for lack of file descriptors, and file descriptors are available again.
    fn has_reclaimed_for(&self, error: &DriverError) -> bool;
}

/// The state of a session before migrations, which is restored after each of them.
#[derive(Debug, Clone, Default)]
pub struct MigrationSession {
    /// Statements that restore its settings. They can also be run within a transaction.
    pub restore: String,
    /// The rest of its state, which is compared and restored outside of transactions.
    pub before: HashMap<String, String>,
    /// Whether foreign keys are checked after each migration.
    pub keeps_references: bool,
}

/// The result of a run of migrations.
#[derive(Debug)]
pub struct Migrated {
    /// The names of the migrations that were run.
    pub applied: Vec<String>,
    /// The number of migrations that had been run before.
    pub skipped: usize,
    /// The failure that stopped the run, if any.
    pub failure: Option<MigrationFailure>,
}

/// The failure that stopped a run of migrations.
#[derive(Debug)]
pub enum MigrationFailure {
    /// The migrations that were run before could not be listed.
    List(DriverError),
    /// A version was run on this database as another migration. Nothing was run this time.
    Taken {
        /// That version.
        version: String,
        /// The migration that has this version here.
        migration: String,
        /// The migration that was run.
        applied: String,
        /// The key of the bind that ran it.
        by: String,
    },
    /// A migration has failed.
    Run {
        /// Its name.
        migration: String,
        /// Why.
        source: DriverError,
        /// Whether a part of it may have been committed.
        in_part: bool,
    },
    /// A migration has panicked.
    Panicked {
        /// Its name.
        migration: String,
    },
}

/// The migrations to run, with their bind and their context.
pub struct Run<'a, DB, F> {
    /// The migrations of the program.
    pub migrations: Migrations<DB>,
    /// The bind for which they are run.
    pub bind: BindKey,
    /// The user's own statements with which the connection was set up.
    pub on_connect: &'a [String],
    /// Frees file descriptors if migrations are read from files and the process has run out of them.
    pub files: &'a F,
}

impl<DB, F> fmt::Debug for Run<'_, DB, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("bind", &self.bind).finish_non_exhaustive()
    }
}
