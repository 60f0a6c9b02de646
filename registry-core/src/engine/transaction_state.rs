//! Whether the original transaction is still open, according to the information that is known without asking the server.
//!
//! A statement of the program can end a transaction that [`Session::transaction`](crate::Session::transaction) or a unit
//! of work has begun: a `COMMIT`, and on MySQL every statement that commits implicitly. PostgreSQL's answers report the end
//! of the transaction, and SQLite's thread notices it, even if another transaction is open afterwards. Where neither
//! applies, the registry sets a mark in the transaction, which disappears when the transaction ends. A statement that may
//! have ended the transaction raises a doubt, and [`transaction_probe`](super::transaction_probe) then looks for the mark.

use std::sync::Arc;

use tokio::time::timeout;

use super::checkout::Checkout;
use super::handle::AnyEngine;
use crate::backend::Backend;
use crate::backend::observed::{TransactionDoubts, TransactionStatus};

/// The tracked state of a transaction.
#[derive(Debug)]
pub(crate) struct TransactionState {
    /// The number of transactions that had ended on the connection when this one began, and the number of them that the
    /// database had rolled back by itself.
    counts_at_begin: (u32, u32),
    /// How the transaction has ended, if that is known.
    pub(super) end: Option<TransactionEnd>,
    /// Whether the end is expected, because a commit of the transaction has failed.
    expects_end: bool,
    /// Doubts that remain after a probe, which could not settle them without releasing the savepoints of the program.
    pub(super) remaining_doubts: TransactionDoubts,
}

/// How a transaction has ended without a commit or a rollback by its owner, the session or the unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionEnd {
    /// The database has rolled the transaction back, after an error.
    RolledBack,
    /// A statement has ended the transaction, and may have committed it.
    Ended,
}

impl TransactionState {
    /// How the transaction has ended, if that is known.
    pub(crate) fn end(&self) -> Option<TransactionEnd> {
        self.end
    }

    /// Records that a commit has failed, after which the transaction may have ended.
    pub(crate) fn expect_end(&mut self) {
        self.expects_end = true;
    }

    /// Records that the transaction has ended.
    pub(crate) fn note_ended(&mut self) {
        self.end.get_or_insert(TransactionEnd::Ended);
    }
}

impl<C: Backend> Checkout<C> {
    /// Whether the server or the driver reports when a transaction ends.
    fn reports_ends(&self) -> bool {
        C::KNOWS_TRANSACTIONS || self.watch().is_some_and(|watch| watch.observed.reads_stream())
    }

