//! Migrations that wait for the locks of other sessions, and changes with a time limit, on each backend.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::migrations::{MigrationSet, RustMigration};
use registry_core::{MigrateError, Migrations, Registry, bind};

use super::{Backend, NAME, database};
use crate::support::causes;
use crate::support::steps::{Step, Steps, alone, step};

#[bind(connection = super::Backend)]
struct Model;

type Main = <Model as registry_core::Bound>::Bind;

const ITEMS: Step = step("1_items", "CREATE TABLE items (id INTEGER PRIMARY KEY NOT NULL)");
const COLUMN: Step = step("2_column", "ALTER TABLE items ADD COLUMN more INTEGER")
    .down("ALTER TABLE items DROP COLUMN more");

/// MySQL counts whole seconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

fn registry(url: &str) -> Registry {
    Registry::builder().bind("default", url).build().expect("good settings")
}

fn migrations(registry: &Registry, steps: &[Step]) -> Migrations<Main> {
    registry.migrations::<Main>(Steps(steps.to_vec()))
}

/// A session of another program, which has a lock on the table `items` until it is dropped.
async fn holder(url: &str) -> Backend {
    let url = url.strip_prefix("sqlite://").unwrap_or(url);
    let mut holder = Backend::establish(url).await.expect("a connection");
    let lock = match NAME {
        "sqlite" => "PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE",
        // Whoever reads a table keeps others from altering it, to the end of the transaction.
        _ => "BEGIN; SELECT * FROM items",
    };
    holder.batch_execute(lock).await.expect("nobody else has a lock");
    holder
}

async fn release(mut holder: Backend) {
    holder.batch_execute("ROLLBACK").await.expect("it is open");
}

