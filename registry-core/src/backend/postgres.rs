//! PostgreSQL.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

use super::Backend;
use super::driver::{Driver, MigrationLock, migrate_by_harness};
use crate::error::{ConnectError, DriverError};
use crate::settings::{BackendKind, DatabaseUrl, EngineOptions, ResetOnReturn};

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
    // goes on using the statements that it has prepared.
    const FULL_RESET: Option<&'static str> = Some(
        "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
         SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES",
    );

    async fn open(url: &DatabaseUrl, options: &EngineOptions) -> Result<Self, ConnectError> {
        let mut config = parse(url).map_err(|error| ConnectError::Other(error.into()))?;
        if let Some(startup) = startup_options(&config, options) {
            config.options(startup);
        }
        let (client, connection) = config.connect(NoTls).await.map_err(classify)?;
        Self::try_from_client_and_connection(client, connection)
            .await
            .map_err(|error| ConnectError::Other(error.into()))
    }

    fn check_url(url: &DatabaseUrl) -> Result<(), String> {
        parse(url).map(drop)
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
}

/// Neither what the driver says of a URL nor its causes show a password: they name parameters.
fn parse(url: &DatabaseUrl) -> Result<Config, String> {
    let config: Config =
        url.expose().parse().map_err(|error: tokio_postgres::Error| match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err("no host: write one, or `?host=/path/of/the/socket/folder`".to_owned());
    }
    Ok(config)
}

/// Settings of the server that hold for the whole life of the connection. As start-up options, they
/// are what `RESET ALL` comes back to.
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
    // diesel-async sets it by a statement. Connection poolers in between often refuse start-up
    // options, so there are none unless they are needed.
    if options.reset_on_return == ResetOnReturn::Full {
        set("timezone", "UTC");
    }
    (!startup.is_empty()).then_some(startup)
}

/// PostgreSQL counts in whole milliseconds, and takes 0 to mean "no limit".
fn milliseconds(limit: Duration) -> u128 {
    limit.as_millis().max(1)
}

fn classify(error: tokio_postgres::Error) -> ConnectError {
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
        Some(code) if code == SqlState::CANNOT_CONNECT_NOW => {
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
