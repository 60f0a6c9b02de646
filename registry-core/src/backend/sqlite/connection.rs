//! The connection type.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::connection::{
    CacheSize, Connection, DynInstrumentation, Instrumentation, InstrumentationEvent,
    SimpleConnection, StrQueryHelper, TransactionManagerStatus,
};
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::sqlite::Sqlite;
use diesel::{ConnectionResult, QueryResult, SqliteConnection, debug_query};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection,
    TransactionManager,
};
use futures_util::future::{BoxFuture, FutureExt};

use super::database::{self, Database};
use super::jobs::{Answer, Jobs, Length};
use super::open_error::NotOpened;
use super::row::Row;
use super::rows::{Output, Rows, load};
use super::statement::{Statement, execute};
use super::transaction_effects;
use crate::backend::bind_variables::explain_sqlite_error;
use crate::backend::observed::Observed;
use crate::backend::transactions::transaction_depth;

/// A connection to a SQLite database, whose statements are run by threads of this crate.
///
/// It is an [`AsyncConnection`] like those of diesel-async, and stands in for diesel-async's `SyncConnectionWrapper`, which
/// blocks or panics when a future is dropped before its statement has ended, and which ends with the runtime in which it was
/// created.
///
/// The connections of a process share a few threads, which belong to no runtime: the futures can be polled by any executor.
/// Short queries on one file are run one after another by one thread, because SQLite's connections to a file wait for each other
/// even if they only read. A query that has run for 500 µs, and any statement that may write, keeps its thread for
/// itself, and another thread runs the others: they wait for 1 ms at most for each long query that was sent
/// before them. A connection runs its own statements one after another.
///
/// If the process can create no more threads, the connections share those that there are: a closure that waits, or a stream
/// whose reader pauses, then holds up statements of other connections.
///
/// # Dropping
///
/// Dropping the future of a statement never blocks. The effect on the statement:
///
/// - A statement that has not begun is not run.
/// - A query that only reads ends at its next row.
/// - Any other statement that has begun runs to its end on the thread, and later statements of this connection wait for it:
///   interrupting SQLite takes unsafe code. An engine does not lend a connection on which such a statement runs. The engine
///   closes the connection, or waits if the database is in memory and would be lost.
///
/// Dropping the connection lets a statement that has begun run to its end, and then closes the file, without waiting for
/// either.
///
/// # Streams
///
/// The thread reads rows as they are asked for, in batches of 256 rows or 256 KiB, and is at most one batch ahead. Dropping
/// the stream ends the query. As long as the stream lives, its query reads the database as it was when the query began: in
/// WAL mode that holds up no writer, but the write-ahead log cannot be moved into the file.
///
/// Statements that write are read to their end before their first row is returned, because SQLite reports a broken
/// constraint, such as a foreign key, only at the end.
///
/// # Panics in user code
///
/// A panic in a closure of [`spawn_blocking`](Self::spawn_blocking) closes the connection. The call and all later ones fail
/// with [`DatabaseErrorKind::ClosedConnection`](diesel::result::DatabaseErrorKind::ClosedConnection), and an engine opens
/// another connection. (An in-memory database is gone with its connection.) Two cases follow Diesel's rules: a panic in a
/// SQL function written in Rust fails its statement alone, and one in a collation ends the process.
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
/// connection.batch_execute("CREATE TABLE words (word TEXT NOT NULL)").await?;
/// # Ok(())
/// # }
/// ```
pub struct AsyncSqliteConnection {
    jobs: Jobs,
    /// Kept on this side of the jobs, so that reading it takes no wait.
    transactions: AnsiTransactionManager,
    /// Whether the connection refuses writes temporarily.
    refuses_writes: bool,
    /// The engine's observations of the connection.
    observed: Arc<Observed>,
    /// Never locked: the mutex makes the connection `Sync`.
    instrumentation: Mutex<DynInstrumentation>,
}

