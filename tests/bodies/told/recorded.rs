//! Recorded queries.

use std::sync::Arc;

use diesel::prelude::*;
use registry_core::{
    BindDsl, InsertBatchedDsl, RecordOptions, RecordedQueries, Registry, RunQueryDsl, Scope,
    UnitOfWork, assert_queries,
};

use super::{Shop, order, orders, registry, registry_with};
use crate::support::log::own_log;

fn operations(queries: &RecordedQueries) -> Vec<&str> {
    queries.iter().filter_map(|query| query.operation.as_deref()).collect()
}

async fn count(registry: &Registry) -> i64 {
    orders::table.count().get_result(registry).await.expect("a count")
}

#[tokio::test]
async fn scope_has_the_queries_of_its_tasks_and_of_its_unit_of_work() {
    let registry = registry().await;
    let scope = registry.new_scope();
    count(&registry).await;
    scope
        .enter(async {
            count(&registry).await;
            let mut work = UnitOfWork::current().await.expect("the scope's");
            let insert = diesel::insert_into(orders::table).values(order(1));
            insert.execute(&mut *work).await.expect("a row");
        })
        .await;
    // By a task that has a handle, and has not entered the scope.
    let mut work = scope.work().await.expect("it is not in use");
    diesel::delete(orders::table).execute(&mut *work).await.expect("rows");
    drop(work);
    scope.commit().await.expect("it commits");
    count(&registry).await;
    assert_eq!(operations(&scope.queries()), ["SELECT", "INSERT", "DELETE"]);
    assert_queries!(scope, 3);

    let queries = scope.queries();
    let insert = &queries[1];
    assert_eq!((insert.bind.as_str(), insert.table.as_deref()), ("shop", Some("orders")));
    assert_eq!((insert.rows, insert.error), (Some(1), None));
    assert_eq!(insert.place.map(|place| place.file()), Some(file!()));
    assert!(!format!("{queries:?} {queries}").contains("hunter2"), "{queries}");
}

#[tokio::test]
async fn queries_of_an_inner_scope_are_those_of_the_outer_one_too() {
    let registry = registry().await;
    let (outer, inner) = (registry.new_scope(), registry.new_scope());
    outer
        .enter(async {
            count(&registry).await;
            inner.enter(count(&registry)).await;
        })
        .await;
    assert_queries!(outer, 2);
    assert_queries!(inner, 1);
}

#[tokio::test]
async fn session_of_a_scope_tells_the_scope_wherever_it_is_used() {
    let registry = registry().await;
    let scope = registry.new_scope();
    let mut session = scope.enter(registry.session::<Shop>()).await.expect("a session");
    let moved = tokio::spawn(async move {
        orders::table.count().get_result::<i64>(&mut session).await.expect("a count");
        // The connection is lent again, to somebody else.
        drop(session);
    });
    moved.await.expect("no panic");
    assert_queries!(scope, 1);
    count(&registry).await;
    assert_queries!(scope, 1, "the connection tells it no more");
}

#[tokio::test]
async fn statements_of_diesel_async_are_recorded_without_place() {
    let registry = registry().await;
    let scope = registry.new_scope();
    scope
        .enter(async {
            let mut session = registry.session::<Shop>().await.expect("a session");
            let count = orders::table.count();
            let loaded = diesel_async::RunQueryDsl::get_result::<i64>(count, &mut *session).await;
            loaded.expect("a count");
            let inserted = session.transaction(async |session| {
                let insert = diesel::insert_into(orders::table).values(order(1));
                insert.execute(session).await
            });
            inserted.await.expect("a row");
        })
        .await;
    let queries = scope.queries();
    assert_eq!(operations(&queries), ["SELECT", "INSERT"], "{queries}");
    assert!(queries[0].place.is_none() && queries[1].place.is_some(), "{queries}");
}

#[tokio::test]
async fn statement_that_changes_no_row_has_the_count_zero() {
    let registry = registry().await;
    let scope = registry.new_scope();
    let rows = [1, 2, 3].map(order).to_vec();
    let insert = diesel::insert_into(orders::table).values(&rows);
    scope.enter(insert.execute(&registry)).await.expect("rows");
    let none = diesel::update(orders::table.find(9)).set(orders::buyer.eq("nobody"));
    let changed = scope.enter(none.execute(&registry)).await;
    assert_eq!(changed.expect("no such row"), 0);
    scope.enter(diesel::delete(orders::table.find(1)).execute(&registry)).await.expect("a row");
    for sql in ["CREATE INDEX by_buyer ON orders (buyer)", "ALTER TABLE orders RENAME TO sold"] {
        let statement = diesel::sql_query(sql).bound_to::<orders::table>();
        assert_eq!(scope.enter(statement.execute(&registry)).await.expect(sql), 0, "{sql}");
    }
    let recorded: Vec<_> = scope.queries().iter().map(|query| query.rows).collect();
    assert_eq!(recorded, [Some(3), Some(0), Some(1), Some(0), Some(0)]);
}

