//! What is known of one connection: who has it, and what was run on it. What the errors of its statements mean is in
//! [`error_consequences`](super::error_consequences).
//!
//! The facts come from two sources. [`Observed`] has what the backend sees itself, such as the answers of the server
//! where the stream of the connection is read. The rest comes from Diesel's instrumentation
//! ([`WatchInstrumentation`](super::instrumentation::WatchInstrumentation)), which reports the beginning and the end
//! of each statement. A statement whose future was dropped has a beginning and no end, and so is known to be cut
//! short.
//!
//! `Relaxed` is enough for all atomics here. What decides over the connection is written and read by one borrower at a
//! time, and the lock of the pool orders what one has written before what the next one reads. Other tasks read who
//! has the connection only to count and to warn.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::caller::Caller;
use super::invalidation::{CloseNotice, Invalidations, SeenInvalidations};
use super::statement_errors::StatementErrors;
use crate::backend::observed::{Observed, SessionEffects};

/// What is known of one connection. Its slot and its instrumentation share it.
#[derive(Debug, Default)]
pub(in crate::engine) struct ConnectionWatch {
    /// How many statements were begun, and how many have ended.
    started: AtomicU32,
    finished: AtomicU32,
    /// Whether the last statement has rows that were not read, and that the server still sends.
    has_abandoned_rows: AtomicBool,
    /// Whether the last statement may have rows, and it is not known whether they were read.
    may_have_rows: AtomicBool,
    /// What the backend sees of the connection.
    pub(in crate::engine) observed: Arc<Observed>,
    pub(super) invalidations: Arc<Invalidations>,
    pub(super) seen: SeenInvalidations,
    /// Whether the borrower has put another instrumentation in the place of ours.
    is_instrumentation_replaced: AtomicBool,
    /// What the errors of its statements meant.
    pub(super) errors: StatementErrors,
    /// Whether a [`TransactionState`](crate::engine::TransactionState) follows a transaction on it.
    is_in_tracked_transaction: AtomicBool,
    /// The number of the [`Caller`] that has it, or [`NO_HOLDER`].
    holder: AtomicU64,
    /// A [`CheckoutPurpose`].
    purpose: AtomicU8,
    /// The tenant that it is checked out for.
    tenant: Mutex<Option<Arc<str>>>,
    _close_notice: CloseNotice,
}

/// In place of a caller's number, which is never zero.
const NO_HOLDER: u64 = 0;

