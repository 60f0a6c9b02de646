//! What the registry needs of a connection type beyond `AsyncConnection`.

use std::fmt::{self, Write};
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::connection::TransactionManagerStatus;
use diesel_async::AsyncConnectionCore;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::error_class::ErrorClass;
use super::host_failover::Hosts;
use super::migrate::{MakesRoom, Migrated, MigrationLock, MigrationSession, Run, TableReferences};
use super::namespace::{Namespace, Presence};
use super::observed::Observed;
use crate::backend::ConnectError;
use crate::cause::DriverError;
use crate::settings::{DatabaseUrl, EngineOptions, WorkOptions};
use crate::sql::Dialect;

/// What the registry needs of a connection type beyond `AsyncConnection`.
pub trait Driver:
    AsyncConnectionCore<Backend: Backend<QueryBuilder: Default> + Default> + Sized
{
    /// Whether `ROLLBACK` is an error where no transaction is open.
    const ROLLBACK_NEEDS_TRANSACTION: bool;

    /// The grammar of its statements.
    const DIALECT: Dialect;

    /// Statements after which a connection is as new, or `None` if only a new one is. What the client
    /// has received is left: see [`forget_received`](Self::forget_received).
    const FULL_RESET: Option<&'static str>;

    /// What a connection gives back that is not lent again: the server notices its end a little later, and would
    /// hold the locks until then.
    const RELEASE: Option<&'static str> = None;

    /// Forgets what the server has sent unasked, such as notifications.
    fn forget_received(&mut self) {}

    /// Whether each statement outside a transaction begins one, as the connection is set up.
    fn begins_by_itself(&mut self) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(false))
    }

    /// How many statements the server has prepared for the driver. `None` where that is not known.
    fn count_prepared(&mut self) -> impl Future<Output = QueryResult<Option<u64>>> + Send {
        std::future::ready(Ok(None))
    }

    /// Whether the driver knows, without asking the server, that the connection is gone.
    fn is_known_dead(&mut self) -> bool {
        false
    }

    /// Whether a statement failed with `error` because its connection is gone.
    fn is_fatal(error: &diesel::result::Error) -> bool;

    /// Whether no transaction is open, as far as the driver knows without asking the server.
    fn is_outside_transaction(&mut self) -> bool {
        false
    }

    /// A statement that fails if the transaction has failed, and would be answered with a rollback if it was committed.
    const FAILS_IF_ABORTED: Option<&'static str> = None;

    /// A statement that marks a transaction. The mark goes when the transaction ends, and is set where neither the server
    /// nor the driver tells of that.
    const MARK: Option<&'static str> = None;

    /// Whether the mark is a savepoint: then it is set anew behind each other one.
    const MARK_IS_SAVEPOINT: bool = false;

    /// Whether the transaction has the mark that was set. With `keeps_savepoints`, savepoints that are newer than the mark
    /// stay, and the answer may be true of another transaction.
    fn is_marked(
        &mut self,
        _keeps_savepoints: bool,
    ) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(true))
    }

    /// The statements that begin a transaction of a unit of work, in this dialect; or, as an error, the option that
    /// the backend does not have.
    fn begin_sql(options: &WorkOptions) -> Result<String, String>;

    /// Begins a transaction with these statements, and has Diesel know of it.
    fn begin(&mut self, sql: &str) -> impl Future<Output = QueryResult<()>> + Send;

    /// Makes ready for a unit of work. True if that is to be undone after it.
    fn enter_work(&mut self, _read_only: bool) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(false))
    }

    /// Undoes what [`enter_work`](Self::enter_work) has done.
    fn leave_work(&mut self) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether the driver knows at any time whether a transaction is open, so that no text has to tell.
    const KNOWS_TRANSACTIONS: bool = false;

    /// Whether rows that are still to come stay in the way of the next statement when their stream is dropped.
    const LEAVES_ROWS: bool = true;

    /// Whether a statement can fail because it was prepared before a table or a type was changed.
    const HAS_STALE_STATEMENTS: bool = true;

    /// Whether the driver passes on what an error says and not its code, so that the server has to be asked.
    const HIDES_ERROR_CODES: bool = false;

    /// Whether the server takes writes on this connection, by its own word.
    fn takes_writes(&mut self) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(true))
    }

    /// What the error of the statement means that failed last, and its text, where the server has to be asked for it.
    fn ask_error(&mut self) -> impl Future<Output = Option<(ErrorClass, String)>> + Send {
        std::future::ready(None)
    }

    /// Opens a connection and sets it up as the options ask, all but `on_connect`.
    fn open(
        url: &DatabaseUrl,
        options: &EngineOptions,
        reach: ConnectContext<'_>,
    ) -> impl Future<Output = Result<OpenedConnection<Self>, ConnectError>> + Send;

    /// Makes a schema the one in which names without a schema are looked for, and no other. False
    /// if there is no such schema.
    ///
    /// If the connection was in another one, it is made as new in the same round trip.
    ///
    /// The settings let nobody get here whose database has no schemas.
    fn enter_schema(
        &mut self,
        _schema: &str,
        _is_from_another: bool,
    ) -> impl Future<Output = QueryResult<bool>> + Send {
        std::future::ready(Ok(false))
    }

    /// What the driver has to say against a URL, which it finds out without connecting.
    fn check_url(url: &DatabaseUrl) -> Result<(), String>;

    /// Keeps other processes from migrating the same database until the guard is dropped, and the
    /// connection closed.
    ///
    /// Blocks: it is called where blocking is allowed.
    fn lock_migrations(&mut self, url: &DatabaseUrl) -> Result<MigrationLock, DriverError>;

    /// How many characters a version of a migration may have, where its column is limited.
    const LONGEST_VERSION: Option<usize> = Some(50);

    /// What versions have in common that are one to the table of versions.
    fn version_key(version: &str) -> String {
        version.to_owned()
    }

    /// The transaction of a migration.
    const BEGIN_MIGRATION: &str = "BEGIN";

    /// Whether nothing stays of a transaction whose commit the server has refused. False where there are tables that
    /// know no transactions.
    const COMMIT_FAILS_WHOLE: bool = true;

    /// Whether the rollback that was the last statement has undone everything, also what was done to tables that know no
    /// transactions.
    fn rollback_was_whole(&mut self) -> impl Future<Output = bool> + Send {
        std::future::ready(true)
    }

    /// What is to be as it is now in the session, which was set up with these statements of the user's, after each
    /// migration.
    fn session_of_migrations(
        &mut self,
        _on_connect: &[String],
    ) -> impl Future<Output = QueryResult<MigrationSession>> + Send {
        std::future::ready(Ok(MigrationSession::default()))
    }

    /// Makes ready for a migration, before its transaction.
    fn enter_migration(&mut self) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Ends whatever transaction a migration has left open, and brings the session back.
    fn leave_migration(
        &mut self,
        session: &MigrationSession,
    ) -> impl Future<Output = QueryResult<()>> + Send;

    /// The rows that refer to rows which are not there, where migrations run without that being looked for.
    fn broken_references(
        &mut self,
    ) -> impl Future<Output = QueryResult<Vec<TableReferences>>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// Runs those migrations that the database does not know, in the order of their versions. Blocks: it is
    /// called where that is allowed.
    ///
    /// Gives the connection back, and the names of what was run.
    fn migrate(self, run: Run<'_, Self::Backend, impl MakesRoom>) -> (Self, Migrated);

    /// Waits until nobody else makes or drops that namespace. It is kept from others until the connection is
    /// closed.
    ///
    /// A SQLite database has no namespaces for tenants, and is a file.
    fn lock_namespace(&mut self, _: &Namespace) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether that namespace is there.
    fn find_namespace(
        &mut self,
        _: &Namespace,
    ) -> impl Future<Output = QueryResult<Presence>> + Send {
        std::future::ready(Ok(Presence::Missing))
    }

    /// Makes a namespace that is not finished, and returns where it is for the time being. What others have not
    /// finished is removed before.
    fn begin_namespace(
        &mut self,
        namespace: &Namespace,
    ) -> impl Future<Output = QueryResult<Namespace>> + Send {
        std::future::ready(Ok(namespace.clone()))
    }

    /// Has it be found under its own name from now on.
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

    /// Whether a statement still runs whose future was dropped.
    fn is_busy(&self) -> bool {
        false
    }

    /// Whether a transaction is open of which Diesel does not know, as far as the driver knows without
    /// asking the server.
    fn has_raw_transaction(&mut self) -> bool {
        false
    }

    /// Rolls back whatever is open, behind what still runs, and waits for it. It happens even if the
    /// future is dropped. `None` if the driver cannot promise that.
    fn start_rollback(&mut self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// Waits until the connections to that URL that were dropped before are closed.
    fn all_closed(_: &DatabaseUrl) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// An option of transactions that PostgreSQL alone has.
#[cfg(any(feature = "mysql", feature = "sqlite"))]
pub(super) const DEFERRABLE: &str = "deferrable transactions";

/// A connection that was opened, and what is known of it beside.
pub struct OpenedConnection<C> {
    /// The connection.
    pub connection: C,
    /// What is seen of it.
    pub observed: Arc<Observed>,
    /// Tells the server to end the statement that runs, where it would go on for a client that is gone.
    pub cancel: Option<Canceller>,
}

impl<C> fmt::Debug for OpenedConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("observed", &self.observed).finish_non_exhaustive()
    }
}

