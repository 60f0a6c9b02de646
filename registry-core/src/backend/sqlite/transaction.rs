//! Transactions, and what is known of them.

use diesel::QueryResult;
use diesel::connection::{TransactionDepthChange, TransactionManagerStatus};
use diesel::result::Error;
use diesel_async::{AnsiTransactionManager, TransactionManager};

use super::connection::AsyncSqliteConnection;
use crate::async_func::AsyncFunc;
use crate::backend::transactions::transaction_depth;
use crate::sql::{self, Dialect, TransactionEffect};

impl AsyncSqliteConnection {
    /// Runs `callback` in a transaction that begins with `BEGIN IMMEDIATE`: it takes the lock for
    /// writing at once, and waits for it up to `busy_timeout`.
    ///
    /// A transaction that reads first and writes later fails at once if another connection has
    /// written in between (`SQLITE_BUSY_SNAPSHOT`). This one cannot.
    ///
    /// Dropping the future leaves the transaction open, as in
    /// [`transaction`](diesel_async::AsyncConnection::transaction).
    ///
    /// # Errors
    ///
    /// What `callback` returns, after the rollback, and what goes wrong with the transaction itself:
    /// [`AlreadyInTransaction`](Error::AlreadyInTransaction) if one is open.
    pub async fn immediate_transaction<'a, R, E, F>(&mut self, callback: F) -> Result<R, E>
    where
        for<'r> F: AsyncFnOnce(&'r mut Self) -> Result<R, E>
            + AsyncFunc<&'r mut Self, Result<R, E>, Fut: Send>
            + Send
            + 'a,
        E: From<Error> + Send + 'a,
        R: Send + 'a,
    {
        self.transaction_that(callback, "BEGIN IMMEDIATE").await
    }

    /// Runs `callback` in a transaction that begins with `BEGIN EXCLUSIVE`: as
    /// [`immediate_transaction`](Self::immediate_transaction), and where the file is not in WAL mode
    /// nobody else can read it meanwhile.
    ///
    /// # Errors
    ///
    /// As those of [`immediate_transaction`](Self::immediate_transaction).
    pub async fn exclusive_transaction<'a, R, E, F>(&mut self, callback: F) -> Result<R, E>
    where
        for<'r> F: AsyncFnOnce(&'r mut Self) -> Result<R, E>
            + AsyncFunc<&'r mut Self, Result<R, E>, Fut: Send>
            + Send
            + 'a,
        E: From<Error> + Send + 'a,
        R: Send + 'a,
    {
        self.transaction_that(callback, "BEGIN EXCLUSIVE").await
    }

    async fn transaction_that<'a, R, E, F>(&mut self, callback: F, begin: &str) -> Result<R, E>
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
                // The caller's error is what broke it.
                Ok(()) | Err(Error::BrokenTransactionManager) => Err(error),
                Err(rollback_error) => Err(rollback_error.into()),
            },
        }
    }
}

/// Takes over what Diesel's own connection believes after work that was not ours.
pub(super) fn set_depth(status: &mut TransactionManagerStatus, wanted: QueryResult<u32>) {
    let (Ok(mut now), Ok(wanted)) = (transaction_depth(status), wanted) else {
        return status.set_in_error();
    };
    // Step by step: a test transaction stays one.
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

/// Corrects what Diesel is about to believe after a batch that failed.
pub(super) fn note_failed_batch(
    status: &mut TransactionManagerStatus,
    sql: &str,
    has_transaction: bool,
) {
    match sql {
        // diesel-async takes a `COMMIT` that failed for the end of the transaction, as it is in
        // PostgreSQL. In SQLite it may stay open, with a deferred foreign key that points nowhere.
        "COMMIT" => status.set_requires_rollback_maybe_up_to_top_level(has_transaction),
        // What is left of the transaction shows when an outer one ends.
        _ if sql.starts_with("RELEASE SAVEPOINT") => {}
        // Some failures end a transaction. What is not there cannot be rolled back.
        _ if !has_transaction => *status = TransactionManagerStatus::default(),
        _ => {}
    }
}

/// What a text may do to the transaction that is open. SQLite's grammar has no others that end one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effects {
    /// None begins or ends, unless the text fails.
    None,
    /// One may begin, or end with a savepoint that began it.
    MayBegin,
    /// One ends if the text succeeds, and no other begins.
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
