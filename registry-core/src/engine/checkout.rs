//! A connection that is lent, and how it comes back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use diesel_async::TransactionManager;

use super::give_back;
use super::handle::AnyEngine;
use super::observe::caller::Caller;
use super::observe::meters::Timer;
use super::observe::watch::ConnectionWatch;
use super::permit::Permit;
use super::pool::Lease;
use super::setup::forget_statements;
use super::typed::TypedEngine;
use crate::backend::Backend;
use crate::backend::observed::SessionEffects;

/// A live connection that is lent until this is dropped.
///
/// On return, a connection never goes back that has a transaction open which Diesel has begun, or
/// in which a statement was cut short: it is closed. What else was left behind is undone, as far as
/// it was noticed ([`ConnectionWatch`](super::observe::watch::ConnectionWatch)) and `reset_on_return` asks for; that needs the
/// server, so it runs in the background, and the connection counts as lent until it is done.
pub struct Checkout<C: Backend> {
    /// Empty only while it is dropped.
    permit: Option<Permit<C>>,
    is_discarded: bool,
    lent: Timer,
}

impl<C: Backend> Checkout<C> {
    /// `permit` has a slot that is filled.
    pub(super) fn new(permit: Permit<C>) -> Self {
        if let Some(watch) = permit.lease().and_then(|lease| lease.watch()) {
            watch.set_holder(Caller::current());
            watch.is_for_query.store(false, Ordering::Relaxed);
            watch.is_for_rows.store(false, Ordering::Relaxed);
            watch.is_in_work.store(false, Ordering::Relaxed);
            watch.is_in_tracked_transaction.store(false, Ordering::Relaxed);
            watch.observed.transaction.refuse_after_rollback(false);
            watch.set_tenant(None);
        }
        let engine = &permit.engine;
        engine.use_count().note_checkout();
        engine.stats.note_checkout(permit.requested, || engine.pool.counts().idle);
        Self { permit: Some(permit), is_discarded: false, lent: Timer::start() }
    }

    pub(crate) fn engine(&self) -> &Arc<TypedEngine<C>> {
        match &self.permit {
            Some(permit) => permit.engine(),
            None => unreachable!("a loan is only emptied when it is dropped"),
        }
    }

    /// Says that it is lent for one query, and not to somebody who may begin a transaction.
    pub(crate) fn mark_for_query(&self) {
        if let Some(watch) = self.permit.as_ref().and_then(Permit::lease).and_then(|it| it.watch())
        {
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
        self.permit.as_mut().and_then(Permit::lease_mut)
    }

    pub(crate) fn connection(&self) -> &C {
        let lease = self.permit.as_ref().and_then(|permit| permit.lease.as_ref());
        match lease.and_then(|lease| lease.connection()) {
            Some(connection) => connection,
            None => unreachable!("a loan is made of a slot that was filled"),
        }
    }

    pub(crate) fn connection_mut(&mut self) -> &mut C {
        let Some(Permit { engine, lease: Some(lease), .. }) = &mut self.permit else {
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
    pub(crate) fn note_rows_read(&self) {
        if let Some(watch) = self.watch() {
            watch.note_rows_read();
        }
    }

    /// What the borrower has left behind so far.
    pub(crate) fn session_effects(&self) -> Option<SessionEffects> {
        self.watch().map(|watch| watch.session_effects())
    }

    /// Forgets what statements that were not the borrower's have left behind since then.
    pub(crate) fn restore_session_effects(&self, left: Option<SessionEffects>) {
        if let (Some(watch), Some(left)) = (self.watch(), left) {
            watch.restore_session_effects(left);
        }
    }

    /// Whether the connection can be asked for anything now: it is not gone, and in no statement.
    pub(crate) fn is_usable(&mut self) -> bool {
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

    pub(super) fn watch(&self) -> Option<&Arc<ConnectionWatch>> {
        self.permit.as_ref().and_then(Permit::lease).and_then(|lease| lease.watch())
    }

    /// Hands the connection itself to `work`, which gives it back.
    pub(crate) fn with_owned_connection<R>(&mut self, work: impl FnOnce(C) -> (C, R)) -> R {
        let lease = self.permit.as_mut().and_then(|permit| permit.lease.as_mut());
        match lease.and_then(|lease| lease.with_owned_connection(work)) {
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
        let Some(mut permit) = self.permit.take() else { return };
        let settings = &permit.engine.settings;
        let is_memory = settings.url.is_memory();
        let is_closed = permit.engine.is_closed();
        let engine = &permit.engine;
        engine.stats.note_return(self.lent, || engine.pool.counts().idle);
        let Some(lease) = &mut permit.lease else { return };
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
        give_back::give_back(permit, is_memory);
    }
}
