//! Connections share threads, and close their files when they are dropped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::Sqlite;
use registry_core::settings::BindSettings;

use crate::gate::Gate;
use crate::support::{eventually, fresh_folder};
use crate::{number, registry, session};

/// Names the folder of the process in which the threads are counted.
const FIFTY: &str = "REGISTRY_TEST_INNER_FIFTY";

/// How many threads of this process run statements of SQLite.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads");
    let names = tasks.flatten().flat_map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.filter(|name| name.trim_end() == "sqlite").count()
}

/// How many open descriptors of this process belong to the database file or its sidecar files.
fn handles(path: &Path) -> usize {
    let path = path.to_str().expect("UTF-8");
    let handles = std::fs::read_dir("/proc/self/fd").expect("the files");
    let files = handles.flatten().flat_map(|handle| std::fs::read_link(handle.path()));
    files.filter(|file| file.to_string_lossy().starts_with(path)).count()
}

#[tokio::test]
async fn dropped_connection_closes_its_file_after_the_running_statement() {
    let path = fresh_folder().join("one.db");
    let mut connection = Sqlite::establish(path.to_str().expect("UTF-8")).await.expect("open");
    assert_eq!(handles(&path), 1);
    let mut gate = Gate::on(&mut connection).await;
    gate.abandon(connection.batch_execute("SELECT gate(1)")).await;
    drop(connection);
    assert_eq!(handles(&path), 1, "the statement comes to its end");
    gate.open();
    eventually(|| handles(&path) == 0).await;
}

#[tokio::test]
async fn abandoned_open_leaves_no_open_file() {
    let path = fresh_folder().join("half.db");
    for _ in 0..50 {
        let mut opening = Box::pin(Sqlite::establish(path.to_str().expect("UTF-8")));
        assert!(
            futures_util::FutureExt::now_or_never(opening.as_mut()).is_none_or(|it| it.is_ok())
        );
    }
    eventually(|| handles(&path) == 0).await;
}

