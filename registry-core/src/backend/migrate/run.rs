//! Running or reverting one migration: its transaction, its failure, and a possible partial commit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::connection::{Connection, SimpleConnection, TransactionManager};
use diesel::migration::Migration;
use diesel_async::AsyncConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use tokio::runtime::Handle;

use super::limits::Limits;
use super::records::{Record, Records};
use super::references::{self, References};
use super::task::{BackendOf, Direction, MigrationFailure, MigrationSession};
use crate::backend::driver::Driver;
use crate::cause::DriverError;

type Harness<C> = AsyncConnectionWrapper<C>;

/// Why a migration was not completed.
pub(super) enum Stopped {
    Failed {
        source: DriverError,
        /// Whether a part of it may have been committed.
        in_part: bool,
        /// Whether it failed because of a lock that another session has.
        is_lock_conflict: bool,
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

    /// Whether another try can succeed, and nothing has stayed of this one.
    pub(super) fn may_be_tried_again(&self) -> bool {
        matches!(self, Self::Failed { in_part: false, is_lock_conflict: true, .. })
    }

    pub(super) fn into_failure(
        self,
        migration: String,
        direction: Direction,
        tries: u32,
    ) -> MigrationFailure {
        match self {
            Self::Failed { source, in_part, .. } => {
                MigrationFailure::Run { migration, direction, source, in_part, tries }
            }
            Self::Panicked => MigrationFailure::Panicked { migration },
        }
    }
}

/// The failure of a statement after which nothing has stayed.
pub(super) fn whole<C>(
    harness: &mut Harness<C>,
    source: impl Into<DriverError>,
    limits: &Limits,
) -> Stopped
where
    C: Driver + AsyncConnection + 'static,
{
    let source = source.into();
    let is_lock_conflict = is_lock_conflict(harness, &source, limits);
    Stopped::Failed { source, in_part: false, is_lock_conflict }
}

fn in_part(source: impl Into<DriverError>) -> Stopped {
    Stopped::Failed { source: source.into(), in_part: true, is_lock_conflict: false }
}

/// Asks the server, so it is called before any other statement.
fn is_lock_conflict<C>(harness: &mut Harness<C>, error: &DriverError, limits: &Limits) -> bool
where
    C: Driver + AsyncConnection + 'static,
{
    let observed = limits.observed.errors.take_lock_conflict();
    observed || Handle::current().block_on(harness.has_lock_conflict(error))
}

/// Set right after the transaction begins. If the savepoint is gone later, the transaction has ended.
const SAVEPOINT: &str = "SAVEPOINT registry_migration";
const BACK_TO_SAVEPOINT: &str = "ROLLBACK TO SAVEPOINT registry_migration";

const ROLLED_BACK: &str = "it ended its transaction by itself with a rollback, and what it had done until then is not \
     there; one that is to manage its own transactions has `run_in_transaction = false` in its `metadata.toml`";

/// Why a migration has failed within its transaction.
struct Failed {
    source: DriverError,
    /// Whether the migration's own transaction is known to have ended.
    ended_itself: bool,
}

impl<E: Into<DriverError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { source: error.into(), ended_itself: false }
    }
}

/// One step of a change.
pub(super) struct Step<'a, C: Driver> {
    pub(super) migration: &'a dyn Migration<BackendOf<C>>,
    pub(super) direction: Direction,
    /// The version and the record, which a run adds and a revert removes.
    pub(super) record: &'a Record,
    pub(super) limits: &'a Limits,
}

/// Runs or reverts a migration, adds or removes its version and its record, and checks that the table of versions says so
/// afterwards.
pub(super) fn run_one<C>(
    harness: &mut Harness<C>,
    step: &Step<'_, C>,
    session: &MigrationSession,
) -> Result<(), Stopped>
where
    C: Driver + AsyncConnection + 'static,
    Harness<C>: Records,
{
    step.limits.observed.errors.take_lock_conflict();
    if let Err(error) = Handle::current().block_on(harness.enter_migration()) {
        return Err(whole(harness, error, step.limits));
    }
    let run = match step.migration.metadata().run_in_transaction() {
        true => run_in_transaction(harness, step, session),
        false => run_by_itself(harness, step, session),
    };
    let left = Handle::current().block_on(harness.leave_migration(session));
    run?;
    left.map_err(in_part)?;
    match (harness.has_version(&step.record.version), step.direction) {
        (Ok(true), Direction::Up) | (Ok(false), Direction::Down) => Ok(()),
        (Ok(false), Direction::Up) => Err(in_part(
            "it ended without an error, but its version is not in `__diesel_schema_migrations`: a transaction \
             that it left open was rolled back",
        )),
        (Ok(true), Direction::Down) => Err(in_part(
            "it ended without an error, but its version is still in `__diesel_schema_migrations`: a transaction \
             that it left open was rolled back",
        )),
        (Err(error), _) => Err(in_part(error)),
    }
}

