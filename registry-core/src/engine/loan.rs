//! A connection that is lent, and how it comes back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use diesel::connection::TransactionManagerStatus;
use diesel_async::TransactionManager;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::AnyEngine;
use super::connect::{CHECK, forget_statements};
use super::core::Core;
use super::meters::{Closed, Timer};
use super::pool::Lease;
use super::statements::run_on_connect;
use super::used::Used;
use super::watch::{Watch, caller};
use crate::backend::Backend;
use crate::backend::observed::{Left, TransactionStatus};
use crate::settings::{EngineOptions, Pooler, ResetOnReturn};

/// The right to one of an engine's connections, and its slot once there is one. Dropping it gives both
/// back.
pub(crate) struct Held<C: Backend> {
    engine: Used<Core<C>>,
    lease: Option<Lease<C>>,
    /// When it was asked for.
    asked: Timer,
}

impl<C: Backend> Held<C> {
    /// The caller has taken one of the engine's permits, and has let it forget where it came from: one
    /// that borrows the engine could not be kept beside it.
    pub(super) fn new(engine: Used<Core<C>>, asked: Timer) -> Self {
        Self { engine, lease: None, asked }
    }

    pub(super) fn engine(&self) -> &Arc<Core<C>> {
        self.engine.engine()
    }

    pub(super) fn put(&mut self, lease: Option<Lease<C>>) {
        self.lease = lease;
    }

    /// Gives the slot back, and keeps the right to one.
    pub(super) fn give_up(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.engine.pool.put_back(lease);
        }
    }

    pub(super) fn lease(&self) -> Option<&Lease<C>> {
        self.lease.as_ref()
    }

    pub(super) fn lease_mut(&mut self) -> Option<&mut Lease<C>> {
        self.lease.as_mut()
    }
}

impl<C: Backend> Drop for Held<C> {
    fn drop(&mut self) {
        self.give_up();
        if !self.engine.starving.is_empty() {
            self.engine.feed();
        }
        if self.engine.is_closed() {
            // Whoever closed it may have looked for idle connections before this one was.
            self.engine.pool.retain(|_| false);
        }
        self.engine.permits.add_permits(1);
        if self.engine.is_closed() {
            self.engine.returned.notify_waiters();
        }
    }
}

/// A live connection that is lent until this is dropped.
///
/// On return, a connection never goes back that has a transaction open which Diesel has begun, or
/// in which a statement was cut short: it is closed. What else was left behind is undone, as far as
/// it was noticed ([`Watch`](super::watch::Watch)) and `reset_on_return` asks for; that needs the
/// server, so it runs in the background, and the connection counts as lent until it is done.
pub struct Loan<C: Backend> {
    /// Empty only while it is dropped.
    held: Option<Held<C>>,
    is_discarded: bool,
    lent: Timer,
}

impl<C: Backend> Loan<C> {
    /// `held` has a slot that is filled.
    pub(super) fn new(held: Held<C>) -> Self {
        if let Some(watch) = held.lease().and_then(|lease| lease.watch()) {
            watch.holder.store(caller(), Ordering::Relaxed);
            watch.is_for_query.store(false, Ordering::Relaxed);
            watch.set_tenant(None);
        }
        let engine = &held.engine;
        engine.uses().lent();
        engine.stats.lent(held.asked, || engine.pool.counts().idle);
        Self { held: Some(held), is_discarded: false, lent: Timer::start() }
    }

    pub(crate) fn engine(&self) -> &Arc<Core<C>> {
        match &self.held {
            Some(held) => held.engine(),
            None => unreachable!("a loan is only emptied when it is dropped"),
        }
    }

