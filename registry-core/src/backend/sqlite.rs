//! SQLite.

use std::fs;
use std::path::Path;

use diesel::SqliteConnection;
use diesel::result::ConnectionError;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
// Linked for its feature `bundled`: SQLite is compiled in, so that nothing needs installing.
use libsqlite3_sys as _;

use super::Backend;
use super::driver::{Driver, MigrationLock, migrate_by_harness};
use crate::error::{ConnectError, DriverError};
use crate::settings::{BackendKind, DatabaseUrl, EngineOptions};

/// The connection type of SQLite databases.
pub type Sqlite = SyncConnectionWrapper<SqliteConnection>;

impl Backend for Sqlite {
    const KIND: BackendKind = BackendKind::Sqlite;
}

impl Driver for Sqlite {
    const ROLLBACK_NEEDS_TRANSACTION: bool = true;

    // Temporary tables and attached databases stay; opening a file anew is cheap.
    const FULL_RESET: Option<&'static str> = None;

    async fn open(url: &DatabaseUrl, options: &EngineOptions) -> Result<Self, ConnectError> {
        let Some(file) = url.sqlite_file() else {
            return Err(ConnectError::Other("not a SQLite URL".into()));
        };
        if let Some(folder) = file.created_parent() {
            fs::create_dir_all(folder).map_err(|error| {
                ConnectError::Other(format!("creating {}: {error}", folder.display()).into())
            })?;
        }
        let mut connection = <Self as AsyncConnection>::establish(&file.connection_string())
            .await
            .map_err(|error| classify(error, file.path()))?;
        for statement in setup_statements(file.is_memory(), file.is_read_only(), options) {
            connection
                .batch_execute(&statement)
                .await
                .map_err(|error| ConnectError::Setup { statement, source: error.into() })?;
        }
        Ok(connection)
    }

    fn check_url(_: &DatabaseUrl) -> Result<(), String> {
        // Parsed by hand: there is nothing that the driver could add without opening the file.
        Ok(())
    }

    fn lock_migrations(&mut self, url: &DatabaseUrl) -> Result<MigrationLock, DriverError> {
        let Some(path) = url.sqlite_file().and_then(|file| file.path()) else {
            // An in-memory database has one connection, which is in our hands.
            return Ok(MigrationLock::default());
        };
        // A file of its own: closing any handle to the database's file would let go of the locks that
        // SQLite itself holds on it in this process (https://www.sqlite.org/howtocorrupt.html, 2.2).
        let mut name = path.as_os_str().to_owned();
        name.push("-migrate.lock");
        let lock = fs::OpenOptions::new().create(true).append(true).open(&name)?;
        lock.lock()?;
        Ok(MigrationLock { _file: Some(lock) })
    }

    migrate_by_harness!();
}

fn setup_statements(
    is_memory: bool,
    is_read_only_file: bool,
    options: &EngineOptions,
) -> Vec<String> {
    // First: the next one may have to wait for another connection.
    let mut statements = vec![
        format!("PRAGMA busy_timeout = {}", options.busy_timeout.as_millis()),
        "PRAGMA foreign_keys = ON".to_owned(),
    ];
    if !is_memory && !is_read_only_file {
        // Readers and a writer do not wait for each other. Kept in the file, so that it is a
        // look-up for all but the first connection (https://www.sqlite.org/wal.html).
        statements.push("PRAGMA journal_mode = WAL".to_owned());
    }
    if options.read_only {
        statements.push("PRAGMA query_only = ON".to_owned());
    }
    statements
}

fn classify(error: ConnectionError, path: Option<&Path>) -> ConnectError {
    let error: DriverError = match error {
        ConnectionError::BadConnection(message) => message.into(),
        error => error.into(),
    };
    match path {
        // SQLite itself says "unable to open database file", whatever the reason.
        Some(path) if !path.exists() => ConnectError::UnknownDatabase(error),
        _ => ConnectError::Other(error),
    }
}
