//! What a connection's thread owns: the database, and what becomes of its transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::{
    AnsiTransactionManager, SimpleConnection, TransactionDepthChange, TransactionManager,
    TransactionManagerStatus,
};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::{QueryResult, SqliteConnection};

use super::thread::State;
use super::transaction::Effects;

/// What the thread owns.
pub(super) struct Database {
    pub(super) connection: SqliteConnection,
    pub(super) state: Arc<State>,
    /// Whether a statement was put into the cache since this was last asked.
    pub(super) has_cached: Arc<AtomicBool>,
}

/// A savepoint around what may end a transaction and begin another one: it is gone with the first.
const PROBE: &str = "SAVEPOINT registry_probe";
const PROBE_IS_THERE: &str = "RELEASE SAVEPOINT registry_probe";

impl Database {
    /// Runs what has that effect, and notes what becomes of the transaction that is open.
    pub(super) fn run<R>(
        &mut self,
        effects: Effects,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<R>,
    ) -> QueryResult<R> {
        self.stands()?;
        let was_open = self.has_transaction();
        let is_probed =
            was_open && effects == Effects::MayEnd && self.connection.batch_execute(PROBE).is_ok();
        let result = work(&mut self.connection);
        // Before anything else is asked: the answer would count for the statement.
        if is_probed && self.connection.batch_execute(PROBE_IS_THERE).is_err() {
            self.state.observed.transaction.note_ended_by_statement();
            self.look_for_transaction();
        } else if effects != Effects::None || result.is_err() {
            self.look_after(result.is_err() && effects == Effects::None);
        }
        result
    }

    /// Whether a statement may be run.
    ///
    /// # Errors
    ///
    /// The database has rolled back by itself the transaction that the statement belongs to.
    pub(super) fn stands(&self) -> QueryResult<()> {
        const GONE: &str = "the database has rolled the transaction back, after an error, so that this statement would \
             be in none, and was not run";

        match self.state.observed.transaction.refuses_statements() {
            true => {
                Err(Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(GONE.to_owned())))
            }
            false => Ok(()),
        }
    }

    /// Notes whether a transaction is open after a statement. If none is any more, the database has rolled it back by
    /// itself where the statement could not have ended it, and failed: `has_failed`.
    pub(super) fn look_after(&mut self, has_failed: bool) -> bool {
        let was_open = self.has_transaction();
        let is_open = self.look_for_transaction();
        match has_failed {
            _ if !was_open || is_open => {}
            true => self.state.observed.transaction.note_rolled_back_by_database(),
            false => self.state.observed.transaction.note_ended_by_statement(),
        }
        is_open
    }

    /// Notes whether a transaction is open, whoever has begun it.
    pub(super) fn look_for_transaction(&mut self) -> bool {
        // SQLite knows, and Diesel asks it nowhere but here: after a batch that failed it forgets the
        // transaction that it believes in if none is open.
        let connection = &mut self.connection;
        *status(connection) = TransactionManagerStatus::default();
        set_depth(connection, 1);
        let _ = connection.batch_execute("?");
        let is_open = !matches!(status(connection).transaction_depth(), Ok(None));
        *status(connection) = TransactionManagerStatus::default();
        self.state.has_transaction.store(is_open, Ordering::Release);
        is_open
    }

    /// Whether a transaction was open when that was last looked at.
    pub(super) fn has_transaction(&self) -> bool {
        self.state.has_transaction.load(Ordering::Acquire)
    }

    /// Whether a statement was put into the cache since this was last asked.
    pub(super) fn has_cached(&self) -> bool {
        self.has_cached.swap(false, Ordering::Relaxed)
    }
}

/// Makes the connection believe in that many nested transactions.
pub(super) fn set_depth(connection: &mut SqliteConnection, depth: u32) {
    if let TransactionManagerStatus::Valid(status) = status(connection) {
        for _ in 0..depth {
            // Only a decrease can fail.
            let _ = status.change_transaction_depth(TransactionDepthChange::IncreaseDepth);
        }
    }
}

/// What the connection itself believes of transactions, for work that is not ours.
pub(super) fn status(connection: &mut SqliteConnection) -> &mut TransactionManagerStatus {
    AnsiTransactionManager::transaction_manager_status_mut(connection)
}
