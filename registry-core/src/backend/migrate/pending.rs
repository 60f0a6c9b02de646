//! The selection of the pending migrations, and the loop over them.

use std::collections::{HashMap, HashSet};

use diesel_async::AsyncConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::MigrationHarness;
use tokio::runtime::Handle;

use super::records::{Record, Records};
use super::run::run_one;
use super::task::{BackendOf, Migrated, MigrationFailure, MigrationSession, ReclaimFiles, Run};
use crate::backend::driver::Driver;
use crate::cause::DriverError;

/// Implements `Driver::migrate` with Diesel's own harness, which is written for blocking connections.
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
            $crate::backend::migrate::run_pending(self, run)
        }
    };
}
pub(crate) use migrate_by_harness;

/// Runs the pending migrations, in the order of their versions.
pub(crate) fn run_pending<C>(
    connection: C,
    run: Run<'_, BackendOf<C>, impl ReclaimFiles>,
) -> (C, Migrated)
where
    C: Driver + AsyncConnection + 'static,
    AsyncConnectionWrapper<C>: MigrationHarness<BackendOf<C>> + Records,
{
    let mut harness: AsyncConnectionWrapper<C> = connection.into();
    let mut migrated = Migrated { applied: Vec::new(), skipped: 0, failure: None };
    let done = Handle::current().block_on(harness.migration_session(run.on_connect));
    let done = match done {
        Ok(session) => {
            let done = run_in(&mut harness, run, &session, &mut migrated);
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

fn run_in<C>(
    harness: &mut AsyncConnectionWrapper<C>,
    run: Run<'_, BackendOf<C>, impl ReclaimFiles>,
    session: &MigrationSession,
    migrated: &mut Migrated,
) -> Result<(), MigrationFailure>
where
    C: Driver + AsyncConnection + 'static,
    AsyncConnectionWrapper<C>: MigrationHarness<BackendOf<C>> + Records,
{
    let Run { mut migrations, bind, files, .. } = run;
    migrations.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
    let known = harness.applied_migrations().map_err(MigrationFailure::List)?;
    let known: HashSet<_> =
        known.iter().map(|version| C::version_key(&version.to_string())).collect();
    let mut records = records(harness).map_err(MigrationFailure::List)?;
    let (run_before, pending): (Vec<_>, Vec<_>) = migrations.into_iter().partition(|migration| {
        known.contains(&C::version_key(&migration.name().version().to_string()))
    });
    let record_of =
        |version: String, name: String| Record { version, name, bind: bind.to_string() };
    let mut unrecorded = Vec::new();
    for migration in &run_before {
        let (version, name) =
            (migration.name().version().to_string(), migration.name().to_string());
        match records.remove(&C::version_key(&version)) {
            Some(Record { name: applied, bind: by, .. }) if applied != name => {
                return Err(MigrationFailure::Taken { version, migration: name, applied, by });
            }
            Some(_) => {}
            // Run by Diesel's own tool, or before there were records.
            None => unrecorded.push(record_of(version, name)),
        }
    }
    for record in &unrecorded {
        harness.record(record).map_err(|error| MigrationFailure::List(error.into()))?;
    }
    migrated.skipped = run_before.len();
    for migration in pending {
        let (version, name) =
            (migration.name().version().to_string(), migration.name().to_string());
        let record = record_of(version, name);
        let stopped = loop {
            files.reclaim();
            match run_one(harness, &*migration, &record, session) {
                // Diesel first opens the file of a migration, so no part of the migration has been run.
                Err(stopped)
                    if stopped.cause().is_some_and(|error| files.has_reclaimed_for(error)) => {}
                run => break run.err(),
            }
        };
        if let Some(stopped) = stopped {
            return Err(stopped.into_failure(record.name));
        }
        migrated.applied.push(record.name);
    }
    Ok(())
}

/// The records of the versions that were run, by version key.
fn records<C>(
    harness: &mut AsyncConnectionWrapper<C>,
) -> Result<HashMap<String, Record>, DriverError>
where
    C: Driver + AsyncConnection + 'static,
    AsyncConnectionWrapper<C>: Records,
{
    harness.create_records()?;
    let records = harness.records()?;
    Ok(records.into_iter().map(|record| (C::version_key(&record.version), record)).collect())
}
