//! Pages by key.

use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::BigInt;
use registry_core::Error;
use registry_core::query::paginate::{Cursor, CursorPage};

use super::*;

type Key = (i64, i32);
type Row = (i32, i64);

/// The ids of all pages, page by page, with each cursor on its way through a client.
macro_rules! all_pages {
    ($registry:expr, $per_page:expr, $order:expr, $query:expr, $key:ty, $row:ty, $key_of:expr) => {{
        let mut cursor: Option<Cursor<$key>> = None;
        let mut pages: Vec<Vec<i32>> = Vec::new();
        loop {
            let query = $query.keyset($order).after(cursor).per_page($per_page);
            let page = query.load($registry, $key_of).await.expect("a page");
            pages.push(page.items.iter().map(|row: &$row| row.0).collect());
            let Some(next) = page.next else { break pages };
            cursor = Some(next.to_string().parse().expect("a cursor"));
        }
    }};
}

fn key(row: &Row) -> Key {
    (row.1, row.0)
}

#[tokio::test]
async fn ties_are_neither_repeated_nor_skipped_in_any_direction() {
    let registry = registry().await;
    let registry = &registry;
    let query = || items::table.select((items::id, items::score));
    for per_page in 1..=8 {
        let up = all_pages!(
            registry,
            per_page,
            (items::score.asc(), items::id.asc()),
            query(),
            Key,
            Row,
            key
        );
        assert_eq!(up.concat(), [2, 4, 7, 3, 6, 1, 5], "{per_page}");
        let down = all_pages!(
            registry,
            per_page,
            (items::score.desc(), items::id.desc()),
            query(),
            Key,
            Row,
            key
        );
        assert_eq!(down.concat(), [5, 1, 6, 3, 7, 4, 2], "{per_page}");
        let mixed = all_pages!(
            registry,
            per_page,
            (items::score.desc(), items::id.asc()),
            query(),
            Key,
            Row,
            key
        );
        assert_eq!(mixed.concat(), [1, 5, 3, 6, 2, 4, 7], "{per_page}");
        let mixed = all_pages!(
            registry,
            per_page,
            (items::score.asc(), items::id.desc()),
            query(),
            Key,
            Row,
            key
        );
        assert_eq!(mixed.concat(), [7, 4, 2, 6, 3, 5, 1], "{per_page}");
        let full = usize::try_from(per_page).expect("small");
        assert!(up[..up.len() - 1].iter().all(|page| page.len() == full));
        assert!(!up[up.len() - 1].is_empty());
    }
}

#[tokio::test]
async fn one_to_four_keys_of_several_types_are_compared() {
    let registry = registry().await;
    let registry = &registry;
    let ids = all_pages!(
        registry,
        2,
        items::id.desc(),
        items::table.select((items::id, items::score)),
        i32,
        Row,
        |row: &Row| row.0
    );
    assert_eq!(ids.concat(), [7, 6, 5, 4, 3, 2, 1]);
    let ids = all_pages!(
        registry,
        2,
        (items::id.asc(),),
        items::table.select((items::id, items::score)),
        (i32,),
        Row,
        |row: &Row| (row.0,)
    );
    assert_eq!(ids.concat(), [1, 2, 3, 4, 5, 6, 7]);
    type Wide = (i32, i32, i64, String);
    let wide = || items::table.select((items::id, items::list_id, items::score, items::name));
    let ids = all_pages!(
        registry,
        1,
        (items::list_id.desc(), items::score.asc(), items::name.desc()),
        wide(),
        (i32, i64, String),
        Wide,
        |row: &Wide| (row.1, row.2, row.3.clone())
    );
    assert_eq!(ids.concat(), [7, 6, 5, 4, 2, 3, 1]);
    let ids = all_pages!(
        registry,
        1,
        (items::list_id.asc(), items::score.asc(), items::name.desc(), items::id.asc()),
        wide(),
        (i32, i64, String, i32),
        Wide,
        |row: &Wide| (row.1, row.2, row.3.clone(), row.0)
    );
    assert_eq!(ids.concat(), [4, 2, 3, 1, 7, 6, 5]);
}

