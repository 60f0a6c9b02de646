//! A change on a connection: the loop over its steps.

use diesel::QueryResult;
use diesel_async::AsyncConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::MigrationHarness;
use tokio::runtime::Handle;

use super::limits::Limits;
use super::records::Records;
use super::run::{self, Step, Stopped, run_one};
use super::steps::{self, Applied};
use super::task::{
    BackendOf, Change, Direction, Migrated, MigrationFailure, MigrationSession, ReclaimFiles, Run,
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
    let session = begin_session(&mut harness, &run);
    let done = match session {
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

/// The state of the session, which each migration begins with.
fn begin_session<C>(
    harness: &mut AsyncConnectionWrapper<C>,
    run: &Run<'_, BackendOf<C>, impl ReclaimFiles>,
) -> QueryResult<MigrationSession>
where
    C: Driver + AsyncConnection + 'static,
{
    if let Some(limit) = run.limits.lock_timeout {
        Handle::current().block_on(harness.set_lock_timeout(limit))?;
    }
    Handle::current().block_on(harness.migration_session(run.on_connect))
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
    let Run { mut migrations, change, bind, files, limits, .. } = run;
    migrations.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
    let (applied, _) = with_retries(&limits, || {
        let applied = limits.while_running(|| applied(harness));
        applied.map_err(|error| run::whole(harness, error, &limits))
    });
    let applied = applied.map_err(|stopped| listing(stopped, &limits))?;
    let steps = steps::select::<C>(change, bind, &migrations, applied)?;
    for record in &steps.unrecorded {
        let (recorded, _) = with_retries(&limits, || {
            let recorded = limits.while_running(|| harness.record(record));
            recorded.map_err(|error| run::whole(harness, error, &limits))
        });
        recorded.map_err(|stopped| listing(stopped, &limits))?;
    }
    migrated.skipped = steps.skipped;
    for (direction, at) in steps.steps {
        let migration = &*migrations[at];
        let record = steps::record_of::<C>(migration, bind);
        if limits.has_expired() {
            return Err(MigrationFailure::TimeLimit { stopped: None, in_part: false });
        }
        // A migration that was reverted to be run again is run again.
        let is_redone = matches!(change, Change::Redo) && !migrated.reverted.is_empty();
        if limits.is_stopped() && !is_redone {
            return Err(MigrationFailure::Stopped);
        }
        let step = Step { migration, direction, record: &record, limits: &limits };
        let (run, tries) = with_retries(&limits, || {
            loop {
                files.reclaim();
                match run_one(harness, &step, session) {
                    // Diesel first opens the file of a migration, so no part of the migration has been run.
                    Err(stopped)
                        if stopped.cause().is_some_and(|error| files.has_reclaimed_for(error)) => {}
                    run => break run,
                }
            }
        });
        match run {
            Ok(()) => {}
            Err(Stopped::Failed { source, in_part, .. }) if limits.has_expired() => {
                let stopped = Some((record.name, source));
                return Err(MigrationFailure::TimeLimit { stopped, in_part });
            }
            Err(stopped) => return Err(stopped.into_failure(record.name, direction, tries)),
        }
        match direction {
            Direction::Up => migrated.applied.push(record.name),
            Direction::Down => migrated.reverted.push(record.name),
        }
    }
    Ok(())
}

/// Does `work`, and again while it fails because of the locks of other sessions and leaves nothing behind, as often as the
/// limits say. Returns how often it was tried, too.
fn with_retries<T>(
    limits: &Limits,
    mut work: impl FnMut() -> Result<T, Stopped>,
) -> (Result<T, Stopped>, u32) {
    let mut tries = 1;
    loop {
        match work() {
            Err(stopped)
                if stopped.may_be_tried_again()
                    && tries <= limits.lock_retries
                    && limits.pause(tries) =>
            {
                tries += 1;
            }
            outcome => return (outcome, tries),
        }
    }
}

fn listing(stopped: Stopped, limits: &Limits) -> MigrationFailure {
    match stopped {
        Stopped::Failed { .. } if limits.has_expired() => {
            MigrationFailure::TimeLimit { stopped: None, in_part: false }
        }
        Stopped::Failed { source, .. } => MigrationFailure::List(source),
        Stopped::Panicked => MigrationFailure::List("it panicked".into()),
    }
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
