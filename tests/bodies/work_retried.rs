//! Transactions that are retried, on each backend.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{
    BindSettings, EngineOptions, Error, Registry, RunQueryDsl, Session, UnitOfWork, WorkError,
    WorkOptions, bind_tables,
};

use super::{NAME, database};
use crate::support::run_sql;

diesel::table! {
    stocks (id) {
        id -> Integer,
        amount -> Integer,
    }
}
bind_tables!(db = "default", connection = super::Backend; stocks);

type Main = <stocks::table as registry_core::Bound>::Bind;

/// A registry with a short lock time-out, whose table has one row.
async fn registry() -> Registry {
    let on_connect = match NAME {
        "postgres" => vec!["SET lock_timeout = '50ms'".to_owned()],
        "mysql" => vec!["SET innodb_lock_wait_timeout = 1".to_owned()],
        _ => Vec::new(),
    };
    let mut options = EngineOptions { on_connect, ..Default::default() };
    if NAME == "sqlite" {
        options.busy_timeout = Duration::from_millis(50);
    }
    let settings = BindSettings::new(database()).max_connections(3);
    let builder = Registry::builder().options(options).bind("default", settings);
    let registry = builder.build().expect("good settings");
    let create = "CREATE TABLE stocks (id INTEGER PRIMARY KEY NOT NULL, amount INTEGER NOT NULL)";
    run_sql::<Main>(&registry, create).await;
    run_sql::<Main>(&registry, "INSERT INTO stocks VALUES (1, 0)").await;
    registry
}

async fn amount(registry: &Registry) -> i32 {
    stocks::table.select(stocks::amount).first(registry).await.expect("a row")
}

/// A session with an open transaction that has locked the row.
async fn locked(registry: &Registry) -> Session<Main> {
    let mut session = registry.session::<Main>().await.expect("a session");
    let begin = if NAME == "sqlite" { "BEGIN IMMEDIATE" } else { "BEGIN" };
    session.batch_execute(begin).await.expect("begun");
    session.batch_execute("UPDATE stocks SET amount = 100").await.expect("the row");
    session
}

async fn unlock(session: Option<Session<Main>>) {
    if let Some(mut session) = session {
        session.batch_execute("ROLLBACK").await.expect("rolled back");
    }
}

async fn add_one(work: &mut UnitOfWork) -> Result<usize, Error> {
    diesel::update(stocks::table).set(stocks::amount.eq(stocks::amount + 1)).execute(work).await
}

/// An error type of the program that hides the error of the database.
#[derive(Debug)]
enum Refused {
    ByDatabase,
    ByRule,
}

impl From<Error> for Refused {
    fn from(_: Error) -> Self {
        Self::ByDatabase
    }
}

#[tokio::test]
async fn transient_failure_is_retried_whatever_error_the_program_returns() {
    let registry = registry().await;
    let lock = Mutex::new(Some(locked(&registry).await));
    let runs = AtomicU32::new(0);
    let options = WorkOptions::new().retries(3).commit_order(["default"]);
    let outcome = registry
        .transaction_with(options, async |work| {
            if runs.fetch_add(1, Ordering::SeqCst) == 2 {
                let lock = lock.lock().expect("no panic").take();
                unlock(lock).await;
            }
            add_one(work).await?;
            Ok::<_, Refused>(())
        })
        .await;
    outcome.expect("committed");
    assert_eq!(runs.swap(0, Ordering::SeqCst), 3);
    assert_eq!(amount(&registry).await, 1, "each run began anew");
}

/// The statement was run on the session of the unit of work, in a savepoint.
#[tokio::test]
async fn transient_failure_in_a_savepoint_is_retried() {
    let registry = registry().await;
    let lock = Mutex::new(Some(locked(&registry).await));
    let runs = AtomicU32::new(0);
    let outcome = registry
        .transaction_with(WorkOptions::new().retries(2), async |work| {
            if runs.fetch_add(1, Ordering::SeqCst) == 1 {
                let lock = lock.lock().expect("no panic").take();
                unlock(lock).await;
            }
            work.savepoint(async |work| {
                let session = work.session_for::<stocks::table>().await?;
                session.batch_execute("UPDATE stocks SET amount = amount + 1").await?;
                Ok::<_, Error>(())
            })
            .await
            .map_err(|_| Refused::ByDatabase)
        })
        .await;
    outcome.expect("committed");
    assert_eq!(runs.swap(0, Ordering::SeqCst), 2);
    assert_eq!(amount(&registry).await, 1);
}

