//! What an inner process of the load does. The test below does nothing when it is run directly.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Integer, Text};
use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};

use super::rig::registry;
use crate::support::causes;
use crate::support::mood::Mood;

/// The test that is run in an inner process, and the variables with its parameters.
pub(crate) const INNER: &str = "process::inner_process_puts_load_on_a_pooler";
pub(crate) const URL: &str = "REGISTRY_TEST_INNER_URL";
pub(crate) const MODE: &str = "REGISTRY_TEST_INNER_MODE";

/// The input line after which no error is expected, and the process ends.
pub(crate) const END: &str = "settled";

pub(crate) const SETUP: &str = "CREATE TYPE mood AS ENUM ('sad', 'happy', 'calm'); \
    CREATE TABLE things (id SERIAL PRIMARY KEY, owner TEXT NOT NULL, mood mood NOT NULL, \
    tags TEXT[] NOT NULL)";

/// Two processes with 64 tasks and 80 requests each are 10,240.
const TASKS: u64 = 64;

fn requests() -> u64 {
    let is_full = std::env::var("REGISTRY_TEST_FULL").is_ok_and(|value| value == "1");
    if is_full { 1_600 } else { 80 }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::support::mood::MoodType;

    things (id) {
        id -> Integer,
        owner -> Text,
        mood -> MoodType,
        tags -> Array<Text>,
    }
}
bind_tables!(db = "main", backend = Postgres; things);

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}

/// A row that only this task produces.
fn own(task: &str, number: u64) -> (String, Mood, Vec<String>) {
    (task.to_owned(), Mood::of(number), vec![task.to_owned(), number.to_string()])
}

async fn insert(
    registry: &Registry,
    row: &(String, Mood, Vec<String>),
) -> Result<(String, Mood, Vec<String>), Error> {
    diesel::insert_into(things::table)
        .values((
            things::owner.eq(row.0.as_str()),
            things::mood.eq(row.1),
            things::tags.eq(row.2.clone()),
        ))
        .returning((things::owner, things::mood, things::tags))
        .get_result(registry)
        .await
}

/// One request of a task. Panics if it gets a row of another task.
async fn request(registry: &Registry, task: &str, number: u64) -> Result<(), Error> {
    let row = own(task, number);
    match number % 6 {
        0 => {
            let query = sql_query("SELECT $1 || ' ' || $2::text AS value")
                .bind::<Text, _>(task.to_owned())
                .bind::<Integer, _>(i32::try_from(number).expect("a few"))
                .bound_to::<things::table>();
            let word: Word = query.get_result(registry).await?;
            assert_eq!(word.value, format!("{task} {number}"));
        }
        1 => assert_eq!(insert(registry, &row).await?, row),
        2 => {
            let rows: Vec<(String, Mood, Vec<String>)> = things::table
                .filter(things::owner.eq(task.to_owned()).and(things::mood.eq(row.1)))
                .select((things::owner, things::mood, things::tags))
                .load(registry)
                .await?;
            for (owner, mood, tags) in rows {
                assert_eq!((owner.as_str(), mood, tags[0].as_str()), (task, row.1, task));
            }
        }
        3 | 4 => in_a_unit_of_work(registry, &row, number % 6 == 4).await?,
        _ => {
            // The request is dropped midway, as by a client that disconnects.
            let limit = Duration::from_micros(number * 37 % 3_000);
            let cut = tokio::time::timeout(limit, insert(registry, &row)).await;
            if let Ok(outcome) = cut {
                assert_eq!(outcome?, row);
            }
        }
    }
    Ok(())
}