#[tokio::test]
async fn keysets_work_with_joins_boxes_filters_and_every_executor() {
    let registry = registry().await;
    let order = || (items::score.asc(), items::id.asc());
    let joined = || {
        let joined = items::table.inner_join(lists::table).filter(lists::name.eq("one"));
        joined.select((items::id, items::score))
    };
    let ids = all_pages!(&registry, 2, order(), joined(), Key, Row, key);
    assert_eq!(ids, [[2, 4], [3, 1]]);
    let ids = all_pages!(&registry, 3, order(), joined().into_boxed(), Key, Row, key);
    assert_eq!(ids, [vec![2, 4, 3], vec![1]]);
    let either = || {
        items::table
            .select((items::id, items::score))
            .filter(items::id.lt(3))
            .or_filter(items::id.gt(6))
    };
    let ids = all_pages!(&registry, 1, order(), either(), Key, Row, key);
    assert_eq!(ids, [[2], [7], [1]]);
    let mut session = registry.session::<Main>().await.expect("a session");
    let ids = all_pages!(&mut session, 2, order(), joined(), Key, Row, key);
    assert_eq!(ids, [[2, 4], [3, 1]]);
    let ids = all_pages!(&mut *session, 2, order(), joined(), Key, Row, key);
    assert_eq!(ids, [[2, 4], [3, 1]]);
    drop(session);
    let mut work = registry.begin();
    let ids = all_pages!(&mut work, 2, order(), joined(), Key, Row, key);
    assert_eq!(ids, [[2, 4], [3, 1]]);
    work.rollback().await.expect("it is rolled back");
}

#[tokio::test]
async fn rows_that_come_and_go_before_the_cursor_move_no_other_row() {
    let registry = registry().await;
    let first = load_after(&registry, None).await.expect("a page");
    assert_eq!(first.items, [(2, 10), (4, 10), (7, 10)]);
    // The row of the cursor is deleted, and one is inserted before it.
    diesel::delete(items::table.find(7)).execute(&registry).await.expect("a row");
    let row = (items::id.eq(0), items::list_id.eq(1), items::score.eq(5), items::name.eq("x"));
    diesel::insert_into(items::table).values(row).execute(&registry).await.expect("a row");
    let second = load_after(&registry, first.next).await.expect("a page");
    assert_eq!(second.items, [(3, 20), (6, 20), (1, 30)]);
    let third = load_after(&registry, second.next).await.expect("a page");
    assert_eq!((third.items, third.next), (vec![(5, 30)], None));
}

async fn load_after(
    registry: &Registry,
    cursor: Option<Cursor<Key>>,
) -> Result<CursorPage<Row, Key>, Error> {
    let query = items::table.select((items::id, items::score));
    query
        .keyset((items::score.asc(), items::id.asc()))
        .after(cursor)
        .per_page(3)
        .load(registry, key)
        .await
}

