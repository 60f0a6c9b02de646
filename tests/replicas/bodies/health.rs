//! Replicas that fail, come back, and hang.

use std::time::Duration;

use registry_core::Role;
use tokio::task::block_in_place;

use super::rig::{Main, Rig, bind, prepare, read};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_replica_is_out_at_once_and_comes_back() {
    let rig = Rig::new(2).await;
    let (reader, survivor) = (rig.reader(), rig.real_port(2));
    block_in_place(|| rig.cluster.node(1).kill9());
    for _ in 0..50 {
        assert_eq!(read(&reader, 0).await.expect("the other one").port, survivor);
    }
    block_in_place(|| rig.cluster.node(1).start());
    rig.every_replica_is_read_from().await;
}

/// A fault of others: connections that were refused did not count as a failure of the replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_refuses_connections_is_out_until_it_accepts_them() {
    let rig = Rig::new(2).await;
    let (reader, proxy) = (rig.reader(), rig.cluster.node(1).proxy());
    proxy.refuse().await;
    proxy.cut();
    let other = rig.real_port(2);
    for _ in 0..50 {
        assert_eq!(read(&reader, 0).await.expect("the other one").port, other);
    }
    rig.cluster.node(2).proxy().refuse().await;
    rig.cluster.node(2).proxy().cut();
    for _ in 0..50 {
        assert_eq!(read(&reader, 0).await.expect("the primary").port, rig.real_port(0));
    }
    proxy.heal().await;
    rig.reads_come_from(&reader, &[1]).await;
    rig.cluster.node(2).proxy().heal().await;
    rig.every_replica_is_read_from().await;
}

/// A fault of others: requests waited for the health check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_that_hangs_holds_up_nobody() {
    let (cluster, url) = prepare(2).await;
    let silent = cluster.node(1);
    silent.proxy().be_silent();
    let settings = bind(&url)
        .connect_timeout(Duration::from_secs(3600))
        .check_timeout(Duration::from_secs(3600))
        .replica(silent.at(&url))
        .replica(cluster.node(2).at(&url));
    let rig = Rig::of(cluster, url, settings);
    let reader = rig.reader();
    // Whoever waited for the silent one would wait for an hour.
    read(&reader, 0).await.expect("a server answers");
    rig.reads_come_from(&reader, &[2]).await;
    for id in 1..20 {
        rig.write(id).await;
        read(&reader, id).await.expect("a server answers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_answers_its_probe_and_takes_no_new_connections_holds_up_one_read() {
    let rig = Rig::with(1, |bind| bind.connect_timeout(Duration::from_millis(500))).await;
    let (reader, proxy) = (rig.reader(), rig.cluster.node(1).proxy());
    // The next read needs another connection.
    let held = reader.session::<Main>().await.expect("a session");
    assert_eq!(held.role(), Role::Replica);
    proxy.be_silent();
    assert_eq!(read(&reader, 0).await.expect("the primary").port, rig.real_port(0));
    let accepted = proxy.accepted();
    for _ in 0..200 {
        assert_eq!(read(&reader, 0).await.expect("the primary").port, rig.real_port(0));
    }
    let tries = proxy.accepted() - accepted;
    assert!(tries <= 5, "the reads have tried it again: {tries} times");
    proxy.heal().await;
    drop(held);
    rig.every_replica_is_read_from().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_probed_again_after_the_end_of_the_runtime_of_the_first_read() {
    let rig = Rig::with_unread(1, |bind| bind).await;
    let handle = tokio::runtime::Builder::new_current_thread;
    block_in_place(|| {
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                let runtime = handle().enable_all().build().expect("a runtime");
                runtime.block_on(rig.every_replica_is_read_from());
            });
            first.join().expect("its reads have come from the replica");
        });
    });
    // Only a new answer of the replica tells that it has this.
    let token = rig.write(1).await;
    rig.reads_come_from(&rig.reader().after(&token), &[1]).await;
}

/// A program may keep a runtime for its next `block_on`. Until then, its tasks stand still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_probed_again_while_the_runtime_of_the_first_read_stands_still() {
    let half_a_second = Duration::from_millis(500);
    let rig = Rig::with_unread(1, |bind| {
        bind.connect_timeout(half_a_second).check_timeout(half_a_second).max_lag(half_a_second)
    })
    .await;
    let kept = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let kept = kept.expect("a runtime");
    let kept = block_in_place(|| {
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                kept.block_on(rig.every_replica_is_read_from());
                kept
            });
            first.join().expect("its reads have come from the replica")
        })
    });
    let token = rig.write(1).await;
    rig.reads_come_from(&rig.reader().after(&token), &[1]).await;

    // Those of the first runtime end when it goes on, and the others stay.
    block_in_place(|| {
        std::thread::scope(|scope| {
            let going_on = scope.spawn(move || {
                kept.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
            });
            going_on.join().expect("it goes on");
        });
    });
    let token = rig.write(2).await;
    rig.reads_come_from(&rig.reader().after(&token), &[1]).await;
}
