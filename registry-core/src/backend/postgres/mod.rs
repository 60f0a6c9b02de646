//! PostgreSQL.
//!
//! | file | contents |
//! |---|---|
//! | this file | the implementation of [`Driver`] |
//! | [`url`] | the driver's configuration from a URL, start-up options |
//! | [`connect`], [`hosts`] | the order in which hosts and addresses are tried |
//! | [`open`], [`connectors`] | one connection: TLS or plaintext, with the observer in its stream |
//! | [`connect_error`] | why a connection could not be opened |
//! | [`transport`] | the stream, which sends `Terminate` when it is dropped |
//! | [`wire`] | reading the messages on the stream, and rewriting them for a transaction pooler |
//! | [`server_state`] | the role, the position and the identity of the server |
//! | [`namespace`] | tenants' databases and schemas |

use std::collections::BTreeSet;
use std::fmt::Write;
use std::pin::pin;
use std::time::Duration;

use diesel::connection::TransactionManagerStatus;
use diesel::dsl::sql;
use diesel::result::Error as DieselError;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::{QueryResult, sql_query};
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection,
    TransactionManager,
};
use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};
use tokio_postgres::config::TargetSessionAttrs;

use self::connect::ConnectOptions;
#[cfg(feature = "cli")]
pub(crate) use self::url::config;
use super::connect_context::{ConnectContext, OpenedConnection};
use super::driver::{Backend, Driver, PositionOfCommit};
use super::error::ConnectError;
use super::ledger::ledger_by_diesel;
use super::migrate::{
    MigrationLock, MigrationSession, migrate_by_harness, pause_before_lock, records_by_diesel,
};
use super::namespace::{Namespace, Presence};
use super::pipelines::Pipelines;
use super::position::ServerState;
use super::transaction_modes::TransactionModes;
use super::transactions::{begin_by_ansi, transaction_depth};
use crate::attribution::own;
use crate::cause::DriverError;
use crate::settings::{
    BackendKind, DatabaseUrl, Endpoint, EngineOptions, Pooler, TransactionOptions, WorkOptions,
};
use crate::sql::{Dialect, setting_names};

mod connect;
mod connect_error;
mod connectors;
mod hosts;
mod namespace;
mod open;
mod server_state;
mod transport;
mod url;
mod wire;

/// The connection type of PostgreSQL databases: diesel-async's [`AsyncPgConnection`].
///
/// A [`Session`](crate::Session) of such a bind dereferences to it.
///
/// # Example
///
/// ```
/// use diesel_async::RunQueryDsl;
/// use registry_core::{Postgres, binds};
///
/// binds! { pub Default: Postgres = "default"; }
///
/// /// Takes a session of any bind of that backend, and a connection that is no session.
/// async fn ping(connection: &mut Postgres) -> diesel::QueryResult<usize> {
///     diesel::sql_query("SELECT 1").execute(connection).await
/// }
/// ```
pub type Postgres = AsyncPgConnection;

/// The key of the advisory lock for migrations: any number, the same in every program. Advisory locks are per database.
const MIGRATION_LOCK: i64 = 0x7265_6769_7374_7279;

/// The statements that the manual lists as equivalent to `DISCARD ALL`, except that statements that were prepared by the
/// protocol stay, because Diesel continues to use them. Statements that were prepared in SQL are the borrower's, and are
/// deallocated. The time zone is the value that diesel-async sets.
const FULL_RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
     SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; \
     DO $$ DECLARE prepared record; BEGIN \
     FOR prepared IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql LOOP \
     EXECUTE pg_catalog.format('DEALLOCATE %I', prepared.name); END LOOP; END $$; \
     SET TIME ZONE 'UTC'";

/// A query for statements that restore the settings of a session: settings that the session has set (a tenant's schema,
/// `on_connect`) to their present values, and all other settings to their values at the start of the connection.
const RESTORE_SESSION: &str = "(SELECT 'SET SESSION AUTHORIZATION DEFAULT; RESET ALL; ' \
     || pg_catalog.format('SELECT pg_catalog.set_config(''session_authorization'', %L, false);', \
     pg_catalog.current_setting('session_authorization')) || COALESCE(pg_catalog.string_agg(pg_catalog.format(\
     'SELECT pg_catalog.set_config(%L, %L, false);', name, pg_catalog.current_setting(name)), ' '), '') \
     || pg_catalog.format('SELECT pg_catalog.set_config(''role'', %L, false)', \
     pg_catalog.current_setting('role')) \
     FROM pg_catalog.pg_settings WHERE source = 'session' AND name NOT LIKE 'transaction%')";

impl Backend for Postgres {
    const KIND: BackendKind = BackendKind::Postgres;
}

impl TransactionModes for Postgres {}

impl Pipelines for Postgres {
    type Shared<'c> = &'c Self;

