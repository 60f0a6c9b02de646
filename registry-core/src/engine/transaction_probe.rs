//! Probes: asking the server whether the original transaction is still open, by looking for its mark.
//!
//! The statements of a probe are not the borrower's, so their effects on the session and the doubts that they raise are
//! forgotten ([`forget_probe`](Checkout::forget_probe)).

use diesel::QueryResult;

use super::checkout::Checkout;
use super::transaction_state::{TransactionEnd, TransactionState};
use crate::attribution::own;
use crate::backend::Backend;
use crate::backend::observed::{SessionEffects, TransactionDoubts};

impl<C: Backend> Checkout<C> {
    /// How a transaction has ended, if it has. The server is asked if a statement since the last probe may have ended the
    /// transaction.
    pub(crate) async fn find_end(
        &mut self,
        state: &mut TransactionState,
    ) -> Option<TransactionEnd> {
        self.wait_for_answer(state).await;
        if self.observed_end(state).is_some() || !self.has_doubts(state) {
            return state.end;
        }
        let doubts = self.take_doubts();
        if doubts.has(TransactionDoubts::FAILED) {
            self.diagnose().await;
        }
        let doubts = doubts.and(state.remaining_doubts);
        let is_in_doubt = doubts.has(TransactionDoubts::ENDED.and(TransactionDoubts::FAILED));
        if !is_in_doubt {
            // The program has only used savepoints. The mark is set again after them, so that the next probe does not
            // release them.
            self.set_transaction_mark().await;
            return None;
        }
        let keeps_savepoints = doubts.has(TransactionDoubts::SAVEPOINT);
        let is_marked = self.is_marked(keeps_savepoints).await;
        // Without an answer, the transaction has ended if a statement may have ended it.
        if !is_marked.unwrap_or(!doubts.has(TransactionDoubts::ENDED)) {
            state.end = Some(end_without_mark(doubts));
        } else if keeps_savepoints && C::TRANSACTION_MARK_IS_SAVEPOINT {
            state.remaining_doubts = doubts;
        }
        state.end
    }

    /// As [`find_end`](Self::find_end), before a commit: the probe runs even if no statement has raised a doubt.
    ///
    /// # Errors
    ///
    /// The error of the probe, if the transaction is aborted.
    pub(crate) async fn find_end_before_commit(
        &mut self,
        state: &mut TransactionState,
    ) -> QueryResult<Option<TransactionEnd>> {
        self.wait_for_answer(state).await;
        if self.observed_end(state).is_some() || self.transaction_mark().is_none() {
            return Ok(state.end);
        }
        let doubts = self.take_doubts();
        if doubts.has(TransactionDoubts::FAILED) {
            self.diagnose().await;
        }
        let doubts = doubts.and(state.remaining_doubts);
        // If the mark was set after a savepoint of the program, a rollback to that savepoint has removed the mark.
        let may_lack_mark = doubts.has(TransactionDoubts::SAVEPOINT)
            && !doubts.has(TransactionDoubts::ENDED.and(TransactionDoubts::FAILED))
            && C::TRANSACTION_MARK_IS_SAVEPOINT;
        let effects = self.session_effects();
        let mut answer = own(self.connection_mut().has_transaction_mark(false)).await;
        if may_lack_mark && matches!(answer, Ok(false)) {
            answer = own(self.connection_mut().has_transaction_mark(true)).await;
        }
        self.forget_probe(effects);
        let is_marked = match answer {
            Err(_) if doubts.has(TransactionDoubts::ENDED) => false,
            answer => answer?,
        };
        state.remaining_doubts = TransactionDoubts::default();
        if !is_marked {
            state.end = Some(end_without_mark(doubts));
        }
        Ok(state.end)
    }

    /// As [`find_end`](Self::find_end), with certainty: if another transaction may be open, the probe looks for the mark
    /// itself, and thereby releases the savepoints that the program has set since the mark.
    ///
    /// # Errors
    ///
    /// The error of the probe, if the connection is gone.
    pub(crate) async fn find_end_for_certain(
        &mut self,
        state: &mut TransactionState,
    ) -> QueryResult<Option<TransactionEnd>> {
        let probed = TransactionDoubts::ENDED.and(TransactionDoubts::FAILED);
        let may_be_another = self.has_doubts(state)
            && self.watch().is_some_and(|watch| {
                watch.is_instrumentation_replaced()
                    || watch.observed.transaction.doubts().and(state.remaining_doubts).has(probed)
            });
        if !may_be_another {
            return Ok(self.find_end(state).await);
        }
        match self.find_end_before_commit(state).await {
            Err(error) if C::is_fatal(&error) => Err(error),
            // Any other error means that the transaction is aborted, and so still open.
            outcome => Ok(outcome.unwrap_or_default()),
        }
    }

    /// Sets the mark again, after the savepoints of the program.
    pub(crate) async fn set_transaction_mark(&mut self) {
        let Some(mark) = self.transaction_mark().filter(|_| C::TRANSACTION_MARK_IS_SAVEPOINT)
        else {
            return;
        };
        let effects = self.session_effects();
        // The next probe notices a failure.
        let _ = own(self.connection_mut().batch_execute(mark)).await;
        self.forget_probe(effects);
    }

    /// The doubts since the last probe.
    fn take_doubts(&self) -> TransactionDoubts {
        let Some(watch) = self.watch() else { return TransactionDoubts::default() };
        let doubts = watch.observed.transaction.take_doubts();
        match watch.is_instrumentation_replaced() {
            // The statements were not seen, so they may have done anything to the transaction.
            true => doubts.and(TransactionDoubts::ENDED).and(TransactionDoubts::SAVEPOINT),
            false => doubts,
        }
    }

    /// Whether the transaction has its mark. `None` if the probe fails.
    async fn is_marked(&mut self, keeps_savepoints: bool) -> Option<bool> {
        let effects = self.session_effects();
        let answer = own(self.connection_mut().has_transaction_mark(keeps_savepoints)).await;
        self.forget_probe(effects);
        answer.ok()
    }

    /// Forgets the effects and the doubts of a probe. `effects` are the session's effects before the probe.
    fn forget_probe(&self, effects: Option<SessionEffects>) {
        self.restore_session_effects(effects);
        if let Some(watch) = self.watch() {
            watch.observed.transaction.take_doubts();
        }
    }
}

/// How a transaction without its mark has ended. If a statement has failed, and no statement could have ended the
/// transaction, then the database has rolled it back by itself.
fn end_without_mark(doubts: TransactionDoubts) -> TransactionEnd {
    let has_failed = doubts.has(TransactionDoubts::FAILED.and(TransactionDoubts::ROWS));
    if has_failed && !doubts.has(TransactionDoubts::ENDED) {
        TransactionEnd::RolledBack
    } else {
        TransactionEnd::Ended
    }
}
