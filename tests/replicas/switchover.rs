//! A MariaDB primary that is made a replica while connections to it are open, as tools for a switch-over do.

use std::time::Duration;

use tokio::task::block_in_place;

use crate::mysql::rig::{Rig, bind, prepare, read, write};

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

    block_in_place(|| {
        rig.cluster.node(0).server().execute("SET GLOBAL read_only = 1");
        rig.cluster.wait_until_caught_up();
        rig.cluster.promote(1);
        rig.cluster.follow(2);
    });
    // New connections go to the new primary. Those that are open stay, also that of the reader.
    rig.cluster.node(0).proxy().lead_to(rig.cluster.node(1).server().port());
    let token = loop {
        match write(&rig.registry, 2).await {
            Ok(token) => break token,
            Err(error) => {
                let causes = crate::support::causes(&error).join(": ");
                assert!(causes.contains("read-only"), "{causes}");
            }
        }
    };
    for _ in 0..10 {
        let seen = read(&rig.reader().after(&token), 2).await.expect("a row");
        assert_eq!(seen.found, 1, "{seen:?}");
    }
}
