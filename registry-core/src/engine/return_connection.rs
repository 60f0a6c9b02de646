//! The return of a connection: it becomes idle as it is, or after a reset, or is closed.
//!
//! ```text
//! checkout dropped
//!   │
//! inspect <──────────────────────────── once ──┐
//!   ├── nothing to undo ─────────────> keep    │
//!   ├── an answer is outstanding ────> wait ───┘
//!   ├── something can be undone ─────> reset ──┬── succeeded ──> keep
//!   │                                          └── failed ─────> close
//!   ├── something cannot be undone ──> release what the session holds on the server, close
//!   ├── a statement was cut short ───> close, and cancel the statement on the server
//!   └── otherwise unusable ──────────> close
//! ```
//!
//! [`Step`] is the state of this machine, and [`inspect`] finds the first one. Keeping and closing happen at once,
//! where the checkout was dropped. The other steps talk to the server, so they run in a task of their own, and the
//! connection counts as in use until the task has ended. If the runtime drops the task, the connection is closed: the
//! slot is marked as discarded when the return begins, and only [`keep`] removes that mark.
//!
//! Exceptions: (1) if the engine is closed, or is for one session alone, the connection is closed; (2) an in-memory SQLite connection is always
//! kept, because it is the database; (3) in test isolation the connection is kept as it is, unless a statement was cut
//! short or the connection is broken.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::TransactionManagerStatus;
use diesel_async::TransactionManager;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::observe::meters::CloseReason;
use super::observe::watch::ConnectionWatch;
use super::permit::Permit;
use super::pool::Lease;
use super::setup::set_up;
use super::typed::TypedEngine;
use crate::backend::Backend;
use crate::backend::observed::TransactionStatus;
use crate::settings::{EngineOptions, EngineSettings, Pooler, ResetOnReturn};

/// The limit of the wait for the rest of an answer. If the borrower read only the first row of a query, the other rows
/// have mostly arrived by then. The rows of a large result that the borrower abandoned could keep arriving for hours.
const ANSWER_GRACE: Duration = Duration::from_millis(20);

/// The next step for a returned connection.
enum Step {
    /// It becomes idle as it is.
    Keep,
    /// It becomes idle once the rollback that the driver has started is queued ahead of the next statement. An
    /// in-memory SQLite database lives in its connection, so the connection cannot be replaced.
    KeepAfterRollback(BoxFuture<'static, ()>),
    /// The server has not reported the end of the last statement yet: wait for the report, and inspect again.
    AwaitAnswer,
    /// It is reset, and becomes idle if the reset succeeds.
    Reset(Reset),
    /// It is closed, because the changes to the session cannot be undone. The session's locks are released first, because
    /// the server notices the disconnect only after a delay.
    ReleaseAndClose,
    /// It is closed, and the engine asks the server to cancel the statement that was cut short. Otherwise the server
    /// would run the statement to its end, and hold its locks, before it noticed that the client is gone.
    CancelAndClose,
    /// It is closed.
    Close,
}

/// The steps of a reset.
#[derive(Clone, Copy)]
struct Reset {
    /// `ROLLBACK`.
    rolls_back: bool,
    /// The backend's full reset, and `on_connect` again.
    is_full: bool,
    /// The check whether the server accepts writes.
    checks_role: bool,
}

/// Returns the connection of a checkout. With `is_discarded`, the borrower has used the connection in a way that forbids
/// lending it again.
pub(super) fn return_connection<C: Backend>(mut permit: Permit<C>, is_discarded: bool) {
    let Some((engine, lease)) = permit.parts() else { return };
    if let Some(watch) = lease.watch() {
        watch.end_checkout();
    }
    // Until `keep` removes this mark, dropping the permit closes the connection.
    lease.discard();
    if engine.is_closed() {
        return;
    }
    if engine.settings.is_one_off {
        return close_one_off(engine, lease);
    }
    if engine.settings.is_isolated {
        // The borrower's changes are rolled back before the next checkout. A statement that was cut short cannot be
        // rolled back, so its connection is closed.
        let is_sound =
            lease.watch().is_some_and(|watch| !watch.is_cut_short() && !watch.is_broken());
        if is_sound && !is_discarded {
            lease.keep();
        }
        return;
    }
    let is_memory = engine.settings.url.is_memory();
    if is_discarded && !is_memory {
        return;
    }
    match inspect(lease, &engine.settings.options, is_memory) {
        Step::Keep => keep(lease),
        Step::KeepAfterRollback(rollback) => keep_after_rollback(permit, rollback),
        Step::Close => engine.stats.note_closed(CloseReason::Unclean),
        Step::CancelAndClose => {
            engine.stats.note_closed(CloseReason::Unclean);
            if let (Some(cancel), Ok(runtime)) = (lease.cancel(), Handle::try_current()) {
                runtime.spawn(timeout(engine.settings.options.check_timeout, cancel));
            }
        }
        step => match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(finish(permit, step))),
            // Without a runtime, no statement can be sent to the server.
            Err(_) => engine.stats.note_closed(CloseReason::Unclean),
        },
    }
}