/// What a connection was checked out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::engine) enum CheckoutPurpose {
    /// A session of the program's, which it drops when it wants to.
    Session,
    /// One query, which returns it when it is over, whatever the program does.
    Query,
    /// One query whose rows the program takes one by one, for as long as it wants them.
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

    /// Begins a checkout: forgets what the last borrower said about its own.
    pub(in crate::engine) fn begin_checkout(&self, caller: Caller) {
        self.set_holder(caller);
        self.set_purpose(CheckoutPurpose::Session);
        self.is_in_tracked_transaction.store(false, Ordering::Relaxed);
        self.observed.transaction.refuse_after_rollback(false);
        self.set_tenant(None);
    }

    /// Ends a checkout: statements that are run from now on are not the borrower's.
    pub(in crate::engine) fn end_checkout(&self) {
        self.holder.store(NO_HOLDER, Ordering::Relaxed);
        self.observed.transaction.refuse_after_rollback(false);
    }

    pub(in crate::engine) fn set_holder(&self, caller: Caller) {
        self.holder.store(caller.number(), Ordering::Relaxed);
    }

    /// Makes the calling task the holder of a connection that has one: a session may have been moved to another task
    /// than the one that acquired it.
    pub(super) fn update_holder(&self) {
        if self.holder.load(Ordering::Relaxed) != NO_HOLDER {
            self.set_holder(Caller::current());
        }
    }

    /// Whether the [`Caller`] with that number has it.
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

    /// Notes that a transaction on it is followed from now on.
    pub(in crate::engine) fn track_transaction(&self) {
        self.observed.transaction.take_doubts();
        self.is_in_tracked_transaction.store(true, Ordering::Relaxed);
        self.observed.transaction.refuse_after_rollback(true);
    }

    pub(super) fn is_in_tracked_transaction(&self) -> bool {
        self.is_in_tracked_transaction.load(Ordering::Relaxed)
    }

    /// Notes that our instrumentation is gone from the connection.
    pub(super) fn note_instrumentation_replaced(&self) {
        self.is_instrumentation_replaced.store(true, Ordering::Relaxed);
    }

    /// Whether the borrower has put another instrumentation in the place of ours, so that statements may have been
    /// run that are not known here.
    pub(in crate::engine) fn is_instrumentation_replaced(&self) -> bool {
        self.is_instrumentation_replaced.load(Ordering::Relaxed)
    }

    /// Whether a statement was cut short: the server may still run it, and its answer is still to come.
    pub(in crate::engine) fn is_cut_short(&self) -> bool {
        self.started.load(Ordering::Relaxed) != self.finished.load(Ordering::Relaxed)
    }

    /// Whether rows of the last statement were left unread. However many they are, they come before the answer to the
    /// next statement.
    pub(in crate::engine) fn has_abandoned_rows(&self) -> bool {
        self.has_abandoned_rows.load(Ordering::Relaxed)
    }

    /// How many statements were begun.
    pub(in crate::engine) fn statement_count(&self) -> u64 {
        self.started.load(Ordering::Relaxed).into()
    }

    pub(in crate::engine) fn set_tenant(&self, tenant: Option<Arc<str>>) {
        *self.tenant.lock().unwrap_or_else(PoisonError::into_inner) = tenant;
    }

    pub(in crate::engine) fn tenant(&self) -> Option<Arc<str>> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that rows of the last statement were left unread.
    pub(in crate::engine) fn note_rows_abandoned(&self) {
        // Where the stream is read, it shows this by itself, and also when the rows have arrived after all.
        if !self.observed.reads_stream() {
            self.has_abandoned_rows.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that a statement begins.
    pub(super) fn note_started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a statement has ended.
    pub(super) fn note_finished(&self, has_failed: bool) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        // The driver has read the rows of earlier statements to get at this answer.
        self.has_abandoned_rows.store(false, Ordering::Relaxed);
        self.errors.note_outcome(has_failed);
    }

    /// Notes whether the last statement may have rows.
    pub(super) fn note_possible_rows(&self, may_have_rows: bool) {
        self.may_have_rows.store(may_have_rows, Ordering::Relaxed);
    }

    /// Notes that all rows of the last statement have come.
    pub(in crate::engine) fn note_rows_read(&self) {
        self.may_have_rows.store(false, Ordering::Relaxed);
    }

    /// Whether the last statement may have rows, and it is not known whether they were read: the drivers report the end
    /// of a statement before its rows arrive.
    pub(in crate::engine) fn may_have_rows(&self) -> bool {
        self.may_have_rows.load(Ordering::Relaxed)
    }

    /// Whether the prepared statements must be prepared again, as some no longer fit their tables on this connection or
    /// on another of the engine. True once for each occasion.
    pub(in crate::engine) fn take_stale_plans(&self) -> bool {
        self.observed.session.take_may_have_deallocated()
            | self.seen.take_stale_plans(&self.invalidations)
    }

    /// Whether another connection of the engine has found out that this one can only be replaced.
    pub(in crate::engine) fn is_outdated(&self) -> bool {
        self.seen.has_stale_types(&self.invalidations)
    }

    /// Whether the server must be asked if it takes writes, before the connection is lent again.
    pub(in crate::engine) fn must_recheck_role(&self) -> bool {
        self.seen.must_recheck_role(&self.invalidations)
    }

    pub(in crate::engine) fn note_role_checked(&self) {
        self.seen.note_role_checked(&self.invalidations);
    }

    /// What the borrower has changed in the session so far, to be restored after statements of our own.
    pub(in crate::engine) fn session_effects(&self) -> SessionEffects {
        self.observed.session.effects()
    }

    pub(in crate::engine) fn restore_session_effects(&self, effects: SessionEffects) {
        self.observed.session.restore_effects(effects);
    }
}
