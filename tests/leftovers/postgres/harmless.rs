//! Statements that leave no session state cost no reset: the next borrower gets the same connection, and nothing was
//! sent to the server in between.

use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::queries::{assert_queries_are_harmless, assert_statements_are_harmless};
use super::rig::{CREATE, Rig, Session, seen, session, t};

const PROCESS: &str = "SELECT pg_backend_pid()::text AS value";

/// Lets a borrower run `work`, and asserts that the connection is lent again without a reset.
pub(crate) async fn assert_kept(rig: &mut Rig, what: &str, work: impl AsyncFn(&mut Session)) {
    let registry = rig.registry(|bind| bind);
    let mut first = session(&registry).await.expect("a session");
    let process = seen(&mut first, PROCESS).await.expect("a row").expect("a number");
    work(&mut first).await;
    let last = || {
        format!(
            "SELECT query || query_start::text AS value FROM pg_stat_activity WHERE pid = {process}"
        )
    };
    // A second registry, so that the query for the last statement is not itself the last statement.
    let observer = rig.registry(|bind| bind);
    let mut observer = session(&observer).await.expect("a session");
    let before = seen(&mut observer, &last()).await;
    drop(first);
    let mut next = session(&registry).await.expect("a session");
    let after = seen(&mut observer, &last()).await;
    // Where the protocol stream cannot be read, the engine may have to ask whether all rows have arrived.
    if super::READS_STREAM && before != after {
        rig.fault(format!("{what}: the server was told something in between: {after:?}"));
    }
    if seen(&mut next, PROCESS).await != Ok(Some(process)) {
        rig.fault(format!("{what}: another connection"));
    }
}

#[tokio::test]
async fn statements_that_leave_no_state_keep_the_connection_without_a_round_trip() {
    let mut rig = Rig::new(&[CREATE]).await;
    assert_queries_are_harmless(&mut rig).await;
    assert_kept(&mut rig, "an upsert that returns", async |session| {
        let insert = diesel::insert_into(t::table).values(t::v.eq("x"));
        let upsert = insert.on_conflict(t::v).do_update().set(t::v.eq("x")).returning(t::v);
        upsert.get_result::<String>(&mut **session).await.expect("a row");
    })
    .await;
    assert_kept(&mut rig, "SET LOCAL in a transaction of Diesel's", async |session| {
        let outcome: QueryResult<()> = session
            .transaction(async |session| {
                session.batch_execute("SET LOCAL lock_timeout = '5s'").await
            })
            .await;
        outcome.expect("it commits");
    })
    .await;
    assert_kept(&mut rig, "SET LOCAL of what the server reports", async |session| {
        let outcome: QueryResult<()> = session
            .transaction(async |session| {
                session.batch_execute("SET LOCAL TIME ZONE 'Asia/Tokyo'").await?;
                session.batch_execute("SET LOCAL application_name = 'report'").await
            })
            .await;
        outcome.expect("it commits");
    })
    .await;
    rig.finish();
}

#[tokio::test]
async fn plain_sql_without_state_keeps_the_connection_without_a_round_trip() {
    let mut rig = Rig::new(&[CREATE]).await;
    let statements = [
        "SELECT 1",
        "SELECT count(*) FROM t",
        "SELECT v FROM t WHERE v LIKE 'a%' ORDER BY v LIMIT 3",
        "SELECT lower(v), now(), coalesce(v, 'set_config') FROM t",
        "SELECT 'SET app.tenant; LISTEN x' AS v",
        "INSERT INTO t VALUES ('SET ROLE mallory') ON CONFLICT DO NOTHING",
        "UPDATE t SET v = v WHERE false",
        "DELETE FROM t WHERE v = 'BEGIN'",
    ];
    assert_statements_are_harmless(&mut rig, &statements).await;
    rig.finish();
}
