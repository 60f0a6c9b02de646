//! The observed state of one connection: its holder, and the statements that were run on it. The consequences of the
//! statements' errors are in [`error_consequences`](super::error_consequences).
//!
//! The facts come from two sources. [`Observed`] has the backend's own observations, such as the answers of the server
//! if the stream of the connection is read. The other facts come from Diesel's instrumentation
//! ([`WatchInstrumentation`](super::instrumentation::WatchInstrumentation)), which reports the beginning and the end
//! of each statement. A statement whose future was dropped has a beginning and no end, and so is known to be cut
//! short.
//!
//! `Relaxed` is enough for all atomics here. The fields that decide the fate of the connection are written and read by one
//! borrower at a time, and the lock of the pool orders the writes of one borrower before the reads of the next one. Other
//! tasks read the holder of the connection only to count and to warn.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::caller::Caller;
use super::invalidation::{CloseNotice, Invalidations, SeenInvalidations};
use super::read_transaction::ReadTransaction;
use super::statement_errors::StatementErrors;
use super::write_account::{AccountOfCheckout, WriteAccount};
use crate::backend::observed::{Observed, SessionEffects};
use crate::backend::position::Position;
use crate::telemetry::Listeners;

/// The observed state of one connection, shared by its slot and its instrumentation.
#[derive(Debug, Default)]
pub(in crate::engine) struct ConnectionWatch {
    /// The number of statements that were begun, and the number of statements that have ended.
    started: AtomicU32,
    finished: AtomicU32,
    /// Whether a statement has unread rows, which the server still sends.
    has_abandoned_rows: AtomicBool,
    /// The number of statements that were begun when rows were last left unread.
    started_before_abandoned: AtomicU32,
    /// Whether the last statement may have rows, and it is not known whether they were read.
    may_have_rows: AtomicBool,
    /// The backend's observations of the connection.
    pub(in crate::engine) observed: Arc<Observed>,
    pub(super) invalidations: Arc<Invalidations>,
    pub(super) seen: SeenInvalidations,
    /// Whether the borrower has replaced our instrumentation by another one.
    is_instrumentation_replaced: AtomicBool,
    /// Whether the database refuses writes on this connection until it is returned.
    is_kept_from_writing: AtomicBool,
    /// The transaction that keeps the last read session from writing, if it had one.
    read_transaction: Mutex<Option<ReadTransaction>>,
    /// For which scopes counts what is written here.
    writes: AccountOfCheckout,
    /// The record of the errors of the connection's statements.
    pub(super) errors: StatementErrors,
    /// Whether a [`TransactionState`](crate::engine::TransactionState) tracks a transaction on the connection.
    is_in_tracked_transaction: AtomicBool,
    /// The number of the [`Caller`] that holds the connection, or [`NO_HOLDER`].
    holder: AtomicU64,
    /// A [`CheckoutPurpose`].
    purpose: AtomicU8,
    /// The tenant of the checkout.
    tenant: Mutex<Option<Arc<str>>>,
    /// Who listens to the queries of the checkout, beside the scopes of the task that runs them.
    listeners: Mutex<Option<Listeners>>,
    /// Whether somebody does. Read for each statement, without the lock.
    has_listeners: AtomicBool,
    _close_notice: CloseNotice,
}

/// Stands for no holder. A caller's number is never zero.
const NO_HOLDER: u64 = 0;

/// The purpose of a checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::engine) enum CheckoutPurpose {
    /// A session. The program decides when to drop it.
    Session,
    /// One query, which returns the connection at its end, whatever the program does.
    Query,
    /// One query with a stream of rows. The program decides when to drop the stream.
    RowStream,
    /// The transaction of a unit of work.
    UnitOfWork,
}

impl CheckoutPurpose {
    const ALL: [Self; 4] = [Self::Session, Self::Query, Self::RowStream, Self::UnitOfWork];
}