    /// Says that it is lent for one query, and not to somebody who may begin a transaction.
    pub(crate) fn mark_for_query(&self) {
        if let Some(watch) = self.held.as_ref().and_then(Held::lease).and_then(|it| it.watch()) {
            watch.is_for_query.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn lease_mut(&mut self) -> Option<&mut Lease<C>> {
        self.held.as_mut().and_then(Held::lease_mut)
    }

    pub(crate) fn connection(&self) -> &C {
        let lease = self.held.as_ref().and_then(|held| held.lease.as_ref());
        match lease.and_then(|lease| lease.connection()) {
            Some(connection) => connection,
            None => unreachable!("a loan is made of a slot that was filled"),
        }
    }

    pub(crate) fn connection_mut(&mut self) -> &mut C {
        let Some(Held { engine, lease: Some(lease), .. }) = &mut self.held else {
            unreachable!("a loan is made of a slot, and only emptied when it is dropped");
        };
        let has_cache = engine.settings.options.statement_cache;
        let has_stale_plans = lease.watch().is_some_and(|watch| watch.take_stale_plans());
        match lease.connection_mut() {
            Some(connection) => {
                if has_stale_plans && has_cache {
                    forget_statements(connection);
                }
                connection
            }
            None => unreachable!("a loan is made of a slot that was filled"),
        }
    }

    /// Notes that all rows of the last statement have come.
    pub(crate) fn rows_are_read(&self) {
        if let Some(watch) = self.watch() {
            watch.rows_are_read();
        }
    }

    /// Notes from now on what failures do to a transaction.
    pub(crate) fn expect_no_failure(&self) {
        if let Some(watch) = self.watch() {
            watch.expect_no_failure();
        }
    }

    /// Whether a failure has ended the transaction.
    pub(crate) fn has_lost_transaction(&self) -> bool {
        self.watch().is_some_and(|watch| watch.has_lost_transaction())
    }

    /// What the borrower has left behind so far.
    pub(crate) fn left(&self) -> Option<Left> {
        self.watch().map(|watch| watch.left())
    }

    /// Forgets what statements that were not the borrower's have left behind since then.
    pub(crate) fn restore(&self, left: Option<Left>) {
        if let (Some(watch), Some(left)) = (self.watch(), left) {
            watch.restore(left);
        }
    }

    /// Whether the connection can be asked for anything now: it is not gone, and in no statement.
    pub(crate) fn is_fit(&mut self) -> bool {
        let is_sound =
            self.watch().is_some_and(|watch| !watch.is_broken() && !watch.is_cut_short());
        let connection = self.connection_mut();
        let status = C::TransactionManager::transaction_manager_status_mut(connection);
        let is_known = status.transaction_depth().is_ok();
        is_sound && is_known && !connection.is_busy()
    }

    /// Says which tenant it is lent for.
    pub(crate) fn set_tenant(&self, tenant: Arc<str>) {
        if let Some(watch) = self.watch() {
            watch.set_tenant(Some(tenant));
        }
    }

    /// The tenant that it is lent for.
    pub(crate) fn tenant(&self) -> Option<Arc<str>> {
        self.watch().and_then(|watch| watch.tenant())
    }

    pub(super) fn watch(&self) -> Option<&Arc<Watch>> {
        self.held.as_ref().and_then(Held::lease).and_then(|lease| lease.watch())
    }

    /// Hands the connection itself to `work`, which gives it back.
    pub(crate) fn lend_on<R>(&mut self, work: impl FnOnce(C) -> (C, R)) -> R {
        let lease = self.held.as_mut().and_then(|held| held.lease.as_mut());
        match lease.and_then(|lease| lease.lend_on(work)) {
            Some(result) => result,
            None => unreachable!("a loan is made of a slot that was filled"),
        }
    }

    /// The connection will be closed instead of lent again.
    pub(crate) fn discard(&mut self) {
        self.is_discarded = true;
    }
}

impl<C: Backend> fmt::Debug for Loan<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").field("is_discarded", &self.is_discarded).finish_non_exhaustive()
    }
}

