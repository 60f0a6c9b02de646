//! Running one migration.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::connection::{Connection, SimpleConnection, TransactionManager};
use diesel::migration::Migration;
use diesel_async::AsyncConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use tokio::runtime::Handle;

use super::records::{Record, Records};
use super::references::{self, References};
use super::{BackendOf, MigrationFailure, MigrationSession};
use crate::backend::driver::Driver;
use crate::error::DriverError;

type Harness<C> = AsyncConnectionWrapper<C>;

/// Why a migration did not come to its end.
pub(super) enum Stopped {
    Failed {
        source: DriverError,
        /// Whether a part of it may be there to stay.
        in_part: bool,
    },
    Panicked,
}

impl Stopped {
    pub(super) fn cause(&self) -> Option<&DriverError> {
        match self {
            Self::Failed { source, .. } => Some(source),
            Self::Panicked => None,
        }
    }

    pub(super) fn into_failure(self, migration: String) -> MigrationFailure {
        match self {
            Self::Failed { source, in_part } => {
                MigrationFailure::Run { migration, source, in_part }
            }
            Self::Panicked => MigrationFailure::Panicked,
        }
    }
}

fn whole(source: impl Into<DriverError>) -> Stopped {
    Stopped::Failed { source: source.into(), in_part: false }
}

fn in_part(source: impl Into<DriverError>) -> Stopped {
    Stopped::Failed { source: source.into(), in_part: true }
}

/// Set right after the beginning of a transaction: if it is not there later, the transaction has ended.
const MARK: &str = "SAVEPOINT registry_migration";
const BACK_TO_MARK: &str = "ROLLBACK TO SAVEPOINT registry_migration";

/// Runs a migration, has its version known and recorded, and sees to it that what it said is so.
pub(super) fn run_one<C>(
    harness: &mut Harness<C>,
    migration: &dyn Migration<BackendOf<C>>,
    record: &Record,
    session: &MigrationSession,
) -> Result<(), Stopped>
where
    C: Driver + AsyncConnection + 'static,
    Harness<C>: Records,
{
    Handle::current().block_on(harness.enter_migration()).map_err(whole)?;
    let run = match migration.metadata().run_in_transaction() {
        true => run_in_transaction(harness, migration, record, session),
        false => run_by_itself(harness, migration, record, session),
    };
    let left = Handle::current().block_on(harness.leave_migration(session));
    run?;
    left.map_err(in_part)?;
    match harness.has_version(&record.version) {
        Ok(true) => Ok(()),
        Ok(false) => Err(in_part(
            "it ended without an error, but its version is not in `__diesel_schema_migrations`: a transaction \
             that it left open was rolled back",
        )),
        Err(error) => Err(in_part(error)),
    }
}

fn run_in_transaction<C>(
    harness: &mut Harness<C>,
    migration: &dyn Migration<BackendOf<C>>,
    record: &Record,
    session: &MigrationSession,
) -> Result<(), Stopped>
where
    C: Driver + AsyncConnection + 'static,
    Harness<C>: Records,
{
    Handle::current().block_on(harness.begin(C::BEGIN_MIGRATION)).map_err(whole)?;
    let run = catch_unwind(AssertUnwindSafe(|| -> Result<(), DriverError> {
        harness.batch_execute(MARK)?;
        let before = broken(harness, session);
        migration.run(harness)?;
        references::check(before, broken(harness, session))?;
        if harness.is_outside_transaction() {
            // It has committed by itself. Diesel would not know.
            roll_back_by_driver(harness);
        }
        harness.batch_execute(&session.restore)?;
        note(harness, record)
    }));
    match run {
        Ok(Ok(())) if harness.is_outside_transaction() => Ok(()),
        // Whether it was committed is not known if the connection broke.
        Ok(Ok(())) => <Harness<C> as Connection>::TransactionManager::commit_transaction(harness)
            .map_err(in_part),
        Ok(Err(source)) => {
            // DDL of MySQL's commits, and so does a `COMMIT` in the migration.
            let in_part = harness.batch_execute(BACK_TO_MARK).is_err();
            roll_back(harness);
            Err(Stopped::Failed { source, in_part })
        }
        Err(_) => {
            roll_back(harness);
            Err(Stopped::Panicked)
        }
    }
}

fn run_by_itself<C>(
    harness: &mut Harness<C>,
    migration: &dyn Migration<BackendOf<C>>,
    record: &Record,
    session: &MigrationSession,
) -> Result<(), Stopped>
where
    C: Driver + AsyncConnection + 'static,
    Harness<C>: Records,
{
    let before = broken(harness, session);
    let run = catch_unwind(AssertUnwindSafe(|| -> Result<(), DriverError> {
        migration.run(harness)?;
        references::check(before, broken(harness, session))?;
        harness.batch_execute(&session.restore)?;
        note(harness, record)
    }));
    match run {
        Ok(run) => run.map_err(in_part),
        Err(_) => Err(Stopped::Panicked),
    }
}

fn note(harness: &mut impl Records, record: &Record) -> Result<(), DriverError> {
    harness.note_version(&record.version)?;
    Ok(harness.record(record)?)
}

fn broken<C>(harness: &mut Harness<C>, session: &MigrationSession) -> References
where
    C: Driver + AsyncConnection + 'static,
{
    match session.keeps_references {
        true => Handle::current().block_on(harness.broken_references()),
        false => Ok(Vec::new()),
    }
}

fn roll_back<C>(harness: &mut Harness<C>)
where
    C: Driver + AsyncConnection + 'static,
{
    if !roll_back_by_driver(harness) {
        // If the server cannot be told, the connection is of no more use, which shows when it is used.
        let _ = <Harness<C> as Connection>::TransactionManager::rollback_transaction(harness);
    }
}

/// False if the driver cannot do that by itself.
fn roll_back_by_driver<C: Driver>(harness: &mut Harness<C>) -> bool {
    match harness.start_rollback() {
        Some(rolled_back) => {
            Handle::current().block_on(rolled_back);
            true
        }
        None => false,
    }
}
