//! A connection that is lent, and how it comes back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use diesel_async::TransactionManager;

use super::AnyEngine;
use super::connect::forget_statements;
use super::engine_use::EngineUse;
use super::meters::Timer;
use super::pool::Lease;
use super::returning;
use super::typed::TypedEngine;
use super::watch::Watch;
use crate::backend::Backend;
use crate::backend::observed::SessionEffects;
use crate::engine::caller::Caller;

/// The right to one of an engine's connections, and its slot once there is one. Dropping it gives both
/// back.
pub(crate) struct Held<C: Backend> {
    engine: EngineUse<TypedEngine<C>>,
    lease: Option<Lease<C>>,
    /// When it was asked for.
    asked: Timer,
}

impl<C: Backend> Held<C> {
    /// The caller has taken one of the engine's permits, and has let it forget where it came from: one
    /// that borrows the engine could not be kept beside it.
    pub(super) fn new(engine: EngineUse<TypedEngine<C>>, asked: Timer) -> Self {
        Self { engine, lease: None, asked }
    }

    pub(super) fn engine(&self) -> &Arc<TypedEngine<C>> {
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

    /// The engine and the slot, if there is one.
    pub(super) fn parts(&mut self) -> Option<(&Arc<TypedEngine<C>>, &mut Lease<C>)> {
        let engine = self.engine.engine();
        self.lease.as_mut().map(|lease| (engine, lease))
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
pub struct Checkout<C: Backend> {
    /// Empty only while it is dropped.
    held: Option<Held<C>>,
    is_discarded: bool,
    lent: Timer,
}

impl<C: Backend> Checkout<C> {
    /// `held` has a slot that is filled.
    pub(super) fn new(held: Held<C>) -> Self {
        if let Some(watch) = held.lease().and_then(|lease| lease.watch()) {
            watch.is_held_by(Caller::current());
            watch.is_for_query.store(false, Ordering::Relaxed);
            watch.is_for_rows.store(false, Ordering::Relaxed);
            watch.is_in_work.store(false, Ordering::Relaxed);
            watch.is_questioned.store(false, Ordering::Relaxed);
            watch.observed.transaction.refuse_after_rollback(false);
            watch.set_tenant(None);
        }
        let engine = &held.engine;
        engine.uses().lent();
        engine.stats.lent(held.asked, || engine.pool.counts().idle);
        Self { held: Some(held), is_discarded: false, lent: Timer::start() }
    }

    pub(crate) fn engine(&self) -> &Arc<TypedEngine<C>> {
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

    /// Says that rows are handed out one by one, so that the borrower decides when the query is over.
    pub(crate) fn mark_for_rows(&self) {
        if let Some(watch) = self.watch() {
            watch.is_for_rows.store(true, Ordering::Relaxed);
        }
    }

    /// Says that it has the transaction of a unit of work, until it comes back.
    pub(crate) fn mark_in_work(&self) {
        if let Some(watch) = self.watch() {
            watch.is_in_work.store(true, Ordering::Relaxed);
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

    /// What the borrower has left behind so far.
    pub(crate) fn left(&self) -> Option<SessionEffects> {
        self.watch().map(|watch| watch.left())
    }

    /// Forgets what statements that were not the borrower's have left behind since then.
    pub(crate) fn restore(&self, left: Option<SessionEffects>) {
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

impl<C: Backend> fmt::Debug for Checkout<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").field("is_discarded", &self.is_discarded).finish_non_exhaustive()
    }
}

impl<C: Backend> Drop for Checkout<C> {
    fn drop(&mut self) {
        let Some(mut held) = self.held.take() else { return };
        let settings = &held.engine.settings;
        let is_memory = settings.url.is_memory();
        let is_closed = held.engine.is_closed();
        let engine = &held.engine;
        engine.stats.returned(self.lent, || engine.pool.counts().idle);
        let Some(lease) = &mut held.lease else { return };
        if let Some(watch) = lease.watch() {
            // Whatever is still to be done on it is not the borrower's.
            watch.holder.store(0, Ordering::Relaxed);
            watch.observed.transaction.refuse_after_rollback(false);
        }
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
        returning::give_back(held, is_memory);
    }
}