/// Lets the connection of a one-off session be closed, as its engine ends with it. A statement that was cut short is
/// cancelled.
fn close_one_off<C: Backend>(engine: &TypedEngine<C>, lease: &mut Lease<C>) {
    let may_run = lease.watch().is_some_and(|watch| {
        watch.is_cut_short() || watch.has_abandoned_rows() || watch.observed.stream.is_in_flight()
    });
    if let (true, Some(cancel), Ok(runtime)) = (may_run, lease.cancel(), Handle::try_current()) {
        runtime.spawn(timeout(engine.settings.options.check_timeout, cancel));
    }
}

/// Runs the steps that talk to the server.
async fn finish<C: Backend>(mut permit: Permit<C>, mut step: Step) {
    let engine = Arc::clone(permit.engine());
    let Some(lease) = permit.lease_mut() else { return };
    if let Step::AwaitAnswer = step {
        step = await_answer(&engine, lease).await;
    }
    match step {
        Step::Keep => keep(lease),
        Step::Reset(reset) => {
            if run_reset(&engine, lease, reset).await {
                engine.restart_watch(lease);
                keep(lease);
            } else {
                engine.stats.note_closed(CloseReason::Unclean);
            }
        }
        Step::ReleaseAndClose => release(&engine, lease).await,
        Step::CancelAndClose => {
            engine.stats.note_closed(CloseReason::Unclean);
            if let Some(cancel) = lease.cancel() {
                let _ = timeout(engine.settings.options.check_timeout, cancel).await;
            }
        }
        Step::AwaitAnswer | Step::KeepAfterRollback(_) | Step::Close => {
            engine.stats.note_closed(CloseReason::Unclean);
        }
    }
}

/// Chooses the next step from the known state of the connection, without I/O.
fn inspect<C: Backend>(lease: &mut Lease<C>, options: &EngineOptions, is_memory: bool) -> Step {
    let Some(watch) = lease.watch().map(Arc::clone) else { return Step::Close };
    let Some(connection) = lease.connection_mut() else { return Step::Close };
    let expects_writes = !options.read_only;
    watch.apply_server_errors(expects_writes);
    let was_cut_short = watch.is_cut_short() || watch.has_abandoned_rows();
    let close = if was_cut_short { Step::CancelAndClose } else { Step::Close };
    if connection.is_known_dead() {
        return close;
    }
    // A running statement may begin a transaction, so the state of the transaction is read after `still_runs`.
    let still_runs = was_cut_short || connection.is_busy();
    let transaction = DieselTransaction::of(connection);
    let is_unfinished =
        still_runs || transaction == DieselTransaction::Unfinished || watch.is_broken();
    if !is_unfinished && watch.observed.stream.is_in_flight() {
        return Step::AwaitAnswer;
    }
    let has_raw_transaction =
        transaction == DieselTransaction::None && has_raw_transaction(connection, &watch);

    if is_memory {
        let is_clean = !is_unfinished
            && !has_raw_transaction
            && !watch.is_kept_from_writing()
            && options.reset_on_return == ResetOnReturn::Auto;
        let rollback = if is_clean { None } else { connection.start_rollback() };
        return rollback.map_or(Step::Keep, Step::KeepAfterRollback);
    }
    if is_unfinished {
        return close;
    }
    plan_reset::<C>(&watch, options, has_raw_transaction)
}

