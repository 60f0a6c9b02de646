//! Readers whose connections go through PgBouncer in transaction mode, to the primary and to a replica.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use registry_core::{BindDsl, Pooler, Registry, RunQueryDsl, WhenBehind};
use tokio::task::block_in_place;

use crate::postgres::rig::{Main, Rig, bind, pairs, prepare, read, read_on, write};
use crate::support::causes;
use crate::support::pgbouncer;
use crate::support::replicas::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_behind_poolers_read_from_replicas_and_cannot_write() {
    let (cluster, url) = prepare(1).await;
    // PgBouncer knows this account alone.
    let url = cluster.as_admin(&url);
    let settings = [("pool_mode", "transaction"), ("server_login_retry", "1")];
    let poolers = block_in_place(|| {
        [0, 1].map(|number| pgbouncer::Pooler::before(cluster.node(number).server(), &settings))
    });
    let pooled = [0, 1].map(|number| {
        let port = format!(":{}/", cluster.node(number).server().port());
        let proxied = format!(":{}/", cluster.node(number).port());
        let direct = cluster.node(number).at(&url).replacen(&proxied, &port, 1);
        poolers[number].url(&direct)
    });
    let settings = bind(&pooled[0]).pooler(Pooler::Transaction).replica(pooled[1].as_str());
    let rig = Rig::of(cluster, url, settings);
    rig.every_replica_is_read_from().await;
    let reader = rig.reader();
    let insert = || sql_query("INSERT INTO pairs VALUES (1)").reads::<pairs::table>();
    let error = causes(&insert().execute(&reader).await.expect_err("it writes")).join(": ");
    assert!(error.contains("read-only"), "{error}");

    rig.pause_all();
    rig.write(0).await;
    let reader = reader.max_lag(Duration::from_millis(50));
    rig.reads_come_from(&reader, &[0]).await;
    let error = causes(&insert().execute(&reader).await.expect_err("it writes")).join(": ");
    assert!(error.contains("read-only"), "{error}");
    assert_eq!(read(&reader, 1).await.expect("a row").found, 0);
    // A snapshot has a transaction of its own, in place of the one by which the session only reads.
    let mut session = reader.session::<Main>().await.expect("a session");
    let first: i64 = pairs::table.count().get_result(&mut session).await.expect("a count");
    let seen = session
        .snapshot(async |session| {
            let before = pairs::table.count().get_result::<i64>(&mut *session).await?;
            rig.write(2).await;
            let after = pairs::table.count().get_result::<i64>(&mut *session).await?;
            diesel::QueryResult::Ok((before, after))
        })
        .await;
    assert_eq!(seen, Ok((first, first)));
    let error = insert().execute(&mut session).await.expect_err("it writes").to_string();
    assert!(error.contains("read-only"), "{error}");
    drop(session);
    // What was set for the reader is not left on the connection that others share.
    rig.write(1).await;
    assert_eq!(read(&reader, 1).await.expect("a row").found, 1);
}