    fn share(&self) -> &Self {
        self
    }
}

records_by_diesel!(super::Postgres);
ledger_by_diesel!(super::Postgres);

impl Driver for Postgres {
    const ROLLBACK_NEEDS_TRANSACTION: bool = false;

    const DIALECT: Dialect = Dialect::Postgres;

    const FULL_RESET: Option<&'static str> = Some(FULL_RESET);

    const RELEASE_LOCKS: Option<&'static str> =
        Some("ROLLBACK; DISCARD TEMP; SELECT pg_catalog.pg_advisory_unlock_all()");

    fn forget_received(&mut self) {
        let mut notifications = std::pin::pin!(self.notifications_stream());
        while let Some(Some(Ok(_))) = notifications.next().now_or_never() {}
    }

    const ABORTED_TRANSACTION_PROBE: Option<&'static str> = Some("SELECT 1");

    // Not a savepoint: a savepoint would assign a subtransaction ID, and each row would have another transaction number.
    const TRANSACTION_MARK: Option<&'static str> =
        Some("SELECT pg_catalog.set_config('registry.work', 'open', true)");

    async fn has_transaction_mark(&mut self, _: bool) -> QueryResult<bool> {
        let mark = sql::<Bool>("coalesce(current_setting('registry.work', true), '') = 'open'");
        diesel::select(mark).get_result(self).await
    }

    fn is_known_dead(&mut self) -> bool {
        // Also true for a connection with an open transaction, but a connection before its checkout has none.
        PoolableConnection::is_broken(self)
    }

    async fn count_prepared(&mut self) -> QueryResult<Option<u64>> {
        // The count includes this statement.
        let count = sql::<BigInt>(
            "(SELECT count(*) FROM pg_catalog.pg_prepared_statements WHERE NOT from_sql)",
        );
        let count: i64 = diesel::select(count).get_result(self).await?;
        Ok(u64::try_from(count).ok())
    }

    async fn has_open_transaction(&mut self) -> QueryResult<bool> {
        // The start of the current transaction. Each statement outside of a transaction is one by itself.
        let started = || diesel::select(sql::<Text>("pg_catalog.now()::text"));
        let first: String = started().get_result(self).await?;
        let second: String = started().get_result(self).await?;
        Ok(first == second)
    }

    async fn accepts_writes(&mut self) -> QueryResult<bool> {
        // The setting is also on during recovery, which a session cannot change.
        let is_read_only = sql::<Bool>("current_setting('transaction_read_only')::bool");
        diesel::select(is_read_only).get_result(self).await.map(|is_read_only: bool| !is_read_only)
    }

    fn is_stale_type(error: &diesel::result::Error) -> bool {
        // An internal error of the server, which it never translates.
        matches!(error, diesel::result::Error::DatabaseError(_, information)
            if information.message().starts_with("cache lookup failed for type"))
    }

    fn is_fatal(error: &diesel::result::Error) -> bool {
        use diesel::result::DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};

