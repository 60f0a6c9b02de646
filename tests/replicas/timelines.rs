//! Replicas of PostgreSQL that follow another primary than the bind's, while the old primary lives on.

use std::time::Duration;

use diesel::prelude::*;
use registry_core::{RunQueryDsl, WhenBehind};
use tokio::task::block_in_place;

use crate::postgres::rig::{Main, Rig, bind, pairs, prepare, read};

/// A replica of node 0 follows node 1, which was promoted, and has more of its log than node 0 has. There was no restart
/// point since.
async fn follow_a_new_timeline(sees_receiver: bool) -> Rig {
    let (cluster, url) = prepare(2).await;
    let settings = bind(&url)
        .replica(cluster.node(2).at(&url))
        .when_behind(WhenBehind::Wait)
        .wait_for_replica(Duration::from_millis(200));
    let rig = Rig::of(cluster, url, settings);
    if !sees_receiver {
        block_in_place(|| {
            rig.cluster.node(0).server().execute("REVOKE pg_read_all_stats FROM app");
            rig.cluster.wait_until_caught_up();
        });
    }
    rig.reads_come_from(&rig.reader(), &[2]).await;
    block_in_place(|| {
        rig.cluster.promote(1);
        rig.cluster.follow(2);
        let rows = "INSERT INTO pairs SELECT generate_series(100000, 120000)";
        rig.cluster.node(1).execute_in(&rig.url, rows);
        rig.cluster.node(2).wait_until_applied(&rig.cluster.position());
    });
    rig
}

async fn assert_that_reads_after_tokens_are_on_the_primary(rig: &Rig) {
    for id in 1..=10 {
        let token = rig.write(id).await;
        let seen = read(&rig.reader().after(&token), id).await.expect("a row");
        // Perhaps on the other replica, which follows the old primary still.
        assert!(seen.found == 1 && seen.port != rig.real_port(1), "{seen:?} after {token}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_of_a_new_timeline_has_not_reached_the_tokens_of_the_old_one() {
    let rig = follow_a_new_timeline(true).await;
    assert_that_reads_after_tokens_are_on_the_primary(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeline_that_the_account_may_not_see_is_not_guessed() {
    let rig = follow_a_new_timeline(false).await;
    assert_that_reads_after_tokens_are_on_the_primary(&rig).await;
}

/// Without a receiver, nobody may see the timeline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeline_of_a_replica_that_receives_nothing_is_not_guessed() {
    let rig = follow_a_new_timeline(true).await;
    block_in_place(|| rig.cluster.node(2).detach());
    assert_that_reads_after_tokens_are_on_the_primary(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_that_may_not_see_timelines_is_told_what_reads_after_tokens_need() {
    let rig = Rig::new(1).await;
    block_in_place(|| {
        rig.cluster.node(0).server().execute("REVOKE pg_read_all_stats FROM app");
        rig.cluster.wait_until_caught_up();
    });
    let reader = rig.reader().when_behind(WhenBehind::Error);
    let token = rig.write(1).await;
    let refused = read(&reader.after(&token), 1).await.expect_err("it is not known to be there");
    assert!(refused.to_string().contains("GRANT pg_read_all_stats"), "{refused}");
    rig.reads_come_from(&rig.reader(), &[1]).await;
}

/// The probe cannot connect, and a session that has long been open writes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promoted_replica_is_not_read_after_a_token_that_it_has_not_reached() {
    // A machine with other work needs more than a second for a write.
    let rig = Rig::with(2, |bind| bind.check_timeout(Duration::from_secs(20))).await;
    block_in_place(|| rig.cluster.promote(1));
    let mut session = rig.registry.session::<Main>().await.expect("a session");
    let backend: i32 =
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("pg_backend_pid()"))
            .get_result(&mut session)
            .await
            .expect("a number");
    drop(session);
    rig.cluster.node(0).proxy().refuse().await;
    let ended = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app' AND pid <> {backend}"
    );
    block_in_place(|| rig.cluster.node(0).server().execute(&ended));
    // A read without a token is on the promoted one as soon as the probe has failed.
    rig.reads_come_from(&rig.reader().max_lag(None), &[2]).await;
    for id in 1..=10 {
        let token = rig.write(id).await;
        let seen = read(&rig.reader().after(&token), id).await.expect("a row");
        // Perhaps on the other replica, which follows the old primary still.
        assert!(seen.found == 1 && seen.port != rig.real_port(1), "{seen:?} after {token}");
    }
    let count: i64 = pairs::table.count().get_result(&rig.registry).await.expect("a number");
    assert_eq!(count, 10);
}
