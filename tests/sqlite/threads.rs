//! Each connection has a thread, which ends with it.

use std::path::Path;

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::Sqlite;
use registry_core::settings::BindSettings;

use crate::gate::Gate;
use crate::support::{eventually, fresh_folder};
use crate::{number, registry, session};

/// How many threads of this process have the name.
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads");
    let names = tasks.flatten().flat_map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.filter(|of| of.trim_end() == name).count()
}

/// How many open descriptors of this process belong to the database file or its sidecar files.
fn handles(path: &Path) -> usize {
    let path = path.to_str().expect("UTF-8");
    let handles = std::fs::read_dir("/proc/self/fd").expect("the files");
    let files = handles.flatten().flat_map(|handle| std::fs::read_link(handle.path()));
    files.filter(|file| file.to_string_lossy().starts_with(path)).count()
}

#[tokio::test]
async fn thread_ends_with_its_connection_and_closes_the_file() {
    let path = fresh_folder().join("one.db");
    let mut connection = Sqlite::establish(path.to_str().expect("UTF-8")).await.expect("open");
    assert_eq!((threads("sqlite one.db"), handles(&path)), (1, 1));
    let mut gate = Gate::on(&mut connection).await;
    gate.abandon(connection.batch_execute("SELECT gate(1)")).await;
    drop(connection);
    assert_eq!(threads("sqlite one.db"), 1, "the statement comes to its end");
    gate.open();
    eventually(|| threads("sqlite one.db") == 0 && handles(&path) == 0).await;
}

#[tokio::test]
async fn failed_open_leaves_no_thread() {
    let path = fresh_folder().join("none/absent.db");
    let error = Sqlite::establish(path.to_str().expect("UTF-8")).await.expect_err("no folder");
    assert_eq!(error.to_string(), "unable to open database file");
    eventually(|| threads("sqlite absent.d") == 0).await;
}

#[tokio::test]
async fn abandoned_open_leaves_no_thread() {
    let path = fresh_folder().join("half.db");
    for _ in 0..50 {
        let mut opening = Box::pin(Sqlite::establish(path.to_str().expect("UTF-8")));
        assert!(
            futures_util::FutureExt::now_or_never(opening.as_mut()).is_none_or(|it| it.is_ok())
        );
    }
    eventually(|| threads("sqlite half.db") == 0 && handles(&path) == 0).await;
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
    assert_eq!(threads("sqlite closed.d"), 4);
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
    // The thread itself ends a moment later.
    assert_eq!(handles(&path), 0);
    eventually(|| threads("sqlite closed.d") == 0).await;
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
        // The threads themselves end a moment later.
        eventually(|| !path.with_extension("db-wal").exists()).await;
    }
}
