//! Seeing what a borrower does to a connection, through Diesel's own instrumentation.
//!
//! Each statement is an event when it begins, and one with its text when it has ended. So a statement that was
//! cut short shows, as its future was dropped; and where the stream of the connection is not read
//! ([`Observed`]), the text of each statement shows what it may have left behind.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel::result::{DatabaseErrorKind, Error};

use super::caller::Caller;
use super::invalidation::{CloseNotice, Invalidations, SeenInvalidations};
use crate::backend::error_class::{Diagnosis, ErrorClass, LastError, is_transient};
use crate::backend::observed::{ERRORS_KEPT, Observed, SessionEffects, TransactionDoubts};
use crate::sql::Dialect;

/// What is known of a connection from watching it. Shared by its slot and its instrumentation.
#[derive(Debug, Default)]
pub(in crate::engine) struct ConnectionWatch {
    started: AtomicU32,
    finished: AtomicU32,
    /// Whether rows of the last statement were left that are still to come.
    is_abandoned: AtomicBool,
    /// Whether the last statement may have rows of which nobody knows if they were read.
    may_have_rows: AtomicBool,
    /// What its stream shows, and what is known from texts.
    pub(in crate::engine) observed: Arc<Observed>,
    invalidations: Arc<Invalidations>,
    seen: SeenInvalidations,
    is_broken: AtomicBool,
    /// Whether a statement failed for a reason that the driver does not pass on.
    has_unclassified_error: AtomicBool,
    /// The last errors that were returned, for whoever has them.
    last_errors: Mutex<VecDeque<LastError>>,
    /// Whether the last statement has failed.
    has_just_failed: AtomicBool,
    /// Whether a statement failed for a reason that may be gone a little later, since [`ConnectionWatch::forget_transient_failures`].
    has_transient_failure: AtomicBool,
    /// Whether somebody looks after a transaction on it, see [`TransactionState`](crate::engine::TransactionState).
    pub(in crate::engine) is_in_tracked_transaction: AtomicBool,
    /// The [`Caller`] that has it. Zero if none does.
    pub(in crate::engine) holder: AtomicU64,
    /// Whether it is lent for one query, in which there is no transaction of the task's.
    pub(in crate::engine) is_for_query: AtomicBool,
    /// Whether its rows are handed out one by one, for as long as somebody wants them.
    pub(in crate::engine) is_for_rows: AtomicBool,
    /// Whether it has the transaction of a unit of work.
    pub(in crate::engine) is_in_work: AtomicBool,
    /// The tenant that it is lent for.
    tenant: Mutex<Option<Arc<str>>>,
    _close_notice: CloseNotice,
}

/// What a backend tells of its errors and statements.
#[derive(Clone, Copy)]
pub(in crate::engine) struct BackendRules {
    pub(in crate::engine) dialect: Dialect,
    /// Whether the driver knows of transactions by itself.
    pub(in crate::engine) knows_transactions: bool,
    pub(in crate::engine) is_fatal: fn(&Error) -> bool,
    /// Whether the engine is meant to write, so that a server that refuses is not what it should be.
    pub(in crate::engine) expects_writes: bool,
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

    /// Whether an instrumentation of the borrower's own has taken the place of ours, so that nothing is seen.
    pub(in crate::engine) fn is_replaced(self: &Arc<Self>) -> bool {
        // The slot has one, and the instrumentation the other.
        Arc::strong_count(self) == 1
    }

    /// Whether a statement was cut short: the server may still be at it, and its answer is to come.
    pub(in crate::engine) fn is_cut_short(&self) -> bool {
        self.started.load(Ordering::Relaxed) != self.finished.load(Ordering::Relaxed)
    }

