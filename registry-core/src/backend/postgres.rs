//! PostgreSQL.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::result::ConnectionError;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{QueryResult, sql_query};
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Config, NoTls, Socket};
#[cfg(feature = "rustls")]
use tokio_postgres::{config::Host, error::DbError};

use super::Backend;
use super::driver::{Driver, MigrationLock, begin_by_ansi, migrate_by_harness};
#[cfg(feature = "rustls")]
use super::tls::connector::Connector;
use crate::error::{ConnectError, DriverError};
use crate::settings::{BackendKind, DatabaseUrl, EngineOptions};
#[cfg(feature = "rustls")]
use crate::{
    error::Chain,
    settings::url::tls::{TlsMode, TlsSettings},
};

/// The connection type of PostgreSQL databases.
pub type Postgres = AsyncPgConnection;

/// Any number will do, as long as every program takes the same. Advisory locks are per database.
const MIGRATION_LOCK: i64 = 0x7265_6769_7374_7279;

/// How long to wait before asking for the migration lock again.
const MIGRATION_LOCK_PAUSE: Duration = Duration::from_millis(50);

impl Backend for Postgres {
    const KIND: BackendKind = BackendKind::Postgres;
}

impl Driver for Postgres {
    const ROLLBACK_NEEDS_TRANSACTION: bool = false;

    // `DISCARD ALL` as the manual spells it out, without `DEALLOCATE ALL` and `DISCARD PLANS`: Diesel
    // goes on using the statements that it has prepared. The time zone is what diesel-async sets.
    const FULL_RESET: Option<&'static str> = Some(
        "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
         SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; \
         SET TIME ZONE 'UTC'",
    );

    // A transaction that has failed is answered with an error; its `COMMIT` would be with a rollback.
    const IS_AS_BEGUN: Option<&'static str> = Some("SELECT 1");

    fn is_known_dead(&mut self) -> bool {
        // True as well for one with a transaction open, which none is that is about to be lent.
        PoolableConnection::is_broken(self)
    }

    fn cancel(&self) -> Option<BoxFuture<'static, ()>> {
        let token = self.cancel_token();
        // Plaintext: the request holds no secret but the right to cancel this connection's statement.
        Some(Box::pin(async move { drop(token.cancel_query(NoTls).await) }))
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

    async fn open(url: &DatabaseUrl, options: &EngineOptions) -> Result<Self, ConnectError> {
        let mut config = parse(url).map_err(|error| ConnectError::Other(error.into()))?;
        if let Some(startup) = startup_options(&config, options) {
            config.options(startup);
        }
        #[cfg(feature = "rustls")]
        if let Some(tls) = url.tls().filter(|_| has_network(&config)) {
            return connect_as_asked(config, tls, url).await;
        }
        connect(config, SslMode::Disable, NoTls).await
    }

    async fn enter_schema(&mut self, schema: &str) -> QueryResult<bool> {
        // `quote_ident` for the list that the setting is, and a value, so that no name can end either.
        let entered = sql_query(
            "SELECT set_config('search_path', quote_ident(nspname), false) \
             FROM pg_catalog.pg_namespace WHERE nspname = $1",
        );
        Ok(entered.bind::<Text, _>(schema).execute(self).await? == 1)
    }

    fn check_url(url: &DatabaseUrl) -> Result<(), String> {
        let config = parse(url)?;
        check_tls(url, &config)
    }

    fn lock_migrations(&mut self, _: &DatabaseUrl) -> Result<MigrationLock, DriverError> {
        // Held by the connection until it is closed. Asked for again and again: a statement that
        // waits for the lock would hold up `CREATE INDEX CONCURRENTLY` in the migration that it waits
        // for, which waits for every statement to end.
        let lock = sql::<Bool>("pg_try_advisory_lock(").bind::<BigInt, _>(MIGRATION_LOCK).sql(")");
        let lock = diesel::select(lock);
        while !Handle::current().block_on(lock.clone().get_result::<bool>(self))? {
            std::thread::sleep(MIGRATION_LOCK_PAUSE);
        }
        Ok(MigrationLock::default())
    }

    migrate_by_harness!();

    begin_by_ansi!();
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

/// Connects in the order of libpq's `sslmode`.
#[cfg(feature = "rustls")]
async fn connect_as_asked(
    mut config: Config,
    tls: &TlsSettings,
    url: &DatabaseUrl,
) -> Result<Postgres, ConnectError> {
    if config.get_hosts().is_empty() {
        // tokio-postgres does not look for the host of a certificate here.
        for address in config.get_hostaddrs().to_vec() {
            config.host(address.to_string());
        }
    }
    let mut first = None;
    if tls.mode <= TlsMode::Allow {
        match connect(config.clone(), SslMode::Disable, NoTls).await {
            Err(refused) if tls.mode == TlsMode::Allow && is_not_let_in(&refused) => {
                first = Some(refused);
            }
            done => return done,
        }
    }
    let connector = Connector::new(tls).await?;
    if tls.mode != TlsMode::Prefer {
        return match (connect(config, SslMode::Require, connector).await, first) {
            // What the server said to plaintext matters more than that it has no TLS.
            (Err(ConnectError::Tls(_)), Some(refused)) => Err(refused),
            (done, _) => done,
        };
    }
    let cause = match connect(config.clone(), SslMode::Prefer, connector.clone()).await {
        Ok(connection) => {
            if !connector.has_encrypted() {
                tracing::debug!(target: "registry", %url, "plaintext: the server has no TLS");
            }
            return Ok(connection);
        }
        Err(error @ ConnectError::Tls(_)) => error,
        Err(error) if is_not_let_in(&error) && connector.has_encrypted() => error,
        Err(error) => return Err(error),
    };
    let cause = Chain(&cause).to_string();
    tracing::debug!(target: "registry", %url, cause, "plaintext: TLS cannot be had");
    connect(config, SslMode::Disable, NoTls).await
}

/// Whether the server has no rule that lets such a connection in, encrypted or not.
#[cfg(feature = "rustls")]
fn is_not_let_in(error: &ConnectError) -> bool {
    let ConnectError::Authentication(cause) = error else { return false };
    cause
        .downcast_ref::<DbError>()
        .is_some_and(|cause| *cause.code() == SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

async fn connect<T>(mut config: Config, mode: SslMode, tls: T) -> Result<Postgres, ConnectError>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    config.ssl_mode(mode);
    if mode == SslMode::Disable {
        config.ssl_negotiation(SslNegotiation::Postgres);
    }
    let (client, connection) = config.connect(tls).await.map_err(classify)?;
    Postgres::try_from_client_and_connection(client, connection).await.map_err(
        |error| match error {
            ConnectionError::CouldntSetupConfiguration(error) if Postgres::is_fatal(&error) => {
                ConnectError::Unreachable(error.into())
            }
            error => ConnectError::Other(error.into()),
        },
    )
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
        // Starting up, shutting down, or recovering.
        Some(code)
            if [
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
            ]
            .contains(&code) =>
        {
            ConnectError::Unreachable(wrap(error))
        }
        None if is_io || error.is_closed() => ConnectError::Unreachable(wrap(error)),
        // "authentication error": the server wants a password and the settings have none.
        None if text.starts_with("authentication") || text.starts_with("invalid configuration") => {
            ConnectError::Authentication(wrap(error))
        }
        None if text.contains("TLS") => ConnectError::Tls(wrap(error)),
        _ => ConnectError::Other(wrap(error)),
    }
}