        match error {
            diesel::result::Error::DatabaseError(ClosedConnection | UnableToSendCommand, _) => true,
            // The server announces the end of the connection with a code that Diesel does not know.
            diesel::result::Error::DatabaseError(_, information) => {
                information.message().starts_with("terminating connection")
            }
            _ => false,
        }
    }

    async fn open(
        url: &DatabaseUrl,
        options: &EngineOptions,
        ConnectContext { failed_hosts, deadline, endpoint, requires_primary }: ConnectContext<'_>,
    ) -> Result<OpenedConnection<Self>, ConnectError> {
        let mut config = url::parse(url).map_err(|error| ConnectError::Other(error.into()))?;
        if let Some(startup) = url::startup_options(&config, options) {
            config.options(startup);
        }
        let is_pooled = options.pooler == Pooler::Transaction;
        let asks_for_primary = config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite;
        let requires_primary = requires_primary || asks_for_primary && options.read_only;
        if requires_primary {
            // The connection only reads, so the driver would take it for one to a standby.
            config.target_session_attrs(TargetSessionAttrs::Any);
        }
        let options =
            ConnectOptions { url, failed_hosts, is_pooled, deadline, endpoint, requires_primary };
        connect::connect(&config, &options).await
    }

    async fn endpoints(
        url: &DatabaseUrl,
        deadline: Instant,
    ) -> Result<Vec<Endpoint>, ConnectError> {
        let config = url::parse(url).map_err(|error| ConnectError::Other(error.into()))?;
        hosts::endpoints(&config, deadline).await
    }

    // At a level with one snapshot for the whole transaction, which may be the default of the account, the snapshot would
    // be older than the position that is asked for in the transaction.
    const BEGIN_READ_ONLY: Option<&'static str> =
        Some("BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY");

    // A server in recovery refuses `READ WRITE`.
    const BEGIN_READ_ONLY_ON_PRIMARY: Option<&'static str> =
        Some("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SET TRANSACTION READ ONLY");

    async fn commit_with_position(
        &mut self,
        limit: Duration,
    ) -> (QueryResult<()>, Result<PositionOfCommit, Elapsed>) {
        // Sent together: the server runs the second when the first has ended.
        let (committed, state) = {
            let (mut committing, mut asking) = (&*self, &*self);
            let commit = pin!(committing.batch_execute("COMMIT"));
            let ask = pin!(own(server_state::ask(&mut asking)));
            match select(commit, ask).await {
                Either::Left((committed, ask)) => (committed, timeout(limit, ask).await),
                Either::Right((state, commit)) => (commit.await, Ok(state)),
            }
        };
        if committed.is_ok() {
            let status = AnsiTransactionManager::transaction_manager_status_mut(self);
            *status = TransactionManagerStatus::default();
        }
        let unknown = || DieselError::DeserializationError("the server tells no position".into());
        let position =
            state.map(|state| state.and_then(|state| state.position.map(Some).ok_or_else(unknown)));
        (committed, position)
    }

    async fn server_state(&mut self) -> QueryResult<ServerState> {
        server_state::server_state(self).await
    }

    async fn set_options(
        &mut self,
        options: &EngineOptions,
    ) -> Result<(), (String, diesel::result::Error)> {
        for (name, value) in url::server_settings(options) {
            let statement = format!("SET {name} = {value}");
            self.batch_execute(&statement).await.map_err(|error| (statement, error))?;
        }
        Ok(())
    }

    fn classify_connect_error(error: DriverError) -> Result<ConnectError, DriverError> {
        connect_error::classify_program_error(error)
    }

    async fn enter_schema(&mut self, schema: &str, is_from_another: bool) -> QueryResult<bool> {
        // Unless `pg_temp` is named, it is searched first, and a temporary table would hide the tenant's. If the schema
        // does not exist, the cast fails before anything has changed.
        let identifier = quoted(schema);
        let enter = format!(
            "SELECT {}::pg_catalog.regnamespace; \
             SELECT pg_catalog.set_config('search_path', {}, false)",
            literal(&identifier),
            literal(&format!("{identifier}, pg_temp")),
        );
        // A failed statement would abort the transaction of test isolation.
        let is_in_transaction =
            transaction_depth(AnsiTransactionManager::transaction_manager_status_mut(self))? > 0;
        if is_in_transaction && !has_schema(self, schema).await? {
            return Ok(false);
        }
        let entered = match is_from_another {
            true => self.batch_execute(&format!("{FULL_RESET}; {enter}")).await,
            false => self.batch_execute(&enter).await,
        };
        let Err(error) = entered else { return Ok(true) };
        // Whether the schema is missing is checked by a query that does not fail if it is.
        match has_schema(self, schema).await {
            Ok(false) => Ok(false),
            _ => Err(error),
        }
    }

    fn check_url(url: &DatabaseUrl) -> Result<(), String> {
        let config = url::parse(url)?;
        url::check_tls(url, &config)
    }

    fn lock_migrations(
        &mut self,
        _: &DatabaseUrl,
        is_awaited: &dyn Fn() -> bool,
    ) -> Result<MigrationLock, DriverError> {
        // Polled, to avoid a deadlock: a statement that waits for the lock would block a `CREATE INDEX CONCURRENTLY` in the
        // migration that holds the lock, because `CREATE INDEX CONCURRENTLY` waits until every older statement has ended.
        while !Handle::current().block_on(takes_lock(self, MIGRATION_LOCK))? {
            pause_before_lock(is_awaited)?;
        }
        Ok(MigrationLock::default())
    }

    async fn take_lease(
        &mut self,
        _: &DatabaseUrl,
        bind: &str,
    ) -> Result<Option<MigrationLock>, DriverError> {
        let is_taken = takes_lock(self, lease_key(bind)).await?;
        Ok(is_taken.then(MigrationLock::default))
    }

    async fn has_lease(&mut self, bind: &str) -> QueryResult<bool> {
        // A lock of one 64-bit key is shown as its halves, with `objsubid` 1.
        let key = lease_key(bind);
        let lock = sql::<Bool>(
            "EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
             AND pid = pg_catalog.pg_backend_pid() AND objsubid = 1 AND classid::bigint = ",
        );
        let lock = lock.bind::<BigInt, _>(i64::from((key >> 32) as u32));
        let lock = lock.sql(" AND objid::bigint = ").bind::<BigInt, _>(i64::from(key as u32));
        diesel::select(lock.sql(")")).get_result(self).await
    }

    async fn has_table(&mut self, name: &str) -> QueryResult<bool> {
        let is_there = sql::<Bool>(
            "pg_catalog.to_regclass(pg_catalog.quote_ident(pg_catalog.current_schema()) || '.' || ",
        );
        let is_there = is_there.bind::<Text, _>(quoted(name)).sql(") IS NOT NULL");
        diesel::select(is_there).get_result(self).await
    }

    const RUN_ON_AS_TEXT: &'static str = "pg_catalog.to_char(run_on, 'YYYY-MM-DD HH24:MI:SS')";

    async fn set_lock_timeout(&mut self, limit: Duration) -> QueryResult<()> {
        // Zero is no limit.
        let limit = limit.as_micros().div_ceil(1000).clamp(1, i32::MAX as u128);
        self.batch_execute(&format!("SET lock_timeout = {limit}")).await
    }

    // Known from the observed connection. If that cannot be read, it is not known.
    async fn has_lock_conflict(&mut self, _: &DriverError) -> bool {
        false
    }

    async fn migration_session(&mut self, on_connect: &[String]) -> QueryResult<MigrationSession> {
        let mut restore: String =
            diesel::select(sql::<Text>(RESTORE_SESSION)).get_result(self).await?;
        let names: BTreeSet<String> =
            on_connect.iter().flat_map(|statement| setting_names(statement)).collect();
        for name in names {
            let value = sql::<Nullable<Text>>("current_setting(").bind::<Text, _>(&name);
            let value = diesel::select(value.sql(", true)"));
            if let Some(value) = value.get_result::<Option<String>>(self).await? {
                let (name, value) = (literal(&name), literal(&value));
                let _ = write!(restore, "; SELECT pg_catalog.set_config({name}, {value}, false)");
            }
        }
        Ok(MigrationSession { restore, ..MigrationSession::default() })
    }

    async fn leave_migration(&mut self, session: &MigrationSession) -> QueryResult<()> {
        // If no transaction is open, this statement only causes a warning.
        self.batch_execute("ROLLBACK").await?;
        self.batch_execute(&session.restore).await
    }

    const MAINTENANCE_DATABASES: &'static [&'static str] = &["postgres", "template1"];

    async fn lock_namespace(&mut self, namespace: &Namespace) -> QueryResult<()> {
        namespace::lock(self, namespace).await
    }

    async fn find_namespace(&mut self, namespace: &Namespace) -> QueryResult<Presence> {
        namespace::find(self, namespace).await
    }

    async fn begin_namespace(&mut self, namespace: &Namespace) -> QueryResult<Namespace> {
        namespace::begin(self, namespace).await
    }

    async fn finish_namespace(
        &mut self,
        begun: &Namespace,
        namespace: &Namespace,
    ) -> QueryResult<()> {
        namespace::finish(self, begun, namespace).await
    }

    async fn remove_namespace(&mut self, namespace: &Namespace) -> QueryResult<()> {
        namespace::remove(self, namespace).await
    }

    migrate_by_harness!();

    fn begin_sql(options: &WorkOptions) -> Result<String, String> {
        Ok(Self::transaction_sql(&TransactionOptions::of_work(options)))
    }

    fn transaction_sql(options: &TransactionOptions) -> String {
        let mut sql = "BEGIN".to_owned();
        if let Some(isolation) = options.isolation {
            sql += &format!(" ISOLATION LEVEL {}", isolation.sql());
        }
        if let Some(access) = options.access {
            sql += &format!(" {}", access.sql());
        }
        match options.deferrable {
            Some(true) => sql += " DEFERRABLE",
            Some(false) => sql += " NOT DEFERRABLE",
            None => {}
        }
        sql
    }

    begin_by_ansi!();
}

/// Whether the server replays the log of another one.
async fn is_in_recovery(connection: &mut Postgres) -> QueryResult<bool> {
    diesel::select(sql::<Bool>("pg_catalog.pg_is_in_recovery()")).get_result(connection).await
}

/// The key of the advisory lock for migrating all tenants of a bind: the beginning of a digest.
fn lease_key(bind: &str) -> i64 {
    let digest = Sha256::digest(format!("registry tenants {bind}"));
    let Some(start) = digest.first_chunk() else { unreachable!("a digest has 32 bytes") };
    i64::from_be_bytes(*start)
}

/// Takes an advisory lock unless another session holds it. The connection holds it until it is closed.
async fn takes_lock(connection: &mut Postgres, key: i64) -> QueryResult<bool> {
    let lock = sql::<Bool>("pg_try_advisory_lock(").bind::<BigInt, _>(key).sql(")");
    diesel::select(lock).get_result(connection).await
}

/// A name as a quoted identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn has_schema(connection: &mut Postgres, schema: &str) -> QueryResult<bool> {
    let is_there = sql_query("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1");
    is_there.bind::<Text, _>(schema).execute(connection).await.map(|count| count > 0)
}

/// A text as an `E'..'` literal, which does not depend on `standard_conforming_strings`.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
