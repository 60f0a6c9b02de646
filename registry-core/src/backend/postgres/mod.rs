//! PostgreSQL.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::{QueryResult, sql_query};
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection,
    TransactionManager,
};
use futures_util::{FutureExt, StreamExt};
use tokio::runtime::Handle;
use tokio_postgres::Config;
#[cfg(feature = "rustls")]
use tokio_postgres::config::Host;
use tokio_postgres::error::{DbError, SqlState};

use self::connect::Way;
use super::connect_context::{ConnectContext, OpenedConnection};
use super::driver::{Backend, Driver};
use super::error::ConnectError;
use super::migrate::{MigrationLock, MigrationSession, migrate_by_harness};
use super::namespace::{LOCK_PAUSE, Namespace, Presence};
use super::resource_exhaustion::unreachable_error;
use super::transactions::{begin_by_ansi, transaction_depth};
use crate::cause::DriverError;
#[cfg(feature = "rustls")]
use crate::settings::url::tls::TlsMode;
use crate::settings::{BackendKind, DatabaseUrl, EngineOptions, Pooler, WorkOptions};
use crate::sql::{Dialect, setting_names};

mod connect;
mod namespace;
mod transport;
mod wire;

/// The connection type of PostgreSQL databases.
pub type Postgres = AsyncPgConnection;

/// Any number will do, as long as every program takes the same. Advisory locks are per database.
const MIGRATION_LOCK: i64 = 0x7265_6769_7374_7279;

/// `DISCARD ALL` as the manual spells it out, but for the statements that the protocol has prepared: Diesel
/// goes on using those. The ones that were prepared in SQL are the borrower's. The time zone is what
/// diesel-async sets.
const FULL_RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
     SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; \
     DO $$ DECLARE prepared record; BEGIN \
     FOR prepared IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql LOOP \
     EXECUTE pg_catalog.format('DEALLOCATE %I', prepared.name); END LOOP; END $$; \
     SET TIME ZONE 'UTC'";

/// Statements that bring the settings of a session back to what they are: those that it has set itself (a tenant's
/// schema, `on_connect`), and for the others what the connection began with.
const SESSION: &str = "(SELECT 'SET SESSION AUTHORIZATION DEFAULT; RESET ALL; ' \
     || pg_catalog.format('SELECT pg_catalog.set_config(''session_authorization'', %L, false);', \
     pg_catalog.current_setting('session_authorization')) || COALESCE(pg_catalog.string_agg(pg_catalog.format(\
     'SELECT pg_catalog.set_config(%L, %L, false);', name, pg_catalog.current_setting(name)), ' '), '') \
     || pg_catalog.format('SELECT pg_catalog.set_config(''role'', %L, false)', \
     pg_catalog.current_setting('role')) \
     FROM pg_catalog.pg_settings WHERE source = 'session' AND name NOT LIKE 'transaction%')";

impl Backend for Postgres {
    const KIND: BackendKind = BackendKind::Postgres;
}

impl Driver for Postgres {
    const ROLLBACK_NEEDS_TRANSACTION: bool = false;

    const DIALECT: Dialect = Dialect::Postgres;

    const FULL_RESET: Option<&'static str> = Some(FULL_RESET);

    const RELEASE_LOCKS: Option<&'static str> =
        Some("ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all()");

    fn forget_received(&mut self) {
        let mut notifications = std::pin::pin!(self.notifications_stream());
        while let Some(Some(Ok(_))) = notifications.next().now_or_never() {}
    }

    const ABORTED_TRANSACTION_PROBE: Option<&'static str> = Some("SELECT 1");

    // A savepoint would give each row another transaction number.
    const TRANSACTION_MARK: Option<&'static str> =
        Some("SELECT pg_catalog.set_config('registry.work', 'open', true)");

    async fn has_transaction_mark(&mut self, _: bool) -> QueryResult<bool> {
        let mark = sql::<Bool>("coalesce(current_setting('registry.work', true), '') = 'open'");
        diesel::select(mark).get_result(self).await
    }

    fn is_known_dead(&mut self) -> bool {
        // True as well for one with a transaction open, which none is that is about to be lent.
        PoolableConnection::is_broken(self)
    }

    async fn count_prepared(&mut self) -> QueryResult<Option<u64>> {
        // Itself among them.
        let count = sql::<BigInt>(
            "(SELECT count(*) FROM pg_catalog.pg_prepared_statements WHERE NOT from_sql)",
        );
        let count: i64 = diesel::select(count).get_result(self).await?;
        Ok(u64::try_from(count).ok())
    }

