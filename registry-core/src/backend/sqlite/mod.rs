//! SQLite.
//!
//! | file | contents |
//! |---|---|
//! | this file | the implementation of [`Driver`], the opening of a connection |
//! | [`connection`] | the connection type, which sends jobs |
//! | [`jobs`] | the sending of jobs, and the delivery of answers |
//! | [`mailbox`] | the jobs of one connection, and its database |
//! | [`run_queue`], [`stall_watch`] | which thread runs the next job on a file |
//! | [`workers`] | the threads of the process |
//! | [`file`] | what the connections to one file share |
//! | [`database`] | the database, and the state of its transaction |
//! | [`statement`] | a query that is sent to the thread |
//! | [`rows`], [`row`], [`row_batch`], [`handover`], [`column_names`] | rows that the thread sends back |
//! | [`state`] | the state that the connection and its jobs share |
//! | [`transaction`] | `immediate_transaction` and `exclusive_transaction` |
//! | [`transaction_effects`] | the possible effects of a statement on a transaction |
//! | [`closing`] | waiting until dropped connections are closed |
//! | [`open_error`] | why a database could not be opened |
//! | [`migrations`] | the session state around migrations, and broken foreign keys |
//! | [`save_changes`] | `save_changes` |

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::result::Error;
use futures_util::future::BoxFuture;
// Linked for its feature `bundled`: SQLite is compiled in, so that nothing has to be installed.
use libsqlite3_sys as _;

mod closing;
mod column_names;
mod connection;
mod database;
mod file;
mod handover;
mod jobs;
mod mailbox;
mod migrations;
mod open_error;
mod row;
mod row_batch;
mod rows;
mod run_queue;
mod save_changes;
mod stall_watch;
mod state;
mod statement;
mod transaction;
mod transaction_effects;
mod workers;

pub use self::connection::AsyncSqliteConnection;
use self::open_error::OpenFailure;
use super::connect_context::{ConnectContext, OpenedConnection};
use super::driver::{Backend, Driver};
use super::error::ConnectError;
use super::ledger::ledger_by_diesel;
use super::migrate::{
    MigrationLock, MigrationSession, TableReferences, migrate_by_harness, pause_before_lock,
    records_by_diesel,
};
use super::resource_exhaustion::{files_were_short, no_files_left};
use super::transactions::{DEFERRABLE, begin_by_ansi};
use crate::cause::DriverError;
use crate::settings::url::SqliteFile;
use crate::settings::{
    BackendKind, DatabaseUrl, EngineOptions, Isolation, SqliteLock, TransactionOptions, WorkOptions,
};
use crate::sql::Dialect;

/// The connection type of SQLite databases: [`AsyncSqliteConnection`].
///
/// A [`Session`](crate::Session) of such a bind dereferences to it.
///
/// # Example
///
/// ```
/// use diesel_async::RunQueryDsl;
/// use registry_core::{Sqlite, binds};
///
/// binds! { pub Default: Sqlite = "default"; }
///
/// /// Takes a session of any bind of that backend, and a connection that is no session.
/// async fn ping(connection: &mut Sqlite) -> diesel::QueryResult<usize> {
///     diesel::sql_query("SELECT 1").execute(connection).await
/// }
/// ```
pub type Sqlite = AsyncSqliteConnection;

/// The pause before another attempt at a statement that found the database locked, or at opening a database whose obstacle
/// has disappeared.
const PAUSE: Duration = Duration::from_millis(5);

/// The number of attempts to open such a database.
const ATTEMPTS: u32 = 3;

impl Backend for Sqlite {
    const KIND: BackendKind = BackendKind::Sqlite;
}

records_by_diesel!(super::Sqlite);
ledger_by_diesel!(super::Sqlite);

impl Driver for Sqlite {
    const ROLLBACK_NEEDS_TRANSACTION: bool = true;

    const DIALECT: Dialect = Dialect::Sqlite;

    const HAS_ONE_WRITER: bool = true;

    fn written_file(url: &DatabaseUrl, options: &EngineOptions) -> Option<PathBuf> {
        if options.read_only {
            return None;
        }
        url.sqlite_file().and_then(SqliteFile::written_file)
    }

    const KNOWS_TRANSACTIONS: bool = true;

    const LEAVES_UNREAD_ROWS: bool = false;

    // SQLite prepares them again by itself.
    const HAS_SERVER: bool = false;

    // No statement removes temporary tables and attached databases. Opening the file again is cheap.
    const FULL_RESET: Option<&'static str> = None;

    fn is_fatal(_: &diesel::result::Error) -> bool {
        false
    }

    async fn has_open_transaction(&mut self) -> QueryResult<bool> {
        Ok(!Driver::is_outside_transaction(self))
    }

