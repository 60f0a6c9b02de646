//! How a connection comes back: as it is, or after something, or not at all.

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
use crate::backend::Backend;
use crate::backend::observed::TransactionStatus;
use crate::settings::{EngineOptions, Pooler, ResetOnReturn};

/// Puts the connection back, at once or in the background, or closes it. It counts as lent until then.
pub(super) fn give_back<C: Backend>(mut permit: Permit<C>, is_memory: bool) {
    let Some((engine, lease)) = permit.parts() else { return };
    match what_to_do(lease, &engine.settings.options, is_memory) {
        Return::Now => keep(lease),
        Return::AfterAll(rolled_back) => keep_after(permit, rolled_back),
        Return::Never => {
            engine.stats.note_closed(CloseReason::Unclean);
            abandon(&permit);
        }
        later => match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(give_back_later(permit, later))),
            // Without a runtime there is nobody to clean it, and it is closed.
            Err(_) => engine.stats.note_closed(CloseReason::Unclean),
        },
    }
}

async fn give_back_later<C: Backend>(permit: Permit<C>, how: Return) {
    match how {
        Return::After(cleaning) => clean(permit, cleaning).await,
        Return::Dismissed => dismiss(permit).await,
        Return::Settled => settle(permit).await,
        Return::Now | Return::AfterAll(_) | Return::Never => {}
    }
}

fn keep<C: Backend>(lease: &mut Lease<C>) {
    lease.note_alive();
    lease.keep();
}

/// How a connection goes back.
enum Return {
    Now,
    After(Cleaning),
    /// When the server has reported the end of its last statement.
    Settled,
    /// Whatever it takes, as the database is in it.
    AfterAll(BoxFuture<'static, ()>),
    Never,
    /// Not at all, and what it holds on the server is given back first.
    Dismissed,
}

/// What is done before a connection is lent again.
#[derive(Clone, Copy, Default)]
struct Cleaning {
    /// It is rolled back.
    rolls_back: bool,
    /// It is made as new.
    is_full: bool,
    /// The server is asked whether it takes writes.
    asks_role: bool,
}

/// What Diesel knows of a connection's transactions.
enum Transaction {
    None,
    /// Begun by `begin_test_transaction`, which is meant to stay open.
    OfATest,
    /// Open, or cut short in its beginning or end.
    Unfinished,
}

/// For how long the rest of an answer is waited for. Rows that nobody reads may go on for hours, while
/// those of a query purpose first row was all that was wanted are mostly there.
const GRACE: Duration = Duration::from_millis(20);

fn what_to_do<C: Backend>(
    lease: &mut Lease<C>,
    options: &EngineOptions,
    is_memory: bool,
) -> Return {
    let reset = options.reset_on_return;
    let Some(watch) = lease.watch().map(Arc::clone) else { return Return::Never };
    let Some(connection) = lease.connection_mut() else { return Return::Never };
    watch.apply_server_errors(!options.read_only);
    if connection.is_known_dead() {
        return Return::Never;
    }
    // First: what still runs may begin a transaction.
    let is_cut_short = connection.is_busy() || watch.is_cut_short() || watch.has_abandoned_rows();
    let transaction = transaction(connection);
    let is_unfinished =
        matches!(transaction, Transaction::Unfinished) || is_cut_short || watch.is_broken();
    let observed = &watch.observed;
    if !is_unfinished && observed.stream.is_in_flight() {
        return Return::Settled;
    }
    let is_left_open = matches!(transaction, Transaction::None)
        && match observed.transaction.status() {
            TransactionStatus::Idle => false,
            TransactionStatus::Open => true,
            TransactionStatus::Unknown => {
                observed.may_be_in_transaction() || connection.has_raw_transaction()
            }
        };
    // An instrumentation of the borrower's own has taken the place of ours: nothing is known.
    let is_changed = observed.session.is_changed() || Arc::strong_count(&watch) == 2;

    if is_memory {
        let is_clean = !is_unfinished && !is_left_open && reset == ResetOnReturn::Auto;
        let rolled_back = if is_clean { None } else { connection.start_rollback() };
        return rolled_back.map_or(Return::Now, Return::AfterAll);
    }
    // Behind a transaction pooler there is no session to make as new, and none was changed.
    let is_full =
        is_changed || reset == ResetOnReturn::Full && options.pooler != Pooler::Transaction;
    // What was changed can be undone in place where it is known what statements the server still has.
    let is_replaced = is_full && C::FULL_RESET.is_none() || is_changed && !observed.reads_stream();
    if is_unfinished {
        return Return::Never;
    }
    if observed.session.is_irreversible() || is_replaced {
        return Return::Dismissed;
    }
    let cleaning = Cleaning {
        rolls_back: is_left_open || is_full || reset != ResetOnReturn::Auto,
        is_full,
        asks_role: watch.has_unclassified_error() && !options.read_only && C::HIDES_ERROR_CODES,
    };
    match cleaning {
        Cleaning { rolls_back: false, asks_role: false, .. } => Return::Now,
        cleaning => Return::After(cleaning),
    }
}

/// Waits until the server has reported the end of what was sent, and puts the connection back after that.
async fn settle<C: Backend>(mut permit: Permit<C>) {
    let engine = Arc::clone(permit.engine());
    let Some(lease) = permit.lease_mut() else { return };
    let Some(observed) = lease.watch().map(|watch| Arc::clone(&watch.observed)) else { return };
    let is_settled = timeout(GRACE, observed.stream.all_answered()).await.is_ok();
    let options = &engine.settings.options;
    match what_to_do(lease, options, false) {
        Return::Now if is_settled => keep(lease),
        Return::After(cleaning) if is_settled => clean(permit, cleaning).await,
        Return::Dismissed if is_settled => dismiss(permit).await,
        _ => {
            engine.stats.note_closed(CloseReason::Unclean);
            if let Some(cancel) = lease.cancel() {
                let _ = timeout(options.check_timeout, cancel).await;
            }
        }
    }
}

/// Closes a connection, once the server has what it permit.
async fn dismiss<C: Backend>(mut permit: Permit<C>) {
    let engine = Arc::clone(permit.engine());
    engine.stats.note_closed(CloseReason::Changed);
    let Some(lease) = permit.lease_mut() else { return };
    engine.watch_cleaning(lease);
    if let (Some(release), Some(connection)) = (C::RELEASE_LOCKS, lease.connection_mut()) {
        let limit = engine.settings.options.check_timeout;
        let _ = timeout(limit, connection.batch_execute(release)).await;
    }
}

/// Has the server end a statement that was cut short. It would go on to its end, with its locks, before
/// it noticed that nobody listens.
fn abandon<C: Backend>(permit: &Permit<C>) {
    let Some(lease) = permit.lease() else { return };
    let is_cut_short =
        lease.watch().is_some_and(|watch| watch.is_cut_short() || watch.has_abandoned_rows());
    let cancel = if is_cut_short { lease.cancel() } else { None };
    if let (Some(cancel), Ok(runtime)) = (cancel, Handle::try_current()) {
        runtime.spawn(timeout(permit.engine().settings.options.check_timeout, cancel));
    }
}

fn transaction<C: Backend>(connection: &mut C) -> Transaction {
    if C::TransactionManager::is_broken_transaction_manager(connection) {
        return Transaction::Unfinished;
    }
    let status = C::TransactionManager::transaction_manager_status_mut(connection);
    match status.transaction_depth() {
        Ok(None) => Transaction::None,
        Ok(Some(_)) => Transaction::OfATest,
        Err(_) => Transaction::Unfinished,
    }
}

/// Puts back a connection that cannot be replaced, as its database is in it, once it is rolled back.
fn keep_after<C: Backend>(mut permit: Permit<C>, rolled_back: BoxFuture<'static, ()>) {
    if let Some((engine, lease)) = permit.parts() {
        engine.watch_anew(lease);
        lease.note_alive();
        lease.keep();
    }
    // Lent until then, so that others wait for a session and not for an answer. Without a runtime, or
    // when it ends, nobody waits, and whoever is lent it next finds the rollback in front.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            rolled_back.await;
            drop(permit);
        });
    }
}