/// A pooler that reaches a server through its proxy, which may lead it elsewhere.
fn pooler(cluster: &Cluster, number: usize, more: &[(&str, &str)]) -> pgbouncer::Pooler {
    let settings = [&[("pool_mode", "transaction"), ("server_login_retry", "1")], more].concat();
    let node = cluster.node(number);
    block_in_place(|| pgbouncer::Pooler::leading_to(node.port(), node.server(), &settings))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_the_primary_refuse_a_standby_to_which_the_pooler_leads_by_now() {
    let (cluster, url) = prepare(1).await;
    let url = cluster.as_admin(&url);
    let pooler = pooler(&cluster, 0, &[]);
    // No probe tells of the change.
    let settings = bind(&pooler.url(&url))
        .pooler(Pooler::Transaction)
        .probe_interval(Duration::from_secs(3600))
        .replica(cluster.node(1).at(&url));
    let rig = Rig::of(cluster, url, settings);
    let proxied = format!(":{}/", rig.cluster.node(0).port());
    let direct = rig.url.replacen(&proxied, &format!(":{}/", rig.real_port(0)), 1);
    let settings = bind(&direct).replica(rig.cluster.node(1).at(&rig.url));
    let elsewhere = Registry::builder().bind("default", settings).build().expect("good settings");
    let token = rig.write(1).await;
    let seen = read(&rig.reader().after(&token), 1).await.expect("a row");
    assert_eq!((seen.port, seen.found), (rig.real_port(0), 1));

    block_in_place(|| rig.cluster.wait_until_caught_up());
    rig.pause_all();
    rig.cluster.node(0).proxy().lead_to(rig.cluster.node(1).server().port());
    rig.cluster.node(0).proxy().cut();
    let token = write(&elsewhere, 2).await.expect("the primary takes it");
    let after = rig.reader().after(&token);
    for _ in 0..5 {
        let error = causes(&read(&after, 2).await.expect_err("there is no primary")).join(": ");
        let is_told = error.contains("during recovery") || error.contains("is a replica, too");
        assert!(is_told, "{error}");
    }
    rig.resume_all();
    let after = after.when_behind(WhenBehind::Wait).wait_for_replica(Duration::from_secs(60));
    let seen = read(&after, 2).await.expect("a row");
    assert_eq!((seen.port, seen.found), (rig.real_port(1), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_behind_a_pooler_of_several_servers_stays_on_one() {
    let (cluster, url) = prepare(2).await;
    let url = cluster.as_admin(&url);
    let pooler = pooler(&cluster, 1, &[("server_round_robin", "1")]);
    let pooled = pooler.url(&cluster.node(1).at(&url));
    let settings = bind(&url).pooler(Pooler::Transaction).max_lag(None).replica(pooled.as_str());
    let rig = Rig::of(cluster, url, settings);
    rig.reads_come_from(&rig.reader(), &[1]).await;
    // The pooler opens more connections, to another server, while its first ones are in use.
    let mut held = Vec::new();
    loop {
        let mut session = rig.reader().session::<Main>().await.expect("a session");
        let seen = read_on(&mut session, 0).await.expect("a row");
        held.push(session);
        rig.cluster.node(1).proxy().lead_to(rig.cluster.node(2).server().port());
        if seen.port == rig.real_port(2) {
            break;
        }
    }
    drop(held);
    block_in_place(|| rig.cluster.node(2).pause_replay());
    let token = rig.write(1).await;
    block_in_place(|| rig.cluster.node(1).wait_until_applied(&rig.cluster.position()));
    let reader = rig.reader().after(&token);
    for _ in 0..60 {
        let mut session = reader.session::<Main>().await.expect("a session");
        let before = read_on(&mut session, 1).await.expect("a row");
        let inside = session.snapshot(async |session| read_on(session, 1).await).await;
        let after = read_on(&mut session, 1).await.expect("a row");
        assert_eq!((before.found, inside), (1, Ok(before.clone())));
        assert_eq!(after, before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_hangs_behind_its_pooler_is_left_after_check_timeout() {
    let (cluster, url) = prepare(1).await;
    let url = cluster.as_admin(&url);
    let pooler = pooler(&cluster, 1, &[]);
    let pooled = pooler.url(&cluster.node(1).at(&url));
    let settings = bind(&url)
        .pooler(Pooler::Transaction)
        .max_lag(None)
        .check_timeout(Duration::from_millis(300))
        .acquire_timeout(Duration::from_secs(3600))
        .probe_interval(Duration::from_secs(3600))
        .replica(pooled.as_str());
    let rig = Rig::of(cluster, url, settings);
    rig.reads_come_from(&rig.reader(), &[1]).await;
    rig.cluster.node(1).proxy().lose_everything();
    let seen = read(&rig.reader(), 0).await.expect("the primary answers");
    assert_eq!(seen.port, rig.real_port(0));
}

/// The snapshot of a transaction must not be older than the position that was asked for in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_of_a_session_behind_a_pooler_are_no_snapshot_whatever_the_default_level_is() {
    let (cluster, url) = prepare(1).await;
    let url = cluster.as_admin(&url);
    block_in_place(|| {
        let level = "SET default_transaction_isolation = 'repeatable read'";
        let alter = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I ' || {}, current_database()); END $$",
            format_args!("'{}'", level.replace('\'', "''"))
        );
        cluster.execute_in(&url, &alter);
        cluster.wait_until_caught_up();
    });
    let pooler = pooler(&cluster, 1, &[]);
    let pooled = pooler.url(&cluster.node(1).at(&url));
    let settings = bind(&url).pooler(Pooler::Transaction).max_lag(None).replica(pooled.as_str());
    let rig = Rig::of(cluster, url, settings);
    rig.reads_come_from(&rig.reader(), &[1]).await;
    let mut session = rig.reader().session::<Main>().await.expect("a session");
    assert_eq!(read_on(&mut session, 1).await.expect("a row").found, 0);
    rig.write(1).await;
    block_in_place(|| rig.cluster.wait_until_caught_up());
    let seen = read_on(&mut session, 1).await.expect("a row");
    assert_eq!((seen.port, seen.found), (rig.real_port(1), 1));
}
