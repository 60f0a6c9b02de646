//! The database of a connection, on which its jobs run, and the state of its transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::{
    AnsiTransactionManager, SimpleConnection, TransactionDepthChange, TransactionManager,
    TransactionManagerStatus,
};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::{QueryResult, SqliteConnection};

use super::column_names::ColumnNames;
use super::file::File;
use super::row::Recycler;
use super::state::State;
use super::transaction_effects::TransactionEffects;

/// The database, which one thread at a time has, with the state of its transaction.
pub(super) struct Database {
    pub(super) connection: SqliteConnection,
    pub(super) state: Arc<State>,
    /// Whether a statement was put into the cache since this was last asked.
    pub(super) has_cached: Arc<AtomicBool>,
    /// The rows that were read, whose memory the next job frees.
    pub(super) recycler: Arc<Recycler>,
    pub(super) column_names: ColumnNames,
    pub(super) file: Arc<File>,
}

/// A savepoint around a statement that may end a transaction and begin another one. The savepoint is gone if the first
/// transaction has ended.
const PROBE: &str = "SAVEPOINT registry_probe";
const PROBE_IS_THERE: &str = "RELEASE SAVEPOINT registry_probe";

impl Database {
    /// Runs `work`, which has these effects on the transaction, and records whether the open transaction has ended.
    pub(super) fn run<R>(
        &mut self,
        effects: TransactionEffects,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<R>,
    ) -> QueryResult<R> {
        self.check_transaction_stands()?;
        let was_open = self.has_transaction();
        let is_probed = was_open
            && effects == TransactionEffects::MayEnd
            && self.connection.batch_execute(PROBE).is_ok();
        let result = work(&mut self.connection);
        // Runs before any other statement, because its effect on the transaction would be attributed to `work`.
        if is_probed && self.connection.batch_execute(PROBE_IS_THERE).is_err() {
            self.state.observed.transaction.note_ended_by_statement();
            self.refresh_has_transaction();
        } else if effects != TransactionEffects::None || result.is_err() {
            self.note_transaction_after(result.is_err() && effects == TransactionEffects::None);
        }
        result
    }

    /// Whether a statement may be run.
    ///
    /// # Errors
    ///
    /// The database has rolled back the statement's transaction by itself.
    pub(super) fn check_transaction_stands(&self) -> QueryResult<()> {
        const GONE: &str = "the database has rolled the transaction back, after an error, so that this statement would \
             be in none, and was not run";

        match self.state.observed.transaction.refuses_statements() {
            true => {
                Err(Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(GONE.to_owned())))
            }
            false => Ok(()),
        }
    }

    /// Records whether a transaction is open after a statement. With `has_failed`, the statement has failed and could not
    /// have ended the transaction, so if no transaction is open any more, the database has rolled it back by itself.
    pub(super) fn note_transaction_after(&mut self, has_failed: bool) -> bool {
        let was_open = self.has_transaction();
        let is_open = self.refresh_has_transaction();
        match has_failed {
            _ if !was_open || is_open => {}
            true => self.state.observed.transaction.note_rolled_back_by_database(),
            false => self.state.observed.transaction.note_ended_by_statement(),
        }
        is_open
    }

    /// Asks SQLite whether any transaction is open, and records the answer.
    pub(super) fn refresh_has_transaction(&mut self) -> bool {
        // SQLite knows (`sqlite3_get_autocommit`), and Diesel asks SQLite in one place alone: after a failed batch, Diesel
        // resets its own status if no transaction is open. So this sets Diesel's status to an open transaction, and runs a
        // batch that fails.
        let connection = &mut self.connection;
        *status(connection) = TransactionManagerStatus::default();
        set_depth(connection, 1);
        let _ = connection.batch_execute("?");
        let is_open = !matches!(status(connection).transaction_depth(), Ok(None));
        *status(connection) = TransactionManagerStatus::default();
        self.state.has_transaction.store(is_open, Ordering::Release);
        is_open
    }

    /// Whether a transaction was open when SQLite was last asked.
    pub(super) fn has_transaction(&self) -> bool {
        self.state.has_transaction.load(Ordering::Acquire)
    }

    /// Whether a statement was put into the cache since this was last asked.
    pub(super) fn has_cached(&self) -> bool {
        self.has_cached.swap(false, Ordering::Relaxed)
    }
}

/// Sets the number of nested transactions that Diesel's own connection counts.
pub(super) fn set_depth(connection: &mut SqliteConnection, depth: u32) {
    if let TransactionManagerStatus::Valid(status) = status(connection) {
        for _ in 0..depth {
            // Only a decrease can fail.
            let _ = status.change_transaction_depth(TransactionDepthChange::IncreaseDepth);
        }
    }
}

/// The transactions that Diesel's own connection counts, for `spawn_blocking`.
pub(super) fn status(connection: &mut SqliteConnection) -> &mut TransactionManagerStatus {
    AnsiTransactionManager::transaction_manager_status_mut(connection)
}
