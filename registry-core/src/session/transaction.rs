//! The transaction of a session.

use diesel::QueryResult;
use diesel::connection::TransactionManagerStatus;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};

use super::Session;
use crate::async_func::AsyncFunc;
use crate::backend::driver::Driver;
use crate::backend::transaction_depth;
use crate::bind::Bind;
use crate::engine::{TransactionEnd, TransactionState};

type Manager<B> = <<B as Bind>::Connection as AsyncConnection>::TransactionManager;

const ABORTED: &str = "current transaction is aborted, as a statement in it has failed: its COMMIT would have been \
     answered with ROLLBACK, and nothing of it was stored";

const ENDED: &str = "a statement of the program has ended the transaction (a COMMIT or ROLLBACK, or on MySQL DDL and \
     other statements that commit implicitly): what was done before it may be committed";

const ROLLED_BACK: &str =
    "the database has rolled the transaction back, after an error: nothing of it was stored";

impl<B: Bind> Session<B> {
    /// Runs `callback` in a transaction, which is committed if that returns `Ok`, and rolled back if it returns an error.
    /// Inside another transaction it is a savepoint.
    ///
    /// It is called as [`AsyncConnection::transaction`] of diesel-async is, and tells more: `Ok` means that the
    /// transaction was committed, and an error of `callback` stays what it is, whatever becomes of the rollback. Generic
    /// code that is written for any [`AsyncConnection`] calls the other one.
    ///
    /// Dropping the future leaves the transaction open, and the connection is closed when the session is dropped.
    ///
    /// # Errors
    ///
    /// What `callback` returns, what goes wrong with the beginning and the end of the transaction, and a
    /// [`DatabaseError`](DieselError::DatabaseError) that says so if there is nothing to commit although `callback` returned
    /// `Ok`:
    ///
    /// - A statement has failed on PostgreSQL, which takes the `COMMIT` of such a transaction for a `ROLLBACK`.
    /// - The database has rolled the transaction back by itself, as MySQL does after a deadlock. Its kind is
    ///   [`SerializationFailure`](DatabaseErrorKind::SerializationFailure) if the transaction may succeed a little later.
    /// - A statement of `callback` has ended the transaction: a `COMMIT` of its own, or on MySQL one that commits
    ///   implicitly. What was done before that may be committed.
    pub async fn transaction<'a, R, E, F>(&mut self, callback: F) -> Result<R, E>
    where
        for<'r> F: AsyncFnOnce(&'r mut Self) -> Result<R, E>
            + AsyncFunc<&'r mut Self, Result<R, E>, Fut: Send>
            + Send
            + 'a,
        E: From<DieselError> + Send + 'a,
        R: Send + 'a,
    {
        let (is_outermost, mut standing) = self.begin().await?;
        match callback(&mut *self).await {
            Ok(value) => {
                if let Err(error) = self.stands(is_outermost, &mut standing).await {
                    self.undo(is_outermost, &standing).await;
                    return Err(error.into());
                }
                let committed = Manager::<B>::commit_transaction(&mut **self).await;
                self.leave(is_outermost).await;
                committed.map_err(|error| self.checkout.with_server_message(error))?;
                Ok(value)
            }
            Err(error) => {
                // While the server still knows.
                if self.checkout.may_have_failed() {
                    self.checkout.diagnose().await;
                }
                // The error of `callback` is the one that matters. A connection that cannot roll back is closed.
                self.undo(is_outermost, &standing).await;
                Err(error)
            }
        }
    }

    /// Begins a transaction, or a savepoint. True if no other one is around it.
    async fn begin(&mut self) -> QueryResult<(bool, TransactionState)> {
        let connection = &mut **self;
        let depth = transaction_depth(Manager::<B>::transaction_manager_status_mut(connection))?;
        if depth > 0 {
            Manager::<B>::begin_transaction(connection).await?;
            return Ok((false, self.checkout.track_savepoint()));
        }
        self.checkout.forget_transient_failures();
        let left = self.checkout.session_effects();
        // As a unit of work does: what follows a rollback of the database's own is not stored then.
        B::Connection::enter_work(&mut **self, false).await?;
        let begun = match self.checkout.transaction_mark() {
            Some(mark) => B::Connection::begin(&mut **self, &format!("BEGIN; {mark}")).await,
            None => Manager::<B>::begin_transaction(&mut **self).await,
        };
        if let Err(error) = begun {
            let error = self.checkout.with_server_message(error);
            self.leave(true).await;
            return Err(error);
        }
        // The mark is not the borrower's.
        self.checkout.restore_session_effects(left);
        Ok((true, self.checkout.track_transaction()))
    }

    /// Whether there is a transaction to commit. Inside another one, the savepoint's own end tells the rest.
    async fn stands(
        &mut self,
        is_outermost: bool,
        standing: &mut TransactionState,
    ) -> QueryResult<()> {
        self.checkout.wait_for_answer(standing).await;
        let over = match is_outermost && self.checkout.may_have_failed() {
            true => match self.checkout.find_end_before_commit(standing).await {
                Ok(over) => over,
                Err(error) if B::Connection::is_fatal(&error) => {
                    return Err(self.checkout.with_server_message(error));
                }
                Err(_) => return Err(error(DatabaseErrorKind::Unknown, ABORTED)),
            },
            false => self.checkout.observed_end(standing),
        };
        match over {
            Some(TransactionEnd::Ended) => return Err(error(DatabaseErrorKind::Unknown, ENDED)),
            Some(TransactionEnd::RolledBack) => {
                let kind = match self.checkout.rollback_class().is_transient() {
                    true => DatabaseErrorKind::SerializationFailure,
                    false => DatabaseErrorKind::Unknown,
                };
                return Err(error(kind, ROLLED_BACK));
            }
            None => {}
        }
        let question =
            B::Connection::ABORTED_TRANSACTION_PROBE.filter(|_| self.checkout.may_be_aborted());
        let Some(question) = question else { return Ok(()) };
        match self.batch_execute(question).await {
            Ok(()) => Ok(()),
            Err(cause) if B::Connection::is_fatal(&cause) => {
                Err(self.checkout.with_server_message(cause))
            }
            Err(_) => Err(error(DatabaseErrorKind::Unknown, ABORTED)),
        }
    }

    async fn undo(&mut self, is_outermost: bool, standing: &TransactionState) {
        if is_outermost {
            self.checkout.lift_rollback_guard();
        }
        if standing.end().is_some() && is_outermost {
            // An error where nothing was begun since.
            let _ = self.batch_execute("ROLLBACK").await;
            *Manager::<B>::transaction_manager_status_mut(&mut **self) =
                TransactionManagerStatus::default();
        } else {
            let _ = Manager::<B>::rollback_transaction(&mut **self).await;
        }
        self.leave(is_outermost).await;
    }

    /// Undoes what [`begin`](Self::begin) has done beside the transaction.
    async fn leave(&mut self, is_outermost: bool) {
        if !is_outermost {
            return;
        }
        self.checkout.lift_rollback_guard();
        if self.checkout.transaction_mark().is_some() && self.checkout.is_usable() {
            let left = self.checkout.session_effects();
            match B::Connection::leave_work(&mut **self).await {
                Ok(()) => self.checkout.restore_session_effects(left),
                Err(_) => self.checkout.discard(),
            }
        }
    }
}

fn error(kind: DatabaseErrorKind, message: &str) -> DieselError {
    DieselError::DatabaseError(kind, Box::new(message.to_owned()))
}