    fn is_outside_transaction(&mut self) -> bool {
        !self.is_in_transaction()
    }

    async fn enter_work(&mut self, read_only: bool) -> QueryResult<bool> {
        if read_only {
            self.refuse_writes(true).await?;
        }
        Ok(read_only)
    }

    async fn leave_work(&mut self) -> QueryResult<()> {
        self.refuse_writes(false).await
    }

    async fn open(
        url: &DatabaseUrl,
        options: &EngineOptions,
        _: ConnectContext<'_>,
    ) -> Result<OpenedConnection<Self>, ConnectError> {
        let Some(file) = url.sqlite_file() else {
            return Err(ConnectError::Other("not a SQLite URL".into()));
        };
        if let Some(folder) = file.created_parent() {
            fs::create_dir_all(folder).map_err(|error| open_error::folder_error(folder, error))?;
        }
        let mut attempts = 1;
        loop {
            match open_once(file, options, attempts < ATTEMPTS).await {
                Ok(connection) => {
                    let observed = Arc::clone(connection.observed());
                    return Ok(OpenedConnection { connection, observed, cancel: None });
                }
                Err(OpenFailure::Final(error)) => return Err(error),
                Err(OpenFailure::Transient(error))
                    if attempts >= ATTEMPTS && !files_were_short() =>
                {
                    return Err(error);
                }
                // The caller's time-out ends this at the latest.
                Err(OpenFailure::Transient(_)) => tokio::time::sleep(PAUSE).await,
            }
            attempts += 1;
        }
    }

    fn adopt(self) -> OpenedConnection<Self> {
        let observed = Arc::clone(self.observed());
        OpenedConnection { connection: self, observed, cancel: None }
    }

    fn check_url(_: &DatabaseUrl) -> Result<(), String> {
        // The settings parse the URL. The driver can check nothing more without opening the file.
        Ok(())
    }

    fn lock_migrations(
        &mut self,
        url: &DatabaseUrl,
        is_awaited: &dyn Fn() -> bool,
    ) -> Result<MigrationLock, DriverError> {
        let Some(name) = url.sqlite_file().and_then(|file| file.migration_lock()) else {
            // An in-memory database has one connection, which is this one.
            return Ok(MigrationLock::default());
        };
        // A file of its own: closing any handle to the database's file would release the locks that SQLite holds on it in
        // this process (https://www.sqlite.org/howtocorrupt.html, 2.2).
        let lock = fs::OpenOptions::new().create(true).append(true).open(&name)?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(fs::TryLockError::WouldBlock) => pause_before_lock(is_awaited)?,
                Err(fs::TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Ok(MigrationLock { _file: Some(lock) })
    }

    async fn take_lease(
        &mut self,
        url: &DatabaseUrl,
        bind: &str,
    ) -> Result<Option<MigrationLock>, DriverError> {
        let Some(name) = url.sqlite_file().and_then(|file| file.tenants_lock(bind)) else {
            // The caller keeps the runs on an in-memory database apart: it is in this process alone.
            return Ok(Some(MigrationLock::default()));
        };
        let lock = fs::OpenOptions::new().create(true).append(true).open(&name)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(MigrationLock { _file: Some(lock) })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }

    const MAX_VERSION_LENGTH: Option<usize> = None;

    // With `BEGIN`, a transaction that reads first could not write once another connection has written (SQLITE_BUSY_SNAPSHOT).
    const BEGIN_MIGRATION: &str = "BEGIN IMMEDIATE";

    fn url_without_creation(url: &DatabaseUrl) -> Cow<'_, DatabaseUrl> {
        let is_missing = url.sqlite_file().is_some_and(|file| {
            file.is_created() && file.path().is_some_and(|path| !path.exists())
        });
        match DatabaseUrl::parse("sqlite::memory:") {
            Ok(empty) if is_missing => Cow::Owned(empty),
            _ => Cow::Borrowed(url),
        }
    }

    async fn has_table(&mut self, name: &str) -> QueryResult<bool> {
        migrations::has_table(self, name).await
    }

    const RUN_ON_AS_TEXT: &'static str = "strftime('%Y-%m-%d %H:%M:%S', run_on)";

    async fn set_lock_timeout(&mut self, limit: Duration) -> QueryResult<()> {
        migrations::set_lock_timeout(self, limit).await
    }

    async fn has_lock_conflict(&mut self, error: &DriverError) -> bool {
        migrations::is_lock_conflict(error)
    }

    async fn migration_session(&mut self, _: &[String]) -> QueryResult<MigrationSession> {
        migrations::session(self).await
    }

    async fn enter_migration(&mut self) -> QueryResult<()> {
        migrations::enter(self).await
    }

