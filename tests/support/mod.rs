//! Databases for tests: throw-away servers of the installed programs, and SQLite files.
//!
//! Each test binary starts a server at most once, when a test first asks for it. A watchdog process
//! ends it when the test binary is gone, however it went: see [`watchdog`].
#![expect(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex, MutexGuard};

mod account;
pub(crate) mod backends;
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
/// Says how to get one, where it cannot be had.
#[cfg(feature = "postgres")]
pub(crate) fn postgres() -> &'static Server {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    server::shared(&SERVER, &postgres::Postgres)
}

/// The MariaDB server of this test binary.
///
/// # Panics
///
/// Says how to get one, where it cannot be had.
#[cfg(feature = "mysql")]
pub(crate) fn mariadb() -> &'static Server {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    server::shared(&SERVER, &mariadb::Mariadb)
}

/// Another PostgreSQL server, which tests may kill. They take turns: it is theirs while they hold it.
///
/// # Panics
///
/// Says how to get one, where it cannot be had.
#[cfg(feature = "postgres")]
pub(crate) async fn mortal_postgres() -> MutexGuard<'static, Server> {
    static SERVER: OnceLock<Option<Mutex<Server>>> = OnceLock::new();
    server::mortal(&SERVER, &postgres::Postgres).lock().await
}

/// A PostgreSQL server of the caller's own, for what changes a whole server. It ends when it is dropped.
///
/// # Panics
///
/// Says how to get one, where it cannot be had.
#[cfg(feature = "postgres")]
pub(crate) fn own_postgres() -> Server {
    Server::launched(&postgres::Postgres)
}

/// A PostgreSQL server of the caller's own whose messages are in German.
///
/// # Panics
///
/// Says how to get one, where it cannot be had.
#[cfg(feature = "postgres")]
pub(crate) fn german_postgres() -> Server {
    Server::launched(&german::GermanPostgres)
}

/// Another MariaDB server, which tests may kill. They take turns: it is theirs while they hold it.
///
/// # Panics
///
/// Says how to get one, where it cannot be had.
#[cfg(feature = "mysql")]
pub(crate) async fn mortal_mariadb() -> MutexGuard<'static, Server> {
    static SERVER: OnceLock<Option<Mutex<Server>>> = OnceLock::new();
    server::mortal(&SERVER, &mariadb::Mariadb).lock().await
}

/// The URL of a SQLite file that does not exist yet.
pub(crate) fn sqlite_file() -> String {
    format!("sqlite://{}", fresh_folder().join("test.db").display())
}

/// An empty folder that goes away with the test binary.
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
/// Gives up after ten seconds, which is no measure of anything: what is waited for is due at once.
pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "it did not come true");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// An error and its causes, each as its own text.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}
