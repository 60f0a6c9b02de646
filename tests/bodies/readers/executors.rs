//! Every executor of a reader, and every kind of query that it takes.

use diesel::dsl::{count_star, exists};
use diesel::query_dsl::positional_order_dsl::PositionalOrderDsl;
use diesel::sql_types::{Integer, Text};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use registry_core::OptionalExtension;
use registry_core::query::paginate::{Cursor, PageRequest, PaginateDsl};
use registry_core::query::{QueryOf, Runs};

use super::*;

#[derive(Debug, PartialEq, QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Runs queries of every kind on the executor, which is an expression.
macro_rules! every_query_on {
    ($on:expr) => {
        let ids = orders::table.select(orders::id).order(orders::id);
        assert_eq!(ids.load::<i32>($on).await.expect("rows"), [1, 2]);
        assert_eq!(ids.first::<i32>($on).await.expect("a row"), 1);
        assert_eq!(ids.get_result::<i32>($on).await.expect("a row"), 1);
        assert_eq!(ids.get_results::<i32>($on).await.expect("rows"), [1, 2]);
        let rows = ids.load_stream::<i32>($on).await.expect("a stream");
        assert_eq!(rows.try_collect::<Vec<_>>().await.expect("rows"), [1, 2]);
        let found: Option<Order> =
            orders::table.find(3).first($on).await.optional().expect("no error");
        assert_eq!(found, None);

        let of_ada = orders::table
            .inner_join(customers::table.on(customers::id.eq(orders::customer)))
            .filter(customers::name.eq("ada"))
            .select((orders::id, customers::name));
        assert_eq!(of_ada.load::<(i32, String)>($on).await.expect("rows"), [(1, "ada".to_owned())]);
        let sums = orders::table
            .group_by(orders::customer)
            .having(count_star().gt(0))
            .select((orders::customer, count_star()))
            .order(orders::customer);
        assert_eq!(sums.load::<(i32, i64)>($on).await.expect("rows"), [(7, 1), (8, 1)]);
        let in_box =
            orders::table.select(Order::as_select()).into_boxed::<Db>().filter(orders::id.eq(2));
        assert_eq!(in_box.load::<Order>($on).await.expect("rows").len(), 1);
        let ada_or_bob = customers::table.filter(customers::name.eq_any(["ada", "bob"]));
        let united = orders::table.select(orders::id).union(ada_or_bob.select(customers::id));
        assert_eq!(united.load::<i32>($on).await.expect("rows").len(), 4);
        let boxes = orders::table.select(orders::id).into_boxed::<Db>();
        let boxes = boxes.union_all(customers::table.select(customers::id).into_boxed::<Db>());
        assert_eq!(boxes.load::<i32>($on).await.expect("rows").len(), 4);
        let asks = diesel::select(exists(orders::table.filter(orders::customer.eq(7))));
        assert!(asks.get_result::<bool>($on).await.expect("an answer"));
        let of_customers = orders::customer.eq_any(customers::table.select(customers::id));
        let count = orders::table.filter(of_customers).count();
        assert_eq!(count.get_result::<i64>($on).await.expect("a count"), 2);

        let text = diesel::sql_query("SELECT name FROM customers WHERE id = 7").reads::<Shop>();
        assert_eq!(text.get_result::<Name>($on).await.expect("a row").name, "ada");
        let in_box = diesel::sql_query("SELECT name FROM customers").into_boxed::<Db>();
        let in_box = in_box.reads::<customers::table>().sql(" WHERE id = 8");
        assert_eq!(
            in_box.load::<Name>($on).await.expect("rows"),
            [Name { name: "bob".to_owned() }]
        );

        let page = PageRequest::new(1, 1).expect("a page");
        let first = orders::table.order(orders::id).select(orders::id).paginate(page);
        let first = first.load::<i32>($on).await.expect("a page");
        assert_eq!((&first.items[..], first.total), (&[1][..], 2));
        let united =
            orders::table.select(orders::id).union_all(customers::table.select(customers::id));
        let united = PositionalOrderDsl::positional_order_by(united, 1)
            .paginate(page)
            .load::<i32>($on)
            .await;
        assert_eq!(united.expect("a page").total, 4);
        let claimed = orders::table.order(orders::id).select(orders::id).reads::<Shop>();
        assert_eq!(claimed.paginate(page).load::<i32>($on).await.expect("a page").total, 2);
        let by_key = orders::table
            .select(orders::id)
            .keyset(orders::id.asc())
            .after(None::<Cursor<i32>>)
            .per_page(1);
        let by_key = by_key.load($on, |id: &i32| *id).await.expect("a page");
        assert!(by_key.has_next());
    };
}

