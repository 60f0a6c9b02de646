//! Asking the server whether a transaction is still the one that was begun, by looking for its mark.
//!
//! Statements of a probe are not the borrower's, so what they change in the session and the doubts that they raise are
//! forgotten ([`forget_probe`](Checkout::forget_probe)).

use diesel::QueryResult;

use super::checkout::Checkout;
use super::transaction_state::{TransactionEnd, TransactionState};
use crate::backend::Backend;
use crate::backend::observed::{SessionEffects, TransactionDoubts};

impl<C: Backend> Checkout<C> {
    /// How a transaction has ended, if it has. The server is asked if a statement since the last probe is not known to
    /// have left the transaction alone.
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
            // Only savepoints of the program's were set. Marking the transaction behind them keeps them when the mark is
            // next looked for.
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

    /// As [`find_end`](Self::find_end), before a commit: a mark is looked for whatever was run.
    ///
    /// # Errors
    ///
    /// That of the probe, if the transaction is aborted.
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
        // A rollback to a savepoint of the program's has removed a mark that was set behind it.
        let may_lack_mark = doubts.has(TransactionDoubts::SAVEPOINT)
            && !doubts.has(TransactionDoubts::ENDED.and(TransactionDoubts::FAILED))
            && C::TRANSACTION_MARK_IS_SAVEPOINT;
        let effects = self.session_effects();
        let mut answer = self.connection_mut().has_transaction_mark(false).await;
        if may_lack_mark && matches!(answer, Ok(false)) {
            answer = self.connection_mut().has_transaction_mark(true).await;
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

    /// As [`find_end`](Self::find_end), and for certain: the mark itself is looked for where another transaction may be
    /// open, which releases savepoints that the program has set since the mark.
    ///
    /// # Errors
    ///
    /// That of a connection that is gone.
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
            // Any other error says that the transaction is aborted, and so that it is still open.
            outcome => Ok(outcome.unwrap_or_default()),
        }
    }

    /// Marks the transaction anew, behind savepoints that the program has set.
    pub(crate) async fn set_transaction_mark(&mut self) {
        let Some(mark) = self.transaction_mark().filter(|_| C::TRANSACTION_MARK_IS_SAVEPOINT)
        else {
            return;
        };
        let effects = self.session_effects();
        // A failure is noticed when the mark is next looked for.
        let _ = self.connection_mut().batch_execute(mark).await;
        self.forget_probe(effects);
    }

    /// The doubts since the last probe.
    fn take_doubts(&self) -> TransactionDoubts {
        let Some(watch) = self.watch() else { return TransactionDoubts::default() };
        let doubts = watch.observed.transaction.take_doubts();
        match watch.is_instrumentation_replaced() {
            // Statements were not seen, so any may have been run.
            true => doubts.and(TransactionDoubts::ENDED).and(TransactionDoubts::SAVEPOINT),
            false => doubts,
        }
    }

    /// Whether the mark is there. `None` if the server does not say.
    async fn is_marked(&mut self, keeps_savepoints: bool) -> Option<bool> {
        let effects = self.session_effects();
        let answer = self.connection_mut().has_transaction_mark(keeps_savepoints).await;
        self.forget_probe(effects);
        answer.ok()
    }

    /// Forgets what a probe has changed, which the borrower has not: `effects` are those before the probe.
    fn forget_probe(&self, effects: Option<SessionEffects>) {
        self.restore_session_effects(effects);
        if let Some(watch) = self.watch() {
            watch.observed.transaction.take_doubts();
        }
    }
}

/// How a transaction has ended whose mark is gone. If a statement has failed and none was run that could have ended the
/// transaction, then the database has ended it by itself, which it does by a rollback.
fn end_without_mark(doubts: TransactionDoubts) -> TransactionEnd {
    let has_failed = doubts.has(TransactionDoubts::FAILED.and(TransactionDoubts::ROWS));
    if has_failed && !doubts.has(TransactionDoubts::ENDED) {
        TransactionEnd::RolledBack
    } else {
        TransactionEnd::Ended
    }
}
