//! MySQL and MariaDB.

use std::time::Duration;

use diesel_async::{AsyncMysqlConnection, SimpleAsyncConnection};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder};
use tokio::runtime::Handle;

use super::Backend;
use super::driver::{Driver, MigrationLock, migrate_by_harness};
use crate::error::{ConnectError, DriverError};
use crate::settings::{BackendKind, DatabaseUrl, EngineOptions};

/// The connection type of MySQL and MariaDB databases.
pub type Mysql = AsyncMysqlConnection;

/// `ER_UNKNOWN_SYSTEM_VARIABLE`, of the MySQL manual.
const UNKNOWN_VARIABLE: u16 = 1193;

impl Backend for Mysql {
    const KIND: BackendKind = BackendKind::Mysql;
}

impl Driver for Mysql {
    const ROLLBACK_NEEDS_TRANSACTION: bool = false;

    // The protocol's own reset also forgets the statements that Diesel has prepared.
    const FULL_RESET: Option<&'static str> = None;

    async fn open(url: &DatabaseUrl, options: &EngineOptions) -> Result<Self, ConnectError> {
        let opts = parse(url).map_err(|error| ConnectError::Other(error.into()))?;
        let builder = OptsBuilder::from_opts(opts)
            // Diesel has a cache of its own, and counts rows as the other backends do.
            .stmt_cache_size(0)
            .client_found_rows(true);
        // Unless the URL asks for it, a TCP connection to this host is not given up for the server's
        // socket file: the URL says where to connect.
        let builder = if url.expose().contains("prefer_socket") {
            builder
        } else {
            builder.prefer_socket(false)
        };
        let mut conn = Conn::new(builder).await.map_err(classify)?;
        if options.read_only {
            set(&mut conn, "SET SESSION TRANSACTION READ ONLY").await?;
        }
        if let Some(limit) = options.statement_timeout {
            limit_statements(&mut conn, limit).await?;
        }
        // Sets time zone and character set (utf8mb4).
        Self::try_from(conn).await.map_err(|error| ConnectError::Other(error.into()))
    }

    fn check_url(url: &DatabaseUrl) -> Result<(), String> {
        parse(url).map(drop)
    }

    fn lock_migrations(&mut self, _: &DatabaseUrl) -> Result<MigrationLock, DriverError> {
        // Held by the connection until it is closed. Named after the database, as these locks are for
        // the whole server, and shortened to their 64 characters. It waits for a year at the most.
        Handle::current().block_on(self.batch_execute(
            "DO GET_LOCK(CONCAT('registry migrate ', LEFT(COALESCE(DATABASE(), ''), 40)), 31536000)",
        ))?;
        Ok(MigrationLock::default())
    }

    migrate_by_harness!();
}

fn parse(url: &DatabaseUrl) -> Result<Opts, String> {
    Opts::from_url(&url.expose()).map_err(|error| error.to_string())
}

async fn set(conn: &mut Conn, statement: &str) -> Result<(), ConnectError> {
    conn.query_drop(statement).await.map_err(|error| setup(statement, error))
}

/// MariaDB limits every statement, in seconds; MySQL only those that read, in milliseconds.
async fn limit_statements(conn: &mut Conn, limit: Duration) -> Result<(), ConnectError> {
    let mariadb = format!("SET SESSION max_statement_time = {}", limit.as_secs_f64());
    match conn.query_drop(&*mariadb).await {
        Ok(()) => Ok(()),
        Err(Error::Server(error)) if error.code == UNKNOWN_VARIABLE => {
            let limit = limit.as_millis().max(1);
            set(conn, &format!("SET SESSION max_execution_time = {limit}")).await
        }
        Err(error) => Err(setup(&mariadb, error)),
    }
}

fn setup(statement: &str, error: Error) -> ConnectError {
    ConnectError::Setup { statement: statement.to_owned(), source: error.into() }
}

fn classify(error: Error) -> ConnectError {
    match error {
        // The numbers are those of the MySQL manual's "Server Error Message Reference".
        Error::Server(error) => match error.code {
            // Access denied for the user, or to the database.
            1045 | 1044 | 1698 => ConnectError::Authentication(error.into()),
            1049 => ConnectError::UnknownDatabase(error.into()),
            // Too many connections, for the server or for the user.
            1040 | 1203 | 1226 => ConnectError::TooManyConnections(error.into()),
            3159 => ConnectError::Tls(error.into()),
            _ => ConnectError::Other(error.into()),
        },
        // The variants of these show their cause in their own text.
        Error::Io(mysql_async::IoError::Io(error)) => ConnectError::Unreachable(error.into()),
        Error::Driver(mysql_async::DriverError::ConnectionClosed) => {
            ConnectError::Unreachable(mysql_async::DriverError::ConnectionClosed.into())
        }
        Error::Driver(error @ mysql_async::DriverError::NoClientSslFlagFromServer) => {
            ConnectError::Tls(error.into())
        }
        Error::Driver(error) => ConnectError::Other(error.into()),
        error => ConnectError::Other(error.to_string().into()),
    }
}
