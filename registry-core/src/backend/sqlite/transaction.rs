//! Transactions that lock the database when they begin.

use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::{AnsiTransactionManager, TransactionManager};

use super::connection::AsyncSqliteConnection;
use crate::async_func::AsyncFunc;
use crate::backend::transaction_depth;

impl AsyncSqliteConnection {
    /// Runs `callback` in a transaction that begins with `BEGIN IMMEDIATE`, and returns its result: the transaction takes the
    /// write lock at once, and waits for it up to `busy_timeout` (5s by default).
    ///
    /// A transaction that begins with `BEGIN`, reads, and then writes fails if another connection has written in between
    /// (`SQLITE_BUSY_SNAPSHOT`). This one cannot.
    ///
    /// Dropping the future leaves the transaction open, as with [`transaction`](diesel_async::AsyncConnection::transaction). An
    /// engine rolls it back when the connection is returned.
    ///
    /// # Errors
    ///
    /// The error of `callback`, after the rollback, or the error of the transaction itself:
    /// [`AlreadyInTransaction`](Error::AlreadyInTransaction) if one is open, and
    /// [`BrokenTransactionManager`](Error::BrokenTransactionManager), with nothing stored, if the future of a transaction in it was
    /// dropped.
    ///
    /// # Example
    ///
    /// ```
    /// use diesel_async::{AsyncConnection, SimpleAsyncConnection};
    /// use registry_core::Sqlite;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut connection = Sqlite::establish(":memory:").await?;
    /// connection
    ///     .immediate_transaction(async |connection| {
    ///         connection.batch_execute("CREATE TABLE words (word TEXT NOT NULL)").await
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn immediate_transaction<'a, R, E, F>(&mut self, callback: F) -> Result<R, E>
    where
        for<'r> F: AsyncFnOnce(&'r mut Self) -> Result<R, E>
            + AsyncFunc<&'r mut Self, Result<R, E>, Fut: Send>
            + Send
            + 'a,
        E: From<Error> + Send + 'a,
        R: Send + 'a,
    {
        self.transaction_with(callback, "BEGIN IMMEDIATE").await
    }

    /// Runs `callback` in a transaction that begins with `BEGIN EXCLUSIVE`, and returns its result: like
    /// [`immediate_transaction`](Self::immediate_transaction), and where the file is not in WAL mode, no other connection can read it
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// The same errors as [`immediate_transaction`](Self::immediate_transaction).
    ///
    /// # Example
    ///
    /// ```
    /// # use diesel_async::{AsyncConnection, SimpleAsyncConnection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut connection = registry_core::Sqlite::establish(":memory:").await?;
    /// connection
    ///     .exclusive_transaction(async |connection| connection.batch_execute("SELECT 1").await)
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn exclusive_transaction<'a, R, E, F>(&mut self, callback: F) -> Result<R, E>
    where
        for<'r> F: AsyncFnOnce(&'r mut Self) -> Result<R, E>
            + AsyncFunc<&'r mut Self, Result<R, E>, Fut: Send>
            + Send
            + 'a,
        E: From<Error> + Send + 'a,
        R: Send + 'a,
    {
        self.transaction_with(callback, "BEGIN EXCLUSIVE").await
    }

    async fn transaction_with<'a, R, E, F>(&mut self, callback: F, begin: &str) -> Result<R, E>
    where
        for<'r> F: AsyncFnOnce(&'r mut Self) -> Result<R, E>
            + AsyncFunc<&'r mut Self, Result<R, E>, Fut: Send>
            + Send
            + 'a,
        E: From<Error> + Send + 'a,
        R: Send + 'a,
    {
        AnsiTransactionManager::begin_transaction_sql(self, begin).await?;
        let result = callback(&mut *self).await;
        // A transaction in this one whose future was dropped is still open. A commit would release the savepoint of that
        // transaction and nothing else.
        let depth =
            transaction_depth(AnsiTransactionManager::transaction_manager_status_mut(self))?;
        match result {
            Ok(value) if depth <= 1 => {
                AnsiTransactionManager::commit_transaction(self).await?;
                Ok(value)
            }
            Ok(_) => {
                self.roll_back_levels(depth).await?;
                Err(Error::BrokenTransactionManager.into())
            }
            Err(error) => match self.roll_back_levels(depth).await {
                // The transaction was broken by the caller's error, which is the one to return.
                Ok(()) | Err(Error::BrokenTransactionManager) => Err(error),
                Err(rollback_error) => Err(rollback_error.into()),
            },
        }
    }

    /// Rolls back `depth` transactions, the innermost first.
    async fn roll_back_levels(&mut self, depth: u32) -> QueryResult<()> {
        for _ in 0..depth {
            AnsiTransactionManager::rollback_transaction(self).await?;
        }
        Ok(())
    }
}