/// Tells a server to end a statement, each time that it is called.
pub(crate) type Canceller = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// How far to go to reach a server.
#[derive(Debug, Clone, Copy)]
pub struct ConnectContext<'a> {
    /// The hosts that have failed lately.
    pub hosts: &'a Hosts,
    /// When to give up.
    pub deadline: Instant,
}

/// How many transactions are open, one inside the other. An error if nobody knows.
pub(crate) fn depth(status: &TransactionManagerStatus) -> QueryResult<u32> {
    Ok(status.transaction_depth()?.map_or(0, NonZeroU32::get))
}

/// The SQL in what Diesel shows of a query: the values come behind it, after this mark.
pub(crate) fn without_values(shown: &str) -> &str {
    shown.split("-- binds:").next().unwrap_or_default().trim_end()
}

/// The SQL of what `debug_query` shows.
pub(crate) fn sql_of(query: &dyn fmt::Display) -> String {
    let mut text = String::new();
    // What cannot be written is an error when the query is run.
    let _ = write!(text, "{query}");
    text.truncate(without_values(&text).len());
    text
}

/// Implements `Driver::begin` for connections whose transactions Diesel manages in the words of the SQL
/// standard.
macro_rules! begin_by_ansi {
    () => {
        async fn begin(&mut self, sql: &str) -> diesel::QueryResult<()> {
            diesel_async::AnsiTransactionManager::begin_transaction_sql(self, sql).await
        }
    };
}
pub(super) use begin_by_ansi;
