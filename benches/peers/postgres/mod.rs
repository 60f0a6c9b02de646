//! The cases with PostgreSQL.

use diesel_async::AsyncPgConnection;

use self::ours::{Routed, Sessions};
use crate::case::{Case, Subject, subject};
use crate::peers::held::Held;
use crate::peers::{Acquires, Checks, Finds, MANY, bb8, deadpool};
use crate::places::Place;

pub(crate) mod database;
mod ours;
mod pipeline;
mod pooled;
mod readers;
mod seaorm;
mod sqlx;

/// The pools, each with the same worker.
macro_rules! pools {
    ($worker:ident) => {
        [
            subject!("bb8-default", $worker, |url| pool_of_bb8(&url, Checks::Default).await),
            subject!("bb8-tuned", $worker, |url| pool_of_bb8(&url, Checks::Never).await),
            subject!("deadpool-default", $worker, |url| pool_of_deadpool(&url, Checks::Default)),
            subject!("deadpool-tuned", $worker, |url| pool_of_deadpool(&url, Checks::Never)),
            subject!("sqlx-default", $worker, |url| sqlx::open(&url, Checks::Default)),
            subject!("sqlx-tuned", $worker, |url| sqlx::open(&url, Checks::Never)),
        ]
    };
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, tasks, subjects| Case::new(name, tasks, Place::Postgres, subjects);
    vec![
        case("acquire-1", 1, acquires()),
        case("acquire-64", MANY, acquires()),
        case("row-1", 1, row(1)),
        case("row-64", MANY, row(MANY)),
        case("routed-1", 1, routed(1)),
        case("routed-64", MANY, routed(MANY)),
        pipeline::case(),
        pooled::case(),
        readers::case("reader-1", 1),
        readers::case("reader-64", MANY),
        readers::slow_case(),
    ]
}

fn acquires() -> Vec<Subject> {
    let mut subjects = vec![
        subject!("ours", Acquires, |url| Sessions(ours::registry(&url))),
        subject!("bb8-bare", Acquires, |_url| bb8::Bare::new().await),
    ];
    subjects.extend(pools!(Acquires));
    subjects
}

fn row(tasks: u32) -> Vec<Subject> {
    let mut subjects = vec![subject!("ours", Finds, |url| Sessions(ours::registry(&url)))];
    subjects.extend(peers(tasks));
    subjects
}

fn routed(tasks: u32) -> Vec<Subject> {
    let mut subjects = vec![
        subject!("ours", Finds, |url| Routed(ours::registry(&url))),
        subject!("ours-recorded", Finds, |url| Routed(ours::recording_registry(&url))),
        subject!("ours-metrics", Finds, |url| Routed(ours::measured_registry(&url))),
        subject!("ours-session", Finds, |url| Sessions(ours::registry(&url))),
    ];
    subjects.extend(peers(tasks));
    subjects
}

fn peers(tasks: u32) -> Vec<Subject> {
    let held =
        move |url: String| async move { Held::<AsyncPgConnection>::connect(&url, tasks).await };
    let mut subjects = vec![Subject::new("held", held)];
    subjects.extend(pools!(Finds));
    subjects.push(subject!("seaorm", Finds, |url| seaorm::connect(&url).await));
    subjects
}

async fn pool_of_bb8(url: &str, checks: Checks) -> bb8::Pool<AsyncPgConnection> {
    bb8::open(url, checks).await
}

fn pool_of_deadpool(url: &str, checks: Checks) -> deadpool::Pool<AsyncPgConnection> {
    deadpool::open(url, checks)
}
