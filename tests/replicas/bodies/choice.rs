//! Which server a read goes to, and that it is never stale after a token.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{
    AcquireError, BindDsl, Error, Role, RunQueryDsl, Scope, Token, UnitOfWork, WhenBehind,
};
use tokio::task::block_in_place;

use super::rig::{Main, Rig, Seen, pairs, read, read_on, seen};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_replica_is_read_without_a_token_and_never_after_one() {
    let rig = Rig::with(1, |bind| bind.max_lag(None)).await;
    let (primary, replica) = (rig.real_port(0), rig.real_port(1));
    rig.pause_all();
    let token = rig.write(1).await;
    // The test can see a stale read.
    assert_eq!(
        read(&rig.reader(), 1).await.expect("a row"),
        Seen { port: replica.clone(), found: 0 }
    );
    let after = rig.reader().after(&token);
    for _ in 0..20 {
        assert_eq!(read(&after, 1).await.expect("a row"), Seen { port: primary.clone(), found: 1 });
    }
    let mut session = after.session::<Main>().await.expect("a session");
    assert_eq!(session.role(), Role::Primary);
    assert_eq!(
        read_on(&mut session, 1).await.expect("a row"),
        Seen { port: primary.clone(), found: 1 }
    );
    drop(session);

    rig.resume_all();
    rig.reads_come_from(&after, &[1]).await;
    assert_eq!(read(&after, 1).await.expect("a row"), Seen { port: replica.clone(), found: 1 });
    let session = after.session::<Main>().await.expect("a session");
    assert_eq!(session.role(), Role::Replica);
}

