//! What the mounted bodies take from their server. Each module has the same names.

/// The URL of a database for an account that `account` has created.
pub(crate) fn as_account(url: &str, name: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let (_, address) = rest.split_once('@').expect("a user");
    format!("{scheme}://{name}:sesame@{address}")
}

pub(crate) mod postgres {
    use crate::support::{self, Server};

    /// The connection type.
    pub(crate) type Backend = registry_core::Postgres;

    /// A statement that runs for half a minute.
    pub(crate) const LONG: &str = "SELECT pg_sleep(30)";

    /// A statement that runs for a second.
    pub(crate) const SECOND: &str = "SELECT pg_sleep(1)";

    /// Makes later commits survive a kill of the server. The test servers run without that by default.
    pub(crate) const DURABLE: &str = "SET synchronous_commit = on";

    /// Counts the other connections to this database.
    pub(crate) const CONNECTIONS: &str = "SELECT count(*) AS value FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";

    /// Limits the wait for locks to ten seconds.
    pub(crate) const IMPATIENT: &str = "SET lock_timeout = '10s'";

    /// Creates the user `lonely` anew, who may have one connection.
    pub(crate) const LONELY: &[&str] = &[
        "DROP ROLE IF EXISTS lonely",
        "CREATE ROLE lonely LOGIN PASSWORD 'sesame' CONNECTION LIMIT 1",
    ];

    /// Raises the limit of the user `lonely`.
    pub(crate) const LESS_LONELY: &str = "ALTER ROLE lonely CONNECTION LIMIT 5";

    /// The statements that create an account anew, limited to that many connections.
    pub(crate) fn account(name: &str, connections: usize) -> Vec<String> {
        vec![
            format!("DROP ROLE IF EXISTS {name}"),
            format!("CREATE ROLE {name} LOGIN PASSWORD 'sesame' CONNECTION LIMIT {connections}"),
        ]
    }

    /// Counts the connections to the current database that ended without a goodbye message.
    pub(crate) const LOST: &str = "SELECT sessions_abandoned AS value FROM pg_stat_database \
        WHERE datname = current_database()";

    pub(crate) use super::as_account;
    pub(crate) use crate::support::backends::postgres::has_transaction;

    /// Limits the wait for locks to the shortest time that is possible or useful.
    pub(crate) const LOCK_IMPATIENCE: &str = "SET lock_timeout = '100ms'";

    /// Terminates the other connection to this database.
    pub(crate) const KILL_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";

    /// A query with eight million rows, far more than the test reads.
    pub(crate) const MANY_ROWS: &str = "SELECT generate_series(1, 8000000)::bigint AS value";

    pub(crate) const CONNECTION_ID: &str = "SELECT pg_backend_pid()::bigint AS value";

    /// Creates the table `things`, which numbers its rows.
    pub(crate) const CREATE_THINGS: &[&str] =
        &["CREATE TABLE things (id SERIAL PRIMARY KEY, value INTEGER NOT NULL)"];

    /// Creates the function `touch`, which writes a row into the table `touched`.
    pub(crate) const CREATE_TOUCH: &[&str] = &[
        "CREATE TABLE touched (value INTEGER NOT NULL)",
        "CREATE FUNCTION touch(what INTEGER) RETURNS INTEGER LANGUAGE sql AS \
         'INSERT INTO touched VALUES (what) RETURNING value'",
    ];

    pub(crate) fn server() -> &'static Server {
        support::postgres()
    }

    pub(crate) use support::mortal_postgres as mortal;
}

pub(crate) mod mysql {
    use crate::support::{self, Server};

    /// The connection type.
    pub(crate) type Backend = registry_core::Mysql;

    /// A statement that runs for half a minute.
    pub(crate) const LONG: &str = "SELECT SLEEP(30)";

    /// A statement that runs for a second.
    pub(crate) const SECOND: &str = "SELECT SLEEP(1)";

    /// Makes later commits survive a kill of the server. The test servers run without that by default.
    pub(crate) const DURABLE: &str = "SET GLOBAL innodb_flush_log_at_trx_commit = 2";

    /// Counts the other connections to this database.
    pub(crate) const CONNECTIONS: &str = "SELECT count(*) AS value \
        FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";

    /// Limits the wait for locks to ten seconds.
    pub(crate) const IMPATIENT: &str = "SET innodb_lock_wait_timeout = 10";

    /// Creates the user `lonely` anew, who may have one connection.
    pub(crate) const LONELY: &[&str] = &[
        "DROP USER IF EXISTS lonely@'127.0.0.1'",
        "CREATE USER lonely@'127.0.0.1' IDENTIFIED BY 'sesame' WITH MAX_USER_CONNECTIONS 1",
        "GRANT ALL ON *.* TO lonely@'127.0.0.1'",
    ];

    /// Raises the limit of the user `lonely`.
    pub(crate) const LESS_LONELY: &str =
        "ALTER USER lonely@'127.0.0.1' WITH MAX_USER_CONNECTIONS 5";

    /// The statements that create an account anew, limited to that many connections.
    pub(crate) fn account(name: &str, connections: usize) -> Vec<String> {
        let limit = format!("WITH MAX_USER_CONNECTIONS {connections}");
        vec![
            format!("DROP USER IF EXISTS {name}@'127.0.0.1'"),
            format!("CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'sesame' {limit}"),
            format!("GRANT ALL ON *.* TO {name}@'127.0.0.1'"),
        ]
    }

    /// Counts the connections to the server that ended without a goodbye message.
    pub(crate) const LOST: &str = "SELECT CAST(variable_value AS SIGNED) AS value \
        FROM information_schema.global_status WHERE variable_name = 'ABORTED_CLIENTS'";

    pub(crate) use super::as_account;
    pub(crate) use crate::support::backends::mysql::has_transaction;

    /// Limits the wait for locks to the shortest time that is possible or useful.
    pub(crate) const LOCK_IMPATIENCE: &str = "SET innodb_lock_wait_timeout = 1";

    /// Terminates the other connection to this database.
    pub(crate) const KILL_OTHERS: &str = "SET @kill = (SELECT CONCAT('KILL ', MAX(id)) \
        FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()); \
        EXECUTE IMMEDIATE @kill";

    /// A query with eight million rows, far more than the test reads.
    pub(crate) const MANY_ROWS: &str = "SELECT seq AS value FROM seq_1_to_8000000";

    pub(crate) const CONNECTION_ID: &str = "SELECT CAST(CONNECTION_ID() AS SIGNED) AS value";

    /// Creates the table `things`, which numbers its rows.
    pub(crate) const CREATE_THINGS: &[&str] =
        &["CREATE TABLE things (id INTEGER PRIMARY KEY AUTO_INCREMENT, value INTEGER NOT NULL)"];

    /// Creates the function `touch`, which writes a row into the table `touched`.
    pub(crate) const CREATE_TOUCH: &[&str] = &[
        "CREATE TABLE touched (value INTEGER NOT NULL)",
        "CREATE FUNCTION touch(what INTEGER) RETURNS INTEGER BEGIN \
         INSERT INTO touched VALUES (what); RETURN what; END",
    ];

    pub(crate) fn server() -> &'static Server {
        support::mariadb()
    }

    pub(crate) use support::mortal_mariadb as mortal;
}
