//! The participant of a unit of work on a bind: a session in a transaction.
//!
//! In test isolation, an acquired session is already in the transaction of the test. The transaction of the unit of work
//! is then a savepoint in the test's transaction, `base_depth` is not zero, and the participant neither begins nor ends
//! the outermost transaction.

use std::any::Any;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::any::{AnyParticipant, CommitFailure, CommitRefusal, RollbackOutcome, Verification};
use crate::attribution::own;
use crate::backend::driver::Driver;
use crate::backend::error_class::ErrorClass;
use crate::backend::position::Position;
use crate::backend::transaction_depth;
use crate::bind::Bind;
use crate::engine::{TransactionEnd, TransactionState};
use crate::session::Session;
use crate::settings::BindKey;
use crate::token::Token;
use crate::work::error::WorkError;

/// A session with the transaction of a unit of work.
pub(crate) struct BindParticipant<B: Bind> {
    pub(crate) session: Session<B>,
    /// The number of nested transactions on the connection before this participant began. Not zero only in test isolation.
    pub(crate) base_depth: u32,
    /// Whether `Driver::enter_work` has changed the connection, so that `Driver::leave_work` must undo the change after the
    /// transaction.
    pub(crate) has_entered_work: bool,
    /// Tracks whether the transaction that this participant has begun is still open.
    pub(crate) state: TransactionState,
    /// Whether the commit asks for its position: if the bind has replicas, and the unit of work may write.
    pub(crate) tells_position: bool,
}

/// Diesel's transaction manager of the connection, which counts its transactions.
pub(crate) type TransactionManagerOf<B> =
    <<B as Bind>::Connection as AsyncConnection>::TransactionManager;

/// The number of nested transactions on a connection, as Diesel counts them. Zero if Diesel does not know the number,
/// for example after a failed statement of its transaction manager.
pub(crate) fn depth<B: Bind>(connection: &mut B::Connection) -> u32 {
    transaction_depth(TransactionManagerOf::<B>::transaction_manager_status_mut(connection))
        .unwrap_or(0)
}

impl<B: Bind> BindParticipant<B> {
    /// The token of the commit that has just succeeded.
    fn token(&self, position: QueryResult<Option<Position>>) -> Token {
        let checkout = self.session.checkout();
        let (key, tenant) = (self.session.bind_key(), checkout.tenant_of_database());
        match position {
            // Nothing was written, or nobody reads from replicas.
            Ok(None) => Token::default(),
            Ok(Some(position)) => Token::of(key, tenant, Some(position)),
            Err(_) => Token::of(key, tenant, None),
        }
    }

    /// The refusal of a commit after the check of the transaction has failed with `error`.
    async fn refusal(&mut self, error: DieselError) -> CommitRefusal {
        let error = self.session.checkout().with_server_message(error);
        let class = if B::Connection::is_fatal(&error) {
            Some(ErrorClass::Fatal)
        } else if self.session.checkout().has_transient_failure() {
            // PostgreSQL answers that the transaction is aborted (SQLSTATE 25P02), without the reason: only the failed
            // statement before has received the reason.
            Some(ErrorClass::Transient)
        } else {
            self.session.checkout_mut().error_class(&error).await
        };
        CommitRefusal { failure: error.into(), class }
    }

    /// The number of nested transactions of this participant: the transaction itself, and its savepoints.
    pub(crate) fn depth(&mut self) -> u32 {
        depth::<B>(&mut self.session).saturating_sub(self.base_depth)
    }

    /// An error if the transaction has ended.
    fn ok_unless_ended(&self, end: Option<TransactionEnd>) -> Result<(), WorkError> {
        let key = self.session.bind_key();
        match end {
            None => Ok(()),
            Some(TransactionEnd::RolledBack) => Err(WorkError::RolledBack { key }),
            Some(TransactionEnd::Ended) => Err(WorkError::Ended { key }),
        }
    }

