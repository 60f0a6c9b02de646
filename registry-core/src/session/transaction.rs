//! The transaction of a session.

use diesel::QueryResult;
use diesel::connection::TransactionManagerStatus;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};

use super::Session;
use crate::async_func::AsyncFunc;
use crate::attribution::own;
use crate::backend::driver::Driver;
use crate::backend::transaction_depth;
use crate::bind::Bind;
use crate::engine::{AnyEngine, DEPTH_WHILE_LENT, TransactionEnd, TransactionState};
use crate::settings::TransactionOptions;

type Manager<B> = <<B as Bind>::Connection as AsyncConnection>::TransactionManager;

const ABORTED: &str = "the transaction was not committed: current transaction is aborted, because a statement in it \
     failed. The server would have answered COMMIT with ROLLBACK, and nothing of it was stored";

const ENDED: &str = "a statement of the program has ended the transaction (a COMMIT or ROLLBACK, or on MySQL DDL and \
     other statements that commit implicitly): everything before that statement may be committed";

const ROLLED_BACK: &str = "the transaction was not committed: the database has rolled the transaction back after an \
     error, and nothing of it was stored";

/// A transaction that [`Session::transaction`] has begun.
pub(super) enum OpenTransaction {
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

/// A session that is lent to the callback of a transaction.
///
/// If the callback ends neither with `Ok` nor with an error, because the future was dropped or the callback has panicked,
/// nobody is left to commit the transaction. A later one would be a savepoint in it, and would return `Ok` although nothing
/// is committed. So Diesel's transaction manager refuses every later transaction. A transaction around this one finds its
/// depth changed.
pub(super) struct Lent<'s, S: HasSession> {
    pub(super) on: &'s mut S,
    /// Whether nothing has to be done on drop.
    pub(super) is_settled: bool,
}

impl<S: HasSession> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        if !self.is_settled {
            let session = &mut **self.on.session_mut();
            Manager::<S::Bind>::transaction_manager_status_mut(session).set_in_error();
        }
    }
}

/// What the callback of a transaction gets: a session, or a value that has one.
pub(super) trait HasSession: Send {
    /// The bind of the session.
    type Bind: Bind;

    fn session_mut(&mut self) -> &mut Session<Self::Bind>;
}

impl<B: Bind> HasSession for Session<B> {
    type Bind = B;

    fn session_mut(&mut self) -> &mut Self {
        self
    }
}

/// [`Session::transaction`], or with `options` the transaction of a [`TransactionBuilder`](super::TransactionBuilder).
pub(super) async fn run_transaction<'a, S, R, E, F>(
    on: &mut S,
    options: Option<TransactionOptions>,
    callback: F,
) -> Result<R, E>
where
    S: HasSession,
    for<'r> F: AsyncFnOnce(&'r mut S) -> Result<R, E>
        + AsyncFunc<&'r mut S, Result<R, E>, Fut: Send>
        + Send
        + 'a,
    E: From<DieselError> + Send + 'a,
    R: Send + 'a,
{
    let open = on.session_mut().begin(options).await?;
    run_in_transaction(on, open, callback).await
}

/// Runs `callback` in a transaction that was begun, and ends it.
pub(super) async fn run_in_transaction<'a, S, R, E, F>(
    on: &mut S,
    open: OpenTransaction,
    callback: F,
) -> Result<R, E>
where
    S: HasSession,
    for<'r> F: AsyncFnOnce(&'r mut S) -> Result<R, E>
        + AsyncFunc<&'r mut S, Result<R, E>, Fut: Send>
        + Send
        + 'a,
    E: From<DieselError> + Send + 'a,
    R: Send + 'a,
{
    let depth = on.session_mut().depth()?;
    let mut lent = Lent { on: &mut *on, is_settled: !open.is_outermost() };
    let outcome = callback(&mut *lent.on).await;
    lent.is_settled = true;
    drop(lent);
    on.session_mut().settle(open, depth, outcome).await
}