/// Cleans a connection and puts it back. It is closed if that fails or takes too long.
async fn clean<C: Backend>(mut permit: Permit<C>, cleaning: Cleaning) {
    let engine = Arc::clone(permit.engine());
    let options = &engine.settings.options;
    let Some(lease) = permit.lease_mut() else { return };
    let Some(watch) = lease.watch().map(Arc::clone) else { return };
    let is_all = |count: u64| {
        !watch.observed.reads_stream() || watch.observed.session.prepared_count() == count
    };
    // What follows is nothing for an instrumentation of the borrower's own.
    engine.watch_cleaning(lease);
    let Some(connection) = lease.connection_mut() else { return };
    let cleaned = timeout(options.check_timeout, async {
        if cleaning.rolls_back {
            let rolled_back = connection.batch_execute("ROLLBACK").await;
            if !C::ROLLBACK_NEEDS_TRANSACTION && rolled_back.is_err() {
                return false;
            }
            *C::TransactionManager::transaction_manager_status_mut(connection) =
                TransactionManagerStatus::default();
        }
        if cleaning.is_full {
            let reset = connection.batch_execute(C::FULL_RESET.unwrap_or(CHECK)).await;
            if reset.is_err() || run_on_connect(connection, &options.on_connect).await.is_err() {
                return false;
            }
            connection.forget_received();
            // A function may have dropped statements that the driver goes on using.
            let prepared = connection.count_prepared().await;
            if prepared.is_err()
                || prepared.is_ok_and(|count| count.is_some_and(|count| !is_all(count)))
            {
                return false;
            }
        }
        if cleaning.asks_role && !connection.accepts_writes().await.is_ok_and(|takes| takes) {
            watch.note_read_only_server();
            return false;
        }
        true
    })
    .await;
    // The server has the last word on whether a transaction is open.
    let is_open = |watch: &Arc<ConnectionWatch>| {
        watch.observed.transaction.status() == TransactionStatus::Open
    };
    if let Ok(true) = cleaned
        && !lease.watch().is_none_or(is_open)
    {
        engine.watch_anew(lease);
        lease.note_alive();
        lease.keep();
    } else {
        engine.stats.note_closed(CloseReason::Unclean);
    }
}
