//! The requirements of a connection type, in the order of a connection's life.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use diesel::backend::Backend as DieselBackend;
use diesel_async::{AsyncConnection, AsyncConnectionCore, TransactionManager};
use futures_util::future::BoxFuture;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use super::bind_variables::BindVariables;
use super::connect_context::{ConnectContext, OpenedConnection};
use super::error::ConnectError;
use super::error_class::ErrorClass;
use super::ledger::LedgerTables;
use super::migrate::{
    AppliedVersion, Migrated, MigrationLock, MigrationSession, ReclaimFiles, Run, TableReferences,
};
use super::namespace::{Namespace, Presence};
use super::position::{Position, ServerState};
use crate::attribution::own;
use crate::cause::DriverError;
use crate::settings::{
    BackendKind, DatabaseUrl, Endpoint, EngineOptions, TransactionOptions, WorkOptions,
};
use crate::sql::Dialect;

/// A connection type that the registry can open.
///
/// Sealed: [`Postgres`](crate::Postgres), [`Mysql`](crate::Mysql) and [`Sqlite`](crate::Sqlite) implement it, each with
/// the feature of that name.
///
/// # Example
///
/// A function that takes a session of any database:
///
/// ```
/// use diesel_async::SimpleAsyncConnection;
/// use registry_core::{Backend, Bind, Registry, Session, binds};
///
/// binds! { Files: Sqlite = "default"; }
///
/// async fn vacuum<B: Bind>(session: &mut Session<B>) -> diesel::QueryResult<()> {
///     println!("{} cleans up", <B::Connection as Backend>::KIND);
///     session.batch_execute("VACUUM").await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// vacuum(&mut registry.session::<Files>().await?).await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connection type that the registry supports",
    label = "not a supported connection",
    note = "supported are `registry_core::{{Postgres, Mysql, Sqlite}}`, each with the feature of that name"
)]
pub trait Backend: AsyncConnection + Driver + LedgerTables + 'static {
    /// The kind of database that this type connects to.
    const KIND: BackendKind;
}

/// The position of a commit, or `None` if the session has written nothing. An error means that it is not known.
pub(crate) type PositionOfCommit = QueryResult<Option<Position>>;

