//! Addresses that lead to other servers, and replicas that become the primary.

use std::time::Duration;

use registry_core::Role;
use tokio::task::block_in_place;

use super::rig::{Main, Rig, Seen, bind, prepare, read, read_on};

/// A fault of others: the position was that of one server, and the read went to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn address_that_leads_to_another_server_is_not_mistaken_for_the_one_that_was_probed() {
    let (cluster, url) = prepare(2).await;
    // The bind knows one replica, by an address that moves from one server to the other.
    let settings = bind(&url).max_lag(None).replica(cluster.node(1).at(&url));
    let rig = Rig::of(cluster, url, settings);
    rig.reads_come_from(&rig.reader(), &[1]).await;
    block_in_place(|| rig.cluster.node(2).pause_replay());
    let address = rig.cluster.node(1).proxy();
    let [here, there] = [1, 2].map(|number| rig.cluster.node(number).server().port());
    for id in 1..10 {
        let token = rig.write(id).await;
        let after = rig.reader().after(&token);
        // The server that is probed has everything.
        rig.reads_come_from(&after, &[1]).await;
        let held = after.session::<Main>().await.expect("a session");
        assert_eq!(held.role(), Role::Replica);
        // The probe stays on its connection, and the next connection leads to the server that is paused.
        address.lead_to(there);
        let mut next = after.session::<Main>().await.expect("a session");
        let seen = read_on(&mut next, id).await.expect("a row");
        assert_eq!(seen, Seen { port: rig.real_port(0), found: 1 }, "write {id}");
        for _ in 0..4 {
            let seen = read(&after, id).await.expect("a row");
            assert_eq!(seen.found, 1, "write {id}, {seen:?}");
        }
        drop((held, next));
        address.lead_to(here);
        address.cut();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_primary_takes_writes_and_the_other_replica_reads() {
    let (cluster, url) = prepare(2).await;
    // A replica that is promoted, and one that follows it.
    let settings = bind(&url).replica(cluster.node(1).at(&url)).replica(cluster.node(2).at(&url));
    let rig = Rig::of(cluster, url, settings);
    rig.every_replica_is_read_from().await;
    let old = rig.write(1).await;
    block_in_place(|| {
        rig.cluster.wait_until_caught_up();
        rig.cluster.primary().kill9();
        rig.cluster.promote(1);
        rig.cluster.follow(2);
    });
    // The floating address of the primary moves to the new one.
    let address = rig.cluster.node(0).proxy();
    address.lead_to(rig.cluster.node(1).server().port());
    address.cut();
    let token = loop {
        match super::rig::write(&rig.registry, 2).await {
            Ok(token) => break token,
            Err(error) => assert!(error.is_transient() || error.is_connection_lost(), "{error}"),
        }
    };
    for (token, id) in [(&old, 1), (&token, 2)] {
        for _ in 0..20 {
            let seen = read(&rig.reader().after(token), id).await.expect("a row");
            assert_eq!(seen.found, 1, "write {id}, {seen:?}");
        }
    }
    // The second one follows, and serves what was written before and after.
    rig.reads_come_from(&rig.reader().after(&token), &[2]).await;
    let seen = read(&rig.reader().after(&token), 2).await.expect("a row");
    assert_eq!(seen, Seen { port: rig.real_port(2), found: 1 });
    let session = rig.reader().session::<Main>().await.expect("a session");
    assert_eq!(session.role(), Role::Replica);
}

/// The old primary runs on, without writes, and an old connection to it has no reason to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_is_not_measured_for_ever_by_a_primary_that_the_address_has_left() {
    let (cluster, url) = prepare(2).await;
    let second = Duration::from_secs(1);
    let settings = bind(&url).max_lifetime(second).max_lag(second);
    // The one that is no replica of the bind becomes the primary, and the other one follows the old primary.
    let settings = settings.replica(cluster.node(1).at(&url));
    let rig = Rig::of(cluster, url, settings);
    rig.reads_come_from(&rig.reader(), &[1]).await;
    rig.cluster.node(0).proxy().lead_to(rig.cluster.node(2).server().port());
    block_in_place(|| rig.cluster.promote(2));
    let moved = async {
        let mut after = 0;
        for id in 1.. {
            // Until its connections have ended, the registry writes to the old one.
            let _ = super::rig::write(&rig.registry, id).await;
            let query = format!("SELECT count(*) FROM pairs WHERE id = {id}");
            let found = block_in_place(|| rig.cluster.node(2).value(&rig.url, &query));
            after += i64::from(found == Ok(Some("1".to_owned())));
            if after > id / 2 + 10 {
                return;
            }
        }
    };
    crate::support::proxy::soon(moved).await;
    rig.reads_come_from(&rig.reader(), &[2]).await;
}
