//! Pages by number, with the total.

use diesel::dsl::{count_star, sql};
use diesel::query_dsl::positional_order_dsl::PositionalOrderDsl;
use diesel::sql_types::Integer;
use registry_core::query::paginate::Page;

use super::*;

fn ids() -> items::BoxedQuery<'static, Db, Integer> {
    items::table.select(items::id).order(items::id).into_boxed()
}

#[tokio::test]
async fn every_page_has_its_rows_and_the_total() {
    let registry = registry().await;
    let by_id = || items::table.select(items::id).order(items::id);
    let pages: [(i64, &[i32]); 4] = [(1, &[1, 2, 3]), (2, &[4, 5, 6]), (3, &[7]), (4, &[])];
    for (number, rows) in pages {
        let page =
            by_id().paginate(request(number, 3)).load::<i32>(&registry).await.expect("a page");
        assert_eq!(page.items, rows);
        assert_eq!((page.page, page.per_page, page.total, page.pages()), (number, 3, 7, 3));
        assert_eq!((page.has_prev(), page.has_next()), (number > 1, number < 3));
    }
    // A last page that is full.
    let page = by_id().paginate(request(1, 7)).load::<i32>(&registry).await.expect("a page");
    assert_eq!((page.items.len(), page.total, page.has_next()), (7, 7, false));
    let none = by_id().filter(items::id.gt(100));
    let page = none.paginate(request(1, 3)).load::<i32>(&registry).await.expect("a page");
    assert_eq!((page.items.len(), page.total, page.pages()), (0, 0, 0));
    let page = none.paginate(request(5, 3)).load::<i32>(&registry).await.expect("a page");
    assert_eq!((page.items.len(), page.total, page.pages()), (0, 0, 0));
    // The last page that has a number.
    let page = by_id().paginate(request(i64::MAX, 1)).load::<i32>(&registry).await.expect("a page");
    assert_eq!((page.items.len(), page.total), (0, 7));
    let page = by_id().paginate(request(1, i64::MAX)).load::<i32>(&registry).await.expect("a page");
    assert_eq!((page.items.len(), page.total), (7, 7));
}

#[tokio::test]
async fn the_total_counts_the_rows_of_each_kind_of_query() {
    let registry = registry().await;
    let registry = &registry;
    let second = || request(2, 2);

    // Two columns of one name.
    let joined = items::table.inner_join(lists::table).filter(lists::id.eq(1));
    let joined = joined.select((items::id, lists::id, items::name)).order(items::id);
    let page: Page<(i32, i32, String)> =
        joined.paginate(second()).load(registry).await.expect("a page");
    assert_eq!((page.items.len(), page.total), (2, 4));
    assert_eq!(page.items[0], (3, 1, "c".to_owned()));

    let left = lists::table.left_join(items::table).order((lists::id, items::id));
    let left = left.select((lists::name, items::id.nullable()));
    let page: Page<(String, Option<i32>)> =
        left.paginate(request(4, 2)).load(registry).await.expect("a page");
    assert_eq!(
        (page.items, page.total),
        (vec![("two".to_owned(), Some(7)), ("empty".to_owned(), None)], 8)
    );

    let boxed = ids().filter(items::score.lt(30));
    let page: Page<i32> = boxed.paginate(second()).load(registry).await.expect("a page");
    assert_eq!((page.items, page.total), (vec![4, 6], 5));

    let grouped = items::table.group_by(items::score).select((items::score, count_star()));
    let grouped = grouped.having(count_star().gt(1)).order(items::score);
    let page: Page<(i64, i64)> =
        grouped.paginate(request(1, 2)).load(registry).await.expect("a page");
    assert_eq!((page.items, page.total), (vec![(10, 3), (20, 2)], 3));

    let distinct = items::table.select(items::score).distinct().order(items::score.desc());
    let page: Page<i64> = distinct.paginate(request(1, 2)).load(registry).await.expect("a page");
    assert_eq!((page.items, page.total), (vec![30, 20], 3));

    let united = items::table.select(items::id).filter(items::id.lt(3));
    let united = united.union_all(items::table.select(items::id).filter(items::id.gt(5)));
    let page: Page<i32> =
        united.positional_order_by(1_u32).paginate(second()).load(registry).await.expect("a page");
    assert_eq!((page.items, page.total), (vec![6, 7], 4));

    let bound = items::table.select(items::id).order(items::id.desc()).bound_to::<Main>();
    let page: Page<i32> = bound.paginate(request(1, 2)).load(registry).await.expect("a page");
    assert_eq!((page.items, page.total), (vec![7, 6], 7));

    let literal = items::table.select(sql::<Integer>("id")).order(sql::<Integer>("score, id"));
    let page: Page<i32> = literal.paginate(second()).load(registry).await.expect("a page");
    assert_eq!((page.items, page.total), (vec![7, 3], 7));
}

