//! Rolling back the transaction of a participant, in any state of the transaction.

use diesel::QueryResult;
use diesel::connection::{TransactionDepthChange, TransactionManagerStatus};
use diesel_async::{SimpleAsyncConnection, TransactionManager};
use tokio::time::timeout;

use super::any::{AnyParticipant, RollbackOutcome};
use super::bind::{BindParticipant, TransactionManagerOf};
use crate::backend::driver::Driver;
use crate::bind::Bind;
use crate::engine::TransactionEnd;

impl<B: Bind> BindParticipant<B> {
    /// Rolls back within `check_timeout`. A connection that does not answer in time is closed, and its server rolls back
    /// when it notices the disconnect.
    ///
    /// If the future is dropped during the rollback, a statement is cut short, and the connection is closed on return.
    pub(crate) async fn roll_back_in_time(&mut self) -> RollbackOutcome {
        let limit = self.session.options().check_timeout;
        let mut is_confirmed = false;
        let may_have_written = self.session.checkout().may_have_written();
        self.session.checkout_mut().observed_end(&mut self.state);
        if self.session.checkout_mut().is_usable() {
            let rolled_back = timeout(limit, async {
                self.diagnose().await;
                self.session.checkout_mut().find_end_for_certain(&mut self.state).await?;
                match self.state.end() {
                    None => self.roll_back_all().await?,
                    Some(_) => self.roll_back_later_statements().await,
                }
                self.leave_work().await;
                QueryResult::Ok(())
            });
            is_confirmed = matches!(rolled_back.await, Ok(Ok(())));
        }
        let had_ended = self.state.end() == Some(TransactionEnd::Ended);
        if !is_confirmed || had_ended {
            // The connection does not answer; or statements of the program ran outside of the transaction, and their
            // changes of the connection are unknown.
            self.session.checkout_mut().discard();
        }
        match (had_ended, is_confirmed) {
            (true, _) => RollbackOutcome::AlreadyEnded,
            (false, true) => {
                if B::Connection::ROLLS_BACK_EVERY_WRITE || !may_have_written {
                    self.session.checkout().note_no_writes();
                }
                RollbackOutcome::RolledBack
            }
            (false, false) => RollbackOutcome::NotConfirmed,
        }
    }

    /// Rolls the open transaction back, with the savepoints in it.
    async fn roll_back_all(&mut self) -> QueryResult<()> {
        let base_depth = self.base_depth;
        let status = TransactionManagerOf::<B>::transaction_manager_status_mut(&mut *self.session);
        // The savepoints end with the transaction, so Diesel's count of them is reset. A rollback to each savepoint would
        // fail for a savepoint that the program has released itself.
        while let TransactionManagerStatus::Valid(status) = &mut *status
            && status.transaction_depth().is_some_and(|depth| depth.get() > base_depth + 1)
        {
            status.change_transaction_depth(TransactionDepthChange::DecreaseDepth)?;
        }
        while self.depth() > 0 {
            TransactionManagerOf::<B>::rollback_transaction(&mut *self.session).await?;
        }
        Ok(())
    }

    /// Rolls back a transaction that the program has begun after the end of the participant's transaction.
    async fn roll_back_later_statements(&mut self) {
        self.session.checkout().lift_rollback_guard();
        // If there is no transaction, ROLLBACK fails, and that is ignored.
        let _ = self.session.batch_execute("ROLLBACK").await;
        *TransactionManagerOf::<B>::transaction_manager_status_mut(&mut *self.session) =
            TransactionManagerStatus::default();
        if self.base_depth > 0 {
            // This ROLLBACK has rolled back the transaction of the test as well.
            self.session.checkout_mut().discard();
        }
    }
}
