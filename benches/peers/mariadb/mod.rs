//! The cases with MariaDB. Every connection is by TCP.

use diesel_async::AsyncMysqlConnection;

use self::ours::{Routed, Sessions};
use crate::case::{Case, Subject, subject};
use crate::peers::held::Held;
use crate::peers::{Checks, Finds, Inserts, MANY, bb8, deadpool};
use crate::places::Place;

pub(crate) mod database;
mod mysql_async;
mod ours;
mod sqlx;

/// The subjects that acquire a connection for each operation, each with the same worker.
macro_rules! subjects {
    ($worker:ident) => {
        [
            subject!("ours", $worker, |url| Routed(ours::registry(&url))),
            subject!("ours-session", $worker, |url| Sessions(ours::registry(&url))),
            subject!("bb8-default", $worker, |url| pool_of_bb8(&url, Checks::Default).await),
            subject!("bb8-tuned", $worker, |url| pool_of_bb8(&url, Checks::Never).await),
            subject!("deadpool-default", $worker, |url| pool_of_deadpool(&url, Checks::Default)),
            subject!("deadpool-tuned", $worker, |url| pool_of_deadpool(&url, Checks::Never)),
            subject!("sqlx-default", $worker, |url| sqlx::open(&url, Checks::Default)),
            subject!("sqlx-tuned", $worker, |url| sqlx::open(&url, Checks::Never)),
            subject!("mysql_async-default", $worker, |url| mysql_async::open(
                &url,
                Checks::Default
            )),
            subject!("mysql_async-tuned", $worker, |url| mysql_async::open(&url, Checks::Never)),
        ]
    };
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, tasks, subjects| Case::new(name, tasks, Place::Mariadb, subjects);
    vec![
        case("my-read-1", 1, finds(1)),
        case("my-read-64", MANY, finds(MANY)),
        case("my-write-64", MANY, inserts()),
    ]
}

fn finds(tasks: u32) -> Vec<Subject> {
    let held =
        move |url: String| async move { Held::<AsyncMysqlConnection>::connect(&url, tasks).await };
    let mut subjects = Vec::from(subjects!(Finds));
    subjects.push(Subject::new("held", held));
    subjects
}

fn inserts() -> Vec<Subject> {
    Vec::from(subjects!(Inserts))
}

async fn pool_of_bb8(url: &str, checks: Checks) -> bb8::Pool<AsyncMysqlConnection> {
    bb8::open(url, checks).await
}

fn pool_of_deadpool(url: &str, checks: Checks) -> deadpool::Pool<AsyncMysqlConnection> {
    deadpool::open(url, checks)
}
