//! Running migrations on a connection, for each backend.
//!
//! Migrations are run in the same way as by Diesel's own harness, and recorded in its table, so that Diesel's command-line
//! tool can continue from there. In addition, the registry records the name and the bind of each version, checks foreign
//! keys, restores the session, and checks that the committed version is in the table.
//!
//! | file | contents |
//! |---|---|
//! | [`task`] | the inputs and the result of a change |
//! | [`change`] | a change on a connection: the loop over its steps |
//! | [`steps`] | the steps of a change: which migrations are run or reverted, and the checks before the first one |
//! | [`run`] | one step: its transaction, its failure, a possible partial commit |
//! | [`applied`] | the versions that were run, read without writing anything |
//! | [`records`] | the table with the name and the bind of each version |
//! | [`limits`] | how long migrations wait for locks, and how long a change may take |
//! | [`recorder`] | what a migration would do, found out without running it |
//! | [`references`] | foreign keys that a migration has broken |

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod applied;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod change;
mod limits;
mod recorder;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) mod records;
mod references;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod run;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod steps;
mod task;

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) use applied::read_applied;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) use change::{make_change, migrate_by_harness};
pub(crate) use limits::{Limits, Stop, TimeLimit};
pub(crate) use recorder::{NoDown, ProgramsOwn, recorded_sql};
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) use records::records_by_diesel;
#[cfg(feature = "sqlite")]
pub(crate) use references::BrokenReference;
pub(crate) use references::TableReferences;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(in crate::backend) use task::pause_before_lock;
pub(crate) use task::{
    AppliedVersion, Change, Direction, Migrated, MigrationFailure, MigrationLock, MigrationSession,
    Migrations, ReclaimFiles, Run,
};
