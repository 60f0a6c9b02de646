//! Whether a transaction is still the one that was begun.
//!
//! A statement can end it behind the back of whoever has begun it: a `COMMIT` of the program's own, and on MySQL every
//! statement that commits implicitly. PostgreSQL says so in its answers and SQLite is asked on its thread, even if
//! another transaction is open afterwards. Where neither is so, a mark is set in the transaction that goes when it ends,
//! and is looked for after statements that are not known to leave the transaction alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use diesel::QueryResult;
use tokio::time::timeout;

use super::checkout::Checkout;
use super::handle::AnyEngine;
use crate::backend::Backend;
use crate::backend::error_class::{Diagnosis, ErrorClass};
use crate::backend::observed::{SessionEffects, TransactionDoubts, TransactionStatus};

/// What is known of a transaction since its begin.
#[derive(Debug)]
pub(crate) struct TransactionState {
    ends: (u32, u32),
    end: Option<TransactionEnd>,
    /// Whether whoever has begun it is ending it.
    is_ending: bool,
    /// What could not be asked yet without a loss of savepoints that the program has set.
    pending: TransactionDoubts,
}

/// How a transaction has ended that was neither committed nor rolled back by whoever has begun it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionEnd {
    /// The database has rolled it back, after an error.
    RolledBack,
    /// A statement has ended it, and may have committed it.
    Ended,
}

impl TransactionState {
    /// How the transaction has ended, if that was found out.
    pub(crate) fn end(&self) -> Option<TransactionEnd> {
        self.end
    }

    /// Notes that a commit has failed, so that the transaction is not expected to be there.
    pub(crate) fn expect_end(&mut self) {
        self.is_ending = true;
    }

    /// Notes that it is not there any more.
    pub(crate) fn note_ended(&mut self) {
        self.end.get_or_insert(TransactionEnd::Ended);
    }
}

impl<C: Backend> Checkout<C> {
    /// Whether the server or the driver tells when a transaction ends.
    fn reports_ends(&self) -> bool {
        C::KNOWS_TRANSACTIONS || self.watch().is_some_and(|watch| watch.observed.reads_stream())
    }