impl<C: Backend> Drop for Loan<C> {
    fn drop(&mut self) {
        let Some(mut held) = self.held.take() else { return };
        let settings = &held.engine.settings;
        let is_memory = settings.url.is_memory();
        let is_closed = held.engine.is_closed();
        let engine = &held.engine;
        engine.stats.returned(self.lent, || engine.pool.counts().idle);
        let Some(lease) = &mut held.lease else { return };
        // Until the opposite is known.
        lease.discard();
        if settings.is_isolated {
            // What it leaves is for the next one to undo. What is cut short, nobody can.
            let is_sound =
                lease.watch().is_some_and(|watch| !watch.is_cut_short() && !watch.is_broken());
            if is_sound && !is_closed && !self.is_discarded {
                lease.keep();
            }
            return;
        }
        // A database in memory is in its connection: it can be mended, but not replaced.
        if self.is_discarded && !is_memory || is_closed {
            return;
        }
        match what_to_do(lease, &settings.options, is_memory) {
            Return::Never => {
                held.engine.stats.closed(Closed::Unclean);
                abandon(&held);
            }
            Return::AfterAll(rolled_back) => keep_after(held, rolled_back),
            Return::Now => keep(lease),
            // Without a runtime there is nobody to clean it, and it is closed.
            Return::After(cleaning) => match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(clean(held, cleaning))),
                Err(_) => engine.stats.closed(Closed::Unclean),
            },
            Return::Dismissed => match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(dismiss(held))),
                Err(_) => engine.stats.closed(Closed::Unclean),
            },
            Return::Settled => match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(settle(held))),
                Err(_) => engine.stats.closed(Closed::Unclean),
            },
        }
    }
}

fn keep<C: Backend>(lease: &mut Lease<C>) {
    if let Some(watch) = lease.watch() {
        watch.holder.store(0, Ordering::Relaxed);
    }
    lease.touch();
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
    /// The server is asked for an answer, which comes behind rows that nobody may have read.
    asks_answer: bool,
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
/// those of a query whose first row was all that was wanted are mostly there.
const GRACE: Duration = Duration::from_millis(20);

/// The same where the rest is read by the driver, before it sends another statement.
const ROWS_GRACE: Duration = Duration::from_millis(100);

fn what_to_do<C: Backend>(
    lease: &mut Lease<C>,
    options: &EngineOptions,
    is_memory: bool,
) -> Return {
    let reset = options.reset_on_return;
    let Some(watch) = lease.watch().map(Arc::clone) else { return Return::Never };
    let Some(connection) = lease.connection_mut() else { return Return::Never };
    watch.hear_errors(!options.read_only);
    if connection.is_known_dead() {
        return Return::Never;
    }
    // First: what still runs may begin a transaction.
    let is_cut_short = connection.is_busy() || watch.is_cut_short() || watch.has_abandoned_rows();
    let transaction = transaction(connection);
    let is_unfinished =
        matches!(transaction, Transaction::Unfinished) || is_cut_short || watch.is_broken();
    let observed = &watch.observed;
    if !is_unfinished && observed.is_in_flight() {
        return Return::Settled;
    }
    let is_left_open = matches!(transaction, Transaction::None)
        && match observed.transaction() {
            TransactionStatus::Idle => false,
            TransactionStatus::Open => true,
            TransactionStatus::Unknown => {
                observed.is_in_transaction() || connection.has_raw_transaction()
            }
        };
    // An instrumentation of the borrower's own has taken the place of ours: nothing is known.
    let is_changed = observed.is_changed() || Arc::strong_count(&watch) == 2;

    if is_memory {
        let is_clean = !is_unfinished && !is_left_open && reset == ResetOnReturn::Auto;
        let rolled_back = if is_clean { None } else { connection.start_rollback() };
        return rolled_back.map_or(Return::Now, Return::AfterAll);
    }
    // Behind a transaction pooler there is no session to make as new, and none was changed.
    let is_full =
        is_changed || reset == ResetOnReturn::Full && options.pooler != Pooler::Transaction;
    // What was changed can be undone in place where it is known what statements the server still has.
    let is_replaced = is_full && C::FULL_RESET.is_none() || is_changed && !observed.is_read();
    if is_unfinished {
        return Return::Never;
    }
    if observed.is_irreversible() || is_replaced {
        return Return::Dismissed;
    }
    let cleaning = Cleaning {
        rolls_back: is_left_open || is_full || reset != ResetOnReturn::Auto,
        is_full,
        asks_role: watch.has_unknown_error() && !options.read_only && C::HIDES_ERROR_CODES,
        asks_answer: C::LEAVES_ROWS && !observed.is_read() && watch.may_have_rows(),
    };
    match cleaning {
        Cleaning { rolls_back: false, asks_role: false, asks_answer: false, .. } => Return::Now,
        cleaning => Return::After(cleaning),
    }
}

/// Waits until the server has reported the end of what was sent, and puts the connection back after that.
async fn settle<C: Backend>(mut held: Held<C>) {
    let engine = Arc::clone(held.engine());
    let Some(lease) = &mut held.lease else { return };
    let Some(observed) = lease.watch().map(|watch| Arc::clone(&watch.observed)) else { return };
    let is_settled = timeout(GRACE, observed.settled()).await.is_ok();
    let options = &engine.settings.options;
    match what_to_do(lease, options, false) {
        Return::Now if is_settled => keep(lease),
        Return::After(cleaning) if is_settled => clean(held, cleaning).await,
        Return::Dismissed if is_settled => dismiss(held).await,
        _ => {
            engine.stats.closed(Closed::Unclean);
            if let Some(cancel) = lease.cancel() {
                let _ = timeout(options.check_timeout, cancel).await;
            }
        }
    }
}

/// Closes a connection, once the server has what it held.
async fn dismiss<C: Backend>(mut held: Held<C>) {
    let engine = Arc::clone(held.engine());
    engine.stats.closed(Closed::Changed);
    let Some(lease) = &mut held.lease else { return };
    engine.watch_cleaning(lease);
    if let (Some(release), Some(connection)) = (C::RELEASE, lease.connection_mut()) {
        let limit = engine.settings.options.check_timeout;
        let _ = timeout(limit, connection.batch_execute(release)).await;
    }
}

/// Has the server end a statement that was cut short. It would go on to its end, with its locks, before
/// it noticed that nobody listens.
fn abandon<C: Backend>(held: &Held<C>) {
    let Some(lease) = held.lease() else { return };
    let is_cut_short =
        lease.watch().is_some_and(|watch| watch.is_cut_short() || watch.has_abandoned_rows());
    let cancel = if is_cut_short { lease.cancel() } else { None };
    if let (Some(cancel), Ok(runtime)) = (cancel, Handle::try_current()) {
        runtime.spawn(timeout(held.engine.settings.options.check_timeout, cancel));
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
fn keep_after<C: Backend>(mut held: Held<C>, rolled_back: BoxFuture<'static, ()>) {
    if let Some(lease) = &mut held.lease {
        held.engine.watch_anew(lease);
        lease.touch();
        lease.keep();
    }
    // Lent until then, so that others wait for a session and not for an answer. Without a runtime, or
    // when it ends, nobody waits, and whoever is lent it next finds the rollback in front.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            rolled_back.await;
            drop(held);
        });
    }
}