    /// The statement that marks a transaction, where neither server nor driver reports when it ends.
    pub(crate) fn transaction_mark(&self) -> Option<&'static str> {
        C::TRANSACTION_MARK.filter(|_| !self.reports_ends())
    }

    /// Begins to track a transaction that was just begun, and marked with [`transaction_mark`](Self::transaction_mark).
    pub(crate) fn track_transaction(&self) -> TransactionState {
        if let Some(watch) = self.watch() {
            watch.track_transaction();
        }
        self.track_savepoint()
    }

    /// Allows statements again after the database has rolled the transaction back by itself. Until then statements are
    /// refused, because each of them would be committed at once.
    pub(crate) fn lift_rollback_guard(&self) {
        if let Some(watch) = self.watch() {
            watch.observed.transaction.refuse_after_rollback(false);
        }
    }

    /// Begins to track a savepoint. Doubts about the transaction around it remain.
    pub(crate) fn track_savepoint(&self) -> TransactionState {
        let counts = self.watch().map(|watch| watch.observed.transaction.end_counts());
        TransactionState {
            counts_at_begin: counts.unwrap_or_default(),
            end: None,
            expects_end: false,
            remaining_doubts: TransactionDoubts::default(),
        }
    }

    /// How a transaction has ended, if that is known without asking the server.
    pub(crate) fn observed_end(&mut self, state: &mut TransactionState) -> Option<TransactionEnd> {
        if state.end.is_none() && !state.expects_end {
            state.end = self.end_seen_since(state.counts_at_begin);
        }
        state.end
    }

    fn end_seen_since(
        &mut self,
        (ends_before, rollbacks_before): (u32, u32),
    ) -> Option<TransactionEnd> {
        let observed = &self.watch()?.observed;
        let (ends, rollbacks) = observed.transaction.end_counts();
        if ends != ends_before
            || observed.reads_stream() && observed.transaction.status() == TransactionStatus::Idle
        {
            return Some(TransactionEnd::Ended);
        }
        if rollbacks != rollbacks_before {
            return Some(TransactionEnd::RolledBack);
        }
        if self.connection_mut().is_outside_transaction() {
            return Some(TransactionEnd::Ended);
        }
        // The server may have run a statement that it has not answered.
        let observed = &self.watch()?.observed;
        let may_end = observed.transaction.may_be_ending()
            || observed.transaction.doubts().has(TransactionDoubts::ENDED);
        (may_end && !self.is_usable()).then_some(TransactionEnd::Ended)
    }

    /// Whether the rest of an answer is outstanding, though the outcome of its statement is known. PostgreSQL sends the
    /// status of the transaction after the error of a failed `COMMIT`.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.watch().is_some_and(|watch| {
            watch.observed.reads_stream() && watch.observed.stream.is_in_flight()
        })
    }

    /// Whether a transaction is known to be open that was begun without Diesel's transaction manager (a raw `BEGIN`). False
    /// if neither the server, nor the driver, nor the text of a statement tells.
    pub(crate) async fn is_in_raw_transaction(&mut self) -> bool {
        let mut state = self.track_savepoint();
        self.wait_for_answer(&mut state).await;
        let Some(watch) = self.watch() else { return false };
        match watch.observed.transaction.status() {
            TransactionStatus::Idle => false,
            TransactionStatus::Open => true,
            TransactionStatus::Unknown => {
                watch.observed.was_begun_by_text() || self.connection_mut().has_raw_transaction()
            }
        }
    }

    /// Waits for the rest of an answer, for at most `check_timeout`.
    pub(crate) async fn wait_for_answer(&mut self, state: &mut TransactionState) {
        // The answer to a statement that was cut short may take long, and is not needed: the transaction counts as ended.
        if !self.awaits_answer() || !self.is_usable() {
            return;
        }
        let Some(observed) = self.watch().map(|watch| Arc::clone(&watch.observed)) else { return };
        let limit = self.engine().settings().options.check_timeout;
        if timeout(limit, observed.stream.all_answered()).await.is_err()
            && observed.transaction.may_be_ending()
        {
            // The server may have run a statement that it has not answered.
            state.note_ended();
        }
    }

    /// Whether the server must be asked before the transaction is used again.
    pub(crate) fn has_doubts(&self, state: &TransactionState) -> bool {
        let probed = TransactionDoubts::ENDED
            .and(TransactionDoubts::SAVEPOINT)
            .and(TransactionDoubts::FAILED);
        self.transaction_mark().is_some()
            && !state.expects_end
            && (state.remaining_doubts != TransactionDoubts::default()
                || self.watch().is_some_and(|watch| {
                    watch.observed.transaction.doubts().has(probed)
                        || watch.is_instrumentation_replaced()
                }))
    }

    /// Whether the transaction may be aborted, so that the server would answer a commit with a rollback. False only if the
    /// server has reported that the transaction is not aborted.
    pub(crate) fn may_be_aborted(&self) -> bool {
        C::ABORTED_TRANSACTION_PROBE.is_some()
            && self.watch().is_none_or(|watch| {
                let observed = &watch.observed;
                observed.transaction.is_aborted()
                    || observed.stream.is_in_flight()
                    || observed.transaction.status() == TransactionStatus::Unknown
            })
    }

    /// Whether a statement since the last probe may have changed the state of the transaction, so that only the server
    /// knows it.
    pub(crate) fn may_have_failed(&self) -> bool {
        self.watch().is_some_and(|watch| {
            watch.observed.transaction.doubts() != TransactionDoubts::default()
                || watch.is_instrumentation_replaced()
        })
    }
}