impl<B: Bind> Session<B> {
    /// Runs `callback` in a transaction, and returns the result of `callback`. `Ok` means that the transaction was
    /// committed; if `callback` returns an error, it was rolled back. Inside another transaction it is a savepoint.
    ///
    /// A transaction that the program has begun by plain SQL (`BEGIN`) is no such transaction: PostgreSQL and MySQL commit it
    /// together with this one, or roll it back, and SQLite refuses this one.
    ///
    /// It replaces [`AsyncConnection::transaction`] of diesel-async, which can return `Ok` although nothing was stored.
    /// It is called in the same way. An error of `callback` is returned as it is, even if the rollback fails. Generic
    /// code for any [`AsyncConnection`] calls the method of diesel-async.
    ///
    /// It waits for `callback` and for the server. Dropping the future leaves the transaction open, and the connection is
    /// closed when the session is dropped, so the server rolls back. Later transactions of the session fail with
    /// [`BrokenTransactionManager`](DieselError::BrokenTransactionManager).
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
    /// The error of `callback`, or an error at the beginning or the end of the transaction, or a
    /// [`DatabaseError`](DieselError::DatabaseError) if there is nothing to commit although `callback` returned `Ok`:
    ///
    /// - A statement has failed on PostgreSQL, which answers the `COMMIT` of such a transaction with `ROLLBACK`.
    /// - The database has rolled the transaction back by itself, as MySQL does after a deadlock. The kind is
    ///   [`SerializationFailure`](DatabaseErrorKind::SerializationFailure) if the transaction may succeed a little later.
    /// - The future of a transaction inside of `callback` was dropped, and left that transaction open. The error is
    ///   [`BrokenTransactionManager`](DieselError::BrokenTransactionManager).
    /// - A statement of `callback` has ended the transaction: a `COMMIT` of its own, or on MySQL a statement that
    ///   commits implicitly. Everything before that statement may be committed.
    pub async fn transaction<'a, R, E, F>(&mut self, callback: F) -> Result<R, E>
    where
        for<'r> F: AsyncFnOnce(&'r mut Self) -> Result<R, E>
            + AsyncFunc<&'r mut Self, Result<R, E>, Fut: Send>
            + Send
            + 'a,
        E: From<DieselError> + Send + 'a,
        R: Send + 'a,
    {
        run_transaction(self, None, callback).await
    }

    /// Commits the transaction, or rolls it back if `outcome` is an error.
    async fn settle<R, E: From<DieselError>>(
        &mut self,
        mut open: OpenTransaction,
        depth: u32,
        outcome: Result<R, E>,
    ) -> Result<R, E> {
        match outcome {
            Ok(value) => {
                let checked = match self.depth() {
                    // A transaction in this one is still open, because its future was dropped. Diesel would only release
                    // its savepoint.
                    Ok(now) if now > depth => Err(DieselError::BrokenTransactionManager),
                    _ => self.check_before_commit(&mut open).await,
                };
                if let Err(error) = checked {
                    self.roll_back(&mut open, depth).await;
                    return Err(error.into());
                }
                let committed = Manager::<B>::commit_transaction(&mut **self).await;
                self.undo_begin(&open).await;
                committed.map_err(|error| self.checkout.with_server_message(error))?;
                Ok(value)
            }
            Err(error) => {
                // This comes before the rollback, because after it the server no longer has the cause of the failure.
                if self.checkout.may_have_failed() {
                    self.checkout.diagnose().await;
                }
                // An error of the rollback is ignored, and the error of `callback` is returned. A connection that
                // cannot roll back is closed when it is returned to the pool.
                self.roll_back(&mut open, depth).await;
                Err(error)
            }
        }
    }

    /// Begins a transaction, or a savepoint inside another one. A savepoint has no options: with `options`, it is begun only
    /// inside the transaction of test isolation.
    pub(super) async fn begin(
        &mut self,
        options: Option<TransactionOptions>,
    ) -> QueryResult<OpenTransaction> {
        let is_isolated = AnyEngine::settings(&**self.checkout.engine()).is_isolated;
        let depth = self.depth()?;
        if depth > 0 {
            if options.is_some() && !(is_isolated && depth == DEPTH_WHILE_LENT) {
                return Err(DieselError::AlreadyInTransaction);
            }
            Manager::<B>::begin_transaction(&mut **self).await?;
            return Ok(OpenTransaction::Savepoint(self.checkout.track_savepoint()));
        }
        if options.is_some() && self.checkout.is_in_raw_transaction().await {
            return Err(DieselError::AlreadyInTransaction);
        }
        self.checkout.forget_transient_failures();
        let effects = self.checkout.session_effects();
        // If the database rolls back by itself (after a deadlock), each later statement would autocommit. `enter_work`
        // prevents that, as in a unit of work.
        own(B::Connection::enter_work(&mut **self, false)).await?;
        let sql = options.map(|options| B::Connection::transaction_sql(&options));
        let begun = match (self.checkout.transaction_mark(), sql) {
            (Some(mark), sql) => {
                let sql = sql.as_deref().unwrap_or("BEGIN");
                B::Connection::begin(&mut **self, &format!("{sql}; {mark}")).await
            }
            (None, Some(sql)) => B::Connection::begin(&mut **self, &sql).await,
            (None, None) => Manager::<B>::begin_transaction(&mut **self).await,
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

    /// Fails if there is no transaction to commit any more. For a savepoint, the end of the transaction is not looked
    /// up on the server, because releasing a savepoint that is gone fails anyway. The probe for an aborted transaction
    /// is sent for both.
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
        match own(self.batch_execute(probe)).await {
            Ok(()) => Ok(()),
            Err(cause) if B::Connection::is_fatal(&cause) => {
                Err(self.checkout.with_server_message(cause))
            }
            Err(_) => Err(database_error(DatabaseErrorKind::Unknown, ABORTED)),
        }
    }

    /// Whether the session has begun a transaction. In test isolation, it is in one from the start.
    pub(super) fn has_begun(&mut self) -> QueryResult<bool> {
        let is_isolated = AnyEngine::settings(&**self.checkout.engine()).is_isolated;
        Ok(self.depth()? > if is_isolated { DEPTH_WHILE_LENT } else { 0 })
    }

    /// How many transactions are open, one inside the other.
    pub(super) fn depth(&mut self) -> QueryResult<u32> {
        transaction_depth(Manager::<B>::transaction_manager_status_mut(&mut **self))
    }

    /// Rolls the transaction at this depth back, and those in it.
    pub(super) async fn roll_back(&mut self, open: &mut OpenTransaction, depth: u32) {
        if open.is_outermost() {
            self.checkout.lift_rollback_guard();
        }
        if open.is_outermost() && open.state().end().is_some() {
            // The transaction is over, but a statement may have begun another one since. If there is no transaction,
            // ROLLBACK may fail, and that is ignored.
            let _ = self.batch_execute("ROLLBACK").await;
            *Manager::<B>::transaction_manager_status_mut(&mut **self) =
                TransactionManagerStatus::default();
        } else {
            let inner = self.depth().map_or(0, |now| now.saturating_sub(depth));
            for _ in 0..=inner {
                let _ = Manager::<B>::rollback_transaction(&mut **self).await;
            }
        }
        self.undo_begin(open).await;
    }

    /// Undoes everything that [`begin`](Self::begin) has done, except for the transaction itself.
    async fn undo_begin(&mut self, open: &OpenTransaction) {
        if open.is_outermost() {
            self.undo_outermost_begin().await;
        }
    }

    async fn undo_outermost_begin(&mut self) {
        self.checkout.lift_rollback_guard();
        if self.checkout.transaction_mark().is_some() && self.checkout.is_usable() {
            let effects = self.checkout.session_effects();
            match own(B::Connection::leave_work(&mut **self)).await {
                Ok(()) => self.checkout.restore_session_effects(effects),
                Err(_) => self.checkout.discard(),
            }
        }
    }
}

pub(super) fn database_error(kind: DatabaseErrorKind, message: &str) -> DieselError {
    DieselError::DatabaseError(kind, Box::new(message.to_owned()))
}
