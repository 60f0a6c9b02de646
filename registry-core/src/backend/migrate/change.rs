//! A change on a connection: the loop over its steps.

use diesel_async::AsyncConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::MigrationHarness;
use tokio::runtime::Handle;

use super::records::Records;
use super::run::{Step, run_one};
use super::steps::{self, Applied};
use super::task::{
    BackendOf, Direction, Migrated, MigrationFailure, MigrationSession, ReclaimFiles, Run,
};
use crate::backend::driver::Driver;
use crate::cause::DriverError;

/// Implements `Driver::migrate` and `Driver::read_applied` with Diesel's own harness, which is written for blocking
/// connections.
macro_rules! migrate_by_harness {
    () => {
        fn migrate(
            self,
            run: $crate::backend::migrate::Run<
                '_,
                Self::Backend,
                impl $crate::backend::migrate::ReclaimFiles,
            >,
        ) -> (Self, $crate::backend::migrate::Migrated) {
            $crate::backend::migrate::make_change(self, run)
        }

        fn read_applied(
            self,
        ) -> (
            Self,
            Result<Vec<$crate::backend::migrate::AppliedVersion>, $crate::cause::DriverError>,
        ) {
            $crate::backend::migrate::read_applied(self)
        }
    };
}
pub(crate) use migrate_by_harness;

/// Makes the change, in the order of the versions, or backwards.
pub(crate) fn make_change<C>(
    connection: C,
    run: Run<'_, BackendOf<C>, impl ReclaimFiles>,
) -> (C, Migrated)
where
    C: Driver + AsyncConnection + 'static,
    AsyncConnectionWrapper<C>: MigrationHarness<BackendOf<C>> + Records,
{
    let mut harness: AsyncConnectionWrapper<C> = connection.into();
    let mut migrated = Migrated::default();
    let done = Handle::current().block_on(harness.migration_session(run.on_connect));
    let done = match done {
        Ok(session) => {
            let done = change_in(&mut harness, run, &session, &mut migrated);
            // The connection of an in-memory database is lent again, so its session is restored after a failure as well. An
            // error here is not reported: the failure was, or the next use of the connection shows it.
            let _ = Handle::current().block_on(harness.leave_migration(&session));
            done
        }
        Err(error) => Err(MigrationFailure::List(error.into())),
    };
    migrated.failure = done.err();
    (harness.into_inner(), migrated)
}

fn change_in<C>(
    harness: &mut AsyncConnectionWrapper<C>,
    run: Run<'_, BackendOf<C>, impl ReclaimFiles>,
    session: &MigrationSession,
    migrated: &mut Migrated,
) -> Result<(), MigrationFailure>
where
    C: Driver + AsyncConnection + 'static,
    AsyncConnectionWrapper<C>: MigrationHarness<BackendOf<C>> + Records,
{
    let Run { mut migrations, change, bind, files, .. } = run;
    migrations.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
    let applied = applied(harness).map_err(MigrationFailure::List)?;
    let steps = steps::select::<C>(change, bind, &migrations, applied)?;
    for record in &steps.unrecorded {
        harness.record(record).map_err(|error| MigrationFailure::List(error.into()))?;
    }
    migrated.skipped = steps.skipped;
    for (direction, at) in steps.steps {
        let migration = &*migrations[at];
        let record = steps::record_of::<C>(migration, bind);
        let step = Step { migration, direction, record: &record };
        let stopped = loop {
            files.reclaim();
            match run_one(harness, &step, session) {
                // Diesel first opens the file of a migration, so no part of the migration has been run.
                Err(stopped)
                    if stopped.cause().is_some_and(|error| files.has_reclaimed_for(error)) => {}
                run => break run.err(),
            }
        };
        if let Some(stopped) = stopped {
            return Err(stopped.into_failure(record.name, direction));
        }
        match direction {
            Direction::Up => migrated.applied.push(record.name),
            Direction::Down => migrated.reverted.push(record.name),
        }
    }
    Ok(())
}

/// What was run, according to both tables. They are created if they are missing.
fn applied<C>(harness: &mut AsyncConnectionWrapper<C>) -> Result<Applied, DriverError>
where
    C: Driver + AsyncConnection + 'static,
    AsyncConnectionWrapper<C>: MigrationHarness<BackendOf<C>> + Records,
{
    let versions = harness.applied_migrations()?;
    harness.create_records()?;
    let records = harness.records()?;
    Ok(Applied { versions: versions.iter().map(ToString::to_string).collect(), records })
}
