//! Queries that go wrong, are run again or are cut short, and statements of the engine between them.

use std::pin::pin;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use futures_util::{FutureExt, TryStreamExt, poll};
use registry_core::{
    BindDsl, BindSettings, RecordOptions, RecordedQueries, Registry, RunQueryDsl, assert_queries,
};

use super::{CREATE, NAME, Shop, order, orders, registry, registry_with};
use crate::support::{is_at_rest, run_sql};

fn told(queries: &RecordedQueries) -> Vec<(&str, Option<u64>, Option<&str>)> {
    queries
        .iter()
        .map(|query| (query.operation.as_deref().unwrap_or_default(), query.rows, query.error))
        .collect()
}

async fn count(registry: &Registry) -> i64 {
    orders::table.count().get_result(registry).await.expect("a count")
}

#[tokio::test]
async fn query_that_succeeds_in_its_second_run_has_no_error() {
    // Elsewhere no statement becomes stale.
    if NAME != "postgres" {
        return;
    }
    let registry = registry().await;
    diesel::insert_into(orders::table).values(order(1)).execute(&registry).await.expect("a row");
    let buyers = || orders::table.select(orders::buyer);
    let none = || buyers().filter(orders::id.eq(7));
    for (at, kind) in ["text", "varchar(60)", "text"].into_iter().enumerate() {
        // Prepared before the table changes.
        buyers().load::<String>(&registry).await.expect("rows");
        none().load::<String>(&registry).await.expect("no rows");
        run_sql::<Shop>(&registry, &format!("ALTER TABLE orders ALTER COLUMN buyer TYPE {kind}"))
            .await;
        let scope = registry.new_scope();
        let expected = match at {
            0 => {
                let rows = scope.enter(buyers().load::<String>(&registry)).await.expect("rows");
                assert_eq!(rows.len(), 1);
                1
            }
            1 => {
                let reading = async {
                    buyers().load_stream::<String>(&registry).await?.try_collect::<Vec<_>>().await
                };
                assert_eq!(scope.enter(reading).await.expect("rows").len(), 1);
                1
            }
            _ => {
                scope.enter(none().first::<String>(&registry)).await.expect_err("no row");
                0
            }
        };
        assert_eq!(told(&scope.queries()), [("SELECT", Some(expected), None)], "{kind}");
    }
}

#[tokio::test]
async fn query_that_is_dropped_in_its_second_run_was_cancelled() {
    // Elsewhere no statement becomes stale.
    if NAME != "postgres" {
        return;
    }
    let registry = registry().await;
    let buyers = || orders::table.select(orders::buyer);
    buyers().load::<String>(&registry).await.expect("it is prepared");
    run_sql::<Shop>(&registry, "ALTER TABLE orders ALTER COLUMN buyer TYPE text").await;
    let scope = registry.new_scope();
    let rows = scope.enter(buyers().load_stream::<String>(&registry)).await.expect("a stream");
    drop(rows);
    assert_eq!(told(&scope.queries()), [("SELECT", None, Some("cancelled"))]);
}

#[tokio::test]
async fn stream_without_rows_has_had_none() {
    let registry = registry().await;
    let scope = registry.new_scope();
    let reading = async {
        let rows = orders::table.load_stream::<(i32, String)>(&registry).await?;
        rows.try_collect::<Vec<_>>().await
    };
    assert!(scope.enter(reading).await.expect("no rows").is_empty());
    assert_eq!(told(&scope.queries()), [("SELECT", Some(0), None)]);
}

#[tokio::test]
async fn unit_of_work_belongs_to_its_scope_whoever_begins_it() {
    let registry = registry().await;
    let scope = registry.new_scope();
    let mut work = scope.work().await.expect("it is not in use");
    diesel::insert_into(orders::table).values(order(1)).execute(&mut *work).await.expect("a row");
    drop(work);
    scope.commit().await.expect("it commits");
    assert_queries!(scope, 1);
}