#[tokio::test]
async fn many_rows_are_one_query() {
    let registry = registry().await;
    let scope = registry.new_scope();
    let rows: Vec<_> = (0..100).map(order).collect();
    let inserted = scope.enter(orders::table.insert_batched(&rows).execute(&registry)).await;
    assert_eq!(inserted.expect("rows"), 100);
    assert_queries!(scope, 1);
    assert_eq!(scope.queries()[0].rows, Some(100));
}

#[tokio::test]
async fn failed_query_is_recorded_with_the_kind_of_its_error() {
    let registry = registry().await;
    let scope = registry.new_scope();
    let insert = || diesel::insert_into(orders::table).values(order(1));
    insert().execute(&registry).await.expect("a row");
    scope.enter(insert().execute(&registry)).await.expect_err("it is there");
    let queries = scope.queries();
    assert_eq!((queries[0].error, queries[0].rows), (Some("unique_violation"), None));
}

#[tokio::test]
async fn registry_records_the_queries_of_all_tasks_if_it_is_told_to() {
    let registry = registry_with(|bind| bind, |builder| builder.record_queries(true)).await;
    let before = registry.queries().total();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let registry = registry.clone();
            tokio::spawn(async move { count(&registry).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(registry.queries().total() - before, 4);
    assert!(!registry.queries().slowest().is_empty());
    let silent = registry_with(|bind| bind, |builder| builder.record_queries(false)).await;
    let scope = silent.new_scope();
    scope.enter(count(&silent)).await;
    assert!(!scope.queries().is_recording() && scope.queries().is_empty());
    scope.record_queries(true);
    scope.enter(count(&silent)).await;
    assert_queries!(scope, 1);
}

#[tokio::test]
async fn query_that_runs_many_times_from_one_place_is_a_warning() {
    let registry = registry().await;
    let scope = registry.new_scope();
    scope.record_queries(RecordOptions::new().warn_repeated(3));
    let (log, _guard) = own_log();
    scope
        .enter(async {
            for id in 0..7 {
                let find = orders::table.find(id).first::<(i32, String)>(&registry);
                find.await.expect_err("no row");
            }
        })
        .await;
    let warnings = log.lines_with("is run many times in a scope from one place");
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    let parts = ["WARN", "bind=shop", "runs=3", "bodies/told/recorded.rs", "SELECT"];
    assert!(parts.iter().all(|part| warnings[0].contains(part)), "{warnings:?}");
}

#[tokio::test]
async fn failed_assertion_lists_the_queries() {
    let registry = registry().await;
    let scope = registry.new_scope();
    scope.enter(count(&registry)).await;
    let scope = Arc::new(scope);
    let failing = Arc::clone(&scope);
    let failure = tokio::task::spawn_blocking(move || assert_queries!(failing, 2, "page {}", 7));
    let panic = failure.await.expect_err("it fails").into_panic();
    let message = panic.downcast_ref::<String>().expect("a text");
    assert!(
        message.starts_with("page 7: expected 2 queries, and there were 1:\n  1. shop "),
        "{message}"
    );
    assert!(message.contains("orders") && message.contains("recorded.rs:"), "{message}");

    scope.record_queries(false);
    let failure = tokio::task::spawn_blocking(move || assert_queries!(scope, 1));
    let panic = failure.await.expect_err("it does not record").into_panic();
    let message = panic.downcast_ref::<String>().expect("a text");
    assert!(message.starts_with("queries are not recorded"), "{message}");
}

#[tokio::test]
async fn bounded_record_tells_how_many_it_has_dropped() {
    let registry = registry().await;
    registry
        .scope(async {
            let scope = Scope::current().expect("a scope");
            scope.record_queries(RecordOptions::new().limit(2));
            for _ in 0..5 {
                count(&registry).await;
            }
            let queries = scope.queries();
            assert_eq!((queries.len(), queries.total(), queries.dropped()), (2, 5, 3));
        })
        .await;
}
