//! More callers than connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection;
use registry_core::settings::BindSettings;
use registry_core::{AcquireError, Postgres, Registry};

use crate::postgres::rig;
use crate::support;

const TASKS: u64 = 64;
const CONNECTIONS: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_served_in_order_of_arrival() {
    let bind =
        BindSettings::new(support::postgres().database("saturated")).max_connections(CONNECTIONS);
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    // Opens all connections first, so that the measured waits do not include connecting.
    rig::assert_whole(&registry).await;

    let start = Arc::new(tokio::sync::Barrier::new(TASKS as usize));
    let served = Arc::new(AtomicU64::new(0));
    let over = Instant::now() + Duration::from_secs(10);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (registry, start) = (registry.clone(), Arc::clone(&start));
            let served = Arc::clone(&served);
            tokio::spawn(async move {
                let mut waits = Vec::new();
                start.wait().await;
                for round in 0.. {
                    if Instant::now() >= over {
                        break;
                    }
                    let before = served.load(Ordering::SeqCst);
                    let mut session =
                        registry.session_by_key::<Postgres>("default").await.expect("a session");
                    // Counted in turns instead of time, so that a busy machine does not distort the result.
                    waits.push(served.fetch_add(1, Ordering::SeqCst) - before);
                    // 0 to 20 ms, in a scattered order.
                    let pause = (task * 31 + round * 17) % 21;
                    let query = format!("SELECT pg_sleep({pause} / 1000.0)");
                    session.batch_execute(&query).await.expect("an answer");
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    let mut fewest = usize::MAX;
    for task in tasks {
        let of_one = task.await.expect("no panic");
        fewest = fewest.min(of_one.len());
        waits.extend(of_one);
    }
    let total = waits.len();
    // No task was starved.
    assert!(fewest * TASKS as usize * 10 >= total * 8, "{fewest} of {total}");
    waits.sort_unstable();
    let (median, longest) = (waits[total / 2], waits[total - 1]);
    assert!(median > 0, "they had to wait");
    assert!(longest <= 3 * median, "the longest wait was {longest} turns, the median {median}");

    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.idle, status.waiting), (0, CONNECTIONS, 0));
    assert_eq!(status.timed_out, 0);
    assert_eq!(status.direct + status.waited, total as u64 + u64::from(CONNECTIONS));
    rig::assert_whole(&registry).await;
}

#[tokio::test]
async fn full_queue_refuses_immediately_and_admits_callers_again() {
    let bind =
        BindSettings::new(support::postgres().database("queue")).max_connections(2).queue_limit(3);
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let acquire = || registry.session_by_key::<Postgres>("default");
    let held = [acquire().await.expect("a session"), acquire().await.expect("a session")];
    let mut queue = [(); 3].map(|()| acquire());
    for waiting in &mut queue {
        assert!(futures_util::poll!(waiting).is_pending());
    }
    for _ in 0..5 {
        let started = Instant::now();
        let error = acquire().await.expect_err("the queue is full");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        assert!(matches!(error, AcquireError::QueueFull { limit: 3, .. }), "{error:?}");
        assert!(error.is_transient() && !error.is_timeout());
    }
    let [first, second, last] = queue;
    // One caller gives up, which makes room for one.
    drop(last);
    let mut newcomer = acquire();
    assert!(futures_util::poll!(&mut newcomer).is_pending());
    assert!(matches!(acquire().await, Err(AcquireError::QueueFull { .. })));
    drop(held);
    let sessions = (first.await.expect("a session"), second.await.expect("a session"));
    assert!(futures_util::poll!(&mut newcomer).is_pending(), "it came after them");
    drop(sessions);
    drop(newcomer.await.expect("a session"));
    rig::assert_whole(&registry).await;
}