/// Chooses how to reset a connection on which all statements and Diesel's transactions have ended.
fn plan_reset<C: Backend>(
    watch: &ConnectionWatch,
    options: &EngineOptions,
    has_raw_transaction: bool,
) -> Step {
    let observed = &watch.observed;
    let reset = options.reset_on_return;
    // If the borrower has replaced our instrumentation, the borrower's statements were not seen, and may be any.
    let is_changed = observed.session.is_changed() || watch.is_instrumentation_replaced();
    // Behind a transaction pooler, the server session is shared with other clients, so there is nothing to reset.
    let is_full =
        is_changed || reset == ResetOnReturn::Full && options.pooler != Pooler::Transaction;
    // A changed session can be reset only if we read the stream: otherwise we cannot tell whether a prepared statement
    // that the driver still uses was deallocated.
    let can_undo = (!is_full || C::FULL_RESET.is_some())
        && (!is_changed || observed.reads_stream())
        && !observed.session.is_irreversible();
    if !can_undo {
        return Step::ReleaseAndClose;
    }
    let reset = Reset {
        rolls_back: has_raw_transaction || is_full || reset != ResetOnReturn::Auto,
        is_full,
        checks_role: watch.has_unclassified_error() && !options.read_only && C::HIDES_ERROR_CODES,
    };
    if reset.rolls_back || reset.checks_role { Step::Reset(reset) } else { Step::Keep }
}

/// The state of a connection's transaction according to Diesel's transaction manager.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DieselTransaction {
    None,
    /// Open, and begun by `begin_test_transaction`, which leaves the transaction open on purpose.
    TestTransaction,
    /// Open, or its `BEGIN`, `COMMIT` or `ROLLBACK` was cut short.
    Unfinished,
}

impl DieselTransaction {
    fn of<C: Backend>(connection: &mut C) -> Self {
        if C::TransactionManager::is_broken_transaction_manager(connection) {
            return Self::Unfinished;
        }
        let status = C::TransactionManager::transaction_manager_status_mut(connection);
        match status.transaction_depth() {
            Ok(None) => Self::None,
            Ok(Some(_)) => Self::TestTransaction,
            Err(_) => Self::Unfinished,
        }
    }
}

/// Whether a transaction is open, or may be open, that was begun without Diesel's transaction manager (a raw `BEGIN`).
fn has_raw_transaction<C: Backend>(connection: &mut C, watch: &ConnectionWatch) -> bool {
    match watch.observed.transaction.status() {
        TransactionStatus::Idle => false,
        TransactionStatus::Open => true,
        TransactionStatus::Unknown => {
            watch.observed.may_be_in_transaction() || connection.has_raw_transaction()
        }
    }
}

/// Makes the connection idle, so that it can be lent again.
fn keep<C: Backend>(lease: &mut Lease<C>) {
    lease.note_alive();
    lease.keep();
}

/// Keeps the connection of an in-memory database, which cannot be replaced because the database lives in it.
fn keep_after_rollback<C: Backend>(mut permit: Permit<C>, rollback: BoxFuture<'static, ()>) {
    if let Some((engine, lease)) = permit.parts() {
        engine.restart_watch(lease);
        keep(lease);
    }
    // The permit is held until the rollback has ended, so that the next caller waits for its session and not for the
    // answer to its first statement. Without a runtime, or when the runtime ends, the permit is free at once. Then the
    // next statement waits behind the rollback, which the driver runs in any case.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            rollback.await;
            drop(permit);
        });
    }
}

