//! Running migrations on a connection, for each backend.
//!
//! They are run as Diesel's own harness does it, and recorded in its table, so that its command-line tool can go on from
//! there. Beyond that harness, this records whose migration a version is, checks foreign keys, restores the session, and
//! checks that what was committed is there.
//!
//! | file | what it has |
//! |---|---|
//! | [`task`] | what a run of migrations is given, and what comes of it |
//! | [`pending`] | which migrations are to be run; the loop over them |
//! | [`run`] | one migration: its transaction, its failure, what may be left of it |
//! | [`records`] | the table that says whose migration a version is |
//! | [`references`] | foreign keys that a migration has broken |

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod pending;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) mod records;
mod references;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod run;
mod task;

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) use pending::{migrate_by_harness, run_pending};
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) use records::records_by_diesel;
#[cfg(feature = "sqlite")]
pub(crate) use references::BrokenReference;
pub(crate) use references::TableReferences;
pub(crate) use task::{
    Migrated, MigrationFailure, MigrationLock, MigrationSession, Migrations, ReclaimFiles, Run,
};
