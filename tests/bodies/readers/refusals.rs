//! What is refused at run time on a reader, before anything is sent: the compiler cannot see it.

use registry_core::query::CommandOf;
use registry_core::{InsertBatchedDsl, SaveChangesDsl, batched};

use super::*;

const REFUSED: &str = "a reader only reads, and this query writes, locks rows, or is not known to only read: run a query that writes on `&registry`, `&tenant`, a session or in a unit of work, and say of SQL text and of a query type of your own that it only reads, with `.reads::<Model>()`";

const FALSE_CLAIM: &str = "a query with `.reads::<Model>()` writes or locks rows: say where it belongs with `.bound_to::<Model>()`, and run it on an executor that is no reader";

fn order(id: i32) -> Order {
    Order { id, customer: 9, note: None }
}

/// Asserts that whatever writes is refused on the `AnyExecutor`, and that queries that read still run.
async fn refuses_writes(on: &mut AnyExecutor<'_, Shop>) {
    macro_rules! refused {
        ($($query:expr),* $(,)?) => {$(
            let error = $query.execute(&mut *on).await.expect_err(stringify!($query));
            assert_eq!(cause(&error), REFUSED, stringify!($query));
        )*};
    }
    let rows = [order(3), order(4)];
    refused! {
        diesel::insert_into(orders::table).values(&rows[0]),
        diesel::insert_into(orders::table).values(rows.to_vec()),
        orders::table.insert_batched(&rows),
        batched(&rows, |rows| diesel::insert_into(orders::table).values(&rows[0])).rows_per_statement(1),
        orders::table.filter(orders::id.gt(5)).insert_into(orders::table),
        diesel::update(orders::table.find(1)).set(orders::customer.eq(9)),
        diesel::update(orders::table).set(orders::customer.eq(9)).into_boxed(),
        diesel::delete(orders::table),
        diesel::delete(orders::table).into_boxed(),
        diesel::delete(orders::table).bound_to::<Shop>(),
        diesel::sql_query("DELETE FROM orders"),
        diesel::sql_query("DELETE FROM orders").into_boxed::<Db>(),
        diesel::sql_query("  /* SELECT */ delete from orders").bound_to::<Shop>(),
        diesel::sql_query("WITH n AS (SELECT 1) DELETE FROM orders"),
        diesel::sql_query("DROP TABLE orders"),
    };
    // A changeset alone, whose statement Diesel builds later.
    let error = order(1).save_changes::<Order>(&mut *on).await.expect_err("a write");
    assert_eq!(cause(&error), REFUSED);
    let count: i64 = orders::table.count().get_result(&mut *on).await.expect("a count");
    assert_eq!(count, 2);
    let text = "WITH n AS (SELECT id FROM orders) SELECT id FROM n";
    assert_eq!(diesel::sql_query(text).load::<Id>(&mut *on).await.expect("rows").len(), 2);
}

#[derive(QueryableByName)]
struct Id {
    #[expect(dead_code, reason = "rows are counted")]
    #[diesel(sql_type = diesel::sql_types::Integer)]
    id: i32,
}

#[tokio::test]
async fn an_any_executor_of_a_reader_refuses_what_may_write() {
    let registry = registry().await;
    let reader = registry.reader();
    refuses_writes(&mut (&reader).into()).await;
    let mut session = reader.session::<Shop>().await.expect("a session");
    refuses_writes(&mut (&mut session).into()).await;
    session
        .snapshot(async |session| {
            refuses_writes(&mut session.into()).await;
            QueryResult::Ok(())
        })
        .await
        .expect("a snapshot");
    drop(session);
    is_untouched(&registry).await;
}

#[tokio::test]
async fn generic_code_cannot_write_on_a_reader() {
    let registry = registry().await;
    let reader = registry.reader();
    let delete = || diesel::delete(orders::table);
    let error = CommandOf::<Shop>::execute_on(delete(), &reader).await.expect_err("a write");
    assert_eq!(cause(&error), REFUSED);
    let error = CommandOf::<Shop>::execute_on(delete(), reader.clone()).await.expect_err("a write");
    assert_eq!(cause(&error), REFUSED);
    let mut session = reader.session::<Shop>().await.expect("a session");
    let error = CommandOf::<Shop>::execute_on(delete(), &mut session).await.expect_err("a write");
    assert_eq!(cause(&error), REFUSED);
    let error = CommandOf::<Shop>::execute_on(delete(), session).await.expect_err("a write");
    assert_eq!(cause(&error), REFUSED);
    is_untouched(&registry).await;
}

#[tokio::test]
async fn a_false_claim_is_refused_on_every_executor() {
    let registry = registry().await;
    let reader = registry.reader();
    let delete = || diesel::delete(orders::table).reads::<Shop>();
    let error = delete().execute(&reader).await.expect_err("a write");
    assert_eq!(cause(&error), FALSE_CLAIM);
    let mut session = reader.session::<Shop>().await.expect("a session");
    assert_eq!(cause(&delete().execute(&mut session).await.expect_err("a write")), FALSE_CLAIM);
    drop(session);
    let error = delete().execute(&registry).await.expect_err("a write");
    assert_eq!(cause(&error), FALSE_CLAIM);
    let error = delete().execute(&mut registry.begin()).await.expect_err("a write");
    assert_eq!(cause(&error), FALSE_CLAIM);
    let row = order(3);
    let insert = diesel::insert_into(orders::table).values(&row).reads::<Shop>();
    assert_eq!(cause(&insert.execute(&reader).await.expect_err("a write")), FALSE_CLAIM);
    is_untouched(&registry).await;
}
