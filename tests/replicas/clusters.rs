//! The clusters of the tests themselves: that replication works, lags when told to, and ends with the cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::replicas::{Cluster, Node};

/// The number of rows that a server shows.
fn rows(node: &Node, url: &str) -> String {
    let count = node.value(url, "SELECT count(*) FROM t");
    count.expect("the server answers").expect("a number")
}

fn insert(cluster: &Cluster, url: &str, value: i32) {
    cluster.execute_in(url, &format!("INSERT INTO t VALUES ({value})"));
}

/// A database with an empty table.
fn table(cluster: &Cluster) -> String {
    let url = cluster.database("test");
    cluster.execute_in(&url, "CREATE TABLE t (v INTEGER NOT NULL PRIMARY KEY)");
    cluster.wait_until_caught_up();
    url
}

fn a_write_arrives_on_each_replica_unless_replay_is_paused(cluster: &Cluster) {
    let url = table(cluster);
    insert(cluster, &url, 1);
    cluster.wait_until_caught_up();
    let (first, second) = (cluster.node(1), cluster.node(2));
    assert_eq!(rows(first, &url), "1");
    assert_eq!(rows(second, &url), "1");

    first.pause_replay();
    insert(cluster, &url, 2);
    let position = cluster.position();
    second.wait_until_applied(&position);
    assert_eq!(rows(second, &url), "2");
    assert_eq!(rows(first, &url), "1", "it is paused");
    first.resume_replay();
    first.wait_until_applied(&position);
    assert_eq!(rows(first, &url), "2");

    first.set_apply_delay(Duration::from_secs(3600));
    insert(cluster, &url, 3);
    let position = cluster.position();
    second.wait_until_applied(&position);
    assert_eq!(rows(first, &url), "2", "it is delayed");
    first.set_apply_delay(Duration::ZERO);
    first.wait_until_applied(&position);
    assert_eq!(rows(first, &url), "3");

    first.detach();
    insert(cluster, &url, 4);
    let position = cluster.position();
    second.wait_until_applied(&position);
    assert_eq!(rows(first, &url), "3", "it is detached");
    cluster.follow(1);
    first.wait_until_applied(&position);
    assert_eq!(rows(first, &url), "4");
}

fn killed_and_stopped_replicas_come_back(cluster: &Cluster) {
    let url = table(cluster);
    let (first, second) = (cluster.node(1), cluster.node(2));
    first.kill9();
    second.stop();
    assert!(!first.is_running() && !second.is_running());
    insert(cluster, &url, 1);
    first.start();
    second.start();
    cluster.wait_until_caught_up();
    assert_eq!(rows(first, &url), "1");
    assert_eq!(rows(second, &url), "1");
}

/// Ends with the second replica as the primary.
fn promoted_replica_has_every_acknowledged_write(cluster: &Cluster) {
    let url = table(cluster);
    cluster.acknowledge_commits();
    let behind = cluster.node(1);
    behind.kill9();
    for value in 0..20 {
        insert(cluster, &url, value);
    }
    behind.start();
    cluster.node(2).pause_replay();
    // The first one may not have it yet.
    insert(cluster, &url, 20);
    cluster.primary().kill9();
    let number = cluster.most_advanced();
    cluster.promote(number);
    assert_eq!(rows(cluster.node(number), &url), "21");

    let other = 3 - number;
    cluster.follow(other);
    insert(cluster, &url, 21);
    let position = cluster.position();
    cluster.node(other).wait_until_applied(&position);
    assert_eq!(rows(cluster.node(other), &url), "22");
    // After a restart, each has the role that it had.
    for node in [number, other].map(|number| cluster.node(number)) {
        node.kill9();
        node.start();
    }
    insert(cluster, &url, 22);
    cluster.node(other).wait_until_applied(&cluster.position());
    assert_eq!(rows(cluster.node(other), &url), "23");
}

/// A statement of the account without privileges.
async fn run(url: &str, sql: &str) -> Result<(), String> {
    use diesel_async::{
        AsyncConnection, AsyncMysqlConnection, AsyncPgConnection, SimpleAsyncConnection,
    };
    let text = |error: diesel::result::Error| error.to_string();
    if url.starts_with("postgres:") {
        let mut connection = AsyncPgConnection::establish(url).await.map_err(|e| e.to_string())?;
        connection.batch_execute(sql).await.map_err(text)
    } else {
        let mut connection =
            AsyncMysqlConnection::establish(url).await.map_err(|e| e.to_string())?;
        connection.batch_execute(sql).await.map_err(text)
    }
}

async fn replicas_refuse_writes_and_proxies_cut_links(cluster: Cluster) {
    let cluster = cluster.proxied().await;
    let url = tokio::task::block_in_place(|| table(&cluster));
    run(&url, "INSERT INTO t VALUES (1)").await.expect("the primary takes it");
    let replica = cluster.node(1);
    let error = run(&replica.at(&url), "INSERT INTO t VALUES (2)").await.expect_err("a replica");
    assert!(error.contains("read-only"), "{error}");
    run(&replica.at(&url), "SELECT 1").await.expect("a replica is read from");
    let accepted = replica.proxy().accepted();
    assert!(accepted >= 2, "past the proxy");
    replica.proxy().refuse().await;
    run(&replica.at(&url), "SELECT 1").await.expect_err("it is refused");
    replica.proxy().heal().await;
    run(&replica.at(&url), "SELECT 1").await.expect("it is healed");
}

/// The folders of all servers of a cluster.
fn folders(cluster: &Cluster) -> Vec<PathBuf> {
    (0..3).map(|number| cluster.node(number).server().folder().to_owned()).collect()
}

/// Neither a folder nor a process. Their ports may be those of other servers by now.
fn assert_nothing_is_left(folders: &[PathBuf]) {
    for folder in folders {
        assert!(!folder.exists(), "{}", folder.display());
        let running = programs_in(folder);
        assert!(running.is_empty(), "{running:?}");
    }
}

/// The commands of the processes that were started with a path in this folder.
fn programs_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("a path of ASCII");
    let processes = std::fs::read_dir("/proc").expect("the list of processes").flatten();
    let commands =
        processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let commands = commands.map(|command| String::from_utf8_lossy(&command).replace('\0', " "));
    commands.filter(|command| command.contains(folder)).collect()
}

/// One cluster for all of it, as each has three servers.
fn clusters_replicate(cluster: Cluster) {
    a_write_arrives_on_each_replica_unless_replay_is_paused(&cluster);
    killed_and_stopped_replicas_come_back(&cluster);
    promoted_replica_has_every_acknowledged_write(&cluster);
    let folders = folders(&cluster);
    assert!(folders.iter().all(|folder| !programs_in(folder).is_empty()), "they run in them");
    drop(cluster);
    assert_nothing_is_left(&folders);
}

#[test]
fn postgres_clusters_replicate() {
    clusters_replicate(Cluster::postgres(2));
}

#[test]
fn mariadb_clusters_replicate() {
    clusters_replicate(Cluster::mariadb(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_replicas_refuse_writes() {
    let cluster = tokio::task::block_in_place(|| Cluster::postgres(1));
    replicas_refuse_writes_and_proxies_cut_links(cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_replicas_refuse_writes() {
    let cluster = tokio::task::block_in_place(|| Cluster::mariadb(1));
    replicas_refuse_writes_and_proxies_cut_links(cluster).await;
}
