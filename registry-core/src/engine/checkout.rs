//! A connection that is checked out of its engine.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use diesel_async::TransactionManager;

use super::engine_use::EngineUse;
use super::observe::caller::Caller;
use super::observe::meters::RetryReason;
use super::observe::read_transaction::ReadTransaction;
use super::observe::watch::{CheckoutPurpose, ConnectionWatch};
use super::observe::write_account::WriteAccount;
use super::permit::Permit;
use super::pool::Lease;
use super::return_connection::return_connection;
use super::setup::forget_statements;
use super::typed::TypedEngine;
use crate::backend::Backend;
use crate::backend::observed::SessionEffects;
use crate::backend::position::{Position, ServerIdentity};
use crate::meters::Timer;
use crate::settings::{BindKey, EngineSettings};
use crate::telemetry::{Listeners, QuerySubject, QueryTags, is_wanted};

/// A live connection, checked out until this is dropped.
///
/// Dropping it returns the connection, see [`return_connection`]. If a transaction of Diesel's is open, or a statement was
/// cut short, the connection is closed. Other changes of the borrower are undone in the background, as far as
/// [`ConnectionWatch`] has seen them and `reset_on_return` asks for it, and the connection counts as in use until the reset
/// has ended.
pub struct Checkout<C: Backend> {
    /// Empty only while it is dropped.
    permit: Option<Permit<C>>,
    /// Whether the connection must not be lent again.
    is_discarded: bool,
    checked_out: Timer,
}

const IS_FILLED: &str = "a checkout has a connection until it is dropped";

impl<C: Backend> Checkout<C> {
    /// `permit` has a slot with a live connection.
    pub(super) fn new(permit: Permit<C>) -> Self {
        if let Some(watch) = permit.lease().and_then(|lease| lease.watch()) {
            watch.begin_checkout(Caller::current());
        }
        let engine = &permit.engine;
        engine.use_count.note_checkout();
        engine.stats.note_checkout(permit.requested);
        Self { permit: Some(permit), is_discarded: false, checked_out: Timer::start() }
    }

    pub(crate) fn engine(&self) -> &Arc<TypedEngine<C>> {
        match &self.permit {
            Some(permit) => permit.engine(),
            None => unreachable!("{IS_FILLED}"),
        }
    }

    /// Marks the checkout as being for one query, and not for a borrower who may begin a transaction.
    pub(crate) fn mark_for_query(&self) {
        if let Some(watch) = self.watch() {
            watch.set_purpose(CheckoutPurpose::Query);
            watch.observed.stream.note_nothing_sent();
        }
    }

    /// Whether it is certain that nothing was sent on the connection since [`mark_for_query`](Self::mark_for_query).
    pub(crate) fn has_sent_nothing(&self) -> bool {
        self.watch().is_some_and(|watch| watch.observed.has_sent_nothing())
    }

    /// Whether the connection is the one of a test isolation.
    pub(crate) fn is_isolated(&self) -> bool {
        self.engine().settings.is_isolated
    }

    /// Reports that the query of this checkout, which the program runs at `place`, is run again.
    pub(crate) fn note_retry(&self, reason: RetryReason, place: &'static Location<'static>) {
        self.engine().stats.note_retry(reason, self.tenant().as_deref(), place);
    }

    /// Marks the checkout as being for a stream of rows, whose end the borrower decides.
    pub(crate) fn mark_for_rows(&self) {
        if let Some(watch) = self.watch()
            && watch.purpose() == CheckoutPurpose::Query
        {
            watch.set_purpose(CheckoutPurpose::RowStream);
        }
    }

    /// Marks the checkout as holding the transaction of a unit of work until it is returned.
    pub(crate) fn mark_in_work(&self) {
        if let Some(watch) = self.watch() {
            watch.set_purpose(CheckoutPurpose::UnitOfWork);
        }
    }

    /// Keeps the engine to which this one belongs in use: it must not be evicted while this connection is lent.
    pub(super) fn hold(&mut self, parent: EngineUse<TypedEngine<C>>) {
        // Reads alone keep an engine that was opened on demand.
        parent.use_count.note_checkout();
        if let Some(permit) = &mut self.permit {
            permit.parent = Some(parent);
        }
    }