#[tokio::test]
async fn migration_that_waits_too_long_for_a_lock_is_tried_again() {
    let url = database();
    let registry = registry(&url);
    migrations(&registry, &[ITEMS]).run().await.expect("it runs");
    let migrations = migrations(&registry, &[ITEMS, COLUMN]).lock_timeout(LOCK_TIMEOUT);
    let holder = holder(&url).await;
    for (retries, said) in [(0, ""), (1, "; it was tried 2 times, as another session held a lock")]
    {
        let run = migrations.clone().lock_retries(retries).run().await;
        let error = run.expect_err("the lock is held");
        assert_eq!(
            causes(&error)[0],
            format!("bind `default`: the migration `2_column` failed, after 0 had been run{said}")
        );
        let MigrateError::Migration { in_part: false, tries, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(tries, retries + 1);
    }
    release(holder).await;
    assert_eq!(migrations.run().await.expect("it runs").applied, ["2_column"]);

    let holder = self::holder(&url).await;
    let error = migrations.clone().lock_retries(1).revert(1).await.expect_err("the lock is held");
    assert_eq!(
        error.to_string(),
        "bind `default`: the migration `2_column` could not be reverted, after 0 had been reverted; it was \
         tried 2 times, as another session held a lock"
    );
    release(holder).await;
    assert_eq!(migrations.redo().await.expect("it runs").applied, ["2_column"]);
}

#[tokio::test]
async fn migration_runs_once_the_lock_is_released() {
    if NAME == "sqlite" {
        // There the transaction of a migration begins with the lock, so the migration cannot tell that it is tried again.
        return;
    }
    let url = database();
    let registry = registry(&url);
    migrations(&registry, &[ITEMS]).run().await.expect("it runs");
    let (tries, is_tried) = mpsc::channel();
    let column = RustMigration::<Backend>::new(COLUMN.name, move |connection| {
        tries.send(())?;
        Ok(diesel::connection::SimpleConnection::batch_execute(connection, COLUMN.sql)?)
    });
    let set = MigrationSet::<Backend>::new().and(Steps(vec![ITEMS])).and(column);
    let migrations = registry.migrations::<Main>(set).lock_timeout(LOCK_TIMEOUT);
    let holder = holder(&url).await;
    let running = tokio::spawn(async move { migrations.run().await });
    let tried_twice = move || (is_tried.recv(), is_tried.recv());
    let tried = tokio::task::spawn_blocking(tried_twice).await.expect("no panic");
    assert_eq!(tried, (Ok(()), Ok(())), "it is tried again");
    release(holder).await;
    let report = running.await.expect("no panic").expect("it runs");
    assert_eq!(report.applied, ["2_column"]);
}

#[tokio::test]
async fn migration_that_left_a_part_behind_is_not_tried_again() {
    let url = database();
    let registry = registry(&url);
    migrations(&registry, &[ITEMS]).run().await.expect("it runs");
    let holder = holder(&url).await;
    let two =
        step("2_two", "CREATE TABLE more (id INTEGER); ALTER TABLE items ADD COLUMN more INTEGER");
    let itself = alone("2_itself", "ALTER TABLE items ADD COLUMN more INTEGER");
    for (migration, stays) in [
        // The DDL of MySQL commits.
        (two, NAME == "mysql"),
        (itself, true),
    ] {
        let migrations = migrations(&registry, &[ITEMS, migration]);
        let run = migrations.lock_timeout(LOCK_TIMEOUT).lock_retries(1).run().await;
        let error = run.expect_err("the lock is held");
        let MigrateError::Migration { in_part, tries, .. } = error else { panic!("{error:?}") };
        assert_eq!((in_part, tries), (stays, if stays { 1 } else { 2 }), "{}", migration.name);
    }
    release(holder).await;
}

#[tokio::test]
async fn other_errors_are_not_tried_again() {
    let registry = registry(&database());
    let broken = step("1_broken", "SELECT * FROM nowhere");
    let migrations = migrations(&registry, &[broken]).lock_timeout(LOCK_TIMEOUT);
    let error = migrations.run().await.expect_err("the table is missing");
    assert!(matches!(error, MigrateError::Migration { tries: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn time_limit_stops_a_migration_that_waits_for_a_lock() {
    if NAME == "sqlite" {
        // A running statement cannot be stopped there.
        return;
    }
    let url = database();
    let registry = registry(&url);
    migrations(&registry, &[ITEMS]).run().await.expect("it runs");
    let holder = holder(&url).await;
    let migrations = migrations(&registry, &[ITEMS, COLUMN]);
    let limited = migrations.clone().time_limit(Duration::from_secs(2));
    let error = limited.run().await.expect_err("it waits without an end");
    let stays = match NAME {
        "postgres" => "",
        _ => "; a part of it may have been applied, and stays",
    };
    assert_eq!(
        error.to_string(),
        format!(
            "bind `default`: the time limit of 2s was reached in the migration `2_column`, after 0 had been \
             run{stays}"
        )
    );
    assert_eq!(causes(&error).len(), 2, "{error:?}");
    assert_eq!(migrations.pending().await.expect("known"), ["2_column"]);
    // Retries end with the time limit, too.
    let limited = limited.lock_timeout(LOCK_TIMEOUT).lock_retries(u32::MAX);
    let error = limited.run().await.expect_err("the lock is held");
    assert!(matches!(error, MigrateError::TimeLimit { .. }), "{error:?}");
    release(holder).await;
    assert_eq!(migrations.run().await.expect("it runs").applied, ["2_column"]);
}

#[tokio::test]
async fn migration_is_not_begun_after_the_time_limit() {
    let registry = registry(&database());
    let migrations = migrations(&registry, &[ITEMS]).time_limit(Duration::ZERO);
    let error = migrations.run().await.expect_err("there is no time");
    assert_eq!(
        error.to_string(),
        "bind `default`: the time limit of 0s was reached, after 0 had been run"
    );
    assert_eq!(migrations.pending().await.expect("known"), ["1_items"]);

    let limit = Duration::from_secs(3);
    let begun = Instant::now();
    let slow = RustMigration::<Backend>::new("1_slow", move |_| {
        while begun.elapsed() < limit + Duration::from_millis(100) {
            std::thread::yield_now();
        }
        Ok(())
    });
    let set = MigrationSet::<Backend>::new().and(slow).and(Steps(vec![COLUMN]));
    let migrations = registry.migrations::<Main>(set).time_limit(limit);
    let error = migrations.run().await.expect_err("the second one is not begun");
    assert_eq!(
        error.to_string(),
        "bind `default`: the time limit of 3s was reached, after 1 had been run"
    );
    let MigrateError::TimeLimit { applied, migration: None, in_part: false, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(*applied, ["1_slow"]);
    assert_eq!(migrations.pending().await.expect("known"), ["2_column"]);
}

#[tokio::test]
async fn time_limit_counts_while_another_process_migrates() {
    let url = database();
    let (runs, is_running) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let gated = RustMigration::<Backend>::new("1_gated", move |_| {
        runs.send(())?;
        gate.lock().expect("no panic").recv()?;
        Ok(())
    })
    .run_in_transaction(false);
    let first = registry(&url).migrations::<Main>(gated.clone());
    let first = tokio::spawn(async move { first.run().await });
    let is_running = tokio::task::spawn_blocking(move || is_running.recv());
    is_running.await.expect("no panic").expect("it runs");
    let second = registry(&url).migrations::<Main>(gated).time_limit(Duration::from_millis(300));
    // A runtime waits for its threads when it is dropped, so none of them waits for the lock then.
    let second = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(second.run())
    });
    let second = tokio::task::spawn_blocking(move || second.join()).await.expect("no panic");
    let error = second.expect("no panic").expect_err("the first one has the migration lock");
    assert!(
        matches!(error, MigrateError::TimeLimit { migration: None, source: None, .. }),
        "{error:?}"
    );
    open.send(()).expect("it waits");
    first.await.expect("no panic").expect("it runs");
}
