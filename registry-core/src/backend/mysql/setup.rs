//! Setup statements. They run before Diesel gets the connection, unless the program has opened it.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use super::Mysql;
use super::connect_error::setup_error;
use crate::backend::error::ConnectError;
use crate::settings::EngineOptions;

pub(crate) const READ_ONLY: &str = "SET SESSION TRANSACTION READ ONLY";

/// `ER_UNKNOWN_SYSTEM_VARIABLE`, of the MySQL manual.
const UNKNOWN_VARIABLE: u16 = 1193;

pub(super) async fn set(conn: &mut Conn, statement: &str) -> Result<(), ConnectError> {
    conn.query_drop(statement).await.map_err(|error| setup_error(statement, error))
}

/// Limits the time of statements. MariaDB limits every statement, in seconds; MySQL only statements that read, in milliseconds.
pub(super) async fn limit_statements(conn: &mut Conn, limit: Duration) -> Result<(), ConnectError> {
    let mariadb = mariadb_limit(limit);
    match conn.query_drop(&*mariadb).await {
        Ok(()) => Ok(()),
        Err(Error::Server(error)) if error.code == UNKNOWN_VARIABLE => {
            set(conn, &mysql_limit(limit)).await
        }
        Err(error) => Err(setup_error(&mariadb, error)),
    }
}

fn mariadb_limit(limit: Duration) -> String {
    format!("SET SESSION max_statement_time = {}", limit.as_secs_f64())
}

fn mysql_limit(limit: Duration) -> String {
    format!("SET SESSION max_execution_time = {}", limit.as_millis().max(1))
}

/// Sets the options on a connection that the program has opened. An error has the statement that failed.
pub(super) async fn set_options(
    connection: &mut Mysql,
    options: &EngineOptions,
) -> Result<(), (String, diesel::result::Error)> {
    if options.read_only {
        let set = connection.batch_execute(READ_ONLY).await;
        set.map_err(|error| (READ_ONLY.to_owned(), error))?;
    }
    if let Some(limit) = options.statement_timeout {
        let mariadb = mariadb_limit(limit);
        let Err(error) = connection.batch_execute(&mariadb).await else { return Ok(()) };
        // Diesel does not pass on the code of an error. Only MariaDB has the first variable, and only MySQL the second.
        if connection.batch_execute(&mysql_limit(limit)).await.is_err() {
            return Err((mariadb, error));
        }
    }
    Ok(())
}