    /// The identity of the server, on a connection to a replica.
    pub(super) fn server_identity(&self) -> Option<ServerIdentity> {
        self.watch().and_then(|watch| watch.observed.server_identity())
    }

    pub(super) fn note_server_identity(&self, identity: ServerIdentity) {
        if let Some(watch) = self.watch() {
            watch.observed.note_server_identity(identity);
        }
    }

    /// The key of the engine.
    pub(crate) fn key(&self) -> BindKey {
        self.engine().settings.key
    }

    /// The tenant whose database this is, if it is not shared with others: positions are told apart by it.
    pub(crate) fn tenant_of_database(&self) -> Option<Arc<str>> {
        self.tenant().filter(|_| self.engine().is_of_one_tenant())
    }

    /// Whether the bind has replicas, so that the positions of writes matter.
    pub(crate) fn has_replicas(&self) -> bool {
        !self.engine().settings.replicas.is_empty()
    }

    /// Lets what is written on the connection count for the scopes in which it is written, until the connection is returned.
    pub(crate) fn count_writes(&self, account: WriteAccount) {
        if let Some(watch) = self.watch() {
            watch.count_writes(account);
        }
    }

    /// Whether something may have been written on this connection.
    pub(crate) fn may_have_written(&self) -> bool {
        self.watch().is_none_or(|watch| watch.may_have_written())
    }

    /// Nothing was written on this connection so far, whatever was run on it.
    pub(crate) fn note_no_writes(&self) {
        if let Some(watch) = self.watch() {
            watch.note_no_writes();
        }
    }

    /// Everything that was written on this connection is committed, at or before this position. The scopes that have
    /// a mark of it need not ask for it.
    pub(crate) fn note_position(&self, position: &Position) {
        if let Some(watch) = self.watch() {
            watch.note_position(position);
        }
    }

    /// Records that the database refuses writes on this connection until it is returned.
    pub(super) fn note_kept_from_writing(&self) {
        if let Some(watch) = self.watch() {
            watch.note_kept_from_writing();
        }
    }

    /// The transaction of a read session behind a pooler. The server session belongs to others, so
    /// that transaction is what keeps the borrower from writing.
    pub(crate) fn read_transaction(&self) -> Option<ReadTransaction> {
        self.watch().and_then(|watch| watch.read_transaction())
    }

    /// Records that the session is in this transaction until it is returned.
    pub(super) fn set_read_transaction(&self, transaction: ReadTransaction) {
        if let Some(watch) = self.watch() {
            watch.set_read_transaction(transaction);
        }
    }

    pub(super) fn lease_mut(&mut self) -> Option<&mut Lease<C>> {
        self.permit.as_mut().and_then(Permit::lease_mut)
    }

    pub(crate) fn connection(&self) -> &C {
        let lease = self.permit.as_ref().and_then(|permit| permit.lease.as_ref());
        if let Some(watch) = lease.and_then(|lease| lease.watch()) {
            watch.note_used();
        }
        match lease.and_then(|lease| lease.connection()) {
            Some(connection) => connection,
            None => unreachable!("{IS_FILLED}"),
        }
    }

    /// The connection. If its prepared statements no longer fit their tables, Diesel's statement cache is emptied first.
    pub(crate) fn connection_mut(&mut self) -> &mut C {
        let Some(Permit { engine, lease: Some(lease), .. }) = &mut self.permit else {
            unreachable!("{IS_FILLED}");
        };
        let has_cache = engine.settings.options.statement_cache;
        let has_stale_plans = lease.watch().is_some_and(|watch| {
            watch.note_used();
            watch.take_stale_plans()
        });
        match lease.connection_mut() {
            Some(connection) => {
                if has_stale_plans && has_cache {
                    forget_statements(connection);
                }
                connection
            }
            None => unreachable!("{IS_FILLED}"),
        }
    }

    /// Whether the prepared statements of Diesel's cache no longer fit their tables.
    /// [`connection_mut`](Self::connection_mut) empties the cache.
    pub(crate) fn has_stale_plans(&self) -> bool {
        self.engine().settings.options.statement_cache
            && self.watch().is_some_and(|watch| watch.has_stale_plans())
    }

