//! Statements that leave no session state keep the connection as it is: the next borrower gets the same one.

use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::RunQueryDsl;

use super::rig::{CREATE, Rig, Session, seen, session, t};

const CONNECTION: &str = "SELECT CAST(CONNECTION_ID() AS CHAR) AS value";

async fn assert_kept(rig: &mut Rig, what: &str, work: impl AsyncFn(&mut Session)) {
    let registry = rig.registry(|bind| bind);
    let mut first = session(&registry).await.expect("a session");
    let connection = seen(&mut first, CONNECTION).await;
    work(&mut first).await;
    drop(first);
    let mut next = session(&registry).await.expect("a session");
    if seen(&mut next, CONNECTION).await != connection {
        rig.fault(format!("{what}: another connection"));
    }
}

#[tokio::test]
async fn statements_that_leave_no_state_keep_the_connection() {
    let mut rig = Rig::new(&[CREATE]).await;
    assert_kept(&mut rig, "a select", async |session| {
        let query = t::table.select(t::v).filter(t::v.eq("x"));
        query.load::<String>(&mut **session).await.expect("rows");
    })
    .await;
    assert_kept(&mut rig, "count", async |session| {
        t::table.count().get_result::<i64>(&mut **session).await.expect("a row");
    })
    .await;
    assert_kept(&mut rig, "an insert, an update and a delete", async |session| {
        let insert = diesel::insert_into(t::table).values(t::v.eq("x"));
        insert.execute(&mut **session).await.expect("a row");
        let update = diesel::update(t::table).set(t::v.eq("y"));
        update.execute(&mut **session).await.expect("a row");
        diesel::delete(t::table).execute(&mut **session).await.expect("a row");
    })
    .await;
    assert_kept(&mut rig, "a transaction of Diesel's", async |session| {
        let outcome: QueryResult<()> = session
            .transaction(async |session| {
                let row = diesel::insert_into(t::table).values(t::v.eq("in"));
                row.execute(&mut *session).await?;
                session.transaction(async |_| Ok::<(), diesel::result::Error>(())).await
            })
            .await;
        outcome.expect("it commits");
    })
    .await;
    assert_kept(&mut rig, "a transaction of Diesel's that is rolled back", async |session| {
        let outcome: QueryResult<()> =
            session.transaction(async |_| Err(diesel::result::Error::RollbackTransaction)).await;
        outcome.expect_err("it rolls back");
    })
    .await;
    assert_kept(&mut rig, "a broken rule", async |session| {
        let twice = || diesel::insert_into(t::table).values(t::v.eq("twice"));
        twice().execute(&mut **session).await.expect("a row");
        twice().execute(&mut **session).await.expect_err("a row that is there");
    })
    .await;
    rig.finish();
}

#[tokio::test]
async fn plain_sql_without_state_keeps_the_connection() {
    let mut rig = Rig::new(&[CREATE]).await;
    for statement in [
        "SELECT 1",
        "SELECT count(*) FROM t",
        "SELECT v FROM t WHERE v LIKE 'a%' ORDER BY v LIMIT 3",
        "SELECT LOWER(v), NOW(), COALESCE(v, 'GET_LOCK') FROM t",
        "SELECT 'SET @a; USE x' AS v",
        "INSERT IGNORE INTO t VALUES ('SET @who := 1')",
        "UPDATE t SET v = v WHERE false",
        "DELETE FROM t WHERE v = 'BEGIN'",
    ] {
        assert_kept(&mut rig, statement, async |session| {
            sql_query(statement).execute(&mut **session).await.expect(statement);
        })
        .await;
    }
    rig.finish();
}
