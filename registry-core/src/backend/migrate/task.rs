//! The inputs and the result of a run of migrations.

use std::collections::HashMap;
use std::fmt;

use diesel::migration::Migration;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
use diesel_async::AsyncConnectionCore;

use super::limits::Limits;
use crate::backend::namespace::LOCK_PAUSE;
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

/// The pause between two attempts to take the migration lock. An error if nobody waits for it any more.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(in crate::backend) fn pause_before_lock(
    is_awaited: &dyn Fn() -> bool,
) -> Result<(), DriverError> {
    if !is_awaited() {
        return Err("nobody waits for it any more".into());
    }
    std::thread::sleep(LOCK_PAUSE);
    Ok(())
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

/// The change that is made to the migrations of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Run what is pending.
    Run,
    /// Run what is pending, up to and with a migration, which is named by its version or its name.
    RunTo(String),
    /// Revert the last migrations that were run, as many as this.
    Revert(usize),
    /// Revert the last migration that was run, and run it again.
    Redo,
}

/// What is done with a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It is run.
    Up,
    /// It is reverted.
    Down,
}

/// A version in Diesel's table, with its record if there is one.
#[derive(Debug, Clone)]
pub struct AppliedVersion {
    /// The version.
    pub version: String,
    /// When it was run, as text. `None` if the database cannot tell.
    pub run_on: Option<String>,
    /// The name of its migration and the key of the bind that ran it.
    pub record: Option<(String, String)>,
}

/// The result of a change.
#[derive(Debug, Default)]
pub struct Migrated {
    /// The names of the migrations that were run.
    pub applied: Vec<String>,
    /// The names of the migrations that were reverted.
    pub reverted: Vec<String>,
    /// The number of migrations that had been run before, and were left as they are.
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
    /// The program has no migration of the version up to which to run.
    UnknownVersion {
        /// The version or the name.
        version: String,
        /// The names of the program's migrations.
        known: Vec<String>,
    },
    /// A migration that is to be reverted has nothing that reverts it. Nothing was reverted.
    Irreversible {
        /// Its name.
        migration: String,
    },
    /// A migration that is to be reverted is not one of the program. Nothing was reverted.
    NotInProgram {
        /// Its version.
        version: String,
        /// Its name, if it is recorded.
        name: Option<String>,
    },
    /// A migration that is to be reverted was run by another bind. Nothing was reverted.
    OfAnotherBind {
        /// Its name.
        migration: String,
        /// The key of the bind that ran it.
        by: String,
    },
    /// A migration has failed.
    Run {
        /// Its name.
        migration: String,
        /// Whether it was run or reverted.
        direction: Direction,
        /// Why.
        source: DriverError,
        /// Whether a part of it may have been committed.
        in_part: bool,
        /// How often it was tried.
        tries: u32,
    },
    /// The time limit was reached.
    TimeLimit {
        /// The migration that was stopped, if one was running, and why it failed.
        stopped: Option<(String, DriverError)>,
        /// Whether a part of it may have been committed.
        in_part: bool,
    },
    /// The change was stopped before its next migration.
    Stopped,
    /// A migration has panicked.
    Panicked {
        /// Its name.
        migration: String,
    },
}

/// A change to make, with the migrations, their bind and their context.
pub struct Run<'a, DB, F> {
    /// The change.
    pub change: &'a Change,
    /// The migrations of the program.
    pub migrations: Migrations<DB>,
    /// The bind for which they are run.
    pub bind: BindKey,
    /// How long the migrations wait, and how long the change may take.
    pub limits: Limits,
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