/// All statements of a unit of work are in one transaction, whichever server connection the next one gets.
async fn in_a_unit_of_work(
    registry: &Registry,
    row: &(String, Mood, Vec<String>),
    rolls_back: bool,
) -> Result<(), Error> {
    let row = row.clone();
    let outcome: Result<(), Error> = registry
        .transaction(async move |work| {
            let count =
                |owner: &str| things::table.filter(things::owner.eq(owner.to_owned())).count();
            let insert = || {
                diesel::insert_into(things::table).values((
                    things::owner.eq(row.0.clone()),
                    things::mood.eq(row.1),
                    things::tags.eq(row.2.clone()),
                ))
            };
            let before: i64 = count(&row.0).get_result(&mut *work).await?;
            insert().execute(&mut *work).await?;
            let undone: Result<(), Error> = work
                .savepoint(async |work| {
                    insert().execute(work).await?;
                    Err(diesel::result::Error::RollbackTransaction.into())
                })
                .await;
            match undone {
                Err(error) if is_rollback(&error) => {}
                undone => undone?,
            }
            let after: i64 = count(&row.0).get_result(&mut *work).await?;
            assert_eq!(after, before + 1, "its own rows, and not those of the savepoint");
            if rolls_back {
                return Err(diesel::result::Error::RollbackTransaction.into());
            }
            Ok(())
        })
        .await;
    match outcome {
        Err(error) if rolls_back && is_rollback(&error) => Ok(()),
        outcome => outcome,
    }
}

/// Whether a restart of the pooler or of the server explains the error.
fn is_explained(error: &Error) -> bool {
    const WORDS: [&str; 8] = [
        "connection closed",
        "error communicating with the server",
        "terminating connection due to administrator command",
        "the database system is",
        "server closed the connection",
        "server conn crashed",
        "server login",
        // The text of a unit of work whose connection broke.
        "was interrupted before its end",
    ];
    let text = causes(error).join(": ");
    error.is_transient()
        || WORDS.iter().any(|words| text.contains(words))
        // The outcome of a commit during the restart is unknown.
        || matches!(error, Error::Commit(_)) && text.contains("in doubt")
}

/// Does nothing when it is run directly: the load tests run it in inner processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inner_process_puts_load_on_a_pooler() {
    let (Ok(url), Ok(mode)) = (std::env::var(URL), std::env::var(MODE)) else { return };
    let is_tolerant = mode == "tolerant";
    let settings = "max_connections = 16\nacquire_timeout = \"60s\"\ncheck_idle_after = \"0s\"";
    let registry = registry(&url, settings);
    let has_settled = Arc::new(AtomicBool::new(false));
    std::thread::spawn({
        let has_settled = Arc::clone(&has_settled);
        move || {
            let _ = std::io::stdin().lock().lines().next();
            has_settled.store(true, Ordering::Relaxed);
        }
    });
    let served = Arc::new(AtomicU64::new(0));
    let failed = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (registry, has_settled) = (registry.clone(), Arc::clone(&has_settled));
            let (served, failed) = (Arc::clone(&served), Arc::clone(&failed));
            tokio::spawn(async move {
                let task = format!("{} {task}", std::process::id());
                let mut left = if is_tolerant { requests() / 4 } else { requests() };
                let begun = left;
                let mut number = 0;
                while left > 0 {
                    number += 1;
                    let is_strict =
                        !is_tolerant || AtomicBool::load(&has_settled, Ordering::Relaxed);
                    if is_strict {
                        left -= 1;
                    }
                    match request(&registry, &task, number).await {
                        Ok(()) => {
                            if served.fetch_add(1, Ordering::Relaxed) % 500 == 499 {
                                println!("served");
                            }
                        }
                        // The request may have begun before the restart was over.
                        Err(error) if is_tolerant && left + 3 > begun => {
                            assert!(is_explained(&error), "{:?}", causes(&error));
                            failed.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Err(error) => panic!("{:?}", causes(&error)),
                    }
                }
            })
        })
        .collect();
    let mut panics = 0;
    for task in tasks {
        panics += u32::from(task.await.is_err());
    }
    let served = AtomicU64::load(&served, Ordering::Relaxed);
    let failed = AtomicU64::load(&failed, Ordering::Relaxed);
    println!("end: {served} requests, {failed} failures that are explained");
    assert_eq!(panics, 0, "tasks with a row that is not theirs, or with an error");
    assert!(registry.close_within(Duration::from_secs(10)).await.is_complete());
}

fn is_rollback(error: &Error) -> bool {
    use diesel::result::Error::RollbackTransaction;
    matches!(error, Error::Query(error) if matches!(error.as_diesel(), RollbackTransaction))
}
