//! A MariaDB primary that is made a replica while connections to it are open, as tools for a switch-over do.

use std::time::Duration;

use registry_core::{ReplicaStatus, Role, Token};
use tokio::task::block_in_place;

use crate::mysql::rig::{Rig, bind, prepare, read, write};
use crate::support::proxy::soon;

/// Makes a replica the primary, and a replica of the primary. No connection is cut.
fn switch_over(rig: &Rig) {
    block_in_place(|| {
        rig.cluster.node(0).server().execute("SET GLOBAL read_only = 1");
        rig.cluster.wait_until_caught_up();
        rig.cluster.promote(1);
        rig.cluster.follow(2);
    });
    // New connections go to the new primary. Those that are open stay.
    rig.cluster.node(0).proxy().lead_to(rig.cluster.node(1).server().port());
}

/// Commits a row on the new primary, as soon as the connections to the old one have learnt that it is none.
async fn write_after_switch(rig: &Rig, id: i64) -> Token {
    loop {
        match write(&rig.registry, id).await {
            Ok(token) => return token,
            Err(error) => {
                let causes = crate::support::causes(&error).join(": ");
                assert!(causes.contains("read-only"), "{causes}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_after_a_token_do_not_stay_on_a_server_that_is_no_longer_the_primary() {
    let (cluster, url) = prepare(2).await;
    // No probe tells of the change.
    let settings = bind(&url)
        .probe_interval(Duration::from_secs(3600))
        .replicas(cluster.replicas().iter().map(|node| node.at(&url)));
    let rig = Rig::of(cluster, url, settings);
    let token = rig.write(1).await;
    let seen = read(&rig.reader().after(&token), 1).await.expect("a row");
    assert_eq!((seen.port, seen.found), (rig.real_port(0), 1));

    switch_over(&rig);
    let token = write_after_switch(&rig, 2).await;
    for _ in 0..10 {
        let seen = read(&rig.reader().after(&token), 2).await.expect("a row");
        assert_eq!(seen.found, 1, "{seen:?}");
    }
}

/// A fault of others: the pool, or the probe, stays on the server that was the primary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_find_the_new_primary_behind_the_same_address() {
    let (cluster, url) = prepare(2).await;
    // The new primary is known by the address of the primary alone.
    let settings = bind(&url).replica(cluster.node(2).at(&url));
    let rig = Rig::of(cluster, url, settings);
    rig.write(1).await;
    rig.reads_come_from(&rig.reader(), &[2]).await;
    switch_over(&rig);
    let token = write_after_switch(&rig, 2).await;
    let after = rig.reader().after(&token);
    block_in_place(|| rig.cluster.node(2).pause_replay());
    let later = write_after_switch(&rig, 3).await;
    let later = rig.reader().after(&later);
    // For a moment, nobody knows which server is the primary.
    let seen = soon(async {
        loop {
            match read(&later, 3).await {
                Ok(seen) => break seen,
                Err(error) => assert!(error.to_string().contains("replica"), "{error}"),
            }
        }
    });
    let seen = seen.await;
    assert_eq!((seen.port, seen.found), (rig.real_port(1), 1));
    block_in_place(|| rig.cluster.node(2).resume_replay());
    rig.reads_come_from(&after, &[2]).await;
    assert_eq!(read(&after, 2).await.expect("a row").found, 1);
}

/// A server whose replication has stopped, and that accepts writes, says of itself what a new primary says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_stopped_and_accepts_writes_is_not_taken_for_a_primary_that_has_the_position()
{
    let (cluster, url) = prepare(1).await;
    block_in_place(|| {
        cluster.node(1).server().execute("STOP SLAVE");
        cluster.node(1).server().execute("SET GLOBAL read_only = 0");
    });
    // It is compared with what the primary had before the write.
    let settings =
        bind(&url).probe_interval(Duration::from_secs(3600)).replica(cluster.node(1).at(&url));
    let rig = Rig::of(cluster, url, settings);
    let probed = async {
        loop {
            read(&rig.reader(), 0).await.expect("the primary");
            let status = rig.registry.status().engines[0].clone();
            let both = |replica: &ReplicaStatus| {
                replica.role == Some(Role::Primary) && replica.lag.is_some()
            };
            if status.replicas.iter().any(both) {
                return;
            }
        }
    };
    soon(probed).await;
    let token = rig.write(1).await;
    block_in_place(|| rig.cluster.node(0).server().execute("SET GLOBAL read_only = 1"));
    for _ in 0..10 {
        match read(&rig.reader().after(&token), 1).await {
            Ok(seen) => assert_eq!(seen.found, 1, "{seen:?}"),
            Err(error) => assert!(error.to_string().contains("is a replica"), "{error}"),
        }
    }
}

/// Writes rows, and expects that reads after their tokens find them, while the replica has less of them and higher numbers.
async fn assert_that_the_replica_is_not_read_after_tokens(rig: &Rig) {
    for id in 100..110 {
        let token = rig.write(id).await;
        let seen = read(&rig.reader().after(&token), id).await.expect("a row");
        assert_eq!(seen.found, 1, "{token}: {seen:?}");
    }
}

/// The replica has received more of the old primary than the new one, so its numbers are higher, and it gets no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_with_commits_that_a_failover_has_lost_has_not_reached_the_tokens_of_the_new_primary()
 {
    let (cluster, url) = prepare(2).await;
    let settings = bind(&url).replica(cluster.node(2).at(&url));
    let rig = Rig::of(cluster, url, settings);
    rig.write(1).await;
    rig.reads_come_from(&rig.reader(), &[2]).await;
    block_in_place(|| {
        rig.cluster.wait_until_caught_up();
        rig.cluster.node(1).detach();
    });
    for id in 2..30 {
        rig.write(id).await;
    }
    block_in_place(|| {
        rig.cluster.node(2).wait_until_applied(&rig.cluster.position());
        rig.cluster.node(0).kill9();
        rig.cluster.promote(1);
    });
    rig.cluster.node(0).proxy().lead_to(rig.cluster.node(1).server().port());
    let token = soon(async {
        loop {
            if let Ok(token) = write(&rig.registry, 50).await {
                break token;
            }
        }
    });
    let seen = read(&rig.reader().after(&token.await), 50).await.expect("a row");
    assert_eq!(seen.found, 1, "{seen:?}");
    assert_that_the_replica_is_not_read_after_tokens(&rig).await;
    // Nor without a token: what it has is not the primary's.
    rig.reads_come_from(&rig.reader().max_lag(None), &[1]).await;
    let status = rig.registry.status().to_string();
    assert!(status.contains("foreign"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_of_a_primary_whose_numbers_begin_anew_is_not_read_from() {
    let rig = Rig::new(1).await;
    for id in 2..30 {
        rig.write(id).await;
    }
    block_in_place(|| {
        rig.cluster.wait_until_caught_up();
        rig.cluster.node(0).server().execute("RESET MASTER");
    });
    rig.write(50).await;
    // As soon as the primary has been asked.
    rig.reads_come_from(&rig.reader().max_lag(None), &[0]).await;
    assert_that_the_replica_is_not_read_after_tokens(&rig).await;
}
