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

/// A transaction that [`Session::transaction`] has begun.
enum OpenTransaction {
    Outermost(TransactionState),
    /// A savepoint in another transaction.
    Savepoint(TransactionState),
}

impl OpenTransaction {
    fn is_outermost(&self) -> bool {
        matches!(self, Self::Outermost(_))
    }

    fn state(&mut self) -> &mut TransactionState {
        match self {
            Self::Outermost(state) | Self::Savepoint(state) => state,
        }
    }
}

impl<B: Bind> Session<B> {
    /// Runs `callback` in a transaction, and returns what it returns. `Ok` means that the transaction was committed; if
    /// `callback` returns an error, it was rolled back. Inside another transaction it is a savepoint.
    ///
    /// It is called like [`AsyncConnection::transaction`] of diesel-async, and detects more: that method can return `Ok`
    /// although nothing was stored. An error of `callback` is returned as it is, even if the rollback fails. Generic code
    /// that is written for any [`AsyncConnection`] calls the other method.
    ///
    /// It waits for `callback` and for the server. Dropping the future leaves the transaction open, and the connection is
    /// closed when the session is dropped, so the server rolls back.
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use diesel::result::Error::RollbackTransaction;
    /// use registry_core::{Registry, RunQueryDsl, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let mut session = registry.session_for::<events::table>().await?;
    /// # diesel::sql_query("CREATE TABLE events (id INTEGER PRIMARY KEY)").execute(&mut session).await?;
    ///
    /// session
    ///     .transaction(async |session| {
    ///         diesel::insert_into(events::table).values(events::id.eq(1)).execute(session).await
    ///     })
    ///     .await?;
    ///
    /// let rolled_back = session
    ///     .transaction(async |session| {
    ///         diesel::insert_into(events::table).values(events::id.eq(2)).execute(session).await?;
    ///         Err::<(), _>(RollbackTransaction)
    ///     })
    ///     .await;
    /// assert_eq!(rolled_back, Err(RollbackTransaction));
    /// assert_eq!(events::table.count().get_result::<i64>(&mut session).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What `callback` returns, what fails at the beginning and the end of the transaction, and a
    /// [`DatabaseError`](DieselError::DatabaseError) if there is nothing to commit although `callback` returned `Ok`:
    ///
    /// - A statement has failed on PostgreSQL, which answers the `COMMIT` of such a transaction with `ROLLBACK`.
    /// - The database has rolled the transaction back by itself, as MySQL does after a deadlock. The kind is
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
        let mut open = self.begin().await?;
        match callback(&mut *self).await {
            Ok(value) => {
                if let Err(error) = self.check_before_commit(&mut open).await {
                    self.roll_back(&mut open).await;
                    return Err(error.into());
                }
                let committed = Manager::<B>::commit_transaction(&mut **self).await;
                self.undo_begin(&open).await;
                committed.map_err(|error| self.checkout.with_server_message(error))?;
                Ok(value)
            }
            Err(error) => {
                // Before the rollback, while the server still knows why it failed.
                if self.checkout.may_have_failed() {
                    self.checkout.diagnose().await;
                }
                // The error of `callback` is the one that is returned. A connection that cannot roll back is closed when
                // it is returned to the pool.
                self.roll_back(&mut open).await;
                Err(error)
            }
        }
    }

    /// Begins a transaction, or a savepoint inside another one.
    async fn begin(&mut self) -> QueryResult<OpenTransaction> {
        let connection = &mut **self;
        let depth = transaction_depth(Manager::<B>::transaction_manager_status_mut(connection))?;
        if depth > 0 {
            Manager::<B>::begin_transaction(connection).await?;
            return Ok(OpenTransaction::Savepoint(self.checkout.track_savepoint()));
        }
        self.checkout.forget_transient_failures();
        let effects = self.checkout.session_effects();
        // As in a unit of work: statements that follow a rollback by the database itself must not be stored one by one.
        B::Connection::enter_work(&mut **self, false).await?;
        let begun = match self.checkout.transaction_mark() {
            Some(mark) => B::Connection::begin(&mut **self, &format!("BEGIN; {mark}")).await,
            None => Manager::<B>::begin_transaction(&mut **self).await,
        };
        match begun {
            Ok(()) => {
                // The statements above are not the borrower's, so they are no reason to reset the session on return.
                self.checkout.restore_session_effects(effects);
                Ok(OpenTransaction::Outermost(self.checkout.track_transaction()))
            }
            Err(error) => {
                let error = self.checkout.with_server_message(error);
                self.undo_outermost_begin().await;
                Err(error)
            }
        }
    }

    /// Fails if there is no transaction to commit any more. For a savepoint only what is known without a question to the
    /// server counts: releasing a savepoint that is gone fails by itself.
    async fn check_before_commit(&mut self, open: &mut OpenTransaction) -> QueryResult<()> {
        self.checkout.wait_for_answer(open.state()).await;
        let end = match open.is_outermost() && self.checkout.may_have_failed() {
            true => match self.checkout.find_end_before_commit(open.state()).await {
                Ok(end) => end,
                Err(error) if B::Connection::is_fatal(&error) => {
                    return Err(self.checkout.with_server_message(error));
                }
                Err(_) => return Err(database_error(DatabaseErrorKind::Unknown, ABORTED)),
            },
            false => self.checkout.observed_end(open.state()),
        };
        match end {
            Some(TransactionEnd::Ended) => {
                return Err(database_error(DatabaseErrorKind::Unknown, ENDED));
            }
            Some(TransactionEnd::RolledBack) => {
                let kind = match self.checkout.rollback_class().is_transient() {
                    true => DatabaseErrorKind::SerializationFailure,
                    false => DatabaseErrorKind::Unknown,
                };
                return Err(database_error(kind, ROLLED_BACK));
            }
            None => {}
        }
        let probe =
            B::Connection::ABORTED_TRANSACTION_PROBE.filter(|_| self.checkout.may_be_aborted());
        let Some(probe) = probe else { return Ok(()) };
        match self.batch_execute(probe).await {
            Ok(()) => Ok(()),
            Err(cause) if B::Connection::is_fatal(&cause) => {
                Err(self.checkout.with_server_message(cause))
            }
            Err(_) => Err(database_error(DatabaseErrorKind::Unknown, ABORTED)),
        }
    }

    async fn roll_back(&mut self, open: &mut OpenTransaction) {
        if open.is_outermost() {
            self.checkout.lift_rollback_guard();
        }
        if open.is_outermost() && open.state().end().is_some() {
            // The transaction is over, but a statement may have begun another since. If none has, this is an error that
            // does not matter.
            let _ = self.batch_execute("ROLLBACK").await;
            *Manager::<B>::transaction_manager_status_mut(&mut **self) =
                TransactionManagerStatus::default();
        } else {
            let _ = Manager::<B>::rollback_transaction(&mut **self).await;
        }
        self.undo_begin(open).await;
    }

    /// Undoes what [`begin`](Self::begin) has done beside the transaction.
    async fn undo_begin(&mut self, open: &OpenTransaction) {
        if open.is_outermost() {
            self.undo_outermost_begin().await;
        }
    }

    async fn undo_outermost_begin(&mut self) {
        self.checkout.lift_rollback_guard();
        if self.checkout.transaction_mark().is_some() && self.checkout.is_usable() {
            let effects = self.checkout.session_effects();
            match B::Connection::leave_work(&mut **self).await {
                Ok(()) => self.checkout.restore_session_effects(effects),
                Err(_) => self.checkout.discard(),
            }
        }
    }
}

fn database_error(kind: DatabaseErrorKind, message: &str) -> DieselError {
    DieselError::DatabaseError(kind, Box::new(message.to_owned()))
}