#[test]
fn fifty_connections_take_fewer_threads_and_each_is_used() {
    // In a process of its own, as the threads of the other tests of this one would be counted too.
    let output = Command::new(std::env::current_exe().expect("this test binary"))
        .args(["--exact", "threads::inner_process_with_fifty_connections", "--test-threads=1"])
        .env(FIFTY, fresh_folder())
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inner_process_with_fifty_connections() {
    let Some(folder) = std::env::var_os(FIFTY).map(PathBuf::from) else {
        return;
    };
    let mut connections = Vec::new();
    for number in 0..50 {
        let path = folder.join(format!("{number}.db"));
        let opened = Sqlite::establish(path.to_str().expect("UTF-8")).await;
        connections.push(opened.expect("open"));
    }
    for connection in &mut connections {
        assert_eq!(number(connection, "SELECT 1 AS value").await, 1);
    }
    assert!((1..50).contains(&threads()), "{} threads", threads());
}

#[tokio::test]
async fn closed_registry_has_closed_its_files() {
    let path = fresh_folder().join("closed.db");
    let bind = BindSettings::new(format!("sqlite://{}", path.display())).max_connections(4);
    let registry = registry(bind);
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(session(&registry).await);
    }
    let mut gate = Gate::on(&mut sessions[0]).await;
    gate.abandon(sessions[0].batch_execute("SELECT gate(1)")).await;
    sessions.drain(..3);
    let closing = tokio::spawn({
        let registry = registry.clone();
        async move { registry.close().await }
    });
    sessions.clear();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(registry.status().engines[0].in_use, 0);
    assert!(!closing.is_finished(), "a statement still runs");
    gate.open();
    assert!(closing.await.expect("no panic").is_complete());
    assert_eq!(handles(&path), 0);
    assert!(!path.with_extension("db-wal").exists(), "everything is in the file itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_wait_for_each_other() {
    let path = fresh_folder().join("busy.db");
    let bind = BindSettings::new(format!("sqlite://{}", path.display())).max_connections(16);
    let registry = registry(bind.busy_timeout(std::time::Duration::from_secs(30)));
    session(&registry)
        .await
        .batch_execute("CREATE TABLE t (value INTEGER)")
        .await
        .expect("a table");
    let together = std::sync::Arc::new(tokio::sync::Barrier::new(16));
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let (registry, together) = (registry.clone(), together.clone());
            tokio::spawn(async move {
                let mut session = session(&registry).await;
                together.wait().await;
                for _ in 0..10 {
                    session
                        .immediate_transaction(async |connection| {
                            connection.batch_execute("INSERT INTO t VALUES (1)").await
                        })
                        .await
                        .expect("it waits");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
    let query = "SELECT count(*) AS value FROM t";
    assert_eq!(number(&mut *session(&registry).await, query).await, 160);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_closed_together_leave_no_log() {
    let folder = fresh_folder();
    for round in 0..60 {
        let path = folder.join(format!("together{round}.db"));
        let bind = BindSettings::new(format!("sqlite://{}", path.display())).max_connections(8);
        let registry = registry(bind);
        let mut sessions = Vec::new();
        for _ in 0..8 {
            sessions.push(session(&registry).await);
        }
        sessions[0].batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
        drop(sessions);
        assert!(registry.close().await.is_complete());
        eventually(|| !path.with_extension("db-wal").exists()).await;
    }
}

/// Runs short queries on `fast` while a statement of `slow`, on the same file, does not end.
async fn runs_beside(slow: &mut Sqlite, fast: &mut Sqlite, statement: &str) {
    let mut gate = Gate::on(slow).await;
    let held = slow.batch_execute(statement);
    gate.abandon(held).await;
    for _ in 0..100 {
        assert_eq!(number(fast, "SELECT 1 AS value").await, 1);
    }
    gate.open();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_query_does_not_wait_for_a_long_one_on_the_same_file() {
    let path = fresh_folder().join("long.db");
    let path = path.to_str().expect("UTF-8");
    let mut slow = Sqlite::establish(path).await.expect("open");
    let mut fast = Sqlite::establish(path).await.expect("open");
    runs_beside(&mut slow, &mut fast, "SELECT gate(1)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn query_that_only_reads_and_takes_long_holds_up_neither_queries_nor_their_answers() {
    use diesel_async::RunQueryDsl;

    let path = fresh_folder().join("reads.db");
    let path = path.to_str().expect("UTF-8");
    let mut slow = Sqlite::establish(path).await.expect("open");
    let gate = Gate::on(&mut slow).await;
    let mut fast = Vec::new();
    for _ in 0..8 {
        fast.push(Sqlite::establish(path).await.expect("open"));
    }
    // All of them are queued at once, and the long one is among the first.
    let together = Arc::new(tokio::sync::Barrier::new(9));
    let queries: Vec<_> = fast
        .into_iter()
        .map(|mut connection| {
            let together = Arc::clone(&together);
            tokio::spawn(async move {
                together.wait().await;
                for _ in 0..100 {
                    assert_eq!(number(&mut connection, "SELECT 1 AS value").await, 1);
                }
            })
        })
        .collect();
    let long = tokio::spawn(async move {
        together.wait().await;
        let query = diesel::sql_query("SELECT gate(1) AS value");
        query.execute(&mut slow).await.expect("it ends");
    });
    for query in queries {
        query.await.expect("no panic");
    }
    assert!(!long.is_finished(), "the gate is closed");
    gate.open();
    long.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_that_pauses_in_its_rows_holds_up_nobody() {
    use diesel_async::RunQueryDsl;
    use futures_util::TryStreamExt;

    let path = fresh_folder().join("paused.db");
    let path = path.to_str().expect("UTF-8");
    let mut reading = Sqlite::establish(path).await.expect("open");
    let mut other = Sqlite::establish(path).await.expect("open");
    let query = diesel::sql_query(
        "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 5000) SELECT value FROM n",
    );
    let mut rows = query.load_stream::<crate::Number>(&mut reading).await.expect("rows");
    assert_eq!(rows.try_next().await.expect("a row").expect("a row").value, 1);
    for _ in 0..100 {
        assert_eq!(number(&mut other, "SELECT 1 AS value").await, 1);
    }
    let rest: Vec<_> = rows.try_collect().await.expect("the rest");
    assert_eq!(rest.len(), 4999);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_behind_another_connections_lock_is_run_when_the_lock_is_released() {
    let path = fresh_folder().join("lock.db");
    let path = path.to_str().expect("UTF-8");
    let mut holder = Sqlite::establish(path).await.expect("open");
    // Without WAL, a commit waits for those who look whether the lock is free.
    holder.batch_execute("PRAGMA busy_timeout = 20000").await.expect("set");
    holder.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    for _ in 0..20 {
        let mut waiter = Sqlite::establish(path).await.expect("open");
        waiter.batch_execute("PRAGMA busy_timeout = 20000").await.expect("set");
        holder.batch_execute("BEGIN IMMEDIATE").await.expect("the lock");
        let waiting = tokio::spawn(async move {
            waiter.batch_execute("INSERT INTO t VALUES (1)").await.expect("it waits");
        });
        // Several jobs of the holder, while the waiter's statement polls for the lock.
        for _ in 0..20 {
            holder.batch_execute("INSERT INTO t VALUES (2)").await.expect("it has the lock");
        }
        holder.batch_execute("COMMIT").await.expect("stored");
        tokio::time::timeout(Duration::from_secs(15), waiting)
            .await
            .expect("it does not wait for its time-out")
            .expect("no panic");
    }
}
