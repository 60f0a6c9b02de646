//! The transaction of a command that is sent as several statements.

use diesel::QueryResult;
use diesel_async::{AsyncConnection, TransactionManager};

use super::ExclusiveConnection;
use crate::backend::transaction_depth;

type Manager<C> = <<C as ExclusiveConnection>::Opened as AsyncConnection>::TransactionManager;

/// A connection on which the transaction of a command is open, or a savepoint if it was in a transaction.
///
/// If the future of the command is dropped, nobody is left to commit the transaction. A later one would be a savepoint in it,
/// and would return `Ok` although nothing is committed. So Diesel's transaction manager refuses every later transaction. A
/// transaction around a dropped savepoint finds its depth changed.
pub(super) struct CommandTransaction<'c, C: ExclusiveConnection> {
    pub(super) connection: &'c mut C,
    /// Whether nothing has to be done on drop.
    is_settled: bool,
}

impl<'c, C: ExclusiveConnection> CommandTransaction<'c, C> {
    pub(super) async fn begin(connection: &'c mut C) -> QueryResult<Self> {
        let exclusive = connection.exclusive()?;
        let depth = transaction_depth(Manager::<C>::transaction_manager_status_mut(exclusive))?;
        Manager::<C>::begin_transaction(exclusive).await?;
        Ok(Self { connection, is_settled: depth > 0 })
    }

    /// Commits if `outcome` is `Ok`, else rolls back.
    pub(super) async fn end<T>(mut self, outcome: QueryResult<T>) -> QueryResult<T> {
        self.is_settled = true;
        let connection = self.connection.exclusive()?;
        match outcome {
            Ok(value) => Manager::<C>::commit_transaction(connection).await.map(|()| value),
            Err(error) => {
                // A connection that cannot roll back is closed when it is returned to the pool.
                let _ = Manager::<C>::rollback_transaction(connection).await;
                Err(error)
            }
        }
    }
}

impl<C: ExclusiveConnection> Drop for CommandTransaction<'_, C> {
    fn drop(&mut self) {
        if !self.is_settled
            && let Ok(connection) = self.connection.exclusive()
        {
            Manager::<C>::transaction_manager_status_mut(connection).set_in_error();
        }
    }
}
