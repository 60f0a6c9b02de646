//! The metrics of replicas.

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::task::block_in_place;

use crate::postgres::rig::Rig;
use crate::support::eventually;

/// The gauge of the replica at this port, or zero if it was not set since the last look: a look resets it.
fn gauge(snapshotter: &Snapshotter, name: &str, port: u16) -> f64 {
    let port = format!(":{port}");
    let metrics = snapshotter.snapshot().into_vec();
    let found = metrics.into_iter().find_map(|(key, _, _, value)| {
        let key = key.key();
        let is_of_replica =
            || key.labels().any(|it| it.key() == "replica" && it.value().ends_with(&port));
        match value {
            DebugValue::Gauge(value) if key.name() == name && is_of_replica() => Some(value),
            _ => None,
        }
    });
    found.map_or(0.0, |value| value.into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_of_a_replica_that_does_not_answer_is_no_number() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("no other test of this binary has one");
    let rig = Rig::new(1).await;
    let port = rig.cluster.node(1).port();
    eventually(|| gauge(&snapshotter, "registry_replica_up", port) == 1.0).await;
    eventually(|| gauge(&snapshotter, "registry_replica_lag_seconds", port) > 0.0).await;
    block_in_place(|| rig.cluster.node(1).kill9());
    eventually(|| gauge(&snapshotter, "registry_replica_lag_seconds", port).is_nan()).await;
}
