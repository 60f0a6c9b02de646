//! Transactions as Diesel's transaction manager counts them.

use std::num::NonZeroU32;

use diesel::QueryResult;
use diesel::connection::TransactionManagerStatus;

/// The number of open transactions, one inside the other.
///
/// # Errors
///
/// [`BrokenTransactionManager`](diesel::result::Error::BrokenTransactionManager) if Diesel no longer knows.
pub(crate) fn transaction_depth(status: &TransactionManagerStatus) -> QueryResult<u32> {
    Ok(status.transaction_depth()?.map_or(0, NonZeroU32::get))
}

/// The name of the option of a unit of work that only PostgreSQL supports.
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(super) const DEFERRABLE: &str = "deferrable transactions";

/// Implements `Driver::begin` for connections with Diesel's `AnsiTransactionManager`.
macro_rules! begin_by_ansi {
    () => {
        async fn begin(&mut self, sql: &str) -> diesel::QueryResult<()> {
            diesel_async::AnsiTransactionManager::begin_transaction_sql(self, sql).await
        }
    };
}
pub(super) use begin_by_ansi;
