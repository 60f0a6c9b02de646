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
//! connection counts as in use until that has ended. If the runtime drops the task, the connection is closed: its slot
//! is marked as discarded when the return begins, and only [`keep`] takes that back.
//!
//! Three connections are exceptions. One of a closed engine is closed. That of a SQLite database in memory is always
//! kept, as the database is in it. That of a test isolation is kept as it is, unless a statement on it was cut short.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::TransactionManagerStatus;
use diesel_async::TransactionManager;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::check::CHECK;
use super::observe::meters::CloseReason;
use super::observe::watch::ConnectionWatch;
use super::permit::Permit;
use super::pool::Lease;
use super::setup::run_on_connect;
use super::typed::TypedEngine;
use crate::backend::Backend;
use crate::backend::observed::TransactionStatus;
use crate::settings::{EngineOptions, Pooler, ResetOnReturn};

/// For how long the rest of an answer is waited for. The rows of a query of which only the first was wanted have
/// mostly arrived by then, while those of a large result that nobody reads may go on for hours.
const ANSWER_GRACE: Duration = Duration::from_millis(20);

/// What is done next with a connection that was returned.
enum Step {
    /// It becomes idle as it is.
    Keep,
    /// It becomes idle, behind a rollback that the driver has begun. A SQLite database in memory lives in its
    /// connection, so the connection cannot be replaced.
    KeepAfterRollback(BoxFuture<'static, ()>),
    /// The server has not reported the end of the last statement yet: wait for that, and inspect again.
    AwaitAnswer,
    /// It is reset, and becomes idle if that succeeds.
    Reset(Reset),
    /// It is closed, because what was changed cannot be undone. Before that, the server gives back what the
    /// session holds: it notices the end of a connection a little later.
    ReleaseAndClose,
    /// It is closed, and the server is told to end the statement that was cut short. Otherwise the server would
    /// run it to its end, with its locks, before it noticed that nobody listens.
    CancelAndClose,
    /// It is closed.
    Close,
}

/// What a reset consists of.
#[derive(Clone, Copy)]
struct Reset {
    /// `ROLLBACK`.
    rolls_back: bool,
    /// The backend's full reset, and `on_connect` again.
    is_full: bool,
    /// The server is asked whether it takes writes.
    checks_role: bool,
}

/// Returns the connection of a checkout. `is_discarded` if it was used in a way after which it must not be lent again.
pub(super) fn return_connection<C: Backend>(mut permit: Permit<C>, is_discarded: bool) {
    let Some((engine, lease)) = permit.parts() else { return };
    if let Some(watch) = lease.watch() {
        watch.end_checkout();
    }
    // Until `keep` takes this back, whatever drops the permit closes the connection.
    lease.discard();
    if engine.is_closed() {
        return;
    }
    if engine.settings.is_isolated {
        // What this borrower has left is undone when the next one comes. A statement that was cut short cannot be undone.
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
            // Without a runtime the server cannot be talked to.
            Err(_) => engine.stats.note_closed(CloseReason::Unclean),
        },
    }
}

/// The steps that talk to the server.
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
                engine.watch_anew(lease);
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

/// Looks at what the borrower has left, without talking to the server.
fn inspect<C: Backend>(lease: &mut Lease<C>, options: &EngineOptions, is_memory: bool) -> Step {
    let Some(watch) = lease.watch().map(Arc::clone) else { return Step::Close };
    let Some(connection) = lease.connection_mut() else { return Step::Close };
    watch.apply_server_errors(!options.read_only);
    let was_cut_short = watch.is_cut_short() || watch.has_abandoned_rows();
    let close = if was_cut_short { Step::CancelAndClose } else { Step::Close };
    if connection.is_known_dead() {
        return close;
    }
    // A statement that still runs may begin a transaction, so the transactions are looked at after it.
    let still_runs = was_cut_short || connection.is_busy();
    let transaction = DieselTransaction::of(connection);
    let is_unfinished =
        still_runs || transaction == DieselTransaction::Unfinished || watch.is_broken();
    if !is_unfinished && watch.observed.stream.is_in_flight() {
        return Step::AwaitAnswer;
    }
    let is_left_open =
        transaction == DieselTransaction::None && has_other_transaction(connection, &watch);

    if is_memory {
        let is_clean =
            !is_unfinished && !is_left_open && options.reset_on_return == ResetOnReturn::Auto;
        let rollback = if is_clean { None } else { connection.start_rollback() };
        return rollback.map_or(Step::Keep, Step::KeepAfterRollback);
    }
    if is_unfinished {
        return close;
    }
    plan_reset::<C>(&watch, options, is_left_open)
}

