//! Queries that leave no session state, for each backend's `assert_kept`: the connection is lent again as it is.

use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::RunQueryDsl;

use super::harmless::assert_kept;
use super::rig::{Rig, t};

/// Queries and transactions of Diesel's.
pub(crate) async fn assert_queries_are_harmless(rig: &mut Rig) {
    assert_kept(rig, "a select", async |session| {
        let query = t::table.select(t::v).filter(t::v.eq("x"));
        query.load::<String>(&mut **session).await.expect("rows");
    })
    .await;
    assert_kept(rig, "count", async |session| {
        t::table.count().get_result::<i64>(&mut **session).await.expect("a row");
    })
    .await;
    assert_kept(rig, "an insert, an update and a delete", async |session| {
        let insert = diesel::insert_into(t::table).values(t::v.eq("x"));
        insert.execute(&mut **session).await.expect("a row");
        let update = diesel::update(t::table).set(t::v.eq("y"));
        update.execute(&mut **session).await.expect("a row");
        diesel::delete(t::table).execute(&mut **session).await.expect("a row");
    })
    .await;
    assert_kept(rig, "a transaction of Diesel's", async |session| {
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
    assert_kept(rig, "a transaction of Diesel's that is rolled back", async |session| {
        let outcome: QueryResult<()> =
            session.transaction(async |_| Err(diesel::result::Error::RollbackTransaction)).await;
        outcome.expect_err("it rolls back");
    })
    .await;
    assert_kept(rig, "a broken rule", async |session| {
        let twice = || diesel::insert_into(t::table).values(t::v.eq("twice"));
        twice().execute(&mut **session).await.expect("a row");
        twice().execute(&mut **session).await.expect_err("a row that is there");
    })
    .await;
}

/// Plain SQL.
pub(crate) async fn assert_statements_are_harmless(rig: &mut Rig, statements: &[&str]) {
    for statement in statements {
        assert_kept(rig, statement, async |session| {
            sql_query(*statement).execute(&mut **session).await.expect(statement);
        })
        .await;
    }
}