impl AsyncSqliteConnection {
    /// Runs `work` on a thread of this crate, with Diesel's own connection, and returns its result.
    ///
    /// Use it for features of Diesel's connection alone, such as collations and SQL functions written in Rust. `work` may
    /// block. Transactions nest: a transaction in `work` is a savepoint if a transaction is already open. The
    /// instrumentation of this connection does not see the statements of `work`.
    ///
    /// Collations and functions stay with the connection, so an engine closes a connection on which this was called, and opens
    /// another for the next borrower. An in-memory database lives in its connection, which stays as `work` has left it.
    ///
    /// Waits for the statements that were sent before. Dropping the future does not end work that has begun; work that has not
    /// begun is not run.
    ///
    /// # Errors
    ///
    /// The error of `work`. If `work` panics, the connection is closed, and the error says so.
    ///
    /// # Example
    ///
    /// ```
    /// # use diesel_async::{AsyncConnection, SimpleAsyncConnection};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut connection = registry_core::Sqlite::establish(":memory:").await?;
    /// connection
    ///     .spawn_blocking(|connection| {
    ///         connection.register_collation("folded", |a, b| a.to_lowercase().cmp(&b.to_lowercase()))
    ///     })
    ///     .await?;
    /// connection.batch_execute("CREATE TABLE words (word TEXT COLLATE folded)").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn spawn_blocking<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> QueryResult<R> {
        let depth = transaction_depth(self.status())?;
        self.observed.session.note_change();
        // The effect of `work` on a transaction is unknown until `work` has ended.
        self.observed.transaction.note_may_end_sent();
        let (result, depth) = self
            .jobs
            .run(Length::MayBlock, move |database| {
                let mut depth_after = Ok(depth);
                let result =
                    database.run(transaction_effects::TransactionEffects::MayEnd, |connection| {
                        database::set_depth(connection, depth);
                        let result = work(connection);
                        depth_after = transaction_depth(database::status(connection));
                        result
                    });
                (result, depth_after)
            })
            .await?;
        self.observed.transaction.note_may_end_answered();
        transaction_effects::set_depth(self.status(), depth);
        result
    }

    pub(super) async fn start_thread(url: &str) -> Result<Self, NotOpened> {
        // Diesel's own connection has reported the opening to the default instrumentation.
        let observed = Arc::<Observed>::default();
        let jobs = Jobs::open(url, Arc::clone(&observed)).await?;
        let instrumentation = Mutex::new(DynInstrumentation::default_instrumentation());
        Ok(Self {
            jobs,
            transactions: AnsiTransactionManager::default(),
            refuses_writes: false,
            observed,
            instrumentation,
        })
    }

    /// Runs a statement that sets the connection up, while no other connection to the file is being set up or closed.
    pub(super) async fn set_up(&mut self, statement: &str) -> QueryResult<()> {
        let statement = statement.to_owned();
        let run = self.jobs.run(Length::MayBlock, move |database| {
            let _turn = database.file.exclusive_turn();
            database.connection.batch_execute(&statement)
        });
        run.await?
    }

    pub(super) fn observed(&self) -> &Arc<Observed> {
        &self.observed
    }

    /// Whether the database is closed, or about to be closed after a panic.
    pub(super) fn has_ended(&self) -> bool {
        self.jobs.has_ended()
    }

    /// Whether a statement is still running although its future was dropped.
    pub(super) fn has_abandoned_work(&self) -> bool {
        self.jobs.is_busy()
    }

    /// Whether a transaction is open that was begun without Diesel's transaction manager.
    pub(super) fn has_raw_transaction(&mut self) -> bool {
        self.jobs.has_transaction() && matches!(transaction_depth(self.status()), Ok(0))
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.jobs.has_transaction()
    }

    /// Makes the database refuse writes, or accept them again.
    pub(super) async fn refuse_writes(&mut self, refuse: bool) -> QueryResult<()> {
        let word = if refuse { "ON" } else { "OFF" };
        // Set before the statement: if the future is dropped, the rollback on return undoes it in any case.
        self.refuses_writes |= refuse;
        self.batch_execute(&format!("PRAGMA query_only = {word}")).await?;
        self.refuses_writes = refuse;
        Ok(())
    }

    /// Queues a rollback behind the running statement. Dropping the future does not cancel the rollback.
    pub(super) fn roll_back(&mut self) -> BoxFuture<'static, ()> {
        self.transactions = AnsiTransactionManager::default();
        let takes_writes_again = std::mem::take(&mut self.refuses_writes);
        let (done, is_done) = tokio::sync::oneshot::channel();
        self.jobs.send(Length::MayBlock, move |database| {
            if database.refresh_has_transaction() {
                let _ = database.connection.batch_execute("ROLLBACK");
                database.refresh_has_transaction();
            }
            if takes_writes_again {
                let _ = database.connection.batch_execute("PRAGMA query_only = OFF");
            }
            let _ = done.send(());
        });
        // A database that is closed has rolled back.
        is_done.map(drop).boxed()
    }

    fn report(&mut self, event: InstrumentationEvent<'_>) {
        self.instrumentation
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .on_connection_event(event);
    }

    fn status(&mut self) -> &mut TransactionManagerStatus {
        AnsiTransactionManager::transaction_manager_status_mut(self)
    }

    /// Reports that a query starts, and prepares it for the thread.
    fn start(
        &mut self,
        query: &(impl QueryFragment<Sqlite> + QueryId),
    ) -> (QueryResult<Statement>, Arc<str>) {
        let started = debug_query::<Sqlite, _>(query);
        self.report(InstrumentationEvent::start_query(&started));
        Statement::of(query)
    }

    /// Runs a query on the thread, until `work` has answered.
    ///
    /// The end of the query is reported to the instrumentation when its first rows have arrived, as diesel-async's other
    /// connections do: from then on, the reader determines the time, and may stop reading. The rest of the query is observed
    /// in another way: an error arrives as a row, and a statement that still runs for a dropped reader makes the connection
    /// busy.
    async fn run<A: Send + 'static, R: Send + 'static>(
        &mut self,
        (statement, sql): (QueryResult<Statement>, Arc<str>),
        to: fn(Answer<(QueryResult<R>, bool)>) -> A,
        work: fn(&mut Database, &Statement, &mut A),
    ) -> QueryResult<R> {
        let may_end = statement.as_ref().is_ok_and(|statement| statement.effects.may_end());
        if may_end {
            self.observed.transaction.note_may_end_sent();
        }
        let result = match statement {
            Ok(statement) => {
                let length = statement.length();
                self.jobs.answer(length, to, move |db, to| work(db, &statement, to)).await
            }
            Err(error) => Err(error),
        };
        // Not reached if this future is dropped earlier: then the transaction may still be ending.
        if may_end {
            self.observed.transaction.note_may_end_answered();
        }
        let result = match result {
            Ok((result, has_cached)) => {
                if has_cached {
                    self.report(InstrumentationEvent::cache_query(&sql));
                }
                result
            }
            Err(error) => Err(error),
        };
        let result = result.map_err(|error| explain_sqlite_error(error, &sql));
        // Without the bind values, which were moved to the thread.
        let query = StrQueryHelper::new(&sql);
        self.report(InstrumentationEvent::finish_query(&query, result.as_ref().err()));
        result
    }
}

