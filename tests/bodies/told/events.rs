//! The events of queries.

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use futures_util::TryStreamExt;
use registry_core::{BindDsl, RunQueryDsl};

use super::{NAME, Shop, order, orders, registry, registry_with};
use crate::support::log::own_log;

const QUERY: &str = "registry::query";

#[tokio::test]
async fn each_query_is_an_event_with_what_it_did() {
    let registry = registry().await;
    let (log, _guard) = own_log();
    let insert = diesel::insert_into(orders::table).values(order(1));
    insert.execute(&registry).await.expect("a row");
    orders::table.load::<(i32, String)>(&registry).await.expect("rows");
    orders::table.find(7).first::<(i32, String)>(&registry).await.expect_err("no row");

    let [insert, load, first] = &log.lines_with(QUERY)[..] else { panic!("{log:?}") };
    let system = if NAME == "postgres" { "postgresql" } else { NAME };
    for part in [
        "DEBUG registry::query: query bind=shop role=primary elapsed=0.",
        "rows=1",
        "bodies/told/events.rs:",
        &format!("db.system.name=\"{system}\""),
        "db.namespace=",
        "db.collection.name=\"orders\"",
        "db.operation.name=\"INSERT\"",
        "db.query.summary=\"INSERT orders\"",
        "db.query.text=\"INSERT INTO",
    ] {
        assert!(insert.contains(part), "{part}: {insert}");
    }
    assert!(load.contains("SELECT orders") && load.contains("rows=1"), "{load}");
    assert!(first.contains("SELECT orders") && first.contains("rows=0"), "{first}");
    assert!(!first.contains("error.type"), "a row that is not there is no error: {first}");
}

#[tokio::test]
async fn no_event_has_a_value() {
    let registry = registry().await;
    let (log, _guard) = own_log();
    let insert = || diesel::insert_into(orders::table).values(order(1));
    insert().execute(&registry).await.expect("a row");
    insert().execute(&registry).await.expect_err("it is there");
    let text = "SELECT id FROM orders WHERE buyer = 'hunter2' -- hunter2";
    let query = diesel::dsl::sql::<diesel::sql_types::Integer>(text);
    query.bound_to::<Shop>().load::<i32>(&registry).await.expect("a row");
    let mut session = registry.session::<Shop>().await.expect("a session");
    session.batch_execute("DELETE FROM orders WHERE buyer = 'hunter2'").await.expect("rows");

    let lines = log.lines_with(QUERY);
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[1].contains("error.type=\"unique_violation\""), "{}", lines[1]);
    assert!(lines[2].contains("WHERE buyer = ?"), "{}", lines[2]);
    let leaks = log.lines_with("hunter2");
    let ours: Vec<_> = leaks.iter().filter(|line| line.contains("registry")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

#[tokio::test]
async fn values_are_told_where_the_settings_ask_for_them() {
    let registry = registry_with(|bind| bind.log_values(true), |builder| builder).await;
    let (log, _guard) = own_log();
    diesel::insert_into(orders::table).values(order(1)).execute(&registry).await.expect("a row");
    let line = &log.lines_with(QUERY)[0];
    assert!(line.contains("values=\"[1, ") && line.contains("hunter2"), "{line}");
}

#[tokio::test]
async fn echo_makes_the_events_info() {
    let registry = registry_with(|bind| bind.echo(true), |builder| builder).await;
    let (log, _guard) = own_log();
    orders::table.count().get_result::<i64>(&registry).await.expect("a count");
    assert_eq!(log.lines_with(" INFO registry::query: query").len(), 1, "{log:?}");
}

#[tokio::test]
async fn statements_of_the_engine_are_no_queries() {
    let registry = registry_with(
        |bind| bind.on_connect(["SELECT 1"]).check_idle_after(std::time::Duration::ZERO),
        |builder| builder,
    )
    .await;
    let (log, _guard) = own_log();
    registry.check(std::time::Duration::from_secs(10)).await;
    let mut session = registry.session::<Shop>().await.expect("a session");
    session.batch_execute("SELECT 1").await.expect("an answer");
    drop(session);
    drop(registry.session::<Shop>().await.expect("it was reset and checked"));
    assert_eq!(log.lines_with(QUERY).len(), 1, "{:#?}", log.lines_with(QUERY));
}

#[tokio::test]
async fn stream_is_told_at_its_end_with_its_rows() {
    let registry = registry().await;
    let rows: Vec<_> = (0..3).map(order).collect();
    diesel::insert_into(orders::table).values(&rows).execute(&registry).await.expect("rows");
    let (log, _guard) = own_log();
    let mut rows = orders::table.load_stream::<(i32, String)>(&registry).await.expect("a stream");
    rows.try_next().await.expect("a row");
    assert!(log.lines_with(QUERY).is_empty());
    while rows.try_next().await.expect("a row").is_some() {}
    assert!(log.lines_with(QUERY)[0].contains("rows=3"), "{log:?}");

    let dropped = orders::table.load_stream::<(i32, String)>(&registry).await.expect("a stream");
    drop(dropped);
    assert!(log.lines_with(QUERY)[1].contains("error.type=\"cancelled\""), "{log:?}");
}

#[tokio::test]
async fn begin_and_commit_are_events() {
    let registry = registry().await;
    let (log, _guard) = own_log();
    let mut work = registry.begin();
    diesel::insert_into(orders::table).values(order(1)).execute(&mut work).await.expect("a row");
    work.commit().await.expect("it commits");
    let operations: Vec<String> = log
        .lines_with(QUERY)
        .iter()
        .filter_map(|line| {
            Some(line.split("db.operation.name=\"").nth(1)?.split('"').next()?.to_owned())
        })
        .collect();
    let begin = if NAME == "mysql" { "START" } else { "BEGIN" };
    assert_eq!(operations, [begin, "INSERT", "COMMIT"], "{:#?}", log.lines_with(QUERY));
}