    /// Records that all rows of the last statement have arrived.
    pub(crate) fn note_rows_read(&self) {
        if let Some(watch) = self.watch() {
            watch.note_rows_read();
        }
    }

    /// The effects of the borrower's statements on the session so far.
    pub(crate) fn session_effects(&self) -> Option<SessionEffects> {
        self.watch().map(|watch| watch.session_effects())
    }

    /// Restores the effects that [`session_effects`](Self::session_effects) returned, after statements that were not the
    /// borrower's.
    pub(crate) fn restore_session_effects(&self, effects: Option<SessionEffects>) {
        if let (Some(watch), Some(effects)) = (self.watch(), effects) {
            watch.restore_session_effects(effects);
        }
    }

    /// Whether a statement can be run on the connection now: it is not broken, and no other statement is under way.
    pub(crate) fn is_usable(&mut self) -> bool {
        let is_sound =
            self.watch().is_some_and(|watch| !watch.is_broken() && !watch.is_cut_short());
        let connection = self.connection_mut();
        let status = C::TransactionManager::transaction_manager_status_mut(connection);
        let is_known = status.transaction_depth().is_ok();
        is_sound && is_known && !connection.is_busy()
    }

    /// Records the tenant of the checkout.
    pub(crate) fn set_tenant(&self, tenant: Arc<str>) {
        if let Some(watch) = self.watch() {
            watch.set_tenant(Some(tenant));
        }
    }

    /// The tenant of the checkout.
    pub(crate) fn tenant(&self) -> Option<Arc<str>> {
        self.watch().and_then(|watch| watch.tenant())
    }

    /// Tells the queries on the connection to these, until the connection is returned.
    pub(crate) fn set_listeners(&self, listeners: Listeners) {
        if let Some(watch) = self.watch() {
            watch.set_listeners(listeners);
        }
    }

    /// The tags of a statement that the calling task is about to send on the connection. `None` if it has none.
    pub(crate) fn sql_tags(&self) -> Option<QueryTags> {
        let listeners = self.watch()?.listeners()?;
        listeners.tags(self.key(), || self.tenant())
    }

    /// The connection, in the terms of those who listen to queries. `None` if nobody does.
    pub(crate) fn query_subject(&self) -> Option<QuerySubject<'_>> {
        let (watch, settings) = (self.watch(), &self.engine().settings);
        let listeners = watch.and_then(|watch| watch.listeners());
        is_wanted(settings, listeners.as_ref()).then(|| {
            let tenant = watch.and_then(|watch| watch.tenant());
            QuerySubject { settings, listeners, tenant }
        })
    }

    pub(super) fn watch(&self) -> Option<&Arc<ConnectionWatch>> {
        self.permit.as_ref().and_then(Permit::lease).and_then(|lease| lease.watch())
    }

    /// The settings of the engine that the connection belongs to.
    pub(crate) fn settings(&self) -> &Arc<EngineSettings> {
        &self.engine().settings
    }

    /// Passes the connection to `work` by value. `work` returns the connection.
    pub(crate) fn with_owned_connection<R>(&mut self, work: impl FnOnce(C) -> (C, R)) -> R {
        let lease = self.permit.as_mut().and_then(|permit| permit.lease.as_mut());
        match lease.and_then(|lease| lease.with_owned_connection(work)) {
            Some(result) => result,
            None => unreachable!("{IS_FILLED}"),
        }
    }

    /// The permit with its connection, and when the checkout began. The connection is not returned.
    pub(super) fn into_permit(mut self) -> (Permit<C>, Timer) {
        match self.permit.take() {
            Some(permit) => (permit, self.checked_out),
            None => unreachable!("{IS_FILLED}"),
        }
    }

    /// Marks the connection to be closed on return instead of being lent again.
    pub(crate) fn discard(&mut self) {
        self.is_discarded = true;
    }
}

impl<C: Backend> fmt::Debug for Checkout<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkout").field("is_discarded", &self.is_discarded).finish_non_exhaustive()
    }
}

impl<C: Backend> Drop for Checkout<C> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        if let Some(turn) = &permit.turn {
            turn.note_unit_ended();
        }
        permit.engine.stats.note_return(self.checked_out);
        return_connection(permit, self.is_discarded);
    }
}