fn run_in_transaction<C>(
    harness: &mut Harness<C>,
    step: &Step<'_, C>,
    session: &MigrationSession,
) -> Result<(), Stopped>
where
    C: Driver + AsyncConnection + 'static,
    Harness<C>: Records,
{
    // A migration that committed by itself and then failed has left the mark behind.
    let begun = step.limits.while_running(|| {
        harness
            .unmark()
            .and_then(|()| Handle::current().block_on(harness.begin(C::BEGIN_MIGRATION)))
    });
    if let Err(error) = begun {
        return Err(whole(harness, error, step.limits));
    }
    let mut statements = None;
    // The table of versions may be locked as well. The commit is not cancelled: its outcome would be unknown.
    let running = step.limits.running();
    let run = catch_unwind(AssertUnwindSafe(|| -> Result<(), Failed> {
        harness.mark()?;
        harness.batch_execute(SAVEPOINT)?;
        statements = Handle::current().block_on(harness.statement_counts())?;
        run_whole(harness, step, session)?;
        if harness.is_outside_transaction() {
            // The migration has committed by itself, and Diesel's transaction manager does not know that.
            roll_back_by_driver(harness);
        }
        harness.batch_execute(&session.restore)?;
        if !harness.is_marked_as_run()? {
            return Err(Failed { source: ROLLED_BACK.into(), ended_itself: true });
        }
        harness.unmark()?;
        Ok(note(harness, step)?)
    }));
    drop(running);
    match run {
        Ok(Ok(())) if harness.is_outside_transaction() || has_no_transaction(harness) => Ok(()),
        Ok(Ok(())) => {
            let committed =
                <Harness<C> as Connection>::TransactionManager::commit_transaction(harness);
            committed.map_err(|error| Stopped::Failed {
                in_part: C::is_fatal(&error) || left_a_part(harness),
                is_lock_conflict: false,
                source: error.into(),
            })
        }
        Ok(Err(Failed { source, ended_itself })) => {
            let is_lock_conflict = is_lock_conflict(harness, &source, step.limits);
            // A first statement that never got its lock has done nothing, although MySQL commits before it.
            let has_done_nothing = is_lock_conflict
                && statements.is_some_and(|before| {
                    Handle::current().block_on(harness.has_only_waited(&before))
                });
            // MySQL commits before and after DDL, and a migration can contain a `COMMIT`: then the savepoint is gone.
            let is_undone = !ended_itself
                && harness.batch_execute(BACK_TO_SAVEPOINT).is_ok()
                && Handle::current().block_on(harness.rollback_undid_everything());
            roll_back(harness);
            Err(Stopped::Failed {
                source,
                in_part: !is_undone && !has_done_nothing,
                is_lock_conflict,
            })
        }
        Err(_) => {
            roll_back(harness);
            Err(Stopped::Panicked)
        }
    }
}

/// Whether a migration in Rust has ended its transaction by Diesel's transaction manager. Then what followed it was committed
/// by itself.
fn has_no_transaction<C>(harness: &mut Harness<C>) -> bool
where
    C: Driver + AsyncConnection + 'static,
{
    type Manager<C> = <Harness<C> as Connection>::TransactionManager;
    matches!(Manager::<C>::transaction_manager_status_mut(harness).transaction_depth(), Ok(None))
}

/// Whether a part of the migration may be committed although the server has refused the commit. If the migration had
/// committed by itself before, the mark was committed with it, and the removal of the mark has just been undone.
fn left_a_part<C>(harness: &mut Harness<C>) -> bool
where
    C: Driver + AsyncConnection + 'static,
    Harness<C>: Records,
{
    // Some servers leave the transaction open. If no transaction is open, the statement changes nothing, whatever it
    // returns.
    if !roll_back_by_driver(harness) {
        let _ = harness.batch_execute("ROLLBACK");
    }
    !C::FAILED_COMMIT_LEAVES_NOTHING || harness.is_marked_as_run().unwrap_or(true)
}

fn run_by_itself<C>(
    harness: &mut Harness<C>,
    step: &Step<'_, C>,
    session: &MigrationSession,
) -> Result<(), Stopped>
where
    C: Driver + AsyncConnection + 'static,
    Harness<C>: Records,
{
    let running = step.limits.running();
    let run = catch_unwind(AssertUnwindSafe(|| -> Result<(), DriverError> {
        run_whole(harness, step, session)?;
        harness.batch_execute(&session.restore)?;
        note(harness, step)
    }));
    drop(running);
    match run {
        Ok(run) => run.map_err(in_part),
        Err(_) => Err(Stopped::Panicked),
    }
}

/// Runs a migration, and fails if it has broken foreign keys.
fn run_whole<C>(
    harness: &mut Harness<C>,
    step: &Step<'_, C>,
    session: &MigrationSession,
) -> Result<(), DriverError>
where
    C: Driver + AsyncConnection + 'static,
    Harness<C>: Records,
{
    let before = broken(harness, session);
    match step.direction {
        Direction::Up => step.migration.run(harness)?,
        Direction::Down => step.migration.revert(harness)?,
    }
    references::check(before, broken(harness, session))
}

/// Notes the step in both tables.
fn note<C: Driver>(harness: &mut Harness<C>, step: &Step<'_, C>) -> Result<(), DriverError>
where
    Harness<C>: Records,
{
    let Step { record, .. } = step;
    match step.direction {
        Direction::Up => {
            harness.note_version(&record.version)?;
            harness.record(record)?;
        }
        Direction::Down => harness.forget_version(&record.version)?,
    }
    Ok(())
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
        // If this statement fails, the connection is unusable, and the next statement on it fails as well.
        let _ = <Harness<C> as Connection>::TransactionManager::rollback_transaction(harness);
    }
}

/// Rolls back if the driver can queue a rollback by itself. False if it cannot.
fn roll_back_by_driver<C: Driver>(harness: &mut Harness<C>) -> bool {
    match harness.start_rollback() {
        Some(rolled_back) => {
            Handle::current().block_on(rolled_back);
            true
        }
        None => false,
    }
}