/// Waits until the server has answered every statement that was sent, for at most [`ANSWER_GRACE`].
async fn await_answer<C: Backend>(engine: &TypedEngine<C>, lease: &mut Lease<C>) -> Step {
    let Some(observed) = lease.watch().map(|watch| Arc::clone(&watch.observed)) else {
        return Step::Close;
    };
    let is_answered = timeout(ANSWER_GRACE, observed.stream.all_answered()).await.is_ok();
    match inspect(lease, &engine.settings.options, false) {
        step @ (Step::Keep | Step::Reset(_) | Step::ReleaseAndClose) if is_answered => step,
        _ => Step::CancelAndClose,
    }
}

/// Releases the session's locks on the server. The caller then closes the connection.
async fn release<C: Backend>(engine: &TypedEngine<C>, lease: &mut Lease<C>) {
    engine.stats.note_closed(CloseReason::Changed);
    engine.restart_watch(lease);
    let options = &engine.settings.options;
    // Behind a transaction pooler, the statements would run in the session of whichever client the pooler picks.
    let release = C::RELEASE_LOCKS.filter(|_| options.pooler != Pooler::Transaction);
    if let (Some(release), Some(connection)) = (release, lease.connection_mut()) {
        let limit = options.check_timeout;
        let _ = timeout(limit, connection.batch_execute(release)).await;
    }
}

/// Resets a connection. False if the reset fails, or takes longer than `check_timeout`.
async fn run_reset<C: Backend>(
    engine: &TypedEngine<C>,
    lease: &mut Lease<C>,
    reset: Reset,
) -> bool {
    let options = &engine.settings.options;
    let Some(watch) = lease.watch().map(Arc::clone) else { return false };
    // If the borrower has installed an instrumentation, it must not see the statements of the reset.
    engine.restart_watch(lease);
    let Some(connection) = lease.connection_mut() else { return false };
    let is_reset = timeout(options.check_timeout, async {
        if reset.rolls_back {
            let rolled_back = connection.batch_execute("ROLLBACK").await;
            if !C::ROLLBACK_NEEDS_TRANSACTION && rolled_back.is_err() {
                return false;
            }
            *C::TransactionManager::transaction_manager_status_mut(connection) =
                TransactionManagerStatus::default();
        }
        if reset.is_full && !run_full_reset(connection, &watch, &engine.settings).await {
            return false;
        }
        if reset.checks_role && !connection.accepts_writes().await.is_ok_and(|takes| takes) {
            watch.note_read_only_server();
            return false;
        }
        true
    });
    let is_reset = is_reset.await.is_ok_and(|is_reset| is_reset);
    // The server may report that a transaction is open even though the reset has succeeded.
    let is_open = |watch: &Arc<ConnectionWatch>| {
        watch.observed.transaction.status() == TransactionStatus::Open
    };
    is_reset && !lease.watch().is_none_or(is_open)
}

/// Resets the session completely, so that it is like a new session, and runs `on_connect`.
async fn run_full_reset<C: Backend>(
    connection: &mut C,
    watch: &ConnectionWatch,
    settings: &EngineSettings,
) -> bool {
    // Where a backend has no reset, the connection is closed: see `plan_reset`.
    let Some(reset) = C::FULL_RESET else { return false };
    let reset = connection.batch_execute(reset).await;
    if reset.is_err() || set_up(connection, settings, &settings.options).await.is_err() {
        return false;
    }
    connection.forget_received();
    // A function may have deallocated prepared statements that the driver still uses. The stream counts the statements
    // that the driver has prepared, so the server must have the same number.
    let is_complete = |count: u64| {
        !watch.observed.reads_stream() || watch.observed.session.prepared_count() == count
    };
    connection.count_prepared().await.is_ok_and(|count| count.is_none_or(is_complete))
}
