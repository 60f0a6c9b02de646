//! Replicas that lag, by the time that they are behind.

use std::time::Duration;

use tokio::task::block_in_place;

use super::rig::{Rig, Seen, read};

/// A fault of others: the age of the last write was taken for the lag.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_on_an_idle_primary_does_not_grow() {
    let limit = Duration::from_millis(300);
    let rig = Rig::with(1, |bind| bind.max_lag(limit)).await;
    let written = std::time::Instant::now();
    rig.write(1).await;
    rig.reads_come_from(&rig.reader(), &[1]).await;
    while written.elapsed() < limit * 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..50 {
        let seen = read(&rig.reader(), 1).await.expect("a row");
        assert_eq!(seen, Seen { port: rig.real_port(1), found: 1 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_lags_too_long_is_not_read_from() {
    let rig = Rig::with(2, |bind| bind.max_lag(Duration::from_millis(200))).await;
    block_in_place(|| rig.cluster.node(1).pause_replay());
    rig.write(1).await;
    rig.reads_come_from(&rig.reader(), &[2]).await;
    // Whoever takes old rows reads from both.
    rig.reads_come_from(&rig.reader().max_lag(None), &[1, 2]).await;
    block_in_place(|| rig.cluster.node(2).pause_replay());
    rig.write(2).await;
    rig.reads_come_from(&rig.reader(), &[0]).await;
    rig.resume_all();
    rig.every_replica_is_read_from().await;
}