#[tokio::test]
async fn mistakes_of_clients_and_of_the_program_are_errors() {
    let registry = registry().await;
    let first = load_after(&registry, None).await.expect("a page");
    let cursor = || first.next.clone().expect("more rows");

    // A cursor of another order, with values of the same types.
    let query = || items::table.select((items::id, items::score));
    let other = query().keyset((items::score.desc(), items::id.asc())).after(cursor());
    let error = other.load(&registry, key).await.expect_err("another order");
    assert_eq!(refusal_on_registry(&error), "the cursor is invalid");

    let none = query().keyset(items::id.asc()).per_page(0).load(&registry, |row: &Row| row.0);
    let error = none.await.expect_err("no rows");
    assert_eq!(refusal_on_registry(&error), "a page cannot have 0 rows: it has at least 1");
    let all = query().keyset(items::id.asc()).per_page(i64::MAX).load(&registry, |row: &Row| row.0);
    assert_eq!(all.await.expect("a page").items.len(), 7);

    // Keys that are not unique.
    let scores = query().keyset(items::score.asc()).per_page(1).load(&registry, |row: &Row| row.1);
    let error = scores.await.expect_err("not unique");
    assert!(refusal_on_registry(&error).starts_with("two rows of a page have the same key"));

    let boxed = query().order(items::name).into_boxed::<Db>().keyset(items::id.asc());
    let error = boxed.load(&registry, |row: &Row| row.0).await.expect_err("an order of its own");
    assert!(refusal_on_registry(&error).contains("must not have an ORDER BY of its own"));
    let boxed = query().limit(3).into_boxed::<Db>().keyset(items::id.asc());
    let error = boxed.load(&registry, |row: &Row| row.0).await.expect_err("a limit of its own");
    assert!(refusal_on_registry(&error).contains("must not have a LIMIT"));
}

/// A key of which the database has no negative values.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Natural(i64);

impl ToSql<BigInt, Db> for Natural {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Db>) -> serialize::Result {
        if self.0 < 0 { Err("negative".into()) } else { ToSql::<BigInt, Db>::to_sql(&self.0, out) }
    }
}

#[tokio::test]
async fn a_value_that_the_database_cannot_have_is_a_fault_of_the_cursor() {
    let registry = registry().await;
    let query = || {
        items::table.select((items::id, items::score)).keyset((items::score.asc(), items::id.asc()))
    };
    let key = |row: &Row| (Natural(row.1), row.0);
    let first = query().per_page(1).load(&registry, key).await.expect("a page");
    let next = first.next.expect("more rows");
    let second = query().after(next.clone()).load(&registry, key).await.expect("a page");
    assert_eq!(second.items.len(), 6);
    let changed = changed_by_client(&next.to_string(), "[10,", "[-10,");
    let cursor: Cursor<(Natural, i32)> = changed.parse().expect("it is a cursor");
    let error = query().after(cursor).load(&registry, key).await.expect_err("it is negative");
    assert_eq!(refusal_on_registry(&error), "the cursor is invalid");
}

#[tokio::test]
async fn values_of_a_cursor_are_values_and_never_sql() {
    let registry = registry().await;
    let names = || {
        items::table.select((items::id, items::name)).keyset((items::name.asc(), items::id.asc()))
    };
    let key = |row: &(i32, String)| (row.1.clone(), row.0);
    let first = names().per_page(1).load(&registry, key).await.expect("a page");
    let text = first.next.expect("more rows").to_string();
    // As a client would change it, which knows how it is made.
    let changed = changed_by_client(&text, "\"a\"", "\"b' OR 1=1; DROP TABLE items; --\"");
    let cursor: Cursor<(String, i32)> = changed.parse().expect("it is a cursor");
    let page = names().after(cursor).load(&registry, key).await.expect("a page");
    assert_eq!(page.items.len(), 5);
    assert_eq!(items::table.count().get_result::<i64>(&registry).await.expect("a row"), 7);
}

fn changed_by_client(text: &str, from: &str, to: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = 0_u32;
    let (mut value, mut json) = (0_u32, Vec::new());
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|other| *other == byte).expect("base64url");
        value = value << 6 | u32::try_from(digit).expect("small");
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            json.push(u8::try_from(value >> bits & 0xff).expect("a byte"));
        }
    }
    let json = String::from_utf8(json).expect("JSON");
    assert!(json.contains(from), "{json}");
    let (mut value, mut bits, mut text) = (0_u32, 0, String::new());
    for byte in json.replace(from, to).bytes() {
        value = value << 8 | u32::from(byte);
        bits += 8;
        while bits >= 6 {
            bits -= 6;
            text.push(char::from(ALPHABET[usize::try_from(value >> bits & 63).expect("small")]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[usize::try_from(value << (6 - bits) & 63).expect("small")]));
    }
    text
}