    async fn accepts_writes(&mut self) -> QueryResult<bool> {
        // On also where the server is in recovery, which a session cannot change.
        let is_read_only = sql::<Bool>("current_setting('transaction_read_only')::bool");
        diesel::select(is_read_only).get_result(self).await.map(|is_read_only: bool| !is_read_only)
    }

    fn is_fatal(error: &diesel::result::Error) -> bool {
        use diesel::result::DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};

        match error {
            diesel::result::Error::DatabaseError(ClosedConnection | UnableToSendCommand, _) => true,
            // The server says so before it goes, by a code that Diesel does not know.
            diesel::result::Error::DatabaseError(_, information) => {
                information.message().starts_with("terminating connection")
            }
            _ => false,
        }
    }

    async fn open(
        url: &DatabaseUrl,
        options: &EngineOptions,
        ConnectContext { failed_hosts, deadline }: ConnectContext<'_>,
    ) -> Result<OpenedConnection<Self>, ConnectError> {
        let mut config = parse(url).map_err(|error| ConnectError::Other(error.into()))?;
        if let Some(startup) = startup_options(&config, options) {
            config.options(startup);
        }
        let is_pooled = options.pooler == Pooler::Transaction;
        connect::connect(&config, &Way { url, failed_hosts, is_pooled, deadline }).await
    }

    async fn enter_schema(&mut self, schema: &str, is_from_another: bool) -> QueryResult<bool> {
        // A temporary table would stand before the tenant's if `pg_temp` were not named: it is searched first
        // then. What does not exist is an error of the cast, and nothing has changed.
        let identifier = quoted(schema);
        let enter = format!(
            "SELECT {}::pg_catalog.regnamespace; \
             SELECT pg_catalog.set_config('search_path', {}, false)",
            literal(&identifier),
            literal(&format!("{identifier}, pg_temp")),
        );
        // A failure would be the end of a transaction: that of test isolation.
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
        // Whether that is the reason, by a query that does not fail for it.
        match has_schema(self, schema).await {
            Ok(false) => Ok(false),
            _ => Err(error),
        }
    }

    fn check_url(url: &DatabaseUrl) -> Result<(), String> {
        let config = parse(url)?;
        check_tls(url, &config)
    }

    fn lock_migrations(&mut self, _: &DatabaseUrl) -> Result<MigrationLock, DriverError> {
        // Asked for again and again: a statement that waits for the lock would hold up
        // `CREATE INDEX CONCURRENTLY` in the migration that it waits for, which waits for every statement to end.
        while !Handle::current().block_on(takes_lock(self, MIGRATION_LOCK))? {
            std::thread::sleep(LOCK_PAUSE);
        }
        Ok(MigrationLock::default())
    }

    async fn migration_session(&mut self, on_connect: &[String]) -> QueryResult<MigrationSession> {
        let mut restore: String = diesel::select(sql::<Text>(SESSION)).get_result(self).await?;
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
        // Only a warning where none is open.
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
        let mut sql = "BEGIN".to_owned();
        if let Some(isolation) = options.isolation_level() {
            sql += &format!(" ISOLATION LEVEL {}", isolation.sql());
        }
        if options.is_read_only() {
            sql += " READ ONLY";
        }
        if options.is_deferrable() {
            sql += " DEFERRABLE";
        }
        Ok(sql)
    }

    begin_by_ansi!();
}

/// Takes an advisory lock unless somebody else has it. The connection holds it until it is closed.
async fn takes_lock(connection: &mut Postgres, key: i64) -> QueryResult<bool> {
    let lock = sql::<Bool>("pg_try_advisory_lock(").bind::<BigInt, _>(key).sql(")");
    diesel::select(lock).get_result(connection).await
}

/// A name as an identifier of SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn has_schema(connection: &mut Postgres, schema: &str) -> QueryResult<bool> {
    let is_there = sql_query("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1");
    is_there.bind::<Text, _>(schema).execute(connection).await.map(|count| count > 0)
}

/// Neither what the driver says of a URL nor its causes show a password: they name parameters.
fn parse(url: &DatabaseUrl) -> Result<Config, String> {
    let config: Config =
        url.expose().parse().map_err(|error: tokio_postgres::Error| match error.source() {
            Some(cause) => url.without_odd_names(&format!("{error}: {cause}")),
            None => error.to_string(),
        })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err("no host: write one, or `?host=/path/of/the/socket/folder`".to_owned());
    }
    Ok(config)
}

