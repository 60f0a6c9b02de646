//! What a connection type has to offer, in the order of a connection's life.

use std::future::Future;

use diesel::QueryResult;
use diesel::backend::Backend as DieselBackend;
use diesel_async::{AsyncConnection, AsyncConnectionCore};
use futures_util::future::BoxFuture;

use super::connect_context::{ConnectContext, OpenedConnection};
use super::error::ConnectError;
use super::error_class::ErrorClass;
use super::migrate::{
    Migrated, MigrationLock, MigrationSession, ReclaimFiles, Run, TableReferences,
};
use super::namespace::{Namespace, Presence};
use crate::cause::DriverError;
use crate::settings::{BackendKind, DatabaseUrl, EngineOptions, WorkOptions};
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
pub trait Backend: AsyncConnection + Driver + 'static {
    /// The kind of database that it speaks to.
    const KIND: BackendKind;
}

/// What the registry needs of a connection type beyond [`AsyncConnection`].
///
/// The items are in the order of a connection's life. A default is what holds for most of the backends; each that has
/// none is a question that a new backend must answer.
///
/// The futures are dropped at any await when their caller gives up or runs out of time. The engine closes a connection on
/// which that has happened, unless [`start_rollback`](Self::start_rollback) can make it usable.
pub trait Driver:
    AsyncConnectionCore<Backend: DieselBackend<QueryBuilder: Default> + Default> + Sized
{
    // ---- Connecting and setting up ----

    /// The grammar of its statements.
    const DIALECT: Dialect;

    /// What the driver has against a URL, as far as it is known without connecting.
    ///
    /// # Errors
    ///
    /// The reason, without a password in it.
    fn check_url(url: &DatabaseUrl) -> Result<(), String>;

    /// Opens a connection and sets it up as the options ask, except for `on_connect`.
    fn open(
        url: &DatabaseUrl,
        options: &EngineOptions,
        context: ConnectContext<'_>,
    ) -> impl Future<Output = Result<OpenedConnection<Self>, ConnectError>> + Send;

    /// Whether autocommit is off, so that each statement outside of a transaction begins one. Asked once, after
    /// `on_connect`.
    fn is_autocommit_off(&mut self) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(false))
    }

    /// Makes a tenant's schema the only one in which unqualified names are looked up. False if there is no such schema.
    ///
    /// A connection that was in the schema of another tenant is reset in the same round trip.
    ///
    /// Called only for PostgreSQL: the settings refuse schemas for tenants on the others.
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

    /// Whether the server accepts writes on this connection, by its own word.
    fn accepts_writes(&mut self) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(true))
    }

    // ---- Transactions and units of work ----

    /// Whether the driver knows at any time whether a transaction is open, so that the text of statements does not count.
    const KNOWS_TRANSACTIONS: bool = false;

    /// Whether no transaction is open, as far as the driver knows without asking the server.
    fn is_outside_transaction(&mut self) -> bool {
        false
    }

    /// Whether a transaction is open of which Diesel does not know (a raw `BEGIN`), as far as the driver knows without
    /// asking the server.
    fn has_raw_transaction(&mut self) -> bool {
        false
    }

    /// The statements that begin the transaction of a unit of work.
    ///
    /// # Errors
    ///
    /// The option that the backend does not have.
    fn begin_sql(options: &WorkOptions) -> Result<String, String>;

    /// Begins a transaction with these statements, so that Diesel counts it.
    fn begin(&mut self, sql: &str) -> impl Future<Output = QueryResult<()>> + Send;

    /// Prepares the session for a unit of work, before its transaction begins. True if
    /// [`leave_work`](Self::leave_work) has to undo that.
    fn enter_work(&mut self, _read_only: bool) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(false))
    }

    /// Undoes what [`enter_work`](Self::enter_work) has done.
    fn leave_work(&mut self) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// A statement that fails if the transaction is aborted. The server would answer a commit of such a transaction with a
    /// rollback, and report no error.
    const ABORTED_TRANSACTION_PROBE: Option<&'static str> = None;

    /// A statement that marks a transaction. The mark is gone when the transaction has ended. It is set where neither the
    /// server nor the driver reports the end of a transaction.
    const TRANSACTION_MARK: Option<&'static str> = None;

    /// Whether the mark is a savepoint. It is then set again behind each savepoint of the program.
    const TRANSACTION_MARK_IS_SAVEPOINT: bool = false;

    /// Whether the transaction has the mark. With `keeps_savepoints`, savepoints that are newer than the mark stay, and
    /// the answer may be true of another transaction.
    fn has_transaction_mark(
        &mut self,
        _keeps_savepoints: bool,
    ) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(true))
    }

    // ---- Errors, rows and prepared statements ----

    /// Whether a statement has failed with `error` because its connection is gone.
    fn is_fatal(error: &diesel::result::Error) -> bool;

    /// Whether the driver passes on the text of an error and not its code, so that the server has to be asked for it.
    const HIDES_ERROR_CODES: bool = false;

    /// Asks the server for the class of the error with which the last statement has failed, and for its text. `None` if it
    /// has no answer.
    fn diagnose_last_error(&mut self) -> impl Future<Output = Option<(ErrorClass, String)>> + Send {
        std::future::ready(None)
    }

    /// Whether unread rows stay in front of the answer to the next statement when their stream is dropped.
    const LEAVES_UNREAD_ROWS: bool = true;

    /// Whether a statement can fail because it was prepared before a table or a type was changed.
    const HAS_STALE_STATEMENTS: bool = true;

    // ---- The return: rollback and reset ----

    /// Whether a statement still runs whose future was dropped.
    fn is_busy(&self) -> bool {
        false
    }

    /// Whether `ROLLBACK` is an error where no transaction is open.
    const ROLLBACK_NEEDS_TRANSACTION: bool;

    /// Rolls back whatever is open, after the statement that still runs, and waits for it. It happens even if the future
    /// is dropped. `None` if the driver cannot promise that.
    fn start_rollback(&mut self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// Statements after which a connection is as new, or `None` if only another connection is. What the client has already
    /// received is not affected: see [`forget_received`](Self::forget_received).
    const FULL_RESET: Option<&'static str>;

    /// Discards what the server has sent unasked, such as notifications.
    fn forget_received(&mut self) {}

    /// How many statements the server has prepared for the driver. `None` where that is not known.
    fn count_prepared(&mut self) -> impl Future<Output = QueryResult<Option<u64>>> + Send {
        std::future::ready(Ok(None))
    }

    // ---- Closing ----

    /// Statements that release what a session holds (its locks and temporary objects), run before a connection is closed: the
    /// server notices the disconnect only after a delay, and would hold them until then.
    const RELEASE_LOCKS: Option<&'static str> = None;

    /// Waits until the connections to that URL that were dropped before are closed.
    fn wait_until_closed(_: &DatabaseUrl) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    // ---- Migrations ----

    /// Keeps other processes from migrating the same database until the guard is dropped and the connection is closed.
    ///
    /// Blocks: called where blocking is allowed.
    ///
    /// # Errors
    ///
    /// What the server or the file system says.
    fn lock_migrations(&mut self, url: &DatabaseUrl) -> Result<MigrationLock, DriverError>;

    /// How many characters the version of a migration may have, where its column is limited.
    const MAX_VERSION_LENGTH: Option<usize> = Some(50);

    /// The form of a version in which two are equal if the table of versions takes them for one.
    fn version_key(version: &str) -> String {
        version.to_owned()
    }

    /// Runs those migrations that the database does not know, in the order of their versions. Gives the connection back,
    /// and the names of what was run.
    ///
    /// Blocks: called where blocking is allowed. Implemented by
    /// [`migrate_by_harness!`](super::migrate::migrate_by_harness), which uses the items below.
    fn migrate(self, run: Run<'_, Self::Backend, impl ReclaimFiles>) -> (Self, Migrated);

    /// The state of a session that is restored after each migration. The session was set up with these statements of the
    /// user's.
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

    /// Whether nothing is left of a transaction whose commit the server has refused. False where there are tables without
    /// transactions.
    const FAILED_COMMIT_LEAVES_NOTHING: bool = true;

    /// Whether the rollback that was the last statement has undone everything, including changes to tables without
    /// transactions.
    fn rollback_undid_everything(&mut self) -> impl Future<Output = bool> + Send {
        std::future::ready(true)
    }

    /// The rows that refer to missing rows, where migrations run with foreign keys switched off.
    fn broken_references(
        &mut self,
    ) -> impl Future<Output = QueryResult<Vec<TableReferences>>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// Ends whatever transaction a migration has left open, and restores the session.
    fn leave_migration(
        &mut self,
        session: &MigrationSession,
    ) -> impl Future<Output = QueryResult<()>> + Send;

    // ---- Namespaces of tenants: databases and schemas ----
    //
    // SQLite has none: there, a tenant's database is a file.

    /// The databases from which a tenant's database can be created and dropped, in the order in which they are tried. The
    /// empty name is a connection to no database.
    const MAINTENANCE_DATABASES: &'static [&'static str] = &[""];

    /// Waits until nobody else creates or drops that namespace, and keeps others from doing so until the connection is
    /// closed.
    fn lock_namespace(&mut self, _: &Namespace) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether that namespace exists.
    fn find_namespace(
        &mut self,
        _: &Namespace,
    ) -> impl Future<Output = QueryResult<Presence>> + Send {
        std::future::ready(Ok(Presence::Missing))
    }

    /// Creates a namespace that counts as unfinished, and returns where it is until it is finished. An unfinished one that
    /// others have left is removed first.
    fn begin_namespace(
        &mut self,
        namespace: &Namespace,
    ) -> impl Future<Output = QueryResult<Namespace>> + Send {
        std::future::ready(Ok(namespace.clone()))
    }

    /// Makes the namespace that was begun available under its own name.
    fn finish_namespace(
        &mut self,
        _begun: &Namespace,
        _: &Namespace,
    ) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Removes a namespace with everything in it, finished or not.
    fn remove_namespace(&mut self, _: &Namespace) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }
}