#[tokio::test]
async fn repeated_failure_is_retried_as_often_as_the_options_say() {
    let registry = registry().await;
    let lock = locked(&registry).await;
    for retries in [0, 2] {
        let runs = AtomicU32::new(0);
        let options = WorkOptions::new().retries(retries);
        let error = registry
            .transaction_with(options, async |work| {
                runs.fetch_add(1, Ordering::SeqCst);
                add_one(work).await
            })
            .await
            .expect_err("it is locked all the time");
        assert!(error.is_transient(), "{error}");
        assert_eq!(runs.swap(0, Ordering::SeqCst), retries + 1);
    }
    unlock(Some(lock)).await;
    assert_eq!(amount(&registry).await, 0);
}

#[tokio::test]
async fn permanent_failure_is_not_retried() {
    let registry = registry().await;
    let runs = AtomicU32::new(0);
    let options = WorkOptions::new().retries(3);
    let twice = registry.transaction_with(options.clone(), async |work| {
        runs.fetch_add(1, Ordering::SeqCst);
        let row = (stocks::id.eq(1), stocks::amount.eq(7));
        diesel::insert_into(stocks::table).values(row).execute(work).await
    });
    assert!(twice.await.expect_err("it is there").database_kind().is_some());
    assert_eq!(runs.swap(0, Ordering::SeqCst), 1);
    let refused = registry.transaction_with(options.clone(), async |work| {
        runs.fetch_add(1, Ordering::SeqCst);
        add_one(work).await?;
        Err::<(), _>(Refused::ByRule)
    });
    assert!(matches!(refused.await, Err(Refused::ByRule)));
    assert_eq!(runs.swap(0, Ordering::SeqCst), 1);
    // A retry might store twice what was committed without the unit of work.
    let lock = locked(&registry).await;
    unlock(Some(lock)).await;
    let ended = registry.transaction_with(options, async |work| {
        runs.fetch_add(1, Ordering::SeqCst);
        add_one(work).await?;
        work.session::<Main>().await?.batch_execute("COMMIT").await?;
        // Fails with an error that is transient by itself.
        add_one(work).await
    });
    assert!(matches!(ended.await, Err(Error::Work(WorkError::Ended { .. }))));
    assert_eq!(runs.swap(0, Ordering::SeqCst), 1);
    assert_eq!(amount(&registry).await, 1);
}

/// The future is `Send` with everything that it borrows and owns, so it can be spawned.
#[tokio::test]
async fn transaction_with_options_is_send() {
    async fn add(registry: &Registry, names: &[String]) -> Result<i32, Error> {
        let own = String::from("own");
        let options = match NAME {
            "postgres" => WorkOptions::new().repeatable_read(),
            "mysql" => WorkOptions::new().read_committed(),
            _ => WorkOptions::new().serializable(),
        };
        registry
            .transaction_with(options.retries(1), async |work| {
                for _ in names {
                    add_one(work).await?;
                }
                Ok::<_, Error>(own.len() as i32)
            })
            .await
    }
    let registry = registry().await;
    let names = vec!["one".to_owned(), "two".to_owned()];
    let spawned = tokio::spawn({
        let registry = registry.clone();
        async move { add(&registry, &names).await }
    });
    assert_eq!(spawned.await.expect("no panic").expect("committed"), 3);
    let by_value = tokio::spawn({
        let registry = registry.clone();
        let name = "three".to_owned();
        async move {
            let work = async move |work: &mut UnitOfWork| {
                add_one(work).await?;
                Ok::<_, Error>(name.len())
            };
            registry.transaction_with(WorkOptions::new().retries(1), work).await
        }
    });
    assert_eq!(by_value.await.expect("no panic").expect("committed"), 5);
    assert_eq!(amount(&registry).await, 3);
}
