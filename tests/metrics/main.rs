//! The metrics of engines, with a recorder of the `metrics` facade and with the exporter for Prometheus.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel_async::{AsyncConnection, TransactionManager};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use registry_core::settings::BindSettings;
use registry_core::{Registry, binds};

#[path = "../support/mount.rs"]
mod mount;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(gauges);

mod dashboard;
mod everything;
mod exporter;
mod guide;
mod list;
mod queries;
mod replicas;
mod tenants;

binds! {
    Files: Sqlite = "files";
}

type Connection = <Files as registry_core::Bind>::Connection;

/// The values by name. The value of a histogram is the number of its recordings.
fn snapshot(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let metrics = snapshotter.snapshot().into_vec();
    let of_bind = metrics.into_iter().filter(|(key, ..)| {
        key.key().labels().any(|label| (label.key(), label.value()) == ("bind", "files"))
    });
    of_bind
        .map(|(key, _, _, value)| {
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(gauge) => gauge.into_inner(),
                DebugValue::Histogram(recorded) => recorded.len() as f64,
            };
            let reason = key.key().labels().find(|label| label.key() == "reason");
            let reason = reason.map(|reason| format!("/{}", reason.value())).unwrap_or_default();
            let name = key.key().name().trim_start_matches("registry_connections_");
            (format!("{name}{reason}"), value)
        })
        .collect()
}

#[tokio::test]
async fn engines_report_metrics() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("there is no other");
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/metrics.db", folder.path().display());
    let bind = BindSettings::new(url).max_connections(2);
    let registry = Registry::builder().bind("files", bind).build().expect("good settings");

    let one = registry.session::<Files>().await.expect("a session");
    let two = registry.session::<Files>().await.expect("a session");
    let mut third = registry.session::<Files>().within(Duration::from_millis(20));
    assert!(futures_util::poll!(&mut third).is_pending());
    let metrics = snapshot(&snapshotter);
    assert_eq!(metrics["max"], 2.0);
    assert_eq!(metrics["active"], 2.0);
    assert_eq!(metrics["pending"], 1.0);
    assert_eq!(metrics["acquire_seconds"], 2.0);
    assert_eq!(metrics["creation_seconds"], 2.0);

    third.await.expect_err("both are in use");
    drop(one);
    // The second session is returned with an open transaction.
    let mut two = two;
    let begin = <Connection as AsyncConnection>::TransactionManager::begin_transaction(&mut *two);
    begin.await.expect("a transaction");
    drop(two);
    let metrics = snapshot(&snapshotter);
    // A snapshot resets the values, so these are the changes since the last one.
    assert_eq!(metrics["active"], -2.0);
    assert_eq!(metrics["pending"], -1.0);
    assert_eq!(metrics["timeout_total"], 1.0);
    assert_eq!(metrics["usage_seconds"], 2.0);
    assert_eq!(metrics["closed_total/unclean"], 1.0);

    let session = registry.session::<Files>().await.expect("a session");
    let taken = session.into_inner().expect("it can be taken");
    let metrics = snapshot(&snapshotter);
    assert_eq!(metrics["closed_total/taken"], 1.0);
    assert_eq!(metrics["usage_seconds"], 1.0);
    assert_eq!(metrics["active"], 0.0);
    drop(taken);
    assert_eq!(snapshot(&snapshotter).get("closed_total/taken").copied().unwrap_or_default(), 0.0);

    retried::query_with_a_stale_plan().await;
    let metrics = snapshot(&snapshotter);
    assert_eq!(metrics["registry_queries_retried_total/stale"], 1.0);
}

mod retried {
    use diesel_async::{AsyncConnection, SimpleAsyncConnection};
    use registry_core::{BindSettings, Postgres, Registry, RunQueryDsl, bind_tables};

    diesel::table! { things (id) { id -> Integer, what -> Text, } }
    bind_tables!(db = "files", backend = Postgres; things);

    /// Runs a query again whose table was changed after the query had been prepared.
    pub(crate) async fn query_with_a_stale_plan() {
        let url = crate::support::postgres().database("metrics");
        let mut other = Postgres::establish(&url).await.expect("it is up");
        let create = "CREATE TABLE things (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
        other.batch_execute(create).await.expect("an empty database");
        let bind = BindSettings::new(url.as_str()).max_connections(1);
        let registry = Registry::builder().bind("files", bind).build().expect("good settings");
        things::table.load::<(i32, String)>(&registry).await.expect("prepared");
        let alter = "ALTER TABLE things ALTER what TYPE VARCHAR(77)";
        other.batch_execute(alter).await.expect("nothing is locked");
        things::table.load::<(i32, String)>(&registry).await.expect("it is run again");
    }
}
