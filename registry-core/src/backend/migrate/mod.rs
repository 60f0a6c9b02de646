//! Running migrations on a connection, for each backend.
//!
//! Migrations are run in the same way as by Diesel's own harness, and recorded in its table, so that Diesel's command-line
//! tool can continue from there. In addition, the registry records the name and the bind of each version, checks foreign
//! keys, restores the session, and checks that the committed version is in the table.
//!
//! | file | contents |
//! |---|---|
//! | [`task`] | the inputs and the result of a run of migrations |
//! | [`pending`] | the selection of the pending migrations; the loop over them |
//! | [`run`] | one migration: its transaction, its failure, a possible partial commit |
//! | [`records`] | the table with the name and the bind of each version |
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