    async fn leave_migration(&mut self, session: &MigrationSession) -> QueryResult<()> {
        self.roll_back().await;
        migrations::leave(self, session).await
    }

    async fn broken_references(&mut self) -> QueryResult<Vec<TableReferences>> {
        migrations::broken_references(self).await
    }

    migrate_by_harness!();

    fn begin_sql(options: &WorkOptions) -> Result<String, String> {
        if options.is_deferrable() {
            return Err(DEFERRABLE.to_owned());
        }
        match options.isolation_level() {
            None | Some(Isolation::Serializable) => {
                // With `BEGIN`, a transaction that reads first and writes later could fail with "database is locked".
                Ok(if options.is_read_only() { "BEGIN" } else { "BEGIN IMMEDIATE" }.to_owned())
            }
            Some(other) => Err(format!("transactions that are {other}")),
        }
    }

    fn transaction_sql(options: &TransactionOptions) -> String {
        match options.lock {
            Some(SqliteLock::Immediate) => "BEGIN IMMEDIATE",
            Some(SqliteLock::Exclusive) => "BEGIN EXCLUSIVE",
            None => "BEGIN",
        }
        .to_owned()
    }

    begin_by_ansi!();

    fn is_known_dead(&mut self) -> bool {
        self.has_ended()
    }

    fn is_busy(&self) -> bool {
        self.has_abandoned_work()
    }

    fn has_raw_transaction(&mut self) -> bool {
        AsyncSqliteConnection::has_raw_transaction(self)
    }

    fn start_rollback(&mut self) -> Option<BoxFuture<'static, ()>> {
        Some(self.roll_back())
    }

    async fn wait_until_closed(url: &DatabaseUrl) {
        // In-memory databases with the same URL are different databases.
        if let Some(file) = url.sqlite_file().filter(|file| !file.is_memory()) {
            closing::wait_until_closed(&file.connection_string()).await;
        }
    }
}

async fn open_once(
    file: &SqliteFile,
    options: &EngineOptions,
    may_try_again: bool,
) -> Result<Sqlite, OpenFailure> {
    if let Some(error) = no_files_left().filter(|_| !file.is_memory()) {
        return Err(OpenFailure::Final(ConnectError::Resources(error.into())));
    }
    let opened = Sqlite::start_thread(&file.connection_string()).await;
    let mut connection = opened.map_err(|error| open_error::open_failure(error, file))?;
    // When file descriptors are exhausted, SQLite may have opened the file for reading only.
    let must_write =
        !file.is_read_only() && !file.is_memory() && !options.read_only && files_were_short();
    let probe = (must_write && may_try_again).then(|| "BEGIN IMMEDIATE; ROLLBACK".to_owned());
    let statements = setup_statements(file.is_memory(), file.is_read_only(), options);
    for statement in statements.into_iter().chain(probe) {
        run_unlocked(&mut connection, &statement, options.busy_timeout)
            .await
            .map_err(|error| open_error::setup_failure(statement, error))?;
    }
    Ok(connection)
}

/// Runs a statement that sets the connection up, and repeats it while another process has locked the database. If two connections
/// switch to the write-ahead log at the same time, SQLite does not wait for `busy_timeout` by itself.
async fn run_unlocked(
    connection: &mut Sqlite,
    statement: &str,
    busy_timeout: Duration,
) -> QueryResult<()> {
    let started = Instant::now();
    loop {
        match connection.set_up(statement).await {
            Err(Error::DatabaseError(_, information))
                if information.message() == "database is locked"
                    && started.elapsed() < busy_timeout =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

fn setup_statements(
    is_memory: bool,
    is_read_only_file: bool,
    options: &EngineOptions,
) -> Vec<String> {
    // The time-out first: the next statement may have to wait for another connection.
    let mut statements = vec![
        format!("PRAGMA busy_timeout = {}", options.busy_timeout.as_millis()),
        "PRAGMA foreign_keys = ON".to_owned(),
    ];
    if !is_memory && !is_read_only_file {
        // In WAL mode, readers and a writer do not wait for each other. The mode is stored in the file, so this is a look-up
        // for all but the first connection (https://www.sqlite.org/wal.html).
        statements.push("PRAGMA journal_mode = WAL".to_owned());
        // Also for the default: a SQLite that was compiled by others may have another one.
        statements.push(format!("PRAGMA synchronous = {}", options.synchronous.pragma()));
        // Reads the file and opens the log, so that a failure is reported when the connection is opened.
        statements.push("PRAGMA schema_version".to_owned());
    }
    if options.read_only {
        statements.push("PRAGMA query_only = ON".to_owned());
    }
    statements
}