#[tokio::test]
async fn every_executor_loads_pages() {
    let registry = registry().await;
    let mut session: Session<Main> = registry.session::<Main>().await.expect("a session");
    let page = ids().paginate(request(2, 3)).load::<i32>(&mut session).await.expect("a page");
    assert_eq!((page.items, page.total), (vec![4, 5, 6], 7));
    let page = ids().paginate(request(2, 3)).load::<i32>(&mut *session).await.expect("a page");
    assert_eq!((page.items, page.total), (vec![4, 5, 6], 7));
    drop(session);
    let mut by_key = registry.session_by_key::<Backend>("default").await.expect("a session");
    let page = ids().paginate(request(1, 3)).load::<i32>(&mut by_key).await.expect("a page");
    assert_eq!((page.items, page.total), (vec![1, 2, 3], 7));
    drop(by_key);

    // Both statements are in the transaction.
    let mut work = registry.begin();
    diesel::delete(items::table.find(1)).execute(&mut work).await.expect("a row");
    let page = ids().paginate(request(1, 3)).load::<i32>(&mut work).await.expect("a page");
    assert_eq!((page.items, page.total), (vec![2, 3, 4], 6));
    work.rollback().await.expect("it is rolled back");
    let page = ids().paginate(request(1, 3)).load::<i32>(&registry).await.expect("a page");
    assert_eq!(page.total, 7);
}

#[tokio::test]
async fn a_query_in_a_box_without_pages_is_refused_before_it_is_sent() {
    let registry = registry().await;
    let boxed = || items::table.select(items::id).into_boxed::<Db>();
    let ordered = || boxed().order(items::id);
    let error = boxed().paginate(request(1, 3)).load::<i32>(&registry).await.expect_err("no order");
    assert!(refusal_on_registry(&error).starts_with("a query without ORDER BY has no pages"));
    let own_limit = "a query of pages must not have a LIMIT or an OFFSET of its own";
    let error = ordered()
        .limit(5)
        .paginate(request(1, 3))
        .load::<i32>(&registry)
        .await
        .expect_err("a limit");
    assert_eq!(refusal_on_registry(&error), own_limit);
    let limited = items::table.select(items::id).order(items::id).limit(5).bound_to::<Main>();
    let error = limited.paginate(request(1, 3)).load::<i32>(&registry).await.expect_err("a limit");
    assert_eq!(refusal_on_registry(&error), own_limit);

    // An order in a part, or in a function, is not the order of the rows.
    let part = || boxed().order(items::id);
    let united = part().union_all(boxed()).paginate(request(1, 3));
    let error = united.load::<i32>(&registry).await.expect_err("no order");
    assert!(refusal_on_registry(&error).starts_with("a query without ORDER BY has no pages"));

    // On a bare connection, nothing but this is checked.
    let mut session = registry.session::<Main>().await.expect("a session");
    let unordered = items::table.select(items::id).paginate(request(1, 3));
    let error = unordered.load::<i32>(&mut *session).await.expect_err("no order");
    assert!(refusal(&error).starts_with("a query without ORDER BY has no pages"));
    let page = ids().paginate(request(1, 3)).load::<i32>(&mut session).await.expect("a page");
    assert_eq!(page.total, 7);
}

#[tokio::test]
async fn tables_of_another_bind_are_refused_in_pages_too() {
    let registry = registry().await;
    let foreign = || items::id.nullable().eq(footnotes::table.select(footnotes::id).single_value());
    let hidden = items::table.select(items::id).order(foreign()).paginate(request(1, 3));
    let error = hidden.load::<i32>(&registry).await.expect_err("it is hidden");
    let message =
        "a query for bind `default` has the table `footnotes`, which belongs to bind `archive`";
    assert!(refusal_on_registry(&error).starts_with(message), "{error}");
    let hidden = ids().filter(foreign().assume_not_null()).paginate(request(1, 3));
    let error = hidden.load::<i32>(&registry).await.expect_err("it is hidden");
    assert!(refusal_on_registry(&error).starts_with(message), "{error}");
}

#[tokio::test]
async fn a_page_serializes_with_everything_a_client_needs() {
    let registry = registry().await;
    let page = ids().paginate(request(2, 3)).load::<i32>(&registry).await.expect("a page");
    let json = serde_json::to_value(page.map(|id| format!("#{id}"))).expect("JSON");
    let expected = serde_json::json!({
        "items": ["#4", "#5", "#6"], "page": 2, "per_page": 3, "total": 7, "pages": 3,
        "has_next": true, "has_prev": true, "next_page": 3, "prev_page": 1,
    });
    assert_eq!(json, expected);
}
