//! Transactions: those that lock at once, and what a statement may do to one.

use diesel::QueryResult;
use diesel::connection::{TransactionDepthChange, TransactionManagerStatus};
use diesel::result::Error;
use diesel_async::{AnsiTransactionManager, TransactionManager};

use super::connection::AsyncSqliteConnection;
use crate::async_func::AsyncFunc;
use crate::backend::transactions::transaction_depth;
use crate::sql::{self, Dialect, TransactionEffect};

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
    /// The error of `callback`, after the rollback, or that of the transaction itself:
    /// [`AlreadyInTransaction`](Error::AlreadyInTransaction) if one is open.
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
    /// [`immediate_transaction`](Self::immediate_transaction), and where the file is not in WAL mode, nobody else can read it
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// As those of [`immediate_transaction`](Self::immediate_transaction).
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
        match callback(&mut *self).await {
            Ok(value) => {
                AnsiTransactionManager::commit_transaction(self).await?;
                Ok(value)
            }
            Err(error) => match AnsiTransactionManager::rollback_transaction(self).await {
                // The transaction was broken by the caller's error, which is the one to return.
                Ok(()) | Err(Error::BrokenTransactionManager) => Err(error),
                Err(rollback_error) => Err(rollback_error.into()),
            },
        }
    }
}

/// Takes over the number of transactions that Diesel's own connection counts after `spawn_blocking`.
pub(super) fn set_depth(status: &mut TransactionManagerStatus, wanted: QueryResult<u32>) {
    let (Ok(mut now), Ok(wanted)) = (transaction_depth(status), wanted) else {
        return status.set_in_error();
    };
    // Step by step, as a test transaction has to stay one.
    while now != wanted
        && let TransactionManagerStatus::Valid(status) = &mut *status
    {
        let (change, next) = if now < wanted {
            (TransactionDepthChange::IncreaseDepth, now + 1)
        } else {
            (TransactionDepthChange::DecreaseDepth, now - 1)
        };
        // Only a decrease below zero can fail.
        let _ = status.change_transaction_depth(change);
        now = next;
    }
}

/// Corrects the status that Diesel is about to have after a batch that has failed.
pub(super) fn note_failed_batch(
    status: &mut TransactionManagerStatus,
    sql: &str,
    has_transaction: bool,
) {
    match sql {
        // diesel-async takes a failed `COMMIT` for the end of the transaction, as it is in PostgreSQL. In SQLite, the
        // transaction may stay open, for example with a deferred foreign key that is broken.
        "COMMIT" => status.set_requires_rollback_maybe_up_to_top_level(has_transaction),
        // What is left of the transaction shows when an outer one ends.
        _ if sql.starts_with("RELEASE SAVEPOINT") => {}
        // Some failures end the transaction, and one that is gone cannot be rolled back.
        _ if !has_transaction => *status = TransactionManagerStatus::default(),
        _ => {}
    }
}

/// What a statement may do to the open transaction. SQLite's grammar has no others that end one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effects {
    /// None begins or ends, unless the statement fails.
    None,
    /// One may begin, or end with the savepoint that has begun it.
    MayBegin,
    /// One ends if the statement succeeds, and no other begins.
    Ends,
    /// One may end, and another one may be open afterwards.
    MayEnd,
}

impl Effects {
    /// Whether a transaction may end.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Ends | Self::MayEnd)
    }
}

/// What a text may do to a transaction.
pub(super) fn effects(sql: &str) -> Effects {
    let effects = sql::effects(Dialect::Sqlite, sql);
    match effects.transaction {
        TransactionEffect::Ends => Effects::Ends,
        _ if effects.may_end => Effects::MayEnd,
        TransactionEffect::None => Effects::None,
        TransactionEffect::Begins | TransactionEffect::Unknown => Effects::MayBegin,
    }
}
