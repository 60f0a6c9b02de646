//! Reads that the primary has to answer, because no replica can: how many connections they get.

use std::time::Duration;

use registry_core::{AcquireError, Error, Role, Share};

use super::rig::{Main, Rig, read};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_take_a_share_of_the_connections_of_the_primary_and_leave_those_for_writes() {
    let rig =
        Rig::with(1, |bind| bind.max_lag(Duration::from_millis(100)).max_connections(4)).await;
    rig.pause_all();
    rig.write(1).await;
    let reader = rig.reader();
    rig.reads_come_from(&reader, &[0]).await;
    let first = reader.session::<Main>().await.expect("one of two");
    let second = reader.session::<Main>().await.expect("one of two");
    assert_eq!([first.role(), second.role()], [Role::Primary; 2]);
    let error = reader.session::<Main>().within(Duration::from_millis(50)).await;
    let error = error.expect_err("the share is used up");
    assert!(matches!(error, AcquireError::TimedOut { max: 2, .. }), "{error}");
    // All four connections for writes are free.
    let mut writers = Vec::new();
    for _ in 0..4 {
        writers.push(rig.registry.session::<Main>().await.expect("one of four"));
    }
    drop(writers);
    drop(first);
    read(&reader, 1).await.expect("the share has a free connection");
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_share_reads_fail_at_once_when_no_replica_is_fit() {
    let limits = |bind: registry_core::BindSettings| {
        bind.max_lag(Duration::from_millis(100)).max_reads_on_primary(Share::percent(0))
    };
    let rig = Rig::with_unread(1, limits).await;
    let reader = rig.reader().max_lag(None);
    // The first reads come before the replica is known.
    while read(&reader, 0).await.is_err() {}
    rig.pause_all();
    rig.write(1).await;
    let reader = rig.reader();
    let error = loop {
        match read(&reader, 1).await {
            Ok(seen) => assert_eq!(seen.port, rig.real_port(1), "never the primary"),
            Err(error) => break error,
        }
    };
    let Error::Acquire(error) = error else { panic!("{error}") };
    assert!(matches!(error, AcquireError::ReplicasBehind { .. }), "{error}");
    rig.resume_all();
    while read(&reader, 1).await.is_err() {}
}
