//! Servers that are named as replicas and are none of the bind's primary.

use std::time::Duration;

use registry_core::{ReplicaState, Role};
use tokio::task::block_in_place;

use crate::postgres::rig::{Rig, bind, prepare, read};
use crate::support::log::captured_log;
use crate::support::{eventually, own_postgres};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_with_other_data_is_never_read_from_and_fails_the_verification() {
    let log = captured_log();
    let (cluster, url) = prepare(1).await;
    let other = block_in_place(own_postgres);
    let own = block_in_place(|| other.database("foreign"));
    let foreign = block_in_place(|| {
        // A database of the same name, on a server that has never been a replica.
        let name = url.rsplit('/').next().expect("the name of the database");
        other.execute(&format!("CREATE DATABASE {name}"));
        let (server, _) = own.rsplit_once('/').expect("a URL");
        let foreign = format!("{server}/{name}");
        other.execute_in(&foreign, "CREATE TABLE pairs (id BIGINT NOT NULL PRIMARY KEY)");
        foreign
    });
    let foreign_port = format!(":{}", other.port());
    let settings = bind(&url).replica(foreign.as_str()).replica(cluster.node(1).at(&url));
    let rig = Rig::of(cluster, url, settings);
    rig.reads_come_from(&rig.reader(), &[1]).await;
    let registry = rig.registry.clone();
    let states = move || -> Vec<_> {
        registry.status().engines[0].replicas.iter().map(|replica| replica.state).collect()
    };
    eventually(|| states() == [ReplicaState::Foreign, ReplicaState::Fit]).await;
    let told = || log.lines_with(&foreign_port).into_iter().filter(|line| line.contains("WARN"));
    eventually(|| told().count() > 0).await;
    let told: Vec<String> = told().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("the data of another database system"), "{told:?}");
    let error = rig.registry.verify().await.expect_err("the first one is none").to_string();
    assert!(error.contains("another database system"), "{error}");
    // Reads that no replica can answer go to the primary, and not there.
    block_in_place(|| rig.cluster.node(1).kill9());
    for _ in 0..20 {
        assert_eq!(read(&rig.reader(), 0).await.expect("the primary").port, rig.real_port(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn primary_that_is_named_as_its_own_replica_is_not_read_from_as_one() {
    let (cluster, url) = prepare(1).await;
    let settings = bind(&url).replica(cluster.node(0).at(&url)).replica(cluster.node(1).at(&url));
    let rig = Rig::of(cluster, url, settings);
    rig.reads_come_from(&rig.reader(), &[1]).await;
    block_in_place(|| rig.cluster.node(1).pause_replay());
    rig.write(1).await;
    let reader = rig.reader().max_lag(Duration::from_millis(100));
    rig.reads_come_from(&reader, &[0]).await;
    let roles: Vec<_> =
        rig.registry.status().engines[0].replicas.iter().map(|replica| replica.role).collect();
    assert_eq!(roles, [Some(Role::Primary), Some(Role::Replica)]);
}
