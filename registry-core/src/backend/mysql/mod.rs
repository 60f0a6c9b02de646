//! MySQL and MariaDB.
//!
//! | file | contents |
//! |---|---|
//! | this file | the implementation of [`Driver`] |
//! | [`url`] | the driver's configuration from a URL |
//! | [`connect`] | the order in which addresses are tried, TLS or not |
//! | [`setup`] | setup statements, which run before Diesel gets the connection |
//! | [`connect_error`] | why a connection could not be opened |
//! | [`lock_waits`] | migrations that wait for locks |
//! | [`variables`] | the session variables that migrations may change |
//! | [`namespace`] | tenants' databases |

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::{Bool, Integer, Text, Unsigned};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::BoxFuture;
use mysql_async::prelude::GlobalHandler;
use mysql_async::{InfileData, LocalInfileError, OptsBuilder};
use tokio::runtime::Handle;
use tokio::time::Instant;

mod connect;
mod connect_error;
mod lock_waits;
mod namespace;
mod server_state;
mod setup;
mod url;
mod variables;

#[cfg(feature = "cli")]
pub(crate) use self::setup::READ_ONLY;
#[cfg(feature = "cli")]
pub(crate) use self::url::parse as opts;
use super::connect_context::{Canceller, ConnectContext, OpenedConnection};
use super::driver::{Backend, Driver};
use super::error::ConnectError;
use super::error_class::ErrorClass;
use super::ledger::ledger_by_diesel;
use super::migrate::{
    MigrationLock, MigrationSession, migrate_by_harness, pause_before_lock, records_by_diesel,
};
use super::namespace::{Namespace, Presence};
use super::observed::{Observed, TerminationGuard};
use super::position::{Position, ServerState};
use super::transaction_modes::TransactionModes;
use super::transactions::{DEFERRABLE, begin_by_ansi};
use crate::cause::DriverError;
use crate::settings::{
    BackendKind, DatabaseUrl, Endpoint, EngineOptions, TransactionOptions, WorkOptions,
};
use crate::sql::Dialect;

/// The connection type of MySQL and MariaDB databases: diesel-async's [`AsyncMysqlConnection`].
///
/// A [`Session`](crate::Session) of such a bind dereferences to it.
///
/// # Example
///
/// ```
/// use diesel_async::RunQueryDsl;
/// use registry_core::{Mysql, binds};
///
/// binds! { pub Default: Mysql = "default"; }
///
/// /// Takes a session of any bind of that backend, and a connection that is no session.
/// async fn ping(connection: &mut Mysql) -> diesel::QueryResult<usize> {
///     diesel::sql_query("SELECT 1").execute(connection).await
/// }
/// ```
pub type Mysql = AsyncMysqlConnection;

/// `ER_WARNING_NOT_COMPLETE_ROLLBACK`
const NOT_COMPLETE_ROLLBACK: u32 = 1196;

impl TransactionModes for Mysql {}

impl Backend for Mysql {
    const KIND: BackendKind = BackendKind::Mysql;
}

records_by_diesel!(super::Mysql);
ledger_by_diesel!(super::Mysql);

impl Driver for Mysql {
    const ROLLBACK_NEEDS_TRANSACTION: bool = false;

    // `COM_RESET_CONNECTION` would also deallocate the statements that Diesel has prepared.
    const FULL_RESET: Option<&'static str> = None;

    const DIALECT: Dialect = Dialect::Mysql;

    const RELEASE_LOCKS: Option<&'static str> =
        Some("ROLLBACK; UNLOCK TABLES; DO RELEASE_ALL_LOCKS()");

    const HIDES_ERROR_CODES: bool = true;

    async fn is_autocommit_off(&mut self) -> QueryResult<bool> {
        // Autocommit may be off by the server's own setting, by its `init_connect`, or by `on_connect`.
        diesel::select(sql::<Bool>("NOT @@autocommit")).get_result(self).await
    }

    async fn has_open_transaction(&mut self) -> QueryResult<bool> {
        // Only MariaDB has a variable for it. Both servers refuse the first of these statements in a transaction
        // (ER_CANT_CHANGE_TX_CHARACTERISTICS). It is for the next transaction, so that one follows.
        match self.batch_execute("SET TRANSACTION READ WRITE; BEGIN; COMMIT").await {
            Ok(()) => Ok(false),
            Err(error) if Self::is_fatal(&error) => Err(error),
            Err(_) => Ok(true),
        }
    }

    async fn accepts_writes(&mut self) -> QueryResult<bool> {
        let is_read_only = sql::<Bool>("@@GLOBAL.read_only OR @@GLOBAL.innodb_read_only");
        diesel::select(is_read_only).get_result(self).await.map(|is_read_only: bool| !is_read_only)
    }