impl ConnectionWatch {
    pub(in crate::engine) fn new(
        invalidations: Arc<Invalidations>,
        observed: Arc<Observed>,
    ) -> Self {
        let _close_notice = CloseNotice::new(&invalidations);
        Self {
            seen: SeenInvalidations::new(&invalidations),
            invalidations,
            observed,
            _close_notice,
            ..Self::default()
        }
    }

    /// Begins a checkout: forgets the purpose and the tenant of the last checkout.
    pub(in crate::engine) fn begin_checkout(&self, caller: Caller) {
        self.set_holder(caller);
        self.set_purpose(CheckoutPurpose::Session);
        self.is_in_tracked_transaction.store(false, Ordering::Relaxed);
        self.observed.transaction.refuse_after_rollback(false);
        self.set_tenant(None);
        self.forget_listeners();
        self.writes.close();
    }

    /// Ends a checkout: later statements are not the borrower's.
    pub(in crate::engine) fn end_checkout(&self) {
        // Statements were not seen if the borrower has replaced our instrumentation. The end of one that was cut short was
        // not seen, and it may have been begun in another scope.
        let is_seen = || !self.is_instrumentation_replaced() && !self.is_cut_short();
        self.note_possible_write(is_seen);
        self.writes.close();
        self.holder.store(NO_HOLDER, Ordering::Relaxed);
        self.observed.transaction.refuse_after_rollback(false);
        // An idle connection must not keep the records of a scope in memory.
        self.forget_listeners();
    }

    pub(in crate::engine) fn set_holder(&self, caller: Caller) {
        self.holder.store(caller.number(), Ordering::Relaxed);
    }

    /// Makes the calling task the holder, if the connection has a holder: the session may have been moved to another task
    /// after it was acquired.
    pub(super) fn update_holder(&self) {
        if self.holder.load(Ordering::Relaxed) != NO_HOLDER {
            self.set_holder(Caller::current());
        }
    }

    /// Whether the [`Caller`] with this number holds the connection.
    pub(super) fn is_held_by(&self, caller: u64) -> bool {
        self.holder.load(Ordering::Relaxed) == caller
    }

    pub(in crate::engine) fn set_purpose(&self, purpose: CheckoutPurpose) {
        self.purpose.store(purpose as u8, Ordering::Relaxed);
    }

    pub(in crate::engine) fn purpose(&self) -> CheckoutPurpose {
        let purpose = self.purpose.load(Ordering::Relaxed);
        let found = CheckoutPurpose::ALL.into_iter().find(|known| *known as u8 == purpose);
        found.unwrap_or(CheckoutPurpose::Session)
    }

    /// Records that a transaction on the connection is tracked from now on.
    pub(in crate::engine) fn track_transaction(&self) {
        self.observed.transaction.take_doubts();
        self.is_in_tracked_transaction.store(true, Ordering::Relaxed);
        self.observed.transaction.refuse_after_rollback(true);
    }

    pub(super) fn is_in_tracked_transaction(&self) -> bool {
        self.is_in_tracked_transaction.load(Ordering::Relaxed)
    }

    /// Records that our instrumentation was removed from the connection.
    pub(super) fn note_instrumentation_replaced(&self) {
        self.is_instrumentation_replaced.store(true, Ordering::Relaxed);
        self.writes.note_unobserved();
    }

    /// Records that the borrower is about to use the connection. What cannot be seen counts as a write of its scope.
    pub(in crate::engine) fn note_used(&self) {
        if self.is_instrumentation_replaced() {
            self.writes.note_unobserved();
        }
    }

    /// Whether the borrower has replaced our instrumentation by another one, so that statements may have run unseen.
    pub(in crate::engine) fn is_instrumentation_replaced(&self) -> bool {
        self.is_instrumentation_replaced.load(Ordering::Relaxed)
    }

    /// Lets what is written in this checkout count for the scopes in which it is written.
    pub(in crate::engine) fn count_writes(&self, account: WriteAccount) {
        self.writes.open(account);
        self.note_used();
    }

