//! Lists of hosts in the URLs of PostgreSQL: of replicas, each of which is one, and of servers of which one takes writes.

use tokio::task::block_in_place;

use crate::postgres::rig::{Rig, bind, prepare, read, write};
use crate::support::replicas::Cluster;

/// The URL with these servers as its hosts.
fn with_hosts(cluster: &Cluster, url: &str, numbers: &[usize]) -> String {
    let old = format!("127.0.0.1:{}", cluster.node(0).port());
    let hosts = numbers.iter().map(|number| format!("127.0.0.1:{}", cluster.node(*number).port()));
    let changed = url.replacen(&old, &hosts.collect::<Vec<_>>().join(","), 1);
    assert_ne!(url, changed, "a URL of the first server");
    changed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_host_of_a_replica_is_a_replica() {
    let (cluster, url) = prepare(2).await;
    let settings = bind(&url).replica(with_hosts(&cluster, &url, &[1, 2]));
    let rig = Rig::of(cluster, url, settings);
    rig.every_replica_is_read_from().await;
    rig.cluster.node(1).proxy().refuse().await;
    rig.cluster.node(1).proxy().cut();
    rig.reads_come_from(&rig.reader(), &[2]).await;
    rig.cluster.node(1).proxy().heal().await;
    rig.every_replica_is_read_from().await;
}

/// The settings name all servers, as primaries and as replicas, and need not be changed when one is promoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_of_servers_are_found_out_when_all_are_named() {
    let (cluster, url) = prepare(2).await;
    let all = with_hosts(&cluster, &url, &[0, 1, 2]);
    let settings = bind(&format!("{all}?target_session_attrs=read-write")).replica(all.as_str());
    let rig = Rig::of(cluster, url, settings);
    rig.write(1).await;
    rig.reads_come_from(&rig.reader(), &[1, 2]).await;

    block_in_place(|| {
        rig.cluster.wait_until_caught_up();
        rig.cluster.primary().kill9();
        rig.cluster.promote(1);
        rig.cluster.follow(2);
    });
    while let Err(error) = write(&rig.registry, 2).await {
        assert!(error.is_transient() || error.is_connection_lost(), "{error}");
    }
    rig.reads_come_from(&rig.reader(), &[2]).await;
    assert_eq!(read(&rig.reader(), 1).await.expect("a row").found, 1);
    block_in_place(|| rig.cluster.node(2).kill9());
    rig.reads_come_from(&rig.reader(), &[1]).await;
    assert_eq!(read(&rig.reader(), 2).await.expect("a row").found, 1);
}