    /// Whether rows of the last statement were left. The next one finds them in front of its own answer,
    /// however many there are.
    pub(in crate::engine) fn has_abandoned_rows(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed)
    }

    pub(in crate::engine) fn set_holder(&self, caller: Caller) {
        self.holder.store(caller.number(), Ordering::Relaxed);
    }

    /// How many statements were begun.
    pub(in crate::engine) fn statement_count(&self) -> u64 {
        self.started.load(Ordering::Relaxed).into()
    }

    /// Whether it comes back when a query is over, whatever its borrower does.
    pub(in crate::engine) fn is_returned_after_query(&self) -> bool {
        self.is_for_query.load(Ordering::Relaxed) && !self.is_for_rows.load(Ordering::Relaxed)
    }

    pub(in crate::engine) fn set_tenant(&self, tenant: Option<Arc<str>>) {
        *self.tenant.lock().unwrap_or_else(PoisonError::into_inner) = tenant;
    }

    pub(in crate::engine) fn tenant(&self) -> Option<Arc<str>> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that rows were left that are still to come.
    pub(in crate::engine) fn abandon_rows(&self) {
        // A stream that is read shows it by itself, and also when they have come after all.
        if !self.observed.reads_stream() {
            self.is_abandoned.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that a statement begins.
    pub(super) fn note_started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a statement has ended.
    pub(super) fn note_finished(&self, has_failed: bool) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        // Those of the statement before it have been read by now.
        self.is_abandoned.store(false, Ordering::Relaxed);
        self.has_just_failed.store(has_failed, Ordering::Relaxed);
    }

    /// Notes whether the last statement may have rows.
    pub(super) fn note_possible_rows(&self, may_have_rows: bool) {
        self.may_have_rows.store(may_have_rows, Ordering::Relaxed);
    }

    /// Notes that all rows of the last statement have come.
    pub(in crate::engine) fn note_rows_read(&self) {
        self.may_have_rows.store(false, Ordering::Relaxed);
    }

    /// Whether the last statement may have rows of which nobody knows if they were read: the drivers report the end
    /// of a statement before its rows come.
    pub(in crate::engine) fn may_have_rows(&self) -> bool {
        self.may_have_rows.load(Ordering::Relaxed)
    }

    /// Whether prepared statements no longer fit their tables, on this connection or on another of the
    /// engine; asks once.
    pub(in crate::engine) fn take_stale_plans(&self) -> bool {
        self.observed.session.take_may_have_deallocated()
            | self.seen.take_stale_plans(&self.invalidations)
    }

    /// Whether nothing but another connection will do, by what others of the engine have found out.
    pub(in crate::engine) fn is_outdated(&self) -> bool {
        self.seen.has_stale_types(&self.invalidations)
    }

    /// Whether the server has to be asked if it takes writes.
    pub(in crate::engine) fn must_recheck_role(&self) -> bool {
        self.seen.must_recheck_role(&self.invalidations)
    }

    pub(in crate::engine) fn note_role_checked(&self) {
        self.seen.note_role_checked(&self.invalidations);
    }

    /// Notes that the server takes no writes, though it should.
    pub(in crate::engine) fn note_read_only_server(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
        self.invalidations.roles.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = self.observed.stream.host() {
            self.invalidations.hosts.add(place.to_owned());
        }
    }

    /// Whether a statement failed because the connection did, or nothing good can come of it any more.
    pub(in crate::engine) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Whether the server has to be asked what was wrong with a statement.
    pub(in crate::engine) fn has_unclassified_error(&self) -> bool {
        self.has_unclassified_error.load(Ordering::Relaxed)
    }

    /// Forgets whether a statement has failed in passing.
    pub(in crate::engine) fn forget_transient_failures(&self) {
        self.has_transient_failure.store(false, Ordering::Relaxed);
    }

    /// Notes what the error of a statement means.
    pub(in crate::engine) fn note_class(&self, class: ErrorClass) {
        if class.is_transient() {
            self.has_transient_failure.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a statement has failed for a reason that may be gone a little later, as far as is known.
    pub(in crate::engine) fn has_transient_failure(&self) -> bool {
        self.has_transient_failure.load(Ordering::Relaxed) || self.is_broken()
    }

    /// What is known, or can be found out, of the error of the last statement, if it has failed.
    pub(in crate::engine) fn diagnosis(&self) -> Option<Diagnosis> {
        if !self.has_just_failed.load(Ordering::Relaxed) {
            return None;
        }
        self.last_errors().back().map(|last| last.diagnosis().clone())
    }

    /// What is known, or can be found out, of an error, if it is the last one.
    pub(in crate::engine) fn diagnosis_of(&self, error: &Error) -> Option<Diagnosis> {
        let last_errors = self.last_errors();
        last_errors.back().filter(|last| last.is(error)).map(|last| last.diagnosis().clone())
    }

    fn last_errors(&self) -> MutexGuard<'_, VecDeque<LastError>> {
        self.last_errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_last_error(&self, error: &Error, rules: BackendRules) {
        let Some(last) = LastError::new(error) else { return };
        match self.observed.errors.last() {
            // The same code is that of a transaction which only reads, and will refuse a write for ever.
            Some(ErrorClass::ReadOnly)
                if !rules.expects_writes || self.observed.role.is_read_only() == Some(false) =>
            {
                last.diagnosis().set(ErrorClass::Permanent);
            }
            Some(class) => last.diagnosis().set(class),
            None if matches!(error, Error::DatabaseError(DatabaseErrorKind::Unknown, _)) => {
                self.observed.transaction.raise_doubts(TransactionDoubts::FAILED);
            }
            None => {}
        }
        let mut last_errors = self.last_errors();
        if last_errors.len() == ERRORS_KEPT {
            last_errors.pop_front();
        }
        last_errors.push_back(last);
    }

    /// What was left behind so far, to be restored after statements that are not the borrower's.
    pub(in crate::engine) fn session_effects(&self) -> SessionEffects {
        self.observed.session.effects()
    }

    pub(in crate::engine) fn restore_session_effects(&self, left: SessionEffects) {
        self.observed.session.restore_effects(left);
    }

    pub(super) fn note_error(&self, error: &Error, rules: BackendRules) {
        self.note_last_error(error, rules);
        // The code of the server says it better than a text.
        if self.observed.errors.last().is_none() && (rules.is_fatal)(error) {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        self.apply_server_errors(rules.expects_writes);
        if self.observed.errors.last().is_none() && is_transient(None, error) {
            self.has_transient_failure.store(true, Ordering::Relaxed);
        }
        let (None, Error::DatabaseError(kind, _)) = (self.observed.errors.last(), error) else {
            return;
        };
        match kind {
            // Nobody says what it was.
            DatabaseErrorKind::Unknown => {
                self.has_unclassified_error.store(true, Ordering::Relaxed);
                self.seen.invalidate_own_plans(&self.invalidations);
            }
            // It may be the transaction alone that only reads: the server is asked before it is lent again.
            DatabaseErrorKind::ReadOnlyTransaction if rules.expects_writes => {
                self.invalidations.roles.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Draws the consequences of the errors that the server has sent.
    pub(in crate::engine) fn apply_server_errors(&self, expects_writes: bool) {
        for class in self.observed.errors.take_new() {
            match class {
                ErrorClass::StalePlan => {
                    self.note_class(class);
                    self.invalidations.plans.fetch_add(1, Ordering::Relaxed);
                }
                ErrorClass::StaleType => {
                    self.note_class(class);
                    self.invalidations.types.fetch_add(1, Ordering::Relaxed);
                }
                ErrorClass::Fatal => self.is_broken.store(true, Ordering::Relaxed),
                ErrorClass::StatementGone => {
                    // The borrower can go on, and nobody after it.
                    self.is_broken.store(true, Ordering::Relaxed);
                    self.seen.invalidate_own_plans(&self.invalidations);
                }
                // A transaction of the borrower's that only reads is refused with the same code, while the
                // server says of itself that it takes writes.
                ErrorClass::ReadOnly
                    if expects_writes && self.observed.role.is_read_only() != Some(false) =>
                {
                    self.note_read_only_server();
                }
                ErrorClass::Transient => self.note_class(class),
                ErrorClass::ReadOnly | ErrorClass::Permanent => {}
            }
        }
    }
}