    /// Whether something may have been written in this checkout. Only known if a scope has a mark of the connection.
    pub(in crate::engine) fn may_have_written(&self) -> bool {
        self.is_instrumentation_replaced() || self.writes.may_have_written()
    }

    /// Nothing was written in this checkout so far.
    pub(in crate::engine) fn note_no_writes(&self) {
        self.writes.note_no_writes();
    }

    /// Everything that was written in this checkout is committed, at or before this position.
    pub(in crate::engine) fn note_position(&self, position: &Position) {
        self.writes.note_position(position);
    }

    /// Counts a write for the scope of the task, and for others that have a mark of the connection, unless `only_reads` says
    /// that the statement writes nothing.
    pub(super) fn note_possible_write(&self, only_reads: impl FnOnce() -> bool) {
        self.writes.note_possible_write(only_reads);
    }

    pub(in crate::engine) fn note_kept_from_writing(&self) {
        self.is_kept_from_writing.store(true, Ordering::Relaxed);
    }

    pub(in crate::engine) fn is_kept_from_writing(&self) -> bool {
        self.is_kept_from_writing.load(Ordering::Relaxed)
    }

    pub(in crate::engine) fn set_read_transaction(&self, transaction: ReadTransaction) {
        let mut current = self.read_transaction.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(transaction);
    }

