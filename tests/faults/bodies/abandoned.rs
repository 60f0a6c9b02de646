//! Statements and streams whose future was dropped.

use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};
use diesel_async::SimpleAsyncConnection;
use futures_util::StreamExt;
use registry_core::{BindDsl, Error, Registry, RunQueryDsl, binds};

use super::rig::{AT_ONCE, Rig, UPDATE, create_things};
use super::{CONNECTION_ID, IMPATIENT, MANY_ROWS, has_transaction};
use crate::support::proxy::soon;

/// A statement that locks a row and then runs for half a minute.
fn lock_and_linger(url: &str) -> &'static str {
    if url.starts_with("postgres") {
        "WITH locked AS MATERIALIZED (SELECT id FROM things FOR UPDATE) \
         SELECT pg_sleep(30) FROM locked"
    } else {
        // Not SLEEP: during a SLEEP, MariaDB checks every five seconds whether its client is still connected.
        "UPDATE things SET value = value + 1 WHERE id = 1 AND BENCHMARK(2000000000, MD5(value)) = 0"
    }
}

/// Without a cancel request, the server notices only at the end of a statement that its client is gone.
#[tokio::test]
async fn dropped_statement_is_cancelled_on_the_server_and_releases_its_locks() {
    let rig = Rig::new(|bind| bind).await;
    let mut observer = rig.observer().await;
    create_things(&mut observer).await;
    observer.batch_execute(IMPATIENT).await.expect("a setting");
    let mut session = rig.session().await;
    let gate = rig.proxy.hold_answers();
    {
        let statement = session.batch_execute(lock_and_linger(&rig.direct));
        tokio::select! {
            _ = statement => panic!("it takes half a minute"),
            () = soon(gate.asked()) => {}
        }
    }
    soon(async { while !has_transaction(&rig.direct).await {} }).await;
    drop(gate);
    drop(session);
    observer.batch_execute(UPDATE).await.expect("it is not locked for half a minute");
    rig.finish().await;
}

binds! { Main: super::Backend = "default"; }

#[derive(Debug, QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

async fn connection_id(registry: &Registry) -> i64 {
    let id = sql_query(CONNECTION_ID).bound_to::<Main>().get_result::<Number>(registry);
    let answer = tokio::time::timeout(AT_ONCE, id).await;
    answer.expect("nothing to wait for").expect("a number").value
}

/// The next borrower would have to wait until all rows had arrived.
#[tokio::test]
async fn dropped_stream_leaves_no_rows_for_the_next_borrower() {
    // The connection is lent without a check.
    let rig = Rig::new(|bind| bind.max_connections(1).check_idle_after(AT_ONCE)).await;
    let many = || sql_query(MANY_ROWS).bound_to::<Main>();
    let first = connection_id(&rig.registry).await;

    let mut rows = many().load_stream::<Number>(&rig.registry).await.expect("a stream");
    assert_eq!(rows.next().await.expect("a row").expect("a row").value, 1);
    drop(rows);
    let second = connection_id(&rig.registry).await;
    assert_ne!(first, second);

    let row: Number = many().get_result(&rig.registry).await.expect("a row");
    assert_eq!(row.value, 1);
    let third = connection_id(&rig.registry).await;
    assert_ne!(second, third);

    let mut session = rig.registry.session::<Main>().await.expect("a session");
    let mut rows = many().load_stream::<Number>(&mut session).await.expect("a stream");
    assert_eq!(rows.next().await.expect("a row").expect("a row").value, 1);
    drop(rows);
    drop(session);
    assert_ne!(third, connection_id(&rig.registry).await);
    rig.finish().await;
}

#[tokio::test]
async fn connection_whose_rows_were_all_read_is_lent_again() {
    let rig = Rig::new(|bind| bind.max_connections(1)).await;
    let id = || sql_query(CONNECTION_ID).bound_to::<Main>();
    let before = connection_id(&rig.registry).await;
    for _ in 0..20 {
        let now: Number = id().get_result(&rig.registry).await.expect("a number");
        assert_eq!(now.value, before);
        let few = format!("{CONNECTION_ID} UNION ALL SELECT 1 UNION ALL SELECT 2");
        let first: Number =
            sql_query(few).bound_to::<Main>().get_result(&rig.registry).await.expect("a number");
        assert_eq!(first.value, before);
        let mut rows = id().load_stream::<Number>(&rig.registry).await.expect("a stream");
        while let Some(row) = rows.next().await {
            assert_eq!(row.expect("a number").value, before);
        }
    }
    rig.finish().await;
}

/// The unit of work continues on the same connection.
#[tokio::test]
async fn unread_rows_do_not_end_a_unit_of_work() {
    let rig = Rig::new(|bind| bind.max_connections(1)).await;
    let before = connection_id(&rig.registry).await;
    rig.registry
        .transaction(async |work| {
            let few = "SELECT count(*) AS value UNION ALL SELECT 2 UNION ALL SELECT 3";
            let few = || sql_query(few).bound_to::<Main>();
            let mut rows = few().load_stream::<Number>(&mut *work).await?;
            assert!(rows.next().await.is_some());
            drop(rows);
            let row: Number = few().get_result(work).await?;
            assert_eq!(row.value, 1);
            Ok::<_, Error>(())
        })
        .await
        .expect("committed");
    assert_eq!(before, connection_id(&rig.registry).await);
    rig.finish().await;
}
