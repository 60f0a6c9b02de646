//! The gauges of replicas are what the status says.

use std::time::Duration;

use registry_core::{BindSettings, Registry, Role, binds};

use crate::exporter::with_exporter;
use crate::support::eventually;
use crate::support::replicas::Cluster;

binds! {
    Main: Postgres = "default";
}

#[test]
fn connections_to_replicas_have_their_role() {
    with_exporter(async |exporter| {
        let cluster = Cluster::postgres(1);
        let url = cluster.database("test");
        let bind = BindSettings::new(url.as_str())
            .max_connections(4)
            .probe_interval(Duration::from_millis(20))
            .replica(BindSettings::new(cluster.node(1).at(&url)).max_connections(3));
        let registry = Registry::builder().bind("default", bind).build().expect("good settings");
        let write = registry.session::<Main>().await.expect("a session");
        let reader = registry.reader();
        let read = loop {
            let session = reader.session::<Main>().await.expect("a session");
            if session.role() == Role::Replica {
                break session;
            }
            tokio::task::yield_now().await;
        };
        let gauges = |role| {
            ["active", "idle", "max", "pending"].map(|name| {
                let name = format!("registry_connections_{name}");
                exporter.value(&name, &[("bind", "default"), ("role", role)])
            })
        };
        let engine = || registry.status().engines.remove(0);
        let on_primary = || {
            let engine = engine();
            let reads = engine.reads.expect("there were some");
            let counts = [
                engine.in_use + reads.in_use_on_primary,
                engine.idle + reads.idle_on_primary,
                engine.max + reads.max_on_primary,
                engine.waiting,
            ];
            counts.map(f64::from)
        };
        let on_replica = || {
            let replica = engine().replicas.remove(0);
            [replica.in_use, replica.idle, replica.max, replica.waiting].map(f64::from)
        };
        assert_eq!(gauges("primary"), on_primary());
        assert_eq!(gauges("replica"), on_replica());
        assert_eq!(gauges("replica")[0], 1.0);
        drop((write, read));
        eventually(|| engine().in_use == 0 && engine().replicas[0].in_use == 0).await;
        assert_eq!(gauges("primary"), on_primary());
        assert_eq!(gauges("replica"), on_replica());
    });
}