    pub(in crate::engine) fn read_transaction(&self) -> Option<ReadTransaction> {
        *self.read_transaction.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a statement was cut short: the server may still run it, and its answer is outstanding.
    pub(in crate::engine) fn is_cut_short(&self) -> bool {
        self.started.load(Ordering::Relaxed) != self.finished.load(Ordering::Relaxed)
    }

    /// Whether rows of the last statement were left unread. All of them arrive before the answer to the next statement.
    pub(in crate::engine) fn has_abandoned_rows(&self) -> bool {
        self.has_abandoned_rows.load(Ordering::Relaxed)
    }

    /// The number of statements that were begun.
    pub(in crate::engine) fn statement_count(&self) -> u64 {
        self.started.load(Ordering::Relaxed).into()
    }

    pub(in crate::engine) fn set_tenant(&self, tenant: Option<Arc<str>>) {
        *self.tenant.lock().unwrap_or_else(PoisonError::into_inner) = tenant;
    }

    pub(in crate::engine) fn tenant(&self) -> Option<Arc<str>> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the queries of the checkout to these from now on.
    pub(in crate::engine) fn set_listeners(&self, listeners: Listeners) {
        *self.listeners.lock().unwrap_or_else(PoisonError::into_inner) = Some(listeners);
        self.has_listeners.store(true, Ordering::Relaxed);
    }

    fn forget_listeners(&self) {
        if self.has_listeners.swap(false, Ordering::Relaxed) {
            *self.listeners.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Who listens to the queries of the checkout.
    pub(in crate::engine) fn listeners(&self) -> Option<Listeners> {
        if !self.has_listeners.load(Ordering::Relaxed) {
            return None;
        }
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the connection is checked out, so that its statements are the borrower's.
    pub(super) fn is_lent(&self) -> bool {
        self.holder.load(Ordering::Relaxed) != NO_HOLDER
    }

    /// Records that rows of the last statement were left unread.
    pub(in crate::engine) fn note_rows_abandoned(&self) {
        // If the stream is read, it shows unread rows by itself, and also that the rows have arrived after all.
        if !self.observed.reads_stream() {
            let started = self.started.load(Ordering::Relaxed);
            self.started_before_abandoned.store(started, Ordering::Relaxed);
            self.has_abandoned_rows.store(true, Ordering::Relaxed);
        }
    }

    /// Records the beginning of a statement.
    pub(super) fn note_started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// Records the end of a statement.
    pub(super) fn note_finished(&self, has_failed: bool) {
        let finished = self.finished.fetch_add(1, Ordering::Relaxed) + 1;
        // The driver has read the rows of earlier statements before this answer. Of several statements at once, this may be
        // one that was begun before the rows were left; but if more statements have ended than were begun by then, one of
        // them was begun after it.
        if self.has_abandoned_rows.load(Ordering::Relaxed)
            && finished > self.started_before_abandoned.load(Ordering::Relaxed)
        {
            self.has_abandoned_rows.store(false, Ordering::Relaxed);
        }
        self.errors.note_outcome(has_failed);
    }

    /// Records whether the last statement may have rows.
    pub(super) fn note_possible_rows(&self, may_have_rows: bool) {
        self.may_have_rows.store(may_have_rows, Ordering::Relaxed);
    }

    /// Records that all rows of the last statement have arrived.
    pub(in crate::engine) fn note_rows_read(&self) {
        self.may_have_rows.store(false, Ordering::Relaxed);
    }

    /// Whether the last statement may have rows, and it is not known whether they were read: the drivers report the end
    /// of a statement before its rows arrive.
    pub(in crate::engine) fn may_have_rows(&self) -> bool {
        self.may_have_rows.load(Ordering::Relaxed)
    }

    /// Whether the prepared statements must be prepared again, because on this or another connection of the engine a
    /// statement no longer fitted its table. True once for each finding.
    pub(in crate::engine) fn take_stale_plans(&self) -> bool {
        self.observed.session.take_may_have_deallocated()
            | self.seen.take_stale_plans(&self.invalidations)
    }

    /// As [`take_stale_plans`](Self::take_stale_plans), and stays true.
    pub(in crate::engine) fn has_stale_plans(&self) -> bool {
        self.observed.session.may_have_deallocated()
            || self.seen.has_stale_plans(&self.invalidations)
    }

    /// Whether a finding on another connection of the engine requires that this connection be replaced.
    pub(in crate::engine) fn is_outdated(&self) -> bool {
        self.seen.has_stale_types(&self.invalidations)
    }

    /// Whether the server must be asked if it accepts writes, before the connection is lent again.
    pub(in crate::engine) fn must_recheck_role(&self) -> bool {
        self.seen.must_recheck_role(&self.invalidations)
    }

    /// Whether another connection of the engine was lost since this one was last known to work.
    pub(in crate::engine) fn is_in_doubt(&self) -> bool {
        self.seen.is_in_doubt(&self.invalidations)
    }

    /// The number of lost connections so far, to be passed to [`note_alive`](Self::note_alive) after a check.
    pub(in crate::engine) fn loss_count(&self) -> u32 {
        SeenInvalidations::loss_count(&self.invalidations)
    }

    /// Records that the server has answered a check that began when there had been `losses`.
    pub(in crate::engine) fn note_alive(&self, losses: u32) {
        self.seen.note_alive(losses);
    }

    /// Records that this connection was lost: the engine checks its other connections before it lends them.
    pub(in crate::engine) fn note_lost(&self) {
        self.errors.is_broken.store(true, Ordering::Relaxed);
        self.invalidations.doubt_connections();
    }

    pub(in crate::engine) fn note_role_checked(&self) {
        self.seen.note_role_checked(&self.invalidations);
    }

    /// The effects of the borrower's statements on the session so far, to be restored after statements of our own.
    pub(in crate::engine) fn session_effects(&self) -> SessionEffects {
        self.observed.session.effects()
    }

    pub(in crate::engine) fn restore_session_effects(&self, effects: SessionEffects) {
        self.observed.session.restore_effects(effects);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_connection_keeps_nobody_who_has_listened() {
        let watch = ConnectionWatch::default();
        watch.begin_checkout(Caller::current());
        watch.set_listeners(Listeners::default());
        assert!(watch.listeners().is_some());
        watch.end_checkout();
        assert!(watch.listeners().is_none());
    }
}
