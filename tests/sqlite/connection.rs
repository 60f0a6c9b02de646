//! The features that every connection of Diesel has.

use std::sync::{Arc, Mutex};

use diesel::connection::{CacheSize, InstrumentationEvent};
use diesel::prelude::*;
use diesel::query_builder::QueryId;
use diesel::result::Error;
use diesel_async::{AsyncConnection, RunQueryDsl, SaveChangesDsl, SimpleAsyncConnection};
use futures_util::TryStreamExt;
use registry_core::Sqlite;

use crate::{in_memory, on_both_runtimes, registry, session};

diesel::table! {
    things (id) {
        id -> Integer,
        word -> Text,
        big -> BigInt,
        small -> SmallInt,
        real -> Double,
        single -> Float,
        flag -> Bool,
        bytes -> Binary,
        note -> Nullable<Text>,
        more -> Nullable<Binary>,
    }
}

const CREATE: &str = "CREATE TABLE things (id INTEGER PRIMARY KEY NOT NULL, word TEXT NOT NULL, \
     big BIGINT NOT NULL, small SMALLINT NOT NULL, real DOUBLE NOT NULL, single FLOAT NOT NULL, \
     flag BOOLEAN NOT NULL, bytes BLOB NOT NULL, note TEXT, more BLOB)";

#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset, Identifiable)]
#[diesel(table_name = things, check_for_backend(diesel::sqlite::Sqlite))]
struct Thing {
    id: i32,
    word: String,
    big: i64,
    small: i16,
    real: f64,
    single: f32,
    flag: bool,
    bytes: Vec<u8>,
    note: Option<String>,
    more: Option<Vec<u8>>,
}

#[derive(Clone, Copy, AsChangeset, Identifiable)]
#[diesel(table_name = things)]
struct Change<'a> {
    id: i32,
    word: &'a str,
}

fn thing(id: i32) -> Thing {
    Thing {
        id,
        word: "Grüße, \0 and 'quotes'".to_owned(),
        big: i64::MIN,
        small: i16::MAX,
        real: 0.1,
        single: -1.5,
        flag: true,
        bytes: vec![0, 255, 0],
        note: None,
        more: Some(Vec::new()),
    }
}

#[test]
fn connection_is_send_and_sync() {
    fn is_sent_and_shared<T: Send + Sync + 'static>() {}
    is_sent_and_shared::<Sqlite>();
    is_sent_and_shared::<crate::Session<crate::Main>>();
}

on_both_runtimes!(
    every_type_round_trips,
    rows_are_streamed_and_returned_by_writes,
    save_changes_updates_the_row,
    errors_have_their_database_kind,
    instrumentation_sees_statements_without_values,
    session_supports_the_same_operations,
);

async fn with_things() -> Sqlite {
    let mut connection = in_memory().await;
    connection.batch_execute(CREATE).await.expect("a table");
    connection
}

async fn every_type_round_trips() {
    let mut connection = with_things().await;
    let other = Thing { note: Some(String::new()), more: None, flag: false, ..thing(2) };
    for thing in [thing(1), other.clone()] {
        let count =
            diesel::insert_into(things::table).values(&thing).execute(&mut connection).await;
        assert_eq!(count, Ok(1));
    }
    let all = things::table.order(things::id).load::<Thing>(&mut connection).await;
    assert_eq!(all, Ok(vec![thing(1), other]));
    let by_value = things::table
        .filter(things::bytes.eq(vec![0, 255, 0]).and(things::real.eq(0.1)))
        .filter(things::big.eq(i64::MIN).and(things::id.eq_any([1, 3])))
        .select((things::id, things::note))
        .load::<(i32, Option<String>)>(&mut connection)
        .await;
    assert_eq!(by_value, Ok(vec![(1, None)]));
    let none = things::table.find(9).first::<Thing>(&mut connection).await;
    assert_eq!(none, Err(Error::NotFound));
}

async fn rows_are_streamed_and_returned_by_writes() {
    let mut connection = with_things().await;
    for id in 0..100 {
        let inserted = diesel::insert_into(things::table)
            .values(thing(id))
            .returning(Thing::as_returning())
            .get_result(&mut connection)
            .await;
        assert_eq!(inserted, Ok(thing(id)));
    }
    let stream = things::table.select(things::id).load_stream::<i32>(&mut connection).await;
    let ids: Vec<i32> = stream.expect("rows").try_collect().await.expect("rows");
    assert_eq!(ids, (0..100).collect::<Vec<_>>());
    let deleted = diesel::delete(things::table.filter(things::id.ge(98)))
        .returning(things::id)
        .get_results::<i32>(&mut connection)
        .await;
    assert_eq!(deleted, Ok(vec![98, 99]));
    let count = things::table.count().get_result::<i64>(&mut connection).await;
    assert_eq!(count, Ok(98));
}

async fn save_changes_updates_the_row() {
    let mut connection = with_things().await;
    diesel::insert_into(things::table)
        .values(thing(1))
        .execute(&mut connection)
        .await
        .expect("a row");
    let change = Change { id: 1, word: "changed" };
    let saved = change.save_changes::<Thing>(&mut connection).await;
    assert_eq!(saved, Ok(Thing { word: "changed".to_owned(), ..thing(1) }));
}