/// The operations that the registry needs from a connection type beyond [`AsyncConnection`].
///
/// The items are in the order of a connection's life. The defaults hold for most backends. An item without a default must
/// be decided for each backend.
///
/// A future of this trait may be dropped at any await, because its caller gives up or runs out of time. The engine then
/// closes the connection, unless [`start_rollback`](Self::start_rollback) can make it usable.
pub trait Driver:
    AsyncConnectionCore<Backend: DieselBackend<QueryBuilder: Default> + Default + BindVariables> + Sized
{
    // ---- Connecting and setting up ----

    /// The SQL dialect of the database.
    const DIALECT: Dialect;

    /// Whether the database has one writer at a time, whose lock others poll. The engine then lets its writers take turns.
    const HAS_ONE_WRITER: bool = false;

    /// The file whose writers take turns, in the same spelling for all URLs of the file. `None` if writers need no turns.
    fn written_file(_url: &DatabaseUrl, _options: &EngineOptions) -> Option<PathBuf> {
        None
    }

    /// Checks whether the driver can use this URL, without connecting.
    ///
    /// # Errors
    ///
    /// The reason why the driver cannot use the URL. The text contains no password.
    fn check_url(url: &DatabaseUrl) -> Result<(), String>;

    /// Opens a connection and applies the options to it, except for `on_connect`.
    fn open(
        url: &DatabaseUrl,
        options: &EngineOptions,
        context: ConnectContext<'_>,
    ) -> impl Future<Output = Result<OpenedConnection<Self>, ConnectError>> + Send;

    /// Takes over a connection that the program has opened itself. Its stream is not read, so its transactions and its
    /// session are judged by the text of the statements, unless the driver knows more.
    fn adopt(self) -> OpenedConnection<Self> {
        OpenedConnection { connection: self, observed: Arc::default(), cancel: None }
    }

    /// Sets by statements, on a connection that the program has opened, the options that [`open`](Self::open) sets. An
    /// error has the statement that failed.
    fn set_options(
        &mut self,
        _options: &EngineOptions,
    ) -> impl Future<Output = Result<(), (String, diesel::result::Error)>> + Send {
        std::future::ready(Ok(()))
    }

    /// Classifies the error with which the program has failed to connect, if it is an error of this driver. Otherwise
    /// returns it.
    ///
    /// # Errors
    ///
    /// The error itself, if the driver does not know its type.
    fn classify_connect_error(error: DriverError) -> Result<ConnectError, DriverError> {
        Err(error)
    }

    /// Whether autocommit is off, so that each statement outside of a transaction begins a transaction. The engine asks
    /// once, after `on_connect`.
    fn is_autocommit_off(&mut self) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(false))
    }

    /// Whether a transaction is open, according to the server. The engine asks once, after statements of the program have
    /// set the connection up, and only if the stream of the connection does not tell.
    fn has_open_transaction(&mut self) -> impl Future<Output = QueryResult<bool>> + Send;

    /// Makes a tenant's schema the only schema in which unqualified names are looked up. False if the schema does not
    /// exist.
    ///
    /// With `is_from_another`, the connection was in another tenant's schema, and is reset in the same round trip.
    ///
    /// Called only for PostgreSQL: the settings refuse tenant schemas for the other backends.
    fn enter_schema(
        &mut self,
        _schema: &str,
        _is_from_another: bool,
    ) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(false))
    }

    // ---- The check before it is lent ----

    /// Whether the driver knows, without asking the server, that the connection is gone.
    fn is_known_dead(&mut self) -> bool {
        false
    }

    /// Whether this connection accepts writes, according to the server.
    fn accepts_writes(&mut self) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(true))
    }

    // ---- Replicas ----

    /// The servers that the URL leads to: one for each host, and for each address of a host's name.
    fn endpoints(
        _url: &DatabaseUrl,
        _deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Endpoint>, ConnectError>> + Send {
        std::future::ready(Ok(vec![Endpoint::default()]))
    }

    /// What the server says about itself, asked in one round trip. It says nothing where a database has no replicas.
    fn server_state(&mut self) -> impl Future<Output = QueryResult<ServerState>> + Send {
        std::future::ready(Ok(ServerState::default()))
    }

    /// The position of the last commit of this session, asked after it. `None` if the session has written nothing.
    fn position_of_commit(&mut self) -> impl Future<Output = QueryResult<Option<Position>>> + Send {
        std::future::ready(Ok(None))
    }

    /// Commits the transaction that Diesel's transaction manager counts, and asks for the position of the commit, in the
    /// same round trip where the driver can.
    ///
    /// The commit is awaited for as long as it takes, and the position for `limit` after it at most. If the position is an
    /// error, it is not known. After [`Elapsed`], its statement was cut short.
    fn commit_with_position(
        &mut self,
        limit: Duration,
    ) -> impl Future<Output = (QueryResult<()>, Result<PositionOfCommit, Elapsed>)> + Send
    where
        Self: AsyncConnection,
    {
        async move {
            let committed = Self::TransactionManager::commit_transaction(self).await;
            let position = match &committed {
                Ok(()) => timeout(limit, own(self.position_of_commit())).await,
                Err(_) => Ok(Ok(None)),
            };
            (committed, position)
        }
    }

    /// Whether a server can be made a replica while the connections to it stay open. Then a read after a token asks each
    /// connection to the primary whether that is the primary still.
    const PRIMARY_MAY_BE_DEMOTED: bool = false;

    /// Begins a transaction in which the server refuses writes, where a transaction pooler takes no start-up options.
    const BEGIN_READ_ONLY: Option<&'static str> = None;

    /// The same for reads of the primary: it fails on a replica, to which the pooler may lead by now.
    const BEGIN_READ_ONLY_ON_PRIMARY: Option<&'static str> = None;

    // ---- Transactions and units of work ----

    /// Whether the driver always knows if a transaction is open. Then the engine does not judge transactions by the text of
    /// statements.
    const KNOWS_TRANSACTIONS: bool = false;

    /// Whether no transaction is open, according to the driver and without asking the server.
    fn is_outside_transaction(&mut self) -> bool {
        false
    }

    /// Whether a transaction is open that was begun without Diesel's transaction manager (a raw `BEGIN`), according to the
    /// driver and without asking the server.
    fn has_raw_transaction(&mut self) -> bool {
        false
    }

    /// The statements that begin the transaction of a unit of work.
    ///
    /// # Errors
    ///
    /// Names the option that this backend does not support.
    fn begin_sql(options: &WorkOptions) -> Result<String, String>;

    /// The statements that begin a transaction of a session with options.
    fn transaction_sql(options: &TransactionOptions) -> String;

    /// Begins a transaction with these statements, and records it in Diesel's transaction manager.
    fn begin(&mut self, sql: &str) -> impl Future<Output = QueryResult<()>> + Send;

    /// Prepares the session for a unit of work, before its transaction begins. True if
    /// [`leave_work`](Self::leave_work) has to undo the preparation.
    fn enter_work(&mut self, _read_only: bool) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(false))
    }

    /// Undoes the preparation by [`enter_work`](Self::enter_work).
    fn leave_work(&mut self) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether a rollback undoes every write since the begin of the transaction. False where tables without transactions are
    /// common.
    const ROLLS_BACK_EVERY_WRITE: bool = true;

    /// A statement that fails if the transaction is aborted. It is needed where the server answers the commit of an aborted
    /// transaction with a rollback and reports no error.
    const ABORTED_TRANSACTION_PROBE: Option<&'static str> = None;

    /// A statement that marks a transaction. The mark disappears when the transaction ends. The mark is used where neither
    /// the server nor the driver reports the end of a transaction.
    const TRANSACTION_MARK: Option<&'static str> = None;

    /// Whether the mark is a savepoint. Then the mark is set again after each savepoint of the program.
    const TRANSACTION_MARK_IS_SAVEPOINT: bool = false;

    /// Whether the transaction has the mark.
    ///
    /// With `keeps_savepoints`, savepoints that are newer than the mark are not released. The check is weaker then: the
    /// answer may be true for a later transaction.
    fn has_transaction_mark(
        &mut self,
        _keeps_savepoints: bool,
    ) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(true))
    }

    // ---- Errors, rows and prepared statements ----

    /// Whether `error` means that the connection is gone.
    fn is_fatal(error: &diesel::result::Error) -> bool;

    /// Whether the text of `error` shows that the client has cached a type that no longer exists, for connections whose
    /// errors have no code.
    fn is_stale_type(_error: &diesel::result::Error) -> bool {
        false
    }

    /// Whether the driver passes on the text of an error but not its code. Then the code has to be queried from the server.
    const HIDES_ERROR_CODES: bool = false;

    /// Asks the server for the last statement's error: its class and its text. `None` if the server does not answer, or
    /// knows of no error.
    fn diagnose_last_error(&mut self) -> impl Future<Output = Option<(ErrorClass, String)>> + Send {
        std::future::ready(None)
    }

    /// Whether dropping a row stream leaves its remaining rows on the connection, to be read before the next answer.
    const LEAVES_UNREAD_ROWS: bool = true;

    /// Whether a server is at the other end. The connection to it can be lost, and a prepared statement can become stale.
    /// Some queries are run again after such an error.
    const HAS_SERVER: bool = true;

    // ---- The return: rollback and reset ----

    /// Whether a statement is still running although its future was dropped.
    fn is_busy(&self) -> bool {
        false
    }

    /// Whether `ROLLBACK` fails if no transaction is open.
    const ROLLBACK_NEEDS_TRANSACTION: bool;

    /// Queues a rollback behind the running statement. The future resolves when the rollback is done; dropping the future
    /// does not cancel the rollback. `None` if the driver cannot guarantee that.
    fn start_rollback(&mut self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// SQL that resets the session completely. `None` if the backend has no such statement, and the connection must be
    /// replaced. The reset does not discard messages that the client has already received:
    /// [`forget_received`](Self::forget_received) does.
    const FULL_RESET: Option<&'static str>;

    /// Discards the asynchronous messages that the server has sent, such as notifications.
    fn forget_received(&mut self) {}

    /// The number of statements that the server has prepared for the driver. `None` if the backend cannot tell.
    fn count_prepared(&mut self) -> impl Future<Output = QueryResult<Option<u64>>> + Send {
        std::future::ready(Ok(None))
    }

    // ---- Closing ----

    /// Statements that release what a session holds (its locks and temporary objects), run before a connection is closed: the
    /// server notices the disconnect only after a delay, and would hold them until then.
    const RELEASE_LOCKS: Option<&'static str> = None;

    /// Waits until all connections to `url` that were already dropped are closed.
    fn wait_until_closed(_url: &DatabaseUrl) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    // ---- Migrations ----

    /// Acquires the migration lock: no other process migrates the same database until the guard is dropped and the
    /// connection is closed.
    ///
    /// Blocks: called where blocking is allowed. It polls, and gives up when `is_awaited` is false, so that a thread does not
    /// outlive the caller that waits for it.
    ///
    /// # Errors
    ///
    /// The error of the server or of the file system, or that the lock is no longer awaited.
    fn lock_migrations(
        &mut self,
        url: &DatabaseUrl,
        is_awaited: &dyn Fn() -> bool,
    ) -> Result<MigrationLock, DriverError>;

    /// Acquires the lease on migrating all tenants of the bind `bind`, if no other process has it. It is another lock than
    /// that of [`lock_migrations`](Self::lock_migrations), in the database of the ledger. It is released when the guard is
    /// dropped and the connection is closed, also by the end of the process.
    ///
    /// # Errors
    ///
    /// The error of the server or of the file system.
    fn take_lease(
        &mut self,
        url: &DatabaseUrl,
        bind: &str,
    ) -> impl Future<Output = Result<Option<MigrationLock>, DriverError>> + Send;

    /// Whether this connection, or the guard that it was given, still has that lease.
    fn has_lease(&mut self, _bind: &str) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(true))
    }

    /// The maximum number of characters of a migration version, if the column in the migrations table has a limit.
    const MAX_VERSION_LENGTH: Option<usize> = Some(50);

    /// Normalises a migration version as the migrations table's collation compares it (MySQL ignores case and trailing
    /// spaces).
    fn version_key(version: &str) -> String {
        version.to_owned()
    }

    /// Makes a change to the migrations of the database. Returns the connection, and the names of the migrations that were
    /// run or reverted.
    ///
    /// Blocks: called where blocking is allowed. Implemented by
    /// [`migrate_by_harness!`](super::migrate::migrate_by_harness), which uses the items below.
    fn migrate(self, run: Run<'_, Self::Backend, impl ReclaimFiles>) -> (Self, Migrated);

    /// Reads which versions were run, and writes nothing.
    ///
    /// Blocks: called where blocking is allowed. Implemented by
    /// [`migrate_by_harness!`](super::migrate::migrate_by_harness), which uses the next two items.
    fn read_applied(self) -> (Self, Result<Vec<AppliedVersion>, DriverError>);

    /// Whether there is a table of this name where `CREATE TABLE` would create it: on PostgreSQL in the current schema, and
    /// not in another one of the search path.
    fn has_table(&mut self, name: &str) -> impl Future<Output = QueryResult<bool>> + Send;

    /// Where to connect to read from a database without creating it. A database that connecting would create is empty, so an
    /// empty one is read in its place.
    fn url_without_creation(url: &DatabaseUrl) -> Cow<'_, DatabaseUrl> {
        Cow::Borrowed(url)
    }

    /// The SQL expression for the column `run_on` of Diesel's table, as text to the second.
    const RUN_ON_AS_TEXT: &'static str;

    /// Limits how long a statement of the session waits for a lock. MySQL and MariaDB count seconds, so there it is rounded
    /// up to whole seconds, and elsewhere to whole milliseconds.
    fn set_lock_timeout(&mut self, limit: Duration)
    -> impl Future<Output = QueryResult<()>> + Send;

    /// Whether the last statement has failed because of a lock that another session has. It is called right after that
    /// statement, and only for what is not known from the observed connection.
    fn has_lock_conflict(&mut self, _error: &DriverError) -> impl Future<Output = bool> + Send;

    /// How many statements the session has run, by kind. `None` for a backend that undoes every statement by a rollback.
    fn statement_counts(
        &mut self,
    ) -> impl Future<Output = QueryResult<Option<HashMap<String, u64>>>> + Send {
        std::future::ready(Ok(None))
    }

    /// Whether the session has run one statement since these counts, which did nothing before it had its lock.
    fn has_only_waited(
        &mut self,
        _before: &HashMap<String, u64>,
    ) -> impl Future<Output = bool> + Send {
        std::future::ready(false)
    }

    /// Reads the session state that is restored after each migration. `_on_connect` are the user's statements with which
    /// the session was set up.
    fn migration_session(
        &mut self,
        _on_connect: &[String],
    ) -> impl Future<Output = QueryResult<MigrationSession>> + Send {
        std::future::ready(Ok(MigrationSession::default()))
    }

    /// Prepares the session for a migration, before its transaction begins.
    fn enter_migration(&mut self) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// The statement that begins the transaction of a migration.
    const BEGIN_MIGRATION: &str = "BEGIN";

    /// Whether a refused commit leaves no change behind. False for a backend that has tables without transactions.
    const FAILED_COMMIT_LEAVES_NOTHING: bool = true;

    /// Whether the last statement, a rollback, has undone everything, including changes to tables without transactions.
    fn rollback_undid_everything(&mut self) -> impl Future<Output = bool> + Send {
        std::future::ready(true)
    }

    /// Finds rows that refer to missing rows, for a backend whose migrations run with foreign keys switched off.
    fn broken_references(
        &mut self,
    ) -> impl Future<Output = QueryResult<Vec<TableReferences>>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// Ends any transaction that a migration has left open, and restores the session.
    fn leave_migration(
        &mut self,
        session: &MigrationSession,
    ) -> impl Future<Output = QueryResult<()>> + Send;

    // ---- Namespaces of tenants: databases and schemas ----
    //
    // SQLite has no namespaces: a tenant's database is a file.

    /// The databases to connect to for creating and dropping a tenant's database, in the order in which they are tried. The
    /// empty name stands for a connection without a database.
    const MAINTENANCE_DATABASES: &'static [&'static str] = &[""];

    /// Locks the namespace until the connection is closed, so that no other process creates or drops it. Waits while
    /// another process holds the lock.
    fn lock_namespace(&mut self, _: &Namespace) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether the namespace exists, and whether its creation was finished.
    fn find_namespace(
        &mut self,
        _: &Namespace,
    ) -> impl Future<Output = QueryResult<Presence>> + Send {
        std::future::ready(Ok(Presence::Missing))
    }

    /// Creates the namespace in an unfinished state, and returns its name until it is finished: on PostgreSQL a temporary
    /// name, on MySQL the final name, with a mark in the database. Left-overs of interrupted attempts are removed first.
    fn begin_namespace(
        &mut self,
        namespace: &Namespace,
    ) -> impl Future<Output = QueryResult<Namespace>> + Send {
        std::future::ready(Ok(namespace.clone()))
    }

    /// Finishes the namespace that [`begin_namespace`](Self::begin_namespace) has created: afterwards, it is available under
    /// its final name.
    fn finish_namespace(
        &mut self,
        _begun: &Namespace,
        _: &Namespace,
    ) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Removes a namespace with all its contents, whether finished or not.
    fn remove_namespace(&mut self, _: &Namespace) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }
}