/// Cleans a connection and puts it back. It is closed if that fails or takes too long.
async fn clean<C: Backend>(mut held: Held<C>, cleaning: Cleaning) {
    let engine = Arc::clone(held.engine());
    let options = &engine.settings.options;
    let Some(lease) = &mut held.lease else { return };
    let Some(watch) = lease.watch().map(Arc::clone) else { return };
    let is_all = |count: u64| !watch.observed.is_read() || watch.observed.prepared() == count;
    // What follows is nothing for an instrumentation of the borrower's own.
    engine.watch_cleaning(lease);
    let Some(connection) = lease.connection_mut() else { return };
    if cleaning.asks_answer
        && !matches!(timeout(ROWS_GRACE, connection.batch_execute(CHECK)).await, Ok(Ok(())))
    {
        engine.stats.closed(Closed::Unclean);
        if let Some(cancel) = lease.cancel() {
            let _ = timeout(options.check_timeout, cancel).await;
        }
        return;
    }
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
        if cleaning.asks_role && !connection.takes_writes().await.is_ok_and(|takes| takes) {
            watch.note_read_only_server();
            return false;
        }
        true
    })
    .await;
    // The server has the last word on whether a transaction is open.
    let is_open = |watch: &Arc<Watch>| watch.observed.transaction() == TransactionStatus::Open;
    if let Ok(true) = cleaned
        && !lease.watch().is_none_or(is_open)
    {
        engine.watch_anew(lease);
        lease.touch();
        lease.keep();
    } else {
        engine.stats.closed(Closed::Unclean);
    }
}