    async fn diagnose_last_error(&mut self) -> Option<(ErrorClass, String)> {
        let mut errors = sql_query("SHOW ERRORS").load::<ServerMessage>(self).await.ok()?;
        let ServerMessage { code, message } = errors.pop()?;
        let class = match code {
            // ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, MariaDB's ER_CHECKREAD
            1205 | 1213 | 1020 => ErrorClass::Transient,
            // ER_OPTION_PREVENTS_STATEMENT is also reported for other options than `read_only`.
            1290 if self.accepts_writes().await.is_ok_and(|takes| takes) => ErrorClass::Permanent,
            // ER_OPTION_PREVENTS_STATEMENT and ER_READ_ONLY_MODE
            1290 | 1836 => ErrorClass::ReadOnly,
            // ER_SERVER_SHUTDOWN, MariaDB's ER_CONNECTION_KILLED, MySQL's ER_CLIENT_INTERACTION_TIMEOUT
            1053 | 1927 | 4031 => ErrorClass::Fatal,
            _ => ErrorClass::Permanent,
        };
        Some((class, message))
    }

    fn is_fatal(error: &diesel::result::Error) -> bool {
        // An error of mysql_async itself, which Diesel passes on as text.
        matches!(error, diesel::result::Error::DatabaseError(_, information)
            if ["Input/output error", "Driver error: `Connection", "Driver error: `Packet"]
                .iter()
                .any(|text| information.message().starts_with(text)))
    }

    const TRANSACTION_MARK: Option<&'static str> = Some("SAVEPOINT registry_work");

    const TRANSACTION_MARK_IS_SAVEPOINT: bool = true;

    async fn has_transaction_mark(&mut self, keeps_savepoints: bool) -> QueryResult<bool> {
        if keeps_savepoints {
            let is_in_one = diesel::select(sql::<Bool>("@@in_transaction")).get_result(self).await;
            // MariaDB has that variable, and MySQL does not.
            return Ok(is_in_one.unwrap_or(true));
        }
        // The end of a transaction releases its savepoints.
        match self.batch_execute("RELEASE SAVEPOINT registry_work; SAVEPOINT registry_work").await {
            Err(error) if Self::is_fatal(&error) => Err(error),
            answer => Ok(answer.is_ok()),
        }
    }

    async fn enter_work(&mut self, _: bool) -> QueryResult<bool> {
        // A deadlock rolls the transaction back. With autocommit off, later statements begin another transaction, and are not
        // committed one by one. The old value is saved because autocommit may already have been off.
        self.batch_execute("SET @registry_autocommit = @@autocommit, autocommit = 0").await?;
        Ok(true)
    }

    async fn leave_work(&mut self) -> QueryResult<()> {
        self.batch_execute("SET autocommit = @registry_autocommit").await
    }

    async fn server_state(&mut self) -> QueryResult<ServerState> {
        server_state::server_state(self).await
    }

    // MyISAM has no transactions.
    const ROLLS_BACK_EVERY_WRITE: bool = false;

    // `SET GLOBAL read_only = 1` ends no connection.
    const PRIMARY_MAY_BE_DEMOTED: bool = true;

    async fn position_of_commit(&mut self) -> QueryResult<Option<Position>> {
        server_state::position_of_commit(self).await
    }

    async fn endpoints(
        url: &DatabaseUrl,
        deadline: Instant,
    ) -> Result<Vec<Endpoint>, ConnectError> {
        let opts = url::parse(url).map_err(|error| ConnectError::Other(error.into()))?;
        connect::endpoints(&opts, deadline).await
    }

    async fn open(
        url: &DatabaseUrl,
        options: &EngineOptions,
        context: ConnectContext<'_>,
    ) -> Result<OpenedConnection<Self>, ConnectError> {
        let opts = url::parse(url).map_err(|error| ConnectError::Other(error.into()))?;
        let builder = OptsBuilder::from_opts(opts)
            // Diesel has a statement cache of its own. Found rows are counted, not changed ones, as on the other backends.
            .stmt_cache_size(0)
            .client_found_rows(true);
        // For this host, mysql_async would replace a TCP connection by a connection through the server's socket file. The URL
        // names the place to connect to, so the replacement happens only if the URL asks for it.
        let builder = if url.for_driver().contains("prefer_socket") && !url::asks_for_tls(url) {
            builder
        } else {
            builder.prefer_socket(false)
        };
        let observed = Arc::new(Observed::default());
        let builder = builder.local_infile_handler(Some(LocalInfileRefusal {
            _parting: TerminationGuard::new(&observed),
        }));
        let mut conn = connect::connect(builder, url, context, &observed).await?;
        if options.read_only {
            setup::set(&mut conn, setup::READ_ONLY).await?;
        }
        if let Some(limit) = options.statement_timeout {
            setup::limit_statements(&mut conn, limit).await?;
        }
        // Sets the time zone and the character set (utf8mb4).
        let opened = Self::try_from(conn).await;
        let connection = opened.map_err(connect_error::unprepared)?;
        let cancel = Some(canceller(&connection));
        Ok(OpenedConnection { connection, observed, cancel })
    }