#[tokio::test]
async fn statement_that_was_cut_short_leaves_nothing_to_others() {
    let url =
        if NAME == "sqlite" { "sqlite::memory:".to_owned() } else { super::super::database() };
    let bind = BindSettings::new(url).max_connections(1);
    let registry = Registry::builder().bind("shop", bind).build().expect("good settings");
    run_sql::<Shop>(&registry, CREATE).await;
    let scope = registry.new_scope();
    scope
        .enter(async {
            let mut session = registry.session::<Shop>().await.expect("a session");
            let mut cut = pin!(session.batch_execute("SELECT 1"));
            let _ = poll!(&mut cut);
        })
        .await;
    for _ in 0..3 {
        run_sql::<Shop>(&registry, "CREATE TEMPORARY TABLE IF NOT EXISTS t (a INTEGER)").await;
    }
    assert!(scope.queries().len() <= 1, "{}", scope.queries());
    count(&registry).await;
    assert!(scope.queries().len() <= 1, "{}", scope.queries());
}

#[tokio::test]
async fn query_dropped_at_any_point_is_told_once_at_most() {
    let registry = registry().await;
    for polls in 0..40 {
        let scope = registry.new_scope();
        let has_ended = {
            let mut query = pin!(scope.enter(count(&registry)));
            let mut left = polls;
            let limited = std::future::poll_fn(|cx| {
                if left == 0 {
                    return std::task::Poll::Ready(false);
                }
                left -= 1;
                query.as_mut().poll(cx).map(|_| true)
            });
            limited.await
        };
        let queries = scope.queries();
        if has_ended {
            assert_eq!(told(&queries), [("SELECT", Some(1), None)]);
            break;
        }
        assert!(queries.len() <= 1, "{queries}");
        assert!(queries.iter().all(|query| query.error == Some("cancelled")), "{queries}");
    }
    let scope = registry.new_scope();
    scope.enter(count(&registry)).await;
    assert_queries!(scope, 1);
    is_at_rest(&registry).await;
}

#[derive(Debug, Clone, Copy, FromSqlRow, AsExpression)]
#[diesel(sql_type = diesel::sql_types::Integer)]
struct Fragile;

impl<DB: diesel::backend::Backend> FromSql<diesel::sql_types::Integer, DB> for Fragile
where
    i32: FromSql<diesel::sql_types::Integer, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        match i32::from_sql(bytes)? {
            3 => panic!("three"),
            2 => Err("two".into()),
            _ => Ok(Self),
        }
    }
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_told_once() {
    let registry = registry_with(|bind| bind.max_connections(1), |builder| builder).await;
    let rows: Vec<_> = (1..=4).map(order).collect();
    diesel::insert_into(orders::table).values(&rows).execute(&registry).await.expect("rows");
    let ids = || orders::table.select(orders::id).order(orders::id);
    let scope = registry.new_scope();
    scope
        .enter(async {
            ids().filter(orders::id.le(2)).load::<Fragile>(&registry).await.expect_err("two");
            let load = ids().filter(orders::id.ne(2)).load::<Fragile>(&registry);
            std::panic::AssertUnwindSafe(load).catch_unwind().await.expect_err("three");
            let all = ids()
                .filter(orders::id.ne(3))
                .load_stream::<Fragile>(&registry)
                .await
                .expect("a stream");
            let mut all = pin!(all);
            let mut outcomes = Vec::new();
            while let Some(row) = futures_util::StreamExt::next(&mut all).await {
                outcomes.push(row.is_ok());
            }
            assert_eq!(outcomes, [true, false, true]);
            ids().filter(orders::id.eq(1)).load::<Fragile>(&registry).await.expect("one");
        })
        .await;
    println!("{}", scope.queries());
    let queries = scope.queries();
    let told = told(&queries);
    assert_eq!(told.len(), 4, "{}", scope.queries());
    assert_eq!(told[2].1, Some(2), "{}", scope.queries());
    assert!(told[0].2.is_some() && told[2].2.is_some(), "{}", scope.queries());
    assert_eq!(told[1].2, Some("cancelled"), "{}", scope.queries());
    assert_eq!(told[3], ("SELECT", Some(1), None));
    is_at_rest(&registry).await;
}

