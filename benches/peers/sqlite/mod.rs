//! The cases with SQLite. Each subject has a file of its own, in WAL mode, with `synchronous = FULL`.

use diesel::SqliteConnection;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;

use self::blocking::Blocking;
use self::ours::{Routed, Sessions};
use crate::case::{Case, subject};
use crate::peers::{Checks, Finds, Inserts, MANY, Mixes, bb8, deadpool};
use crate::places::Place;

mod blocking;
pub(crate) mod database;
mod ours;
mod sqlx;
mod tokio_rusqlite;

type Wrapped = SyncConnectionWrapper<SqliteConnection>;

/// All subjects, each with the same worker.
macro_rules! subjects {
    ($worker:ident) => {
        [
            subject!("ours", $worker, |path| Routed(ours::registry(&path).await)),
            subject!("ours-session", $worker, |path| Sessions(ours::registry(&path).await)),
            subject!("bb8-default", $worker, |path| pool_of_bb8(&path, Checks::Default).await),
            subject!("bb8-tuned", $worker, |path| pool_of_bb8(&path, Checks::Never).await),
            subject!("deadpool-default", $worker, |path| pool_of_deadpool(&path, Checks::Default)),
            subject!("deadpool-tuned", $worker, |path| pool_of_deadpool(&path, Checks::Never)),
            subject!("sqlx-default", $worker, |path| sqlx::open(&path, Checks::Default).await),
            subject!("sqlx-tuned", $worker, |path| sqlx::open(&path, Checks::Never).await),
            subject!("tokio-rusqlite", $worker, |path| tokio_rusqlite::open(&path).await),
            subject!("diesel-blocking", $worker, |path| Blocking::open(&path)),
        ]
    };
}
pub(crate) fn cases() -> Vec<Case> {
    let case = |name, tasks, subjects| Case::new(name, tasks, Place::Sqlite, subjects);
    vec![
        case("lite-read-1", 1, subjects!(Finds)),
        case("lite-read-64", MANY, subjects!(Finds)),
        case("lite-write-1", 1, subjects!(Inserts)).keeping_latencies(),
        case("lite-write-64", MANY, subjects!(Inserts)).with_long_turns().keeping_latencies(),
        case("lite-mixed-64", MANY, subjects!(Mixes)).with_long_turns(),
    ]
}

async fn pool_of_bb8(path: &str, checks: Checks) -> bb8::Pool<Wrapped> {
    bb8::open(path, checks).await
}

fn pool_of_deadpool(path: &str, checks: Checks) -> deadpool::Pool<Wrapped> {
    deadpool::open(path, checks)
}