impl SimpleAsyncConnection for AsyncSqliteConnection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        let shown = StrQueryHelper::new(query);
        self.report(InstrumentationEvent::start_query(&shown));
        let (sql, effects) = (query.to_owned(), transaction_effects::effects(query));
        if effects.may_end() {
            self.observed.transaction.note_may_end_sent();
        }
        let run = self.jobs.run(Length::MayBlock, move |database| {
            let result = database.run(effects, |connection| connection.batch_execute(&sql));
            (result, database.has_transaction())
        });
        let result = match run.await {
            Ok((Err(error), has_transaction)) => {
                transaction_effects::note_failed_batch(self.status(), query, has_transaction);
                Err(error)
            }
            Ok((Ok(()), _)) => Ok(()),
            Err(error) => Err(error),
        };
        if effects.may_end() {
            self.observed.transaction.note_may_end_answered();
        }
        let event = InstrumentationEvent::finish_query(&shown, result.as_ref().err());
        self.report(event);
        result
    }
}

impl AsyncConnectionCore for AsyncSqliteConnection {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Rows<'conn>>>;
    type Stream<'conn, 'query> = Rows<'conn>;
    type Row<'conn, 'query> = Row;
    type Backend = Sqlite;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Sqlite> + QueryId + 'query,
    {
        let started = self.start(&source.as_query());
        async move {
            let loaded = self.run(started, Output::new, load).await?;
            self.jobs.read(loaded.handover());
            Ok(loaded.into())
        }
        .boxed()
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Sqlite> + QueryId + 'query,
    {
        let started = self.start(&source);
        self.run(started, std::convert::identity, execute).boxed()
    }
}

impl AsyncConnection for AsyncSqliteConnection {
    type TransactionManager = AnsiTransactionManager;

    async fn establish(database_url: &str) -> ConnectionResult<Self> {
        Ok(Self::start_thread(database_url).await?)
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut **self.instrumentation.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.instrumentation = Mutex::new(instrumentation.into());
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.jobs.send(Length::Short, move |database| {
            database.connection.set_prepared_statement_cache_size(size)
        });
    }
}

impl fmt::Debug for AsyncSqliteConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncSqliteConnection").finish_non_exhaustive()
    }
}
