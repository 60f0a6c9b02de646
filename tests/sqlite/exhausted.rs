//! Statements are run although the process may not create more threads.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use futures_util::future::join_all;
use registry_core::Sqlite;

use crate::number;
use crate::support::fresh_folder;

const INNER: &str = "REGISTRY_TEST_INNER_EXHAUSTED";

/// From now on, this process can create no thread.
fn take_threads_away() {
    let this = std::process::id().to_string();
    let limit = Command::new("prlimit").args(["--nproc=1:1", "--pid", &this]).status();
    assert!(limit.expect("util-linux is there").success());
    if nix::unistd::Uid::effective().is_root() {
        // The limit does not hold for root.
        nix::unistd::setuid(nix::unistd::Uid::from_raw(65534)).expect("root may do so");
    }
    assert!(thread::Builder::new().spawn(|| ()).is_err(), "no thread can be started");
}

async fn reads(connection: &mut Sqlite, number_of_queries: i32) {
    for value in 0..number_of_queries {
        assert_eq!(number(connection, &format!("SELECT {value} AS value")).await, value);
        if value % 7 == 0 {
            // So that the threads become idle at times.
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        if value % 100 == 0 {
            connection.batch_execute("INSERT INTO t VALUES (1)").await.expect("stored");
        }
    }
}

/// Does nothing when it is run directly: the test below runs it in an inner process.
#[tokio::test]
async fn inner_process_without_threads() {
    let Ok(folder) = std::env::var(INNER) else { return };
    let mut connections = Vec::new();
    for place in 0..9 {
        let mut connection =
            Sqlite::establish(&format!("{folder}/{}.db", place % 3)).await.expect("open");
        // With a write, so that all of its files are open.
        let set_up = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL;
             CREATE TABLE IF NOT EXISTS t (v INTEGER); INSERT INTO t VALUES (1)";
        connection.batch_execute(set_up).await.expect("set up");
        connections.push(connection);
    }
    take_threads_away();
    join_all(connections.iter_mut().map(|connection| reads(connection, 2000))).await;

    // A closure waits for the readers of other connections to its file, whose queries were queued before. A query on another
    // file may be behind the closure, as there is one thread.
    let mut connections: Vec<_> = connections.into_iter().skip(2).step_by(3).collect();
    let readers = Arc::new(AtomicU32::new(0));
    for _ in 0..20 {
        readers.store(0, Ordering::Relaxed);
        let (last, others) = connections.split_last_mut().expect("three");
        let reading = join_all(others.iter_mut().map(|connection| async {
            assert_eq!(number(connection, "SELECT 1 AS value").await, 1);
            readers.fetch_add(1, Ordering::Relaxed);
        }));
        let waiting = last.spawn_blocking({
            let readers = Arc::clone(&readers);
            move |_| {
                while readers.load(Ordering::Relaxed) < 2 {
                    thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            }
        });
        let (_, waited) = tokio::join!(reading, waiting);
        waited.expect("they were read");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn connections_share_the_last_threads() {
    for _ in 0..3 {
        let output = Command::new("timeout")
            .arg("60")
            .arg(std::env::current_exe().expect("this test binary"))
            .args(["--exact", "exhausted::inner_process_without_threads", "--test-threads=1"])
            .env(INNER, fresh_folder())
            .output()
            .expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