    fn adopt(self) -> OpenedConnection<Self> {
        let cancel = Some(canceller(&self));
        OpenedConnection { connection: self, observed: Arc::default(), cancel }
    }

    async fn set_options(
        &mut self,
        options: &EngineOptions,
    ) -> Result<(), (String, diesel::result::Error)> {
        setup::set_options(self, options).await
    }

    fn classify_connect_error(error: DriverError) -> Result<ConnectError, DriverError> {
        connect_error::classify_program_error(error)
    }

    fn check_url(url: &DatabaseUrl) -> Result<(), String> {
        url::parse(url)?;
        #[cfg(feature = "rustls")]
        if let Some(tls) = url.tls() {
            super::tls::check(BackendKind::Mysql, tls)?;
        }
        Ok(())
    }

    fn lock_migrations(
        &mut self,
        _: &DatabaseUrl,
        is_awaited: &dyn Fn() -> bool,
    ) -> Result<MigrationLock, DriverError> {
        // The lock is named after the database, as these locks are for the whole server. A name has 64 characters at most.
        let name = "CONCAT('registry migrate ', LEFT(COALESCE(DATABASE(), ''), 40))";
        while !Handle::current().block_on(takes_lock(self, name))? {
            pause_before_lock(is_awaited)?;
        }
        Ok(MigrationLock::default())
    }

    async fn take_lease(
        &mut self,
        _: &DatabaseUrl,
        bind: &str,
    ) -> Result<Option<MigrationLock>, DriverError> {
        let is_taken = takes_lock(self, &lease_name(bind)).await?;
        Ok(is_taken.then(MigrationLock::default))
    }

    async fn has_lease(&mut self, bind: &str) -> QueryResult<bool> {
        let name = lease_name(bind);
        let lock = sql::<Bool>(&format!("COALESCE(IS_USED_LOCK({name}) = CONNECTION_ID(), 0)"));
        diesel::select(lock).get_result(self).await
    }

    fn version_key(version: &str) -> String {
        // A database's default collation ignores case and trailing spaces.
        version.trim_end().to_lowercase()
    }

    // Tables of other engines than InnoDB have no transactions.
    const FAILED_COMMIT_LEAVES_NOTHING: bool = false;

    async fn rollback_undid_everything(&mut self) -> bool {
        let warnings = sql_query("SHOW WARNINGS").load::<ServerMessage>(self).await;
        // With `max_error_count = 0`, the server keeps no warnings, so the answer is unknown.
        let keeps = diesel::select(sql::<Bool>("@@max_error_count > 0")).get_result(self).await;
        keeps.unwrap_or(false)
            && warnings.is_ok_and(|warnings| {
                warnings.iter().all(|warning| warning.code != NOT_COMPLETE_ROLLBACK)
            })
    }

    async fn has_table(&mut self, name: &str) -> QueryResult<bool> {
        let is_there = "EXISTS (SELECT 1 FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = ";
        let is_there = sql::<Bool>(is_there).bind::<Text, _>(name).sql(")");
        diesel::select(is_there).get_result(self).await
    }

    const RUN_ON_AS_TEXT: &'static str = "DATE_FORMAT(run_on, '%Y-%m-%d %H:%i:%s')";

    async fn set_lock_timeout(&mut self, limit: Duration) -> QueryResult<()> {
        lock_waits::set_timeout(self, limit).await
    }

    async fn has_lock_conflict(&mut self, _: &DriverError) -> bool {
        lock_waits::has_conflict(self).await
    }

    async fn statement_counts(&mut self) -> QueryResult<Option<HashMap<String, u64>>> {
        lock_waits::statement_counts(self).await.map(Some)
    }

    async fn has_only_waited(&mut self, before: &HashMap<String, u64>) -> bool {
        lock_waits::has_only_waited(self, before).await
    }

    async fn migration_session(&mut self, _: &[String]) -> QueryResult<MigrationSession> {
        let restore = diesel::select(sql::<Text>(RESTORE_SESSION)).get_result(self).await?;
        let before = variables::variables(self).await?;
        Ok(MigrationSession { restore, before, ..MigrationSession::default() })
    }