#[cfg(feature = "rustls")]
fn check_tls(url: &DatabaseUrl, config: &Config) -> Result<(), String> {
    let Some(tls) = url.tls() else { return Ok(()) };
    let is_mixed = has_network(config) && config.get_hosts().iter().any(is_socket);
    if is_mixed && tls.mode >= TlsMode::Require {
        return Err("of these hosts, one is a Unix socket, and those have no TLS".to_owned());
    }
    super::tls::check(tls)
}

#[cfg(not(feature = "rustls"))]
fn check_tls(_: &DatabaseUrl, _: &Config) -> Result<(), String> {
    // A URL that asks for TLS is refused where it is read.
    Ok(())
}

/// libpq ignores its `sslmode` where there are only Unix sockets.
#[cfg(feature = "rustls")]
fn has_network(config: &Config) -> bool {
    !config.get_hostaddrs().is_empty() || !config.get_hosts().iter().all(is_socket)
}

#[cfg(feature = "rustls")]
fn is_socket(host: &Host) -> bool {
    !matches!(host, Host::Tcp(_))
}

/// Whether the server has no rule that lets such a connection in, encrypted or not.
fn is_not_let_in(error: &ConnectError) -> bool {
    let ConnectError::Authentication(cause) = error else { return false };
    cause
        .downcast_ref::<DbError>()
        .is_some_and(|cause| *cause.code() == SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// A text as a literal that is read in the same way whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Settings of the server that hold for the whole life of the connection. As start-up options, they
/// are what `RESET ALL` comes back to. Connection poolers in between often refuse them, so there are
/// none unless they are needed.
fn startup_options(config: &Config, options: &EngineOptions) -> Option<String> {
    let mut startup = config.get_options().unwrap_or_default().to_owned();
    let mut set = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = write!(startup, " -c {name}={value}");
    };
    if options.read_only {
        set("default_transaction_read_only", "on");
    }
    if let Some(limit) = options.statement_timeout {
        set("statement_timeout", &milliseconds(limit).to_string());
    }
    (!startup.is_empty()).then_some(startup)
}

/// PostgreSQL counts in whole milliseconds, and takes 0 to mean "no limit".
fn milliseconds(limit: Duration) -> u128 {
    limit.as_millis().max(1)
}

/// PgBouncer says everything with one code, 08P01, and in one language. A start-up option that it does not take, it
/// will not take later either.
fn is_refused_for_good(error: &tokio_postgres::Error) -> bool {
    let message = error.as_db_error().map(DbError::message).unwrap_or_default();
    message.starts_with("unsupported startup parameter")
}

fn classify(error: tokio_postgres::Error) -> ConnectError {
    // A server may go back on a handshake when it is over, as one does that wants a certificate of ours.
    #[cfg(feature = "rustls")]
    if let Some(cause) = super::tls::cause(&error) {
        return ConnectError::Tls(cause.into());
    }
    let code = error.code().cloned();
    let text = error.to_string();
    // The driver's own error names a stage ("db error"); what the server or the system said is its
    // cause.
    let wrap = |error: tokio_postgres::Error| -> DriverError {
        if error.source().is_some() {
            error.into_source().unwrap_or_else(|| text.clone().into())
        } else {
            error.into()
        }
    };
    let is_io = error.source().is_some_and(|cause| cause.is::<std::io::Error>());
    match code {
        Some(code) if code == SqlState::INVALID_PASSWORD => {
            ConnectError::Authentication(wrap(error))
        }
        Some(code) if code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            ConnectError::Authentication(wrap(error))
        }
        Some(code) if code == SqlState::INVALID_CATALOG_NAME => {
            ConnectError::UnknownDatabase(wrap(error))
        }
        Some(code) if code == SqlState::TOO_MANY_CONNECTIONS => {
            ConnectError::TooManyConnections(wrap(error))
        }
        // Starting up, shutting down, or recovering; and of class 08, what PgBouncer says when it cannot reach
        // the server behind it, or takes no more clients.
        Some(code)
            if [
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
            ]
            .contains(&code)
                || code.code().starts_with("08") && !is_refused_for_good(&error) =>
        {
            ConnectError::Unreachable(wrap(error))
        }
        None if is_io || error.is_closed() => unreachable_error(wrap(error)),
        // "authentication error": the server wants a password and the settings have none.
        None if text.starts_with("authentication") || text.starts_with("invalid configuration") => {
            ConnectError::Authentication(wrap(error))
        }
        None if text.contains("TLS") => ConnectError::Tls(wrap(error)),
        _ => ConnectError::Other(wrap(error)),
    }
}