#[tokio::test]
async fn queries_that_read_run_on_every_executor_of_a_reader() {
    let registry = registry().await;
    let reader = registry.reader();
    every_query_on!(&reader);
    every_query_on!(reader.clone());
    every_query_on!(reader.session_for::<Order>().await.expect("a session"));
    let mut session = reader.session::<Shop>().await.expect("a session");
    every_query_on!(&mut session);
    session
        .snapshot(async |session| {
            every_query_on!(&mut *session);
            QueryResult::Ok(())
        })
        .await
        .expect("a snapshot");
    let mut on = AnyExecutor::<Shop>::from(&mut session);
    every_query_on!(&mut on);
    drop(session);
    let mut on = AnyExecutor::<Shop>::from(&reader);
    every_query_on!(on.reborrow());
    // A claim is as good as `bound_to` on the other executors.
    every_query_on!(&registry);
    let mut session = registry.session::<Shop>().await.expect("a session");
    every_query_on!(&mut session);
    drop(session);
    let mut work = registry.begin();
    every_query_on!(&mut work);
    work.rollback().await.expect("nothing to roll back");
    is_untouched(&registry).await;
}

#[tokio::test]
async fn a_query_without_a_table_runs_on_the_session_of_a_reader() {
    let registry = registry().await;
    let mut session = registry.reader().session::<Shop>().await.expect("a session");
    let one = || diesel::select(1.into_sql::<Integer>());
    assert_eq!(one().get_result::<i32>(&mut session).await.expect("a row"), 1);
    assert_eq!(one().into_boxed::<Db>().get_result::<i32>(session).await.expect("a row"), 1);
}

#[tokio::test]
async fn sessions_of_a_reader_tell_where_they_read() {
    let url = database();
    let registry = registry_at((&*url).into()).await;
    let session = registry.reader().session_for::<Order>().await.expect("a session");
    assert_eq!(session.key(), "shop");
    let expected: registry_core::DatabaseUrl = url.parse().expect("a URL");
    assert_eq!(session.url().to_string(), expected.to_string());
    assert_eq!(format!("{session:?}"), r#"ReadSession { key: "shop", .. }"#);
}

#[tokio::test]
async fn streams_of_a_reader_by_value_borrow_nothing() {
    let registry = registry().await;
    let ids = orders::table.select(orders::id).order(orders::id);
    let on_reader: BoxStream<'static, Result<i32, Error>> =
        Box::pin(ids.load_stream(registry.reader()).await.expect("a stream"));
    let session = registry.reader().session::<Shop>().await.expect("a session");
    let on_session: BoxStream<'static, QueryResult<i32>> =
        Box::pin(ids.load_stream(session).await.expect("a stream"));
    drop(registry);
    assert_eq!(on_session.try_collect::<Vec<_>>().await.expect("rows"), [1, 2]);
    assert_eq!(on_reader.try_collect::<Vec<_>>().await.expect("rows"), [1, 2]);
}

async fn customers_of(on: impl Runs<Shop>) -> Vec<i32> {
    let query = orders::table.select(orders::customer).order(orders::id);
    let Ok(rows) = QueryOf::<Shop, i32>::load_on(query, on).await else { panic!("no rows") };
    rows
}

#[tokio::test]
async fn generic_code_reads_on_readers() {
    let registry = registry().await;
    let reader = registry.reader();
    assert_eq!(customers_of(&reader).await, [7, 8]);
    assert_eq!(customers_of(reader.clone()).await, [7, 8]);
    let mut session = reader.session::<Shop>().await.expect("a session");
    assert_eq!(customers_of(&mut session).await, [7, 8]);
    assert_eq!(customers_of(session).await, [7, 8]);
}

#[tokio::test]
async fn a_reader_of_a_tenant_reads_the_database_of_the_tenant() {
    let registry = Registry::builder()
        .bind("shop", super::super::tenants(["acme", "umbrella"]))
        .build()
        .expect("good settings");
    for name in ["acme", "umbrella"] {
        let tenant = registry.tenant(name).expect("a good name");
        let create =
            "CREATE TABLE customers (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL)";
        diesel::sql_query(create).bound_to::<Shop>().execute(&tenant).await.expect("a table");
        let row = (customers::id.eq(1), customers::name.eq(name));
        diesel::insert_into(customers::table).values(row).execute(&tenant).await.expect("a row");
    }
    let names = customers::table.select(customers::name);
    for name in ["acme", "umbrella"] {
        let reader = registry.tenant(name).expect("a good name").reader();
        assert_eq!(names.load::<String>(&reader).await.expect("rows"), [name]);
        let mut session = reader.session_for::<customers::table>().await.expect("a session");
        assert_eq!(names.load::<String>(&mut session).await.expect("rows"), [name]);
    }
    let error = names.load::<String>(&registry.reader()).await.expect_err("no tenant");
    assert_eq!(
        cause(&error),
        "bind `shop` has a database for each tenant: acquire through `registry.tenant(..)`"
    );
}
