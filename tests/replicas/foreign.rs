//! Servers that are named as replicas and are none of the bind's primary.

use std::time::Duration;

use registry_core::{ReplicaState, Role};
use tokio::task::block_in_place;

use crate::postgres::rig::{Rig, bind, prepare, read};
use crate::support::{eventually, own_postgres};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_with_other_data_is_never_read_from_and_fails_the_verification() {
    let (cluster, url) = prepare(1).await;
    let other = block_in_place(own_postgres);
    let foreign = block_in_place(|| {
        let url = other.database("foreign");
        other.execute_in(&url, "CREATE TABLE pairs (id BIGINT NOT NULL PRIMARY KEY)");
        url
    });
    let settings = bind(&url).replica(foreign.as_str()).replica(cluster.node(1).at(&url));
    let rig = Rig::of(cluster, url, settings);
    rig.reads_come_from(&rig.reader(), &[1]).await;
    let registry = rig.registry.clone();
    let states = move || -> Vec<_> {
        registry.status().engines[0].replicas.iter().map(|replica| replica.state).collect()
    };
    eventually(|| states() == [ReplicaState::Foreign, ReplicaState::Fit]).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_database_of_the_same_servers_is_never_read_from() {
    let (cluster, url) = prepare(2).await;
    let other = block_in_place(|| {
        let other = cluster.database("other");
        cluster.execute_in(&other, "CREATE TABLE pairs (id BIGINT NOT NULL PRIMARY KEY)");
        cluster.execute_in(&other, "INSERT INTO pairs VALUES (7)");
        cluster.wait_until_caught_up();
        other
    });
    let settings = bind(&url).replica(cluster.node(1).at(&other)).replica(cluster.node(2).at(&url));
    let rig = Rig::of(cluster, url, settings);
    rig.reads_come_from(&rig.reader(), &[2]).await;
    let reader = rig.reader().max_lag(None);
    for _ in 0..50 {
        assert_eq!(
            read(&reader, 7).await.expect("a row").found,
            0,
            "that is of the other database"
        );
    }
    let error = rig.registry.verify().await.expect_err("the first one is none").to_string();
    assert!(error.contains("its URL names the database `other"), "{error}");
}