#[tokio::test]
async fn transactions_and_savepoints_add_no_queries() {
    let registry = registry().await;
    for isolated in [false, true] {
        let registry = if isolated {
            registry.test_isolation().await.expect("an isolation")
        } else {
            registry.clone()
        };
        let scope = registry.new_scope();
        scope
            .enter(async {
                let mut work = registry.begin();
                diesel::insert_into(orders::table)
                    .values(order(1))
                    .execute(&mut work)
                    .await
                    .expect("a row");
                diesel::insert_into(orders::table).values(order(1)).execute(&mut work).await.ok();
                work.rollback().await.expect("it rolls back");
                let mut session = registry.session::<Shop>().await.expect("a session");
                session
                    .transaction(async |session| {
                        session
                            .transaction(async |session| {
                                diesel::insert_into(orders::table)
                                    .values(order(2 + i32::from(isolated)))
                                    .execute(session)
                                    .await
                            })
                            .await
                    })
                    .await
                    .expect("a row");
                drop(session);
                count(&registry).await;
            })
            .await;
        assert_eq!(scope.queries().len(), 4, "isolated: {isolated}\n{}", scope.queries());
    }
}

#[tokio::test]
async fn record_without_room_counts_all_the_same() {
    let registry = registry().await;
    for options in [
        RecordOptions::new().limit(0),
        RecordOptions::new().max_bytes(0),
        RecordOptions::new().limit(usize::MAX).max_bytes(0).warn_repeated(u32::MAX),
        RecordOptions::new().limit(0).warn_repeated(0),
    ] {
        let scope = registry.new_scope();
        scope.record_queries(options);
        for _ in 0..3 {
            scope.enter(count(&registry)).await;
        }
        let queries = scope.queries();
        assert_eq!((queries.len(), queries.total(), queries.dropped()), (0, 3, 3));
        assert!(queries.is_recording());
    }
}

#[tokio::test]
async fn long_statement_is_cut_between_characters() {
    let registry = registry().await;
    for before in 0..4 {
        let scope = registry.new_scope();
        let name = format!("{}{}", "x".repeat(before), "ü€💥".repeat(120_000));
        let text = format!("SELECT id, 1 AS \"{name}\" FROM orders");
        let text = if NAME == "mysql" { text.replace('"', "`") } else { text };
        let query = diesel::sql_query(text).bound_to::<orders::table>();
        let _ = scope.enter(query.execute(&registry)).await;
        let queries = scope.queries();
        assert_eq!(queries.len(), 1);
        assert!(queries[0].statement.ends_with('…') && queries[0].statement.len() <= 4099);
    }
}

#[tokio::test]
async fn tenants_are_told_apart() {
    let bind = super::super::tenant_settings(["acme", "globex"]).max_connections(1);
    let registry =
        Registry::builder().bind("shop", bind).record_queries(true).build().expect("good");
    for name in ["acme", "globex"] {
        let tenant = registry.tenant(name).expect("a name");
        let mut session = tenant.session::<Shop>().await.expect("a session");
        session.batch_execute(CREATE).await.expect("a table");
        drop(session);
        let scope = tenant.new_scope();
        scope
            .enter(async {
                orders::table.count().get_result::<i64>(&tenant).await.expect("a count");
                let mut work = tenant.begin();
                diesel::insert_into(orders::table)
                    .values(order(1))
                    .execute(&mut work)
                    .await
                    .expect("a row");
                work.commit().await.expect("it commits");
            })
            .await;
        let queries = scope.queries();
        assert_eq!(queries.len(), 2, "{queries}");
        assert!(queries.iter().all(|query| query.tenant.as_deref() == Some(name)), "{queries}");
    }
    let all = registry.queries();
    assert_eq!(all.total(), 6, "{all}");
}