/// A fault of others: the wait ended as soon as any replica had caught up, and the read went to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_that_caught_up_says_nothing_of_the_other() {
    let rig = Rig::with(2, |bind| bind.max_lag(None)).await;
    block_in_place(|| rig.cluster.node(2).pause_replay());
    let token = rig.write(1).await;
    let after = rig.reader().after(&token);
    rig.reads_come_from(&after, &[1]).await;
    for _ in 0..100 {
        let seen = read(&after, 1).await.expect("a row");
        assert_eq!(seen, Seen { port: rig.real_port(1), found: 1 });
    }
    // The same servers, without the token.
    rig.reads_come_from(&rig.reader(), &[1, 2]).await;
    // Merged with the token of a later write, which neither has.
    block_in_place(|| rig.cluster.node(1).pause_replay());
    let later = rig.write(2).await;
    for reader in [after.clone().after(&later), rig.reader().after(&later.merged(&token))] {
        for _ in 0..20 {
            let seen = read(&reader, 2).await.expect("a row");
            assert_eq!(seen, Seen { port: rig.real_port(0), found: 1 });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_of_a_write_by_someone_else_is_asked_for() {
    let rig = Rig::with(1, |bind| bind.max_lag(None)).await;
    rig.pause_all();
    block_in_place(|| rig.cluster.execute_in(&rig.url, "INSERT INTO pairs VALUES (1)"));
    let token = rig.registry.token::<Main>().await.expect("the primary answers");
    // As a program passes it on.
    let token: Token = token.to_string().parse().expect("a token");
    let after = rig.reader().after(&token);
    assert_eq!(read(&after, 1).await.expect("a row").found, 1);
    rig.resume_all();
    rig.reads_come_from(&after, &[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_that_waits_gets_a_replica_or_the_primary_after_its_bound() {
    let rig = Rig::with(1, |bind| bind.max_lag(None)).await;
    rig.pause_all();
    let token = rig.write(1).await;
    let after = rig.reader().after(&token).when_behind(WhenBehind::Wait);
    let short = after.clone().wait_for_replica(Duration::from_millis(50));
    let seen = read(&short, 1).await.expect("the primary");
    assert_eq!(seen, Seen { port: rig.real_port(0), found: 1 });

    let long = after.wait_for_replica(Duration::from_secs(60));
    let waits = tokio::spawn(async move { read(&long, 1).await });
    rig.resume_all();
    let seen = waits.await.expect("no panic").expect("the replica");
    assert_eq!(seen, Seen { port: rig.real_port(1), found: 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_that_refuses_the_primary_gets_an_error() {
    let rig = Rig::with(1, |bind| bind.max_lag(None)).await;
    rig.pause_all();
    let token = rig.write(1).await;
    let after = rig
        .reader()
        .after(&token)
        .when_behind(WhenBehind::Error)
        .wait_for_replica(Duration::from_millis(50));
    let error = read(&after, 1).await.expect_err("no replica has it");
    let Error::Acquire(error) = error else { panic!("{error}") };
    assert!(matches!(error, AcquireError::ReplicasBehind { .. }), "{error}");
    assert_eq!(error.key(), "default");
    rig.resume_all();
    block_in_place(|| rig.cluster.wait_until_caught_up());
    let long = after.wait_for_replica(Duration::from_secs(60));
    let seen = read(&long, 1).await.expect("the replica");
    assert_eq!(seen, Seen { port: rig.real_port(1), found: 1 });
}

/// A fault of others: a transaction that had written read from a replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unit_of_work_reads_its_own_rows_and_no_reader_sees_them_before_the_commit() {
    let rig = Rig::with(1, |bind| bind.max_lag(None)).await;
    let mut work = rig.registry.begin();
    let insert = diesel::insert_into(pairs::table).values(pairs::id.eq(1));
    insert.execute(&mut work).await.expect("the primary takes it");
    let own = diesel::select(seen("pairs", 1)).reads::<pairs::table>();
    let own: Seen = own.get_result(&mut work).await.expect("a row");
    assert_eq!(own, Seen { port: rig.real_port(0), found: 1 });
    assert_eq!(read(&rig.reader(), 1).await.expect("a row").found, 0);
    let token = work.commit().await.expect("the primary takes it").token();
    assert_eq!(read(&rig.reader().after(&token), 1).await.expect("a row").found, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_reads_what_it_has_written() {
    let rig = Rig::with(1, |bind| bind.max_lag(None)).await;
    rig.pause_all();
    let (primary, replica) = (rig.real_port(0), rig.real_port(1));
    let registry = rig.registry.clone();
    rig.registry
        .scope(async {
            let before = read(&registry.reader(), 1).await.expect("a row");
            assert_eq!(before, Seen { port: replica.clone(), found: 0 });
            super::rig::write(&registry, 1).await.expect("the primary takes it");
            for _ in 0..5 {
                let after = read(&registry.reader(), 1).await.expect("a row");
                assert_eq!(after, Seen { port: primary.clone(), found: 1 });
            }
        })
        .await;
    // Another scope has written nothing.
    let other = rig.registry.scope(read(&rig.reader(), 1)).await.expect("a row");
    assert_eq!(other, Seen { port: replica.clone(), found: 0 });
    // The unit of work of the scope itself.
    rig.registry
        .scope(async {
            let mut work = UnitOfWork::current().await.expect("a scope");
            let insert = diesel::insert_into(pairs::table);
            insert.values(pairs::id.eq(4)).execute(&mut *work).await.expect("the primary takes it");
            drop(work);
            let scope = Scope::current().expect("a scope");
            scope.commit().await.expect("the primary takes it");
            let after = read(&registry.reader(), 4).await.expect("a row");
            assert_eq!(after, Seen { port: primary.clone(), found: 1 });
        })
        .await;
    // A write outside of a unit of work is a write too.
    rig.registry
        .scope(async {
            diesel::insert_into(pairs::table)
                .values(pairs::id.eq(2))
                .execute(&registry)
                .await
                .expect("the primary takes it");
            let after = read(&registry.reader(), 2).await.expect("a row");
            assert_eq!(after, Seen { port: primary.clone(), found: 1 });
        })
        .await;
    rig.registry
        .scope(async {
            let mut session = registry.session::<Main>().await.expect("a session");
            session.batch_execute("INSERT INTO pairs VALUES (3)").await.expect("the primary");
            drop(session);
            let after = read(&registry.reader(), 3).await.expect("a row");
            assert_eq!(after, Seen { port: primary.clone(), found: 1 });
        })
        .await;
}