    async fn leave_migration(&mut self, session: &MigrationSession) -> QueryResult<()> {
        self.batch_execute("ROLLBACK").await?;
        self.batch_execute(&session.restore).await?;
        variables::restore(self, &session.before).await
    }

    async fn lock_namespace(&mut self, namespace: &Namespace) -> QueryResult<()> {
        namespace::lock(self, namespace).await
    }

    async fn find_namespace(&mut self, namespace: &Namespace) -> QueryResult<Presence> {
        namespace::find(self, namespace).await
    }

    async fn begin_namespace(&mut self, namespace: &Namespace) -> QueryResult<Namespace> {
        namespace::begin(self, namespace).await
    }

    async fn finish_namespace(&mut self, begun: &Namespace, _: &Namespace) -> QueryResult<()> {
        namespace::finish(self, begun).await
    }

    async fn remove_namespace(&mut self, namespace: &Namespace) -> QueryResult<()> {
        namespace::remove(self, namespace).await
    }

    migrate_by_harness!();

    fn begin_sql(options: &WorkOptions) -> Result<String, String> {
        if options.is_deferrable() {
            return Err(DEFERRABLE.to_owned());
        }
        Ok(Self::transaction_sql(&TransactionOptions::of_work(options)))
    }

    fn transaction_sql(options: &TransactionOptions) -> String {
        let begin = match options.access {
            Some(access) => format!("START TRANSACTION {}", access.sql()),
            None => "START TRANSACTION".to_owned(),
        };
        match options.isolation {
            // `SET TRANSACTION` without `SESSION` is for the next transaction alone.
            Some(isolation) => {
                format!("SET TRANSACTION ISOLATION LEVEL {}; {begin}", isolation.sql())
            }
            None => begin,
        }
    }

    begin_by_ansi!();
}

fn canceller(connection: &Mysql) -> Canceller {
    let token = Arc::new(connection.cancel_token());
    Arc::new(move || {
        let token = Arc::clone(&token);
        Box::pin(async move { drop(token.cancel_query().await) })
    })
}

/// Takes a named lock unless another session holds it. `name` is an SQL expression. The connection holds the lock until it
/// is closed. These locks are for the whole server.
///
/// The statement does not wait: if the server ended a wait, by `max_statement_time` for example, there would be no error, and
/// the lock would not be held.
/// The name of the lock for migrating all tenants of a bind, as an expression. It contains the database, as these locks
/// are for the whole server, and a digest, as a name has 64 characters at most.
fn lease_name(bind: &str) -> String {
    format!("CONCAT('registry tenants ', MD5(CONCAT(COALESCE(DATABASE(), ''), '/{bind}')))")
}

async fn takes_lock(connection: &mut Mysql, name: &str) -> QueryResult<bool> {
    let lock = sql::<Bool>(&format!("COALESCE(GET_LOCK({name}, 0), 0)"));
    diesel::select(lock).get_result(connection).await
}

/// A query for a statement that restores the settings which migrations change, as the files of `mysqldump` do, and the
/// current database.
const RESTORE_SESSION: &str = "(SELECT CONCAT('SET SESSION autocommit = ', @@autocommit, \
     ', foreign_key_checks = ', @@foreign_key_checks, ', unique_checks = ', @@unique_checks, \
     ', sql_mode = ', QUOTE(@@sql_mode), ', time_zone = ', QUOTE(@@time_zone), \
     ', character_set_client = ', @@character_set_client, \
     ', character_set_results = ', COALESCE(@@character_set_results, 'NULL'), \
     ', collation_connection = ', @@collation_connection, \
     COALESCE(CONCAT('; USE `', REPLACE(DATABASE(), '`', '``'), '`'), '')))";

/// A row of `SHOW ERRORS` or `SHOW WARNINGS`.
#[derive(QueryableByName)]
struct ServerMessage {
    #[diesel(sql_type = Unsigned<Integer>, column_name = "Code")]
    code: u32,
    #[diesel(sql_type = Text, column_name = "Message")]
    message: String,
}

/// Refuses `LOAD DATA LOCAL`, as mysql_async does where no handler is set.
///
/// The handler exists for its guard. mysql_async sends `COM_QUIT` for a dropped connection in a task of its own, and does not
/// report the end of that task; but it keeps its options, and in them this handler, until then.
struct LocalInfileRefusal {
    _parting: TerminationGuard,
}

impl GlobalHandler for LocalInfileRefusal {
    fn handle(&self, _: &[u8]) -> BoxFuture<'static, Result<InfileData, LocalInfileError>> {
        Box::pin(std::future::ready(Err(LocalInfileError::NoHandler)))
    }
}
