//! Databases for tests: throw-away servers of the installed programs, and SQLite files.
//!
//! Each test binary starts a server at most once, when a test first asks for it. A watchdog process
//! stops it after the test binary has ended, even by a kill: see [`watchdog`].
#![expect(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex, MutexGuard};

mod account;
pub(crate) mod answer;
pub(crate) mod backends;
#[cfg(feature = "dashboard")]
pub(crate) mod chromium;
pub(crate) mod examples;
#[cfg(feature = "postgres")]
mod german;
mod home;
pub(crate) mod log;
#[cfg(feature = "mysql")]
mod mariadb;
#[cfg(feature = "postgres")]
pub(crate) mod mood;
#[cfg(feature = "postgres")]
pub(crate) mod pgbouncer;
#[cfg(feature = "postgres")]
mod postgres;
mod programs;
pub(crate) mod proxy;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) mod replicas;
mod server;
mod server_url;
pub(crate) mod sockets;
pub(crate) mod steps;
mod watchdog;

#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use server::Server;

/// The PostgreSQL server of this test binary.
///
/// # Panics
///
/// If the server is not installed and cannot be reached. The message says how to get it.
#[cfg(feature = "postgres")]
pub(crate) fn postgres() -> &'static Server {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    server::shared(&SERVER, &postgres::Postgres)
}

/// The MariaDB server of this test binary.
///
/// # Panics
///
/// If the server is not installed and cannot be reached. The message says how to get it.
#[cfg(feature = "mysql")]
pub(crate) fn mariadb() -> &'static Server {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    server::shared(&SERVER, &mariadb::Mariadb)
}

/// A second PostgreSQL server, which tests may kill. A test has it to itself while it holds the guard.
///
/// # Panics
///
/// If the server is not installed and cannot be reached. The message says how to get it.
#[cfg(feature = "postgres")]
pub(crate) async fn mortal_postgres() -> MutexGuard<'static, Server> {
    static SERVER: OnceLock<Option<Mutex<Server>>> = OnceLock::new();
    server::mortal(&SERVER, &postgres::Postgres).lock().await
}

/// A PostgreSQL server for the caller alone, for tests that change server-wide settings. It stops when it is dropped.
///
/// # Panics
///
/// If the server is not installed and cannot be reached. The message says how to get it.
#[cfg(feature = "postgres")]
pub(crate) fn own_postgres() -> Server {
    Server::launched(&postgres::Postgres)
}

/// A PostgreSQL server for the caller alone, whose messages are in German.
///
/// # Panics
///
/// If the server is not installed and cannot be reached. The message says how to get it.
#[cfg(feature = "postgres")]
pub(crate) fn german_postgres() -> Server {
    Server::launched(&german::GermanPostgres)
}

/// A second MariaDB server, which tests may kill. A test has it to itself while it holds the guard.
///
/// # Panics
///
/// If the server is not installed and cannot be reached. The message says how to get it.
#[cfg(feature = "mysql")]
pub(crate) async fn mortal_mariadb() -> MutexGuard<'static, Server> {
    static SERVER: OnceLock<Option<Mutex<Server>>> = OnceLock::new();
    server::mortal(&SERVER, &mariadb::Mariadb).lock().await
}

/// The URL of a SQLite file that does not exist yet.
pub(crate) fn sqlite_file() -> String {
    format!("sqlite://{}", fresh_folder().join("test.db").display())
}

/// An empty folder, which is removed after the test binary has ended.
pub(crate) fn fresh_folder() -> PathBuf {
    static HOME: OnceLock<home::Home> = OnceLock::new();
    static FOLDERS: AtomicU32 = AtomicU32::new(0);
    let home = HOME.get_or_init(home::Home::of_files);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let folder = home.path().join(number.to_string());
    std::fs::create_dir(&folder).expect("a folder for files");
    folder
}

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// After ten seconds. Conditions are due immediately; the limit only ends a test that would hang.
pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "it did not come true");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Waits until no session of a bind is lent.
///
/// # Panics
///
/// As [`eventually`].
pub(crate) async fn is_at_rest(registry: &registry_core::Registry) {
    eventually(|| registry.status().engines.iter().all(|engine| engine.in_use == 0)).await;
}

/// Runs SQL on a session of the bind `B`, such as the set-up of a test.
///
/// # Panics
///
/// If there is no session, or a statement fails.
pub(crate) async fn run_sql<B: registry_core::Bind>(registry: &registry_core::Registry, sql: &str) {
    let mut session = registry.session::<B>().await.expect("a session");
    let done = diesel_async::SimpleAsyncConnection::batch_execute(&mut *session, sql).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The messages of an error and of its sources, outermost first.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}
