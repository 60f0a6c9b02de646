//! The turns of the writers to one file.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use registry_core::settings::BindSettings;
use registry_core::{
    AcquireError, AnyExecutor, BindDsl, Error, InsertBatchedDsl, MigrateError, Registry,
    RunQueryDsl, Scope, UnitOfWork, WorkError, WorkOptions, bind_tables,
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::support::steps::{Steps, step};
use super::{Main, on_both_runtimes};

diesel::table! { rows (id) { id -> Integer, } }
diesel::table! { others (id) { id -> Integer, } }

bind_tables!(db = "default", backend = Sqlite; rows);
bind_tables!(db = "other", backend = Sqlite; others);

const CREATE_ROWS: &str = "CREATE TABLE rows (id INTEGER PRIMARY KEY)";
const CREATE_OTHERS: &str = "CREATE TABLE others (id INTEGER PRIMARY KEY)";

fn url(folder: &TempDir, name: &str) -> String {
    format!("sqlite://{}/{name}", folder.path().display())
}

/// A registry with a file for each bind. Nothing waits in SQLite's lock for longer than 1 ms.
async fn files() -> (TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let bind = |name| BindSettings::new(url(&folder, name)).busy_timeout(Duration::from_millis(1));
    let registry = Registry::builder()
        .bind("default", bind("rows.db"))
        .bind("other", bind("others.db"))
        .build()
        .unwrap();
    sql_query(CREATE_ROWS).bound_to::<rows::table>().execute(&registry).await.unwrap();
    sql_query(CREATE_OTHERS).bound_to::<others::table>().execute(&registry).await.unwrap();
    (folder, registry)
}

async fn insert(registry: &Registry, id: i32) -> Result<usize, Error> {
    diesel::insert_into(rows::table).values(rows::id.eq(id)).execute(registry).await
}

async fn insert_other(registry: &Registry, id: i32) -> Result<usize, Error> {
    diesel::insert_into(others::table).values(others::id.eq(id)).execute(registry).await
}

async fn count(registry: &Registry) -> i64 {
    rows::table.count().get_result(registry).await.unwrap()
}

/// Polls `future` once, and expects that it waits, and has taken no connection.
pub(super) async fn assert_waits<F: Future>(registry: &Registry, mut future: Pin<&mut F>) {
    let in_use = || registry.status().engines.iter().map(|engine| engine.in_use).sum::<u32>();
    let before = in_use();
    let is_pending = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
    assert!(is_pending, "it does not wait");
    assert_eq!(in_use(), before, "it waits with a connection");
}

fn acquire_error(error: Error) -> AcquireError {
    match error {
        Error::Acquire(error) | Error::Work(WorkError::Acquire(error)) => error,
        other => panic!("{other:?}"),
    }
}

on_both_runtimes! {
    writers_and_readers_of_one_file_never_find_it_locked,
    writers_are_served_in_the_order_of_their_requests,
    every_routed_write_waits_for_its_turn_and_no_read_does,
    a_writer_that_gives_up_leaves_the_queue,
    engines_of_one_file_share_the_queue,
    waiting_writers_leave_the_connections_to_readers,
    a_writer_keeps_its_turn_while_it_waits_for_a_connection,
    engines_that_named_the_file_before_it_existed_share_the_queue,
    the_wait_for_a_turn_is_limited_and_the_error_names_the_writer,
    a_write_outside_of_the_unit_of_work_that_awaits_it_is_refused_at_once,
    a_write_in_a_scope_beside_its_unit_of_work_is_refused_until_that_has_ended,
    time_out_says_that_the_task_itself_has_begun_the_unit_of_work,
    units_of_work_that_wait_in_a_circle_are_refused_at_once,
    a_write_behind_its_own_unit_of_work_in_the_queue_is_refused_at_once,
    a_circle_through_the_order_of_a_queue_is_refused_at_once,
    a_write_in_a_savepoint_outside_of_its_unit_of_work_is_refused_at_once,
    migrations_take_their_turn,
    the_turn_ends_with_errors_panics_and_dropped_futures,
    a_stream_of_written_rows_keeps_the_turn,
}

async fn writers_and_readers_of_one_file_never_find_it_locked() {
    let (_folder, registry) = files().await;
    let tasks = (0..64).map(|task| {
        let registry = registry.clone();
        tokio::spawn(async move {
            for round in 0..6 {
                let id = task * 100 + round * 10;
                insert(&registry, id).await?;
                count(&registry).await;
                registry
                    .transaction(async |work| {
                        let _: i64 = rows::table.count().get_result(&mut *work).await?;
                        let row = rows::id.eq(id + 1);
                        diesel::insert_into(rows::table).values(row).execute(work).await?;
                        Ok::<_, Error>(())
                    })
                    .await?;
                if task % 16 == 0 {
                    let checkpoint = sql_query("PRAGMA wal_checkpoint(TRUNCATE)");
                    checkpoint.bound_to::<rows::table>().execute(&registry).await?;
                }
            }
            Ok::<_, Error>(())
        })
    });
    for outcome in join_all(tasks).await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(count(&registry).await, 64 * 6 * 2);
}

async fn writers_are_served_in_the_order_of_their_requests() {
    let (_folder, registry) = files().await;
    let mut work = registry.begin();
    work.session_for::<rows::table>().await.unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut writers = Vec::new();
    for id in 0..20 {
        let (writer, served) = (registry.clone(), Arc::clone(&served));
        // Noted while the writer has its turn, so that the notes are in the order of the turns.
        let writes = async move {
            let mut work = writer.begin();
            work.session_for::<rows::table>().await.unwrap();
            served.lock().unwrap().push(id);
            work.commit().await.unwrap();
        };
        let mut writes = Box::pin(writes);
        assert_waits(&registry, writes.as_mut()).await;
        writers.push(writes);
    }
    work.commit().await.unwrap();
    // Those that came last are polled first.
    join_all(writers.into_iter().rev()).await;
    assert_eq!(*served.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

async fn every_routed_write_waits_for_its_turn_and_no_read_does() {
    let (_folder, registry) = files().await;
    insert(&registry, 1).await.unwrap();
    let mut work = registry.begin();
    diesel::insert_into(rows::table).values(rows::id.eq(2)).execute(&mut work).await.unwrap();

    let new = |id: i32| diesel::insert_into(rows::table).values(rows::id.eq(id));
    let many: Vec<_> = (100..140).map(|id| rows::id.eq(id)).collect();
    let text = sql_query("INSERT INTO rows VALUES (6)").bound_to::<rows::table>();
    let with = "WITH new(id) AS (SELECT 7) INSERT INTO rows SELECT id FROM new";
    let with = sql_query(with).bound_to::<rows::table>();
    let mut any = AnyExecutor::from(&registry);
    assert_waits(&registry, pin!(new(3).execute(&registry))).await;
    assert_waits(&registry, pin!(new(3).execute(registry.clone()))).await;
    assert_waits(&registry, pin!(new(3).execute(&mut any))).await;
    assert_waits(&registry, pin!(new(3).returning(rows::id).get_result::<i32>(&registry))).await;
    assert_waits(&registry, pin!(new(3).returning(rows::id).load::<i32>(&registry))).await;
    assert_waits(&registry, pin!(new(3).returning(rows::id).load_stream::<i32>(&registry))).await;
    assert_waits(&registry, pin!(diesel::delete(rows::table).execute(&registry))).await;
    assert_waits(
        &registry,
        pin!(diesel::update(rows::table).set(rows::id.eq(9)).execute(&registry)),
    )
    .await;
    assert_waits(&registry, pin!(rows::table.insert_batched(&many).execute(&registry))).await;
    assert_waits(&registry, pin!(text.execute(&registry))).await;
    assert_waits(&registry, pin!(with.execute(&registry))).await;
    let mut other = registry.begin();
    assert_waits(&registry, pin!(other.session_for::<rows::table>())).await;

    // As many readers at once as there are connections, besides the one of the unit of work.
    assert_eq!(count(&registry).await, 1);
    let select = sql_query("SELECT 1 FROM rows").bound_to::<rows::table>();
    select.execute(&registry).await.unwrap();
    let with = sql_query("WITH one AS (SELECT 1) SELECT * FROM one").bound_to::<rows::table>();
    with.execute(&registry).await.unwrap();
    let mut reads = registry.begin_with(WorkOptions::new().read_only(true));
    assert_eq!(rows::table.count().get_result::<i64>(&mut reads).await.unwrap(), 1);
    reads.rollback().await.unwrap();
    let _session = registry.session_for::<rows::table>().await.unwrap();
    // Another file.
    let row = others::id.eq(1);
    diesel::insert_into(others::table).values(row).execute(&registry).await.unwrap();

    work.rollback().await.unwrap();
    assert_eq!(count(&registry).await, 1, "a writer that was dropped in the queue wrote something");
}

async fn a_writer_that_gives_up_leaves_the_queue() {
    let (_folder, registry) = files().await;
    let mut work = registry.begin();
    work.session_for::<rows::table>().await.unwrap();
    let mut first = Box::pin(insert(&registry, 1));
    let mut second = Box::pin(insert(&registry, 2));
    assert_waits(&registry, first.as_mut()).await;
    assert_waits(&registry, second.as_mut()).await;
    work.commit().await.unwrap();
    // The turn is assigned to it already.
    drop(first);
    second.await.unwrap();
    insert(&registry, 3).await.unwrap();
    assert_eq!(count(&registry).await, 2);
}

async fn engines_of_one_file_share_the_queue() {
    let (folder, registry) = files().await;
    std::os::unix::fs::symlink(folder.path().join("rows.db"), folder.path().join("link.db"))
        .unwrap();
    let other = super::registry(url(&folder, "link.db"));
    let mut work = registry.begin();
    work.session_for::<rows::table>().await.unwrap();
    let mut waiting = Box::pin(insert(&other, 1));
    assert_waits(&other, waiting.as_mut()).await;
    work.commit().await.unwrap();
    waiting.await.unwrap();
}

async fn waiting_writers_leave_the_connections_to_readers() {
    let folder = tempfile::tempdir().unwrap();
    let registry = super::registry(url_of_rows(&folder).max_connections(2));
    sql_query(CREATE_ROWS).bound_to::<rows::table>().execute(&registry).await.unwrap();
    let mut work = registry.begin();
    work.session_for::<rows::table>().await.unwrap();
    let mut writers: Vec<_> = (0..64).map(|id| Box::pin(insert(&registry, id))).collect();
    for writer in &mut writers {
        assert_waits(&registry, writer.as_mut()).await;
    }
    assert_eq!(count(&registry).await, 0);
    work.commit().await.unwrap();
    for outcome in join_all(writers).await {
        outcome.unwrap();
    }
}

async fn a_writer_keeps_its_turn_while_it_waits_for_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let registry = super::registry(url_of_rows(&folder).max_connections(1));
    sql_query(CREATE_ROWS).bound_to::<rows::table>().execute(&registry).await.unwrap();
    let other = super::registry(url_of_rows(&folder));
    assert_eq!(count(&other).await, 0);
    let session = registry.session_for::<rows::table>().await.unwrap();
    let mut work = registry.begin();
    let mut begins = Box::pin(work.session_for::<rows::table>());
    assert_waits(&registry, begins.as_mut()).await;
    let mut waiting = Box::pin(insert(&other, 1));
    assert_waits(&other, waiting.as_mut()).await;
    drop(session);
    begins.await.unwrap();
    assert_waits(&other, waiting.as_mut()).await;
    work.commit().await.unwrap();
    waiting.await.unwrap();
}

fn url_of_rows(folder: &TempDir) -> BindSettings {
    BindSettings::new(url(folder, "rows.db")).busy_timeout(Duration::from_millis(1))
}

async fn engines_that_named_the_file_before_it_existed_share_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink("second.db", path("first.db")).unwrap();
    std::os::unix::fs::symlink(path("data/real.db"), path("second.db")).unwrap();
    std::fs::create_dir(path("data")).unwrap();
    std::os::unix::fs::symlink(path("data"), path("short")).unwrap();
    for (early, late) in [("first.db", "data/real.db"), ("short/new.db", "data/new.db")] {
        let early = super::registry(url(&folder, early));
        sql_query(CREATE_ROWS).bound_to::<rows::table>().execute(&early).await.unwrap();
        let late = super::registry(url(&folder, late));
        assert_eq!(count(&late).await, 0);
        let mut work = early.begin();
        work.session_for::<rows::table>().await.unwrap();
        let mut waiting = Box::pin(insert(&late, 1));
        assert_waits(&late, waiting.as_mut()).await;
        work.commit().await.unwrap();
        waiting.await.unwrap();
    }
}

async fn the_wait_for_a_turn_is_limited_and_the_error_names_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let bind = BindSettings::new(url(&folder, "rows.db"))
        .acquire_timeout(Duration::from_millis(500))
        .max_connections(2)
        .queue_limit(0);
    let registry = super::registry(bind);
    sql_query(CREATE_ROWS).bound_to::<rows::table>().execute(&registry).await.unwrap();
    let (begun, is_begun) = oneshot::channel();
    let (end, ends) = oneshot::channel::<()>();
    let others = registry.clone();
    let holder = tokio::spawn(async move {
        let mut work = others.begin();
        work.session_for::<rows::table>().await.unwrap();
        begun.send(()).unwrap();
        let _ = ends.await;
        work.commit().await.unwrap();
    });
    is_begun.await.unwrap();
    let mut waiting = Box::pin(insert(&registry, 1));
    assert_waits(&registry, waiting.as_mut()).await;
    assert_eq!(registry.status().engines[0].waiting, 1);
    let error = acquire_error(insert(&registry, 2).await.unwrap_err());
    assert!(matches!(error, AcquireError::WriteQueueFull { limit: 1, .. }), "{error}");
    assert!(error.is_transient() && !error.is_timeout());
    let error = acquire_error(waiting.await.unwrap_err());
    assert!(error.is_timeout() && error.is_transient());
    let text = error.to_string();
    let begin = "bind `default`: timed out after 500ms waiting for its turn to write: another writer of this process \
                 (a unit of work of ";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.contains("writers.rs:") && text.ends_with(", 0 waiting"), "{text}");
    // The one that has given up is no longer counted.
    assert_waits(&registry, pin!(insert(&registry, 4))).await;
    assert_waits(&registry, pin!(insert(&registry, 5))).await;
    end.send(()).unwrap();
    holder.await.unwrap();
    insert(&registry, 3).await.unwrap();
}