/// What is to be undone on a connection on which everything was brought to its end.
fn plan_reset<C: Backend>(
    watch: &ConnectionWatch,
    options: &EngineOptions,
    is_left_open: bool,
) -> Step {
    let observed = &watch.observed;
    let reset = options.reset_on_return;
    // An instrumentation of the borrower's own has taken the place of ours, so anything may have been run.
    let is_changed = observed.session.is_changed() || watch.is_instrumentation_replaced();
    // Behind a transaction pooler no session belongs to this client: there is none to reset, and none was changed.
    let is_full =
        is_changed || reset == ResetOnReturn::Full && options.pooler != Pooler::Transaction;
    // A change can be undone in place only where the stream shows which prepared statements the server still has.
    let can_undo = (!is_full || C::FULL_RESET.is_some())
        && (!is_changed || observed.reads_stream())
        && !observed.session.is_irreversible();
    if !can_undo {
        return Step::ReleaseAndClose;
    }
    let reset = Reset {
        rolls_back: is_left_open || is_full || reset != ResetOnReturn::Auto,
        is_full,
        checks_role: watch.has_unclassified_error() && !options.read_only && C::HIDES_ERROR_CODES,
    };
    if reset.rolls_back || reset.checks_role { Step::Reset(reset) } else { Step::Keep }
}

/// What Diesel's transaction manager knows of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DieselTransaction {
    None,
    /// Begun by `begin_test_transaction`, which is meant to stay open.
    OfATest,
    /// Open, or cut short in its beginning or end.
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
            Ok(Some(_)) => Self::OfATest,
            Err(_) => Self::Unfinished,
        }
    }
}

/// Whether a transaction is open, or may be, that was begun past Diesel's transaction manager.
fn has_other_transaction<C: Backend>(connection: &mut C, watch: &ConnectionWatch) -> bool {
    match watch.observed.transaction.status() {
        TransactionStatus::Idle => false,
        TransactionStatus::Open => true,
        TransactionStatus::Unknown => {
            watch.observed.may_be_in_transaction() || connection.has_raw_transaction()
        }
    }
}

/// Lets the connection be lent again.
fn keep<C: Backend>(lease: &mut Lease<C>) {
    lease.note_alive();
    lease.keep();
}

/// Keeps a connection that cannot be replaced, because its database is in it.
fn keep_after_rollback<C: Backend>(mut permit: Permit<C>, rollback: BoxFuture<'static, ()>) {
    if let Some((engine, lease)) = permit.parts() {
        engine.watch_anew(lease);
        keep(lease);
    }
    // The permit is held until the rollback is over, so that others wait for a session and not for an answer.
    // Without a runtime, or when it ends, the permit is free at once, and the next statement waits behind the
    // rollback, which the driver runs in any case.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            rollback.await;
            drop(permit);
        });
    }
}

/// Waits until the server has reported the end of what was sent, for [`ANSWER_GRACE`] at the most.
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

/// Has the server give back what the session holds. The connection is closed after that.
async fn release<C: Backend>(engine: &TypedEngine<C>, lease: &mut Lease<C>) {
    engine.stats.note_closed(CloseReason::Changed);
    engine.watch_cleaning(lease);
    let options = &engine.settings.options;
    // Behind a transaction pooler, the statements would run in the session of whichever client the pooler picks.
    let release = C::RELEASE_LOCKS.filter(|_| options.pooler != Pooler::Transaction);
    if let (Some(release), Some(connection)) = (release, lease.connection_mut()) {
        let limit = options.check_timeout;
        let _ = timeout(limit, connection.batch_execute(release)).await;
    }
}

/// Resets a connection. False if that fails, or takes longer than `check_timeout`.
async fn run_reset<C: Backend>(
    engine: &TypedEngine<C>,
    lease: &mut Lease<C>,
    reset: Reset,
) -> bool {
    let options = &engine.settings.options;
    let Some(watch) = lease.watch().map(Arc::clone) else { return false };
    // An instrumentation of the borrower's own must not see these statements.
    engine.watch_cleaning(lease);
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
        if reset.is_full && !run_full_reset(connection, &watch, options).await {
            return false;
        }
        if reset.checks_role && !connection.accepts_writes().await.is_ok_and(|takes| takes) {
            watch.note_read_only_server();
            return false;
        }
        true
    });
    let is_reset = is_reset.await.is_ok_and(|is_reset| is_reset);
    // The server has the last word on whether a transaction is open.
    let is_open = |watch: &Arc<ConnectionWatch>| {
        watch.observed.transaction.status() == TransactionStatus::Open
    };
    is_reset && !lease.watch().is_none_or(is_open)
}

/// Brings the session to where a new one begins.
async fn run_full_reset<C: Backend>(
    connection: &mut C,
    watch: &ConnectionWatch,
    options: &EngineOptions,
) -> bool {
    let reset = connection.batch_execute(C::FULL_RESET.unwrap_or(CHECK)).await;
    if reset.is_err() || run_on_connect(connection, &options.on_connect).await.is_err() {
        return false;
    }
    connection.forget_received();
    // A function may have deallocated prepared statements that the driver still uses. The stream has counted those
    // that the driver has prepared, so the server must have as many.
    let is_complete = |count: u64| {
        !watch.observed.reads_stream() || watch.observed.session.prepared_count() == count
    };
    connection.count_prepared().await.is_ok_and(|count| count.is_none_or(is_complete))
}
