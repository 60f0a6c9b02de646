//! Many readers at once, and the end of a registry while they read or wait.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::time::Duration;

use registry_core::{AcquireError, Error, WhenBehind};
use tokio::task::{JoinSet, block_in_place};

use super::rig::{Main, Rig, bind, prepare, read};
use crate::support::proxy::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_readers_that_wait_for_a_replica_are_served_when_it_has_caught_up() {
    let rig = Rig::new(1).await;
    rig.pause_all();
    let token = rig.write(1).await;
    let reader = rig
        .reader()
        .after(&token)
        .when_behind(WhenBehind::Error)
        .wait_for_replica(Duration::from_secs(20));
    let mut readers = JoinSet::new();
    for _ in 0..1000 {
        let reader = reader.clone();
        readers.spawn(async move { read(&reader, 1).await.expect("the replica") });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(readers.try_join_next().is_none(), "the replica is paused");
    rig.resume_all();
    let replica = rig.real_port(1);
    while let Some(seen) = soon(readers.join_next()).await {
        let seen = seen.expect("no panic");
        assert_eq!((seen.port, seen.found), (replica.clone(), 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_ends_the_waits_of_readers_and_leaves_no_connection() {
    let rig = Rig::new(2).await;
    rig.pause_all();
    let token = rig.write(1).await;
    let reader = rig
        .reader()
        .after(&token)
        .when_behind(WhenBehind::Error)
        .wait_for_replica(Duration::from_secs(3600));
    let waiting = tokio::spawn(async move { read(&reader, 1).await });
    let session = rig.reader().session::<Main>().await.expect("a session");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "the replicas are paused");

    let registry = rig.registry.clone();
    let closing = tokio::spawn(async move { registry.close().await });
    let error = soon(waiting).await.expect("no panic").expect_err("it is closed");
    assert!(matches!(error, Error::Acquire(AcquireError::Closed { .. })), "{error:?}");
    assert!(!closing.is_finished(), "a session of a reader is lent");
    drop(session);
    let report = soon(closing).await.expect("no panic");
    assert!(report.is_complete(), "{report}");
    let error = read(&rig.reader(), 1).await.expect_err("it is closed");
    assert!(matches!(error, Error::Acquire(AcquireError::Closed { .. })), "{error:?}");
    // Those of the probes too.
    let open = || (0..3).map(|number| rig.cluster.node(number).proxy().open()).sum::<usize>();
    soon(async {
        while open() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The engine and its replicas are replaced while a session of a replica is lent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_engine_takes_its_replicas_with_it() {
    let rig = Rig::new(2).await;
    let session = rig.reader().session::<Main>().await.expect("a session");
    let one = bind(&rig.url).replica(rig.cluster.node(2).at(&rig.url));
    rig.registry.replace_engine("default", one).expect("it is replaced");
    rig.reads_come_from(&rig.reader(), &[2]).await;
    drop(session);
    let status = rig.registry.status();
    assert_eq!(status.engines[0].replicas.len(), 1, "{status}");
    soon(async {
        while rig.cluster.node(1).proxy().open() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The probes belong to the registry, and end with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registries_that_are_dropped_leave_no_connection() {
    let (cluster, url) = prepare(1).await;
    for _ in 0..20 {
        let settings = bind(&url).replica(cluster.node(1).at(&url));
        let registry =
            registry_core::Registry::builder().bind("default", settings).build().expect("good");
        let reader = registry.reader();
        soon(async {
            while registry.status().engines[0]
                .reads
                .as_ref()
                .is_none_or(|reads| reads.on_replicas == 0)
            {
                read(&reader, 1).await.expect("a server answers");
            }
        })
        .await;
    }
    soon(async {
        while (0..2).any(|number| cluster.node(number).proxy().open() > 0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    block_in_place(|| drop(cluster));
}

/// Thousands may wait: a probe that finds nothing new must not wake them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_wait_for_a_replica_are_woken_by_news_alone() {
    let rig = Rig::new(1).await;
    rig.pause_all();
    let token = rig.write(1).await;
    let reader = rig
        .reader()
        .after(&token)
        .when_behind(WhenBehind::Wait)
        .wait_for_replica(Duration::from_secs(2));
    let mut polls = 0;
    let mut reading = pin!(read(&reader, 1));
    let seen = poll_fn(|context| {
        polls += 1;
        reading.as_mut().poll(context)
    });
    let seen = seen.await.expect("the primary answers");
    assert_eq!((seen.port, seen.found), (rig.real_port(0), 1));
    // The probes ask hundreds of times meanwhile.
    assert!(polls < 100, "{polls}");
}