async fn a_write_outside_of_the_unit_of_work_that_awaits_it_is_refused_at_once() {
    let (_folder, registry) = files().await;
    let outcome = registry
        .transaction(async |work| {
            diesel::insert_into(rows::table).values(rows::id.eq(1)).execute(work).await?;
            insert(&registry, 2).await
        })
        .await;
    let error = acquire_error(outcome.unwrap_err());
    assert!(matches!(error, AcquireError::WriteDeadlock { is_own: true, .. }), "{error}");
    assert!(!error.is_transient());
    // The same with another unit of work.
    let outcome = registry
        .transaction(async |work| {
            diesel::insert_into(rows::table).values(rows::id.eq(1)).execute(work).await?;
            let mut inner = registry.begin();
            inner.session_for::<rows::table>().await?;
            Ok::<_, Error>(())
        })
        .await;
    let error = acquire_error(outcome.unwrap_err());
    assert!(matches!(error, AcquireError::WriteDeadlock { is_own: true, .. }), "{error}");
    assert_eq!(count(&registry).await, 0);
    insert(&registry, 1).await.unwrap();
}

async fn a_write_in_a_scope_beside_its_unit_of_work_is_refused_until_that_has_ended() {
    let (_folder, registry) = files().await;
    registry
        .try_scope(async {
            let mut work = UnitOfWork::current().await?;
            diesel::insert_into(rows::table).values(rows::id.eq(1)).execute(&mut *work).await?;
            drop(work);
            let error = acquire_error(insert(&registry, 2).await.unwrap_err());
            assert!(matches!(error, AcquireError::WriteDeadlock { is_own: true, .. }), "{error}");
            Scope::current()?.commit().await?;
            insert(&registry, 3).await?;
            // The next unit of work of the scope, and a task that does not hold the scope up.
            let mut work = UnitOfWork::current().await?;
            diesel::insert_into(rows::table).values(rows::id.eq(4)).execute(&mut *work).await?;
            drop(work);
            let (scope, other) = (Scope::current()?, registry.clone());
            let beside = tokio::spawn(async move { scope.enter(insert(&other, 5)).await });
            tokio::task::yield_now().await;
            Scope::current()?.commit().await?;
            beside.await.expect("no panic")?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(count(&registry).await, 4);
}

async fn time_out_says_that_the_task_itself_has_begun_the_unit_of_work() {
    let folder = tempfile::tempdir().unwrap();
    let bind =
        BindSettings::new(url(&folder, "rows.db")).acquire_timeout(Duration::from_millis(500));
    let registry = super::registry(bind);
    sql_query(CREATE_ROWS).bound_to::<rows::table>().execute(&registry).await.unwrap();
    let mut work = registry.begin();
    work.session_for::<rows::table>().await.unwrap();
    let error = acquire_error(insert(&registry, 1).await.unwrap_err());
    assert!(error.is_timeout() && error.is_transient(), "{error}");
    let text = error.to_string();
    let begin = "bind `default`: timed out after 500ms waiting for its turn to write: another writer of this process \
                 (a unit of work that this task has begun, of ";
    assert!(text.starts_with(begin), "{text}");
    work.rollback().await.unwrap();
    insert(&registry, 1).await.unwrap();
}

async fn units_of_work_that_wait_in_a_circle_are_refused_at_once() {
    let (_folder, registry) = files().await;
    let (mut first, mut second) = (registry.begin(), registry.begin());
    first.session_for::<rows::table>().await.unwrap();
    second.session_for::<others::table>().await.unwrap();
    // A wait that was given up is no part of a circle.
    assert_waits(&registry, pin!(second.session_for::<rows::table>())).await;
    let mut waiting = Box::pin(first.session_for::<others::table>());
    assert_waits(&registry, waiting.as_mut()).await;
    let error = second.session_for::<rows::table>().await.unwrap_err();
    let WorkError::Acquire(error) = error else { panic!("{error:?}") };
    assert!(matches!(error, AcquireError::WriteDeadlock { is_own: false, .. }), "{error}");
    assert!(error.is_transient());
    second.rollback().await.unwrap();
    waiting.await.unwrap();
    first.commit().await.unwrap();
}

async fn a_write_behind_its_own_unit_of_work_in_the_queue_is_refused_at_once() {
    let (_folder, registry) = files().await;
    let mut first = registry.begin();
    first.session_for::<rows::table>().await.unwrap();
    let closure = registry.transaction(async |work| {
        let unit = async { work.session_for::<rows::table>().await.map(drop) };
        let (unit, outside) = join(unit, insert(&registry, 1)).await;
        unit?;
        outside
    });
    let mut closure = Box::pin(closure);
    assert_waits(&registry, closure.as_mut()).await;
    first.commit().await.unwrap();
    let error = acquire_error(closure.await.unwrap_err());
    assert!(matches!(error, AcquireError::WriteDeadlock { is_own: true, .. }), "{error}");
    // The other way round, the write is served before the unit of work.
    let mut first = registry.begin();
    first.session_for::<rows::table>().await.unwrap();
    let closure = registry.transaction(async |work| {
        let unit = async { work.session_for::<rows::table>().await.map(drop) };
        let (outside, unit) = join(insert(&registry, 1), unit).await;
        unit?;
        outside
    });
    let mut closure = Box::pin(closure);
    assert_waits(&registry, closure.as_mut()).await;
    first.commit().await.unwrap();
    closure.await.unwrap();
}

async fn a_circle_through_the_order_of_a_queue_is_refused_at_once() {
    for unit_is_first in [true, false] {
        let (_folder, registry) = files().await;
        let (mut first, mut second) = (registry.begin(), registry.begin());
        first.session_for::<rows::table>().await.unwrap();
        second.session_for::<others::table>().await.unwrap();
        let (go, gone) = oneshot::channel();
        let closure = registry.transaction(async |work| {
            let unit = async { work.session_for::<rows::table>().await.map(drop) };
            let outside = async {
                gone.await.unwrap();
                insert_other(&registry, 1).await
            };
            let (unit, outside) = join(unit, outside).await;
            unit?;
            outside
        });
        let mut closure = Box::pin(closure);
        let mut waiting = Box::pin(second.session_for::<rows::table>());
        if unit_is_first {
            assert_waits(&registry, closure.as_mut()).await;
        }
        assert_waits(&registry, waiting.as_mut()).await;
        assert_waits(&registry, closure.as_mut()).await;
        // `second` has the turn of the other file, and waits behind the unit of work of the closure if that came first.
        go.send(()).unwrap();
        assert_waits(&registry, closure.as_mut()).await;
        first.commit().await.unwrap();
        if unit_is_first {
            let error = acquire_error(closure.await.unwrap_err());
            assert!(matches!(error, AcquireError::WriteDeadlock { is_own: false, .. }), "{error}");
            waiting.await.unwrap();
            second.commit().await.unwrap();
        } else {
            waiting.await.unwrap();
            second.commit().await.unwrap();
            closure.await.unwrap();
        }
    }
}

async fn a_write_in_a_savepoint_outside_of_its_unit_of_work_is_refused_at_once() {
    let (_folder, registry) = files().await;
    let mut work = registry.begin();
    work.session_for::<rows::table>().await.unwrap();
    let outcome = work.savepoint(async |_| insert(&registry, 1).await).await;
    let error = acquire_error(outcome.unwrap_err());
    assert!(matches!(error, AcquireError::WriteDeadlock { is_own: true, .. }), "{error}");
    work.commit().await.unwrap();
    insert(&registry, 1).await.unwrap();
}

async fn migrations_take_their_turn() {
    let (_folder, registry) = files().await;
    let migrate = |name, sql| registry.migrate::<Main>(Steps(vec![step(name, sql)]));
    // Behind a unit of work.
    let mut work = registry.begin();
    work.session_for::<rows::table>().await.unwrap();
    let mut migrating = Box::pin(migrate("1", "CREATE TABLE one (a)"));
    let early = timeout(Duration::from_millis(50), migrating.as_mut()).await;
    assert!(early.is_err(), "{early:?}");
    work.commit().await.unwrap();
    migrating.await.unwrap();
    // Before writers.
    let slow = "INSERT INTO rows WITH RECURSIVE n(id) AS (SELECT 1000 UNION ALL SELECT id + 1 FROM n WHERE id < 30000) \
                SELECT id FROM n";
    let writers = (0..20).map(|id| insert(&registry, id));
    let (migrated, written) = join(migrate("2", slow), join_all(writers)).await;
    migrated.unwrap();
    for outcome in written {
        outcome.unwrap();
    }
    // Inside of a unit of work.
    let outcome = registry
        .transaction(async |work| {
            work.session_for::<rows::table>().await?;
            migrate("3", "CREATE TABLE three (a)").await?;
            Ok::<_, Error>(())
        })
        .await;
    let error = outcome.unwrap_err();
    let Error::Migrate(MigrateError::Acquire(error)) = error else { panic!("{error:?}") };
    assert!(matches!(error, AcquireError::WriteDeadlock { is_own: true, .. }), "{error}");
    migrate("3", "CREATE TABLE three (a)").await.unwrap();
}

async fn the_turn_ends_with_errors_panics_and_dropped_futures() {
    let (_folder, registry) = files().await;
    insert(&registry, 1).await.unwrap();
    insert(&registry, 1).await.unwrap_err();
    let panicking = registry.clone();
    let panicked = tokio::spawn(async move {
        panicking
            .transaction(async |work| {
                work.session_for::<rows::table>().await?;
                panic!("in a unit of work");
                #[expect(unreachable_code, reason = "the type of the error")]
                Ok::<(), Error>(())
            })
            .await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    insert(&registry, 2).await.unwrap();
    for polls in 0..12 {
        let mut dropped = Box::pin(insert(&registry, 100 + polls));
        for _ in 0..polls {
            let done = poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_ready())).await;
            if done {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(dropped);
        let mut work = registry.begin();
        let _ = poll_fn(|cx| {
            let mut begins = pin!(work.session_for::<rows::table>());
            Poll::Ready(begins.as_mut().poll(cx).is_ready())
        })
        .await;
        drop(work);
    }
    // Nobody is left in the queue, and nobody has the turn.
    let mut work = registry.begin();
    work.session_for::<rows::table>().await.unwrap();
    work.commit().await.unwrap();
}

async fn a_stream_of_written_rows_keeps_the_turn() {
    let (_folder, registry) = files().await;
    let many: Vec<_> = (0..2000).map(|id| rows::id.eq(id)).collect();
    rows::table.insert_batched(&many).execute(&registry).await.unwrap();
    let updates = diesel::update(rows::table).set(rows::id.eq(rows::id + 10_000));
    let mut stream = updates.returning(rows::id).load_stream::<i32>(&registry).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let mut waiting = Box::pin(insert(&registry, 5000));
    assert_waits(&registry, waiting.as_mut()).await;
    while let Some(row) = stream.next().await {
        row.unwrap();
    }
    drop(stream);
    waiting.await.unwrap();
    assert_eq!(count(&registry).await, 2001);
}
