//! Setup statements, which run before Diesel gets the connection.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use super::connect_error::setup_error;
use crate::backend::error::ConnectError;

/// `ER_UNKNOWN_SYSTEM_VARIABLE`, of the MySQL manual.
const UNKNOWN_VARIABLE: u16 = 1193;

pub(super) async fn set(conn: &mut Conn, statement: &str) -> Result<(), ConnectError> {
    conn.query_drop(statement).await.map_err(|error| setup_error(statement, error))
}

/// Limits the time of statements. MariaDB limits every statement, in seconds; MySQL only statements that read, in milliseconds.
pub(super) async fn limit_statements(conn: &mut Conn, limit: Duration) -> Result<(), ConnectError> {
    let mariadb = format!("SET SESSION max_statement_time = {}", limit.as_secs_f64());
    match conn.query_drop(&*mariadb).await {
        Ok(()) => Ok(()),
        Err(Error::Server(error)) if error.code == UNKNOWN_VARIABLE => {
            let limit = limit.as_millis().max(1);
            set(conn, &format!("SET SESSION max_execution_time = {limit}")).await
        }
        Err(error) => Err(setup_error(&mariadb, error)),
    }
}
