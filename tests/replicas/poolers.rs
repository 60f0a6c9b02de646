//! Readers whose connections go through PgBouncer in transaction mode, to the primary and to a replica.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use registry_core::{BindDsl, Pooler, RunQueryDsl};
use tokio::task::block_in_place;

use crate::postgres::rig::{Main, Rig, bind, pairs, prepare, read};
use crate::support::causes;
use crate::support::pgbouncer;

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