    fn with_server_message(&self, outcome: QueryResult<()>) -> QueryResult<()> {
        outcome.map_err(|error| self.session.checkout().with_server_message(error))
    }

    /// Sets the mark of the transaction again after a change of savepoints.
    ///
    /// On MySQL and MariaDB the mark is a savepoint, and the check for the mark rolls back to it. A rollback to the mark
    /// would delete newer savepoints, so the mark must be the newest savepoint.
    async fn renew_mark(&mut self, outcome: QueryResult<()>) -> QueryResult<()> {
        if outcome.is_ok() {
            self.session.checkout_mut().set_transaction_mark().await;
        }
        self.with_server_message(outcome)
    }

    /// Undoes the changes of `enter_work` on the connection. If that fails, the connection is closed.
    pub(crate) async fn leave_work(&mut self) {
        if !std::mem::take(&mut self.has_entered_work) {
            return;
        }
        let effects = self.session.checkout().session_effects();
        match own(B::Connection::leave_work(&mut *self.session)).await {
            Ok(()) => self.session.checkout().restore_session_effects(effects),
            Err(_) => self.session.checkout_mut().discard(),
        }
    }
}

impl<B: Bind> AnyParticipant for BindParticipant<B> {
    fn key(&self) -> BindKey {
        self.session.bind_key()
    }

    fn session(&mut self) -> &mut dyn Any {
        &mut self.session
    }

    fn check_locally(&mut self) -> Result<(), WorkError> {
        let end = self.session.checkout_mut().observed_end(&mut self.state);
        self.ok_unless_ended(end)?;
        if !self.session.checkout_mut().is_usable() {
            return Err(WorkError::CutShort { key: self.key() });
        }
        if self.depth() == 0 {
            self.state.note_ended();
        }
        self.ok_unless_ended(self.state.end())
    }

    fn must_ask_server(&self) -> bool {
        let checkout = self.session.checkout();
        checkout.awaits_answer() || checkout.has_doubts(&self.state)
    }