async fn errors_have_their_database_kind() {
    use diesel::result::DatabaseErrorKind;

    let mut connection = with_things().await;
    let insert = diesel::insert_into(things::table).values(thing(1));
    insert.clone().execute(&mut connection).await.expect("a row");
    let twice = insert.execute(&mut connection).await.expect_err("it is there");
    let Error::DatabaseError(DatabaseErrorKind::UniqueViolation, about) = &twice else {
        panic!("another error: {twice:?}")
    };
    assert_eq!(about.message(), "UNIQUE constraint failed: things.id");
    let syntax = connection.batch_execute("SELEKT").await.expect_err("no such statement");
    assert_eq!(syntax.to_string(), "near \"SELEKT\": syntax error");
}

async fn instrumentation_sees_statements_without_values() {
    async fn insert(connection: &mut Sqlite, id: i32) {
        let secret = Thing { word: "hunter2".to_owned(), ..thing(id) };
        let _ = diesel::insert_into(things::table).values(secret).execute(connection).await;
    }
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut connection = with_things().await;
    connection.set_instrumentation({
        let events = Arc::clone(&events);
        move |event: InstrumentationEvent<'_>| {
            let what = match event {
                InstrumentationEvent::StartQuery { .. } => "start".to_owned(),
                InstrumentationEvent::CacheQuery { sql, .. } => format!("cache {}", &sql[..6]),
                InstrumentationEvent::FinishQuery { query, error, .. } => {
                    let query = query.to_string();
                    assert!(!query.contains("hunter2"), "{query}");
                    format!("finish {} {}", &query[..6.min(query.len())], error.is_none())
                }
                InstrumentationEvent::BeginTransaction { depth, .. } => format!("begin {depth}"),
                InstrumentationEvent::CommitTransaction { depth, .. } => format!("commit {depth}"),
                event => format!("{event:?}"),
            };
            events.lock().expect("no panic").push(what);
        }
    });
    let seen = || std::mem::take(&mut *events.lock().expect("no panic"));

    insert(&mut connection, 1).await;
    assert_eq!(seen(), ["start", "cache INSERT", "finish INSERT true"]);
    insert(&mut connection, 1).await;
    assert_eq!(seen(), ["start", "finish INSERT false"]);
    connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    diesel::delete(things::table).execute(&mut connection).await.expect("a row");
    assert_eq!(seen(), ["start", "finish DELETE true"], "it is not cached");
    let transaction = connection
        .transaction::<(), Error, _>(async |connection| connection.batch_execute("SELECT 1").await);
    transaction.await.expect("a transaction");
    let expected = [
        "begin 1",
        "start",
        "finish BEGIN true",
        "start",
        "finish SELECT true",
        "commit 1",
        "start",
        "finish COMMIT true",
    ];
    assert_eq!(seen().join(", "), expected.join(", "));
}

async fn session_supports_the_same_operations() {
    let registry = registry("sqlite::memory:");
    let mut lent = session(&registry).await;
    lent.batch_execute(CREATE).await.expect("a table");
    diesel::insert_into(things::table).values(thing(1)).execute(&mut lent).await.expect("a row");
    let change = Change { id: 1, word: "changed" };
    let saved: Thing = change.save_changes(&mut lent).await.expect("a row");
    let stream = things::table.load_stream::<Thing>(&mut lent).await.expect("rows");
    assert_eq!(stream.try_collect::<Vec<_>>().await, Ok(vec![saved]));
    lent.spawn_blocking(|connection| connection.register_collation("none", |a, b| a.cmp(b)))
        .await
        .expect("a collation");
    lent.immediate_transaction::<_, Error, _>(async |connection| {
        diesel::delete(things::table).execute(connection).await
    })
    .await
    .expect("committed");
}

/// A query that Diesel may cache, although it does not name its columns.
#[derive(QueryId)]
struct All;

impl diesel::query_builder::Query for All {
    type SqlType = diesel::sql_types::Untyped;
}

impl diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite> for All {
    fn walk_ast<'b>(
        &'b self,
        mut out: diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
    ) -> QueryResult<()> {
        out.push_sql("SELECT * FROM numbers");
        Ok(())
    }
}

#[tokio::test]
async fn star_selects_the_columns_that_the_table_has_now() {
    let mut connection = in_memory().await;
    let table =
        "CREATE TABLE numbers (a INTEGER NOT NULL, value INTEGER NOT NULL, c INTEGER NOT NULL);
         INSERT INTO numbers VALUES (1, 2, 3)";
    connection.batch_execute(table).await.expect("a table");
    for change in ["SELECT 1", "ALTER TABLE numbers DROP COLUMN a"] {
        connection.batch_execute(change).await.expect("changed");
        let rows: Vec<crate::Number> = RunQueryDsl::load(All, &mut connection).await.expect("rows");
        assert_eq!(rows[0].value, 2);
    }
}