    /// The statement that marks a transaction, where that is needed.
    pub(crate) fn transaction_mark(&self) -> Option<&'static str> {
        C::TRANSACTION_MARK.filter(|_| !self.reports_ends())
    }

    /// Begins to look after a transaction that was just begun, and marked.
    pub(crate) fn track_transaction(&self) -> TransactionState {
        if let Some(watch) = self.watch() {
            watch.observed.transaction.take_doubts();
            watch.is_in_tracked_transaction.store(true, Ordering::Relaxed);
            watch.observed.transaction.refuse_after_rollback(true);
        }
        self.track_savepoint()
    }

    /// Has statements be run again, where the transaction that they belonged to is gone.
    pub(crate) fn lift_rollback_guard(&self) {
        if let Some(watch) = self.watch() {
            watch.observed.transaction.refuse_after_rollback(false);
        }
    }

    /// Begins to look after a transaction inside another one, purpose questions stay its own.
    pub(crate) fn track_savepoint(&self) -> TransactionState {
        let ends = self.watch().map(|watch| watch.observed.transaction.end_counts());
        TransactionState {
            ends: ends.unwrap_or_default(),
            end: None,
            is_ending: false,
            pending: TransactionDoubts::default(),
        }
    }

    /// What is known of a transaction without asking the server: how it has ended, if it has.
    pub(crate) fn observed_end(&mut self, state: &mut TransactionState) -> Option<TransactionEnd> {
        if state.end.is_none() && !state.is_ending {
            state.end = self.end_seen_since(state.ends);
        }
        state.end
    }

    fn end_seen_since(&mut self, before: (u32, u32)) -> Option<TransactionEnd> {
        let observed = &self.watch()?.observed;
        let (ends, rollbacks) = observed.transaction.end_counts();
        if ends != before.0
            || observed.reads_stream() && observed.transaction.status() == TransactionStatus::Idle
        {
            return Some(TransactionEnd::Ended);
        }
        if rollbacks != before.1 {
            return Some(TransactionEnd::RolledBack);
        }
        if self.connection_mut().is_outside_transaction() {
            return Some(TransactionEnd::Ended);
        }
        // What is not answered may have been done.
        let observed = &self.watch()?.observed;
        let may_end = observed.transaction.may_be_ending()
            || observed.transaction.doubts().has(TransactionDoubts::ENDED);
        (may_end && !self.is_usable()).then_some(TransactionEnd::Ended)
    }

    /// Whether the server has not answered all of a statement that may have ended the transaction, though its outcome
    /// is known: PostgreSQL tells of a `COMMIT` that has failed by the status that follows the error.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.watch().is_some_and(|watch| {
            watch.observed.reads_stream() && watch.observed.stream.is_in_flight()
        })
    }

    /// Waits for the rest of an answer, for `check_timeout` at the most.
    pub(crate) async fn wait_for_answer(&mut self, state: &mut TransactionState) {
        // The rest of what was cut short may be long in coming, and tells nothing that is needed.
        if !self.awaits_answer() || !self.is_usable() {
            return;
        }
        let Some(observed) = self.watch().map(|watch| Arc::clone(&watch.observed)) else { return };
        let limit = self.engine().settings().options.check_timeout;
        if timeout(limit, observed.stream.all_answered()).await.is_err()
            && observed.transaction.may_be_ending()
        {
            // What is not answered may have been done.
            state.note_ended();
        }
    }

    /// Whether the server is to be asked before the transaction is used again.
    pub(crate) fn has_doubts(&self, state: &TransactionState) -> bool {
        let asked = TransactionDoubts::ENDED
            .and(TransactionDoubts::SAVEPOINT)
            .and(TransactionDoubts::FAILED);
        self.transaction_mark().is_some()
            && !state.is_ending
            && (state.pending != TransactionDoubts::default()
                || self.watch().is_some_and(|watch| {
                    watch.observed.transaction.doubts().has(asked) || watch.is_replaced()
                }))
    }

    fn take_doubts(&self) -> TransactionDoubts {
        let Some(watch) = self.watch() else { return TransactionDoubts::default() };
        let questions = watch.observed.transaction.take_doubts();
        match watch.is_replaced() {
            // Anything may have been run.
            true => questions.and(TransactionDoubts::ENDED).and(TransactionDoubts::SAVEPOINT),
            false => questions,
        }
    }

    /// How a transaction has ended, if it has. The server is asked, where a statement since the last time is not known
    /// to have left the transaction alone.
    pub(crate) async fn find_end(
        &mut self,
        state: &mut TransactionState,
    ) -> Option<TransactionEnd> {
        self.wait_for_answer(state).await;
        if self.observed_end(state).is_some() || !self.has_doubts(state) {
            return state.end;
        }
        let questions = self.take_doubts();
        if questions.has(TransactionDoubts::FAILED) {
            self.diagnose().await;
        }
        let all = questions.and(state.pending);
        let is_asked = all.has(TransactionDoubts::ENDED.and(TransactionDoubts::FAILED));
        if !is_asked {
            // So that the savepoints of the program stay when the mark is next looked for.
            self.set_transaction_mark().await;
            return None;
        }
        let keeps_savepoints = all.has(TransactionDoubts::SAVEPOINT);
        let is_marked = self.is_marked(keeps_savepoints).await;
        // Where there is no answer, it may have ended.
        if !is_marked.unwrap_or(!all.has(TransactionDoubts::ENDED)) {
            state.end = Some(end_without_mark(all));
        } else if keeps_savepoints && C::TRANSACTION_MARK_IS_SAVEPOINT {
            state.pending = all;
        }
        state.end
    }

    /// As [`find_end`](Self::find_end), before a commit: where there is a mark, it is looked for whatever was run.
    ///
    /// # Errors
    ///
    /// That of the question, which says that the transaction has failed.
    pub(crate) async fn find_end_before_commit(
        &mut self,
        state: &mut TransactionState,
    ) -> QueryResult<Option<TransactionEnd>> {
        self.wait_for_answer(state).await;
        if self.observed_end(state).is_some() || self.transaction_mark().is_none() {
            return Ok(state.end);
        }
        let questions = self.take_doubts();
        if questions.has(TransactionDoubts::FAILED) {
            self.diagnose().await;
        }
        let all = questions.and(state.pending);
        // A savepoint of the program that was rolled back to has taken the mark along.
        let may_lack_mark = all.has(TransactionDoubts::SAVEPOINT)
            && !all.has(TransactionDoubts::ENDED.and(TransactionDoubts::FAILED))
            && C::TRANSACTION_MARK_IS_SAVEPOINT;
        let left = self.session_effects();
        let mut answer = self.connection_mut().has_transaction_mark(false).await;
        if may_lack_mark && matches!(answer, Ok(false)) {
            answer = self.connection_mut().has_transaction_mark(true).await;
        }
        self.forget_probe(left);
        let is_marked = match answer {
            Err(_) if all.has(TransactionDoubts::ENDED) => false,
            answer => answer?,
        };
        state.pending = TransactionDoubts::default();
        if !is_marked {
            state.end = Some(end_without_mark(all));
        }
        Ok(state.end)
    }

    /// As [`find_end`](Self::find_end), and certain: the mark itself is looked for where another transaction may be open, at the
    /// cost of savepoints that the program has set since the mark.
    ///
    /// # Errors
    ///
    /// That of a connection that is gone.
    pub(crate) async fn find_end_for_certain(
        &mut self,
        state: &mut TransactionState,
    ) -> QueryResult<Option<TransactionEnd>> {
        let asked = TransactionDoubts::ENDED.and(TransactionDoubts::FAILED);
        let may_be_another = self.has_doubts(state)
            && self.watch().is_some_and(|watch| {
                watch.is_replaced()
                    || watch.observed.transaction.doubts().and(state.pending).has(asked)
            });
        if !may_be_another {
            return Ok(self.find_end(state).await);
        }
        match self.find_end_before_commit(state).await {
            Err(error) if C::is_fatal(&error) => Err(error),
            // A transaction that has failed is still there.
            outcome => Ok(outcome.unwrap_or_default()),
        }
    }

    /// Marks the transaction anew, behind savepoints that were set.
    pub(crate) async fn set_transaction_mark(&mut self) {
        let Some(mark) = self.transaction_mark().filter(|_| C::TRANSACTION_MARK_IS_SAVEPOINT)
        else {
            return;
        };
        let left = self.session_effects();
        // If that fails, it is noticed when the mark is next looked for.
        let _ = self.connection_mut().batch_execute(mark).await;
        self.forget_probe(left);
    }

    /// Whether the transaction may have failed, so that its commit would be answered with a rollback: the server has not
    /// said that it has not.
    pub(crate) fn may_be_aborted(&self) -> bool {
        C::ABORTED_TRANSACTION_PROBE.is_some()
            && self.watch().is_none_or(|watch| {
                let observed = &watch.observed;
                observed.transaction.is_aborted()
                    || observed.stream.is_in_flight()
                    || observed.transaction.status() == TransactionStatus::Unknown
            })
    }

    /// Whether statements were run since the last time after which only the server knows how the transaction stands.
    pub(crate) fn may_have_failed(&self) -> bool {
        self.watch().is_some_and(|watch| {
            watch.observed.transaction.doubts() != TransactionDoubts::default()
                || watch.is_replaced()
        })
    }

    /// Finds out what the last error means, where the driver has not said so, for `check_timeout` at the most.
    pub(crate) async fn diagnose(&mut self) -> Option<ErrorClass> {
        let diagnosis = self.watch().and_then(|watch| watch.diagnosis());
        let known = diagnosis.as_ref().and_then(Diagnosis::class);
        if known.is_some() || !C::HIDES_ERROR_CODES || !self.is_usable() {
            return known;
        }
        let left = self.session_effects();
        let limit = self.engine().settings().options.check_timeout;
        let asked = timeout(limit, self.connection_mut().diagnose_last_error()).await;
        self.restore_session_effects(left);
        let (class, message) = asked.ok().flatten()?;
        if let Some(diagnosis) = diagnosis {
            diagnosis.set(class);
        }
        if let Some(watch) = self.watch() {
            watch.observed.errors.remember_text(&message, class);
            watch.note_class(class);
        }
        Some(class)
    }

    async fn is_marked(&mut self, keeps_savepoints: bool) -> Option<bool> {
        let left = self.session_effects();
        let answer = self.connection_mut().has_transaction_mark(keeps_savepoints).await;
        self.forget_probe(left);
        answer.ok()
    }

    /// Forgets what a question has left behind, which was not the borrower's.
    fn forget_probe(&self, left: Option<SessionEffects>) {
        self.restore_session_effects(left);
        if let Some(watch) = self.watch() {
            watch.observed.transaction.take_doubts();
        }
    }
}

/// How a transaction has ended purpose mark is gone. If no statement was run that could have ended it, and one has failed,
/// only the database can have done so, and it does so by a rollback.
fn end_without_mark(questions: TransactionDoubts) -> TransactionEnd {
    let has_failed = questions.has(TransactionDoubts::FAILED.and(TransactionDoubts::ROWS));
    if has_failed && !questions.has(TransactionDoubts::ENDED) {
        TransactionEnd::RolledBack
    } else {
        TransactionEnd::Ended
    }
}