    fn ask_server(&mut self, verification: Verification) -> BoxFuture<'_, Result<(), WorkError>> {
        Box::pin(async move {
            if verification == Verification::Certain {
                // The outcome is ignored: it is an error if the connection is lost, and the next statement reports that.
                let _ = self.session.checkout_mut().find_end_for_certain(&mut self.state).await;
            } else {
                self.session.checkout_mut().find_end(&mut self.state).await;
            }
            self.ok_unless_ended(self.state.end())
        })
    }

    fn diagnose(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let checkout = self.session.checkout_mut();
            if checkout.may_have_failed() {
                checkout.diagnose().await;
            }
        })
    }

    fn rollback_class(&self) -> Option<ErrorClass> {
        let is_rolled_back = self.state.end() == Some(TransactionEnd::RolledBack);
        is_rolled_back.then(|| self.session.checkout().rollback_class())
    }

    fn end_error(&self) -> Option<WorkError> {
        self.ok_unless_ended(self.state.end()).err()
    }

    fn check_before_commit(
        &mut self,
        is_one_of_several: bool,
    ) -> BoxFuture<'_, Result<(), CommitRefusal>> {
        Box::pin(async move {
            self.session.checkout_mut().observed_end(&mut self.state);
            if let Some(error) = self
                .session
                .checkout()
                .connection_closed_error()
                .filter(|_| self.end_error().is_none())
            {
                return Err(self.refusal(error).await);
            }
            self.check_locally()?;
            let verified =
                self.session.checkout_mut().find_end_before_commit(&mut self.state).await;
            if let Err(error) = verified {
                return Err(self.refusal(error).await);
            }
            self.ok_unless_ended(self.state.end())?;
            if self.depth() != 1 {
                // A savepoint that was begun through Diesel is still open, for example because its future was dropped.
                // Diesel would release that savepoint instead of committing.
                return Err(DieselError::BrokenTransactionManager.into());
            }
            // PostgreSQL answers the COMMIT of an aborted transaction with a ROLLBACK, and not with an error.
            let probe = B::Connection::ABORTED_TRANSACTION_PROBE.filter(|_| self.base_depth == 0);
            let is_probed = is_one_of_several || self.session.checkout().may_be_aborted();
            if let Some(probe) = probe.filter(|_| is_probed)
                && let Err(error) = own(self.session.batch_execute(probe)).await
            {
                return Err(self.refusal(error).await);
            }
            Ok(())
        })
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<Token, CommitFailure>> {
        Box::pin(async move {
            // If the future is dropped here, the statement is cut short and the connection is closed, while the server
            // may commit or roll back.
            let may_have_written = self.session.checkout().may_have_written();
            let (committed, position) = match self.tells_position {
                true => {
                    let effects = self.session.checkout().session_effects();
                    let limit = self.session.options().check_timeout;
                    let (committed, position) = (*self.session).commit_with_position(limit).await;
                    // Its question is not the program's.
                    self.session.checkout().restore_session_effects(effects);
                    let position = position.unwrap_or_else(|_| {
                        // The question was cut short.
                        self.session.checkout_mut().discard();
                        self.has_entered_work = false;
                        Err(DieselError::DeserializationError("no position in time".into()))
                    });
                    (committed, position)
                }
                false => {
                    let session = &mut *self.session;
                    (TransactionManagerOf::<B>::commit_transaction(session).await, Ok(None))
                }
            };
            match committed {
                Ok(()) => {
                    self.session.checkout().lift_rollback_guard();
                    self.leave_work().await;
                    if !may_have_written {
                        self.session.checkout().note_no_writes();
                    } else if let Ok(Some(position)) = &position {
                        self.session.checkout().note_position(position);
                    }
                    Ok(self.token(position))
                }
                Err(error) => {
                    // Diesel rolls back after some failed commits, and returns both errors if the rollback fails too.
                    let error = match error {
                        DieselError::RollbackErrorOnCommit { commit_error, .. } => *commit_error,
                        error => error,
                    };
                    let error = self.session.checkout().with_server_message(error);
                    let class = self.session.checkout_mut().error_class(&error).await;
                    let is_rolled_back = !B::Connection::is_fatal(&error)
                        && !matches!(error, DieselError::BrokenTransactionManager);
                    self.state.expect_end();
                    if is_rolled_back {
                        // Ends the rest of the transaction on the connection, so that the connection can be reused.
                        self.roll_back_in_time().await;
                    } else {
                        self.session.checkout_mut().discard();
                    }
                    Err(CommitFailure { error, class, is_rolled_back })
                }
            }
        })
    }

    fn roll_back(&mut self) -> BoxFuture<'_, RollbackOutcome> {
        Box::pin(self.roll_back_in_time())
    }

    fn set_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>> {
        Box::pin(async move {
            let outcome = TransactionManagerOf::<B>::begin_transaction(&mut *self.session).await;
            self.renew_mark(outcome).await
        })
    }

    fn release_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>> {
        Box::pin(async move {
            let outcome = TransactionManagerOf::<B>::commit_transaction(&mut *self.session).await;
            self.renew_mark(outcome).await
        })
    }

    fn roll_back_to_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>> {
        Box::pin(async move {
            let outcome = TransactionManagerOf::<B>::rollback_transaction(&mut *self.session).await;
            self.renew_mark(outcome).await
        })
    }

    fn has_failed_transiently(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            self.diagnose().await;
            match self.rollback_class() {
                Some(class) => class.is_transient(),
                None => self.session.checkout().has_transient_failure(),
            }
        })
    }

    fn abandon(mut self: Box<Self>) {
        // In test isolation, the engine rolls back to its savepoint before the connection is lent again. A lost
        // connection, or a connection on which a statement was cut short, accepts no ROLLBACK: it is closed on return.
        if self.base_depth > 0 || !self.session.checkout_mut().is_usable() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { self.roll_back_in_time().await });
        }
    }
}
