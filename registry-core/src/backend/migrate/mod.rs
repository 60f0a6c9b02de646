//! Running migrations on a connection, for each backend.
//!
//! As Diesel's own harness does it, and in its table, so that its command-line tool can go on from there; with
//! what that harness leaves open: whose migration a version is ([`records`]), rows that refer to nothing
//! ([`references`]), what a migration leaves in the session, and whether what was committed is there.

use std::collections::HashMap;
use std::fmt;

use diesel::migration::Migration;
use diesel_async::AsyncConnectionCore;

use crate::cause::DriverError;
use crate::settings::BindKey;

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod pending;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) mod records;
mod references;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod run;

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) use pending::{migrate_by_harness, run_pending};
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) use records::records_by_diesel;
#[cfg(feature = "sqlite")]
pub(crate) use references::BrokenReference;
pub(crate) use references::TableReferences;

/// Every migration that there is.
pub(crate) type Migrations<DB> = Vec<Box<dyn Migration<DB>>>;

/// The backend of a connection, as Diesel knows it.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
type BackendOf<C> = <C as AsyncConnectionCore>::Backend;

/// A lock that is held for as long as this lives.
#[derive(Debug, Default)]
pub struct MigrationLock {
    /// Locked by the operating system, which lets go of it when the process ends in any way.
    pub(super) _file: Option<std::fs::File>,
}

/// Has others give back what this process is short of: open files. Blocks.
pub trait MakesRoom {
    /// Sees to it that there are some, as far as that can be had, before migrations are read from files.
    fn make_room(&self);

    /// Whether something failed for want of them, and there are some now.
    fn makes_room_for(&self, error: &DriverError) -> bool;
}

/// What is as it was before in the session of a connection, after each migration.
#[derive(Debug, Clone, Default)]
pub struct MigrationSession {
    /// Statements that bring its settings back, also within a transaction.
    pub restore: String,
    /// What else there is in it, which is compared outside of transactions.
    pub before: HashMap<String, String>,
    /// Whether rows that refer to nothing are looked for after each migration.
    pub keeps_references: bool,
}

/// What became of migrations.
#[derive(Debug)]
pub struct Migrated {
    /// The names of those that were run.
    pub applied: Vec<String>,
    /// How many had been run before.
    pub skipped: usize,
    /// What stopped it.
    pub failure: Option<MigrationFailure>,
}

/// What stopped migrations.
#[derive(Debug)]
pub enum MigrationFailure {
    /// What was run before could not be found out.
    List(DriverError),
    /// A version was run on this database as another migration. Nothing was run now.
    Taken {
        /// That version.
        version: String,
        /// The migration that has it here.
        migration: String,
        /// The migration that was run.
        applied: String,
        /// The key of the bind that ran it.
        by: String,
    },
    /// A migration failed.
    Run {
        /// Its name.
        migration: String,
        /// Why.
        source: DriverError,
        /// Whether a part of it may be there to stay.
        in_part: bool,
    },
    /// A migration panicked.
    Panicked {
        /// Its name.
        migration: String,
    },
}

/// What is to be run.
pub struct Run<'a, DB, F> {
    /// Those of the program.
    pub migrations: Migrations<DB>,
    /// On whose behalf.
    pub bind: BindKey,
    /// The user's own statements, with which the connection was set up.
    pub on_connect: &'a [String],
    /// Where migrations are read from files and files are short, these have some given back.
    pub files: &'a F,
}

impl<DB, F> fmt::Debug for Run<'_, DB, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("bind", &self.bind).finish_non_exhaustive()
    }
}
