//! Statements on more rows than a database takes in one statement, on each backend.

use std::error::Error as StdError;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use registry_core::query::TooManyBindVariables;
use registry_core::{
    BindDsl, Bound, InsertBatchedDsl, Registry, RunQueryDsl, batched, bind_tables,
};

use super::{Backend, NAME, database};

diesel::table! { seats (id) { id -> Integer, hall -> Integer, note -> Nullable<Text>, } }
bind_tables!(db = "default", connection = super::Backend; seats);

type Main = <seats::table as Bound>::Bind;
type Db = <Backend as AsyncConnectionCore>::Backend;

/// A model with a field that is left to its `DEFAULT`.
#[derive(Insertable)]
#[diesel(table_name = seats)]
struct Seat {
    id: i32,
    hall: i32,
    note: Option<String>,
}

fn seats_of(ids: std::ops::Range<i32>) -> Vec<Seat> {
    ids.map(|id| Seat { id, hall: id % 7, note: (id % 5 == 0).then(|| "aisle".to_owned()) })
        .collect()
}

/// More rows than PostgreSQL, MySQL and SQLite take in one statement.
const MANY: i32 = 40_000;

async fn registry() -> Registry {
    let registry = Registry::builder().bind("default", database()).build().expect("good settings");
    let mut session = registry.session::<Main>().await.expect("a session");
    session
        .batch_execute("CREATE TABLE seats (id INTEGER PRIMARY KEY NOT NULL, hall INTEGER NOT NULL, note VARCHAR(50))")
        .await
        .expect("a table");
    drop(session);
    registry
}

async fn count(registry: &Registry) -> i64 {
    seats::table.count().get_result(registry).await.expect("a count")
}

#[tokio::test]
async fn any_number_of_rows_is_inserted() {
    let registry = registry().await;
    let rows = seats_of(0..MANY);
    let inserted = seats::table.insert_batched(&rows).execute(&registry).await;
    assert_eq!(inserted.expect("rows"), rows.len());
    let notes: i64 = seats::table
        .filter(seats::note.eq("aisle"))
        .count()
        .get_result(&registry)
        .await
        .expect("a count");
    assert_eq!(notes, i64::from(MANY / 5));

    let none: [Seat; 0] = [];
    assert_eq!(
        seats::table.insert_batched(&none).execute(&registry).await.expect("nothing to do"),
        0
    );
    let mut session = registry.session::<Main>().await.expect("a session");
    let one = seats_of(MANY..MANY + 1);
    assert_eq!(seats::table.insert_batched(&one).execute(&mut session).await.expect("a row"), 1);
    drop(session);
    let few = seats_of(MANY + 1..MANY + 11);
    let few = seats::table.insert_batched(&few).rows_per_statement(3);
    assert_eq!(few.execute(&registry).await.expect("rows"), 10);
    assert_eq!(count(&registry).await, i64::from(MANY) + 11);
}

#[tokio::test]
async fn all_rows_are_inserted_or_none() {
    let registry = registry().await;
    // The last row, which is in the last statement, clashes with the first.
    let mut rows = seats_of(0..MANY);
    rows.last_mut().expect("a row").id = 0;
    let error = seats::table.insert_batched(&rows).execute(&registry).await.expect_err("a clash");
    assert!(matches!(error.database_kind(), Some(DatabaseErrorKind::UniqueViolation)), "{error:?}");
    assert_eq!(count(&registry).await, 0);

    // Inside a transaction it is a savepoint.
    let mut work = registry.begin();
    let first = seats_of(-1..0);
    seats::table.insert_batched(&first).execute(&mut work).await.expect("a row");
    seats::table.insert_batched(&rows).execute(&mut work).await.expect_err("a clash");
    let rows = seats_of(0..MANY);
    let inserted = seats::table.insert_batched(&rows).execute(&mut work).await;
    assert_eq!(inserted.expect("rows"), rows.len());
    work.commit().await.expect("a commit");
    assert_eq!(count(&registry).await, i64::from(MANY) + 1);
}

#[tokio::test]
async fn other_statements_are_split_as_well() {
    let registry = registry().await;
    let ids: Vec<i32> = (0..MANY).collect();
    let rows: Vec<_> = ids.iter().map(|id| (seats::id.eq(*id), seats::hall.eq(1))).collect();
    seats::table.insert_batched(&rows[..100]).execute(&registry).await.expect("rows");
    let upsert = batched(&rows, |rows| {
        diesel::insert_into(seats::table).values(rows).on_conflict_do_nothing()
    });
    let affected = upsert.execute(&registry).await.expect("rows");
    // MySQL counts a row that it has found as well.
    let found = if NAME == "mysql" { 100 } else { 0 };
    assert_eq!(affected, rows.len() - 100 + found);
    assert_eq!(count(&registry).await, i64::from(MANY));

    let mut session = registry.session::<Main>().await.expect("a session");
    let delete = || batched(&ids, |ids| diesel::delete(seats::table.filter(seats::id.eq_any(ids))));
    assert_eq!(
        delete().rows_per_statement(30_000).execute(&mut session).await.expect("rows"),
        ids.len()
    );
    drop(session);
    let bound = batched(&ids, |ids| {
        diesel::delete(seats::table.filter(seats::id.eq_any(ids))).bound_to::<Main>()
    });
    assert_eq!(bound.execute(&registry).await.expect("no rows"), 0);
}

#[tokio::test]
async fn a_statement_with_too_many_values_is_refused() {
    let registry = registry().await;
    let ids: Vec<i32> = (0..70_000).collect();
    let text = || {
        let mut query = diesel::sql_query("SELECT 1 FROM seats WHERE id IN (").into_boxed::<Db>();
        for (at, id) in ids.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let place = if NAME == "postgres" { format!("${}", at + 1) } else { "?".to_owned() };
            query = query.sql(format!("{comma}{place}")).bind::<diesel::sql_types::Integer, _>(*id);
        }
        query.sql(")")
    };
    let mut session = registry.session::<Main>().await.expect("a session");
    let error = text().execute(&mut session).await.expect_err("too many values");
    let found = too_many(&error);
    let (backend, limit) = match NAME {
        "postgres" => ("PostgreSQL", "65,535 at most"),
        "mysql" => ("MySQL", "65,535 at most"),
        _ => ("SQLite", "32,766 at most by default"),
    };
    assert_eq!(
        found.to_string(),
        format!(
            "this statement has 70,000 bind variables, and {backend} takes {limit}: send it in parts, such as the rows of an insert with `insert_batched`"
        )
    );
    // The connection is as it was, also in a transaction.
    let rows = seats_of(0..2);
    session
        .transaction(async |session| {
            diesel::insert_into(seats::table).values(&rows).execute(&mut *session).await?;
            too_many(&text().execute(&mut *session).await.expect_err("too many values"));
            seats::table.count().get_result::<i64>(session).await
        })
        .await
        .expect("the transaction goes on");
    // On a bare connection, by a load, and on the registry.
    too_many(&text().execute(&mut *session).await.expect_err("too many values"));
    drop(session);
    let loaded = text().bound_to::<Main>().load::<Nothing>(&registry).await;
    too_many(&loaded.expect_err("too many values"));
    assert_eq!(count(&registry).await, 2);
}

#[derive(Debug, QueryableByName)]
struct Nothing {}

fn too_many(error: &(dyn StdError + 'static)) -> TooManyBindVariables {
    let mut cause = error;
    loop {
        if let Some(DieselError::QueryBuilderError(inner)) = cause.downcast_ref() {
            return *inner.downcast_ref().unwrap_or_else(|| panic!("{error:?}"));
        }
        cause = cause.source().unwrap_or_else(|| panic!("{error:?}"));
    }
}

/// A transaction after it would be a savepoint in the abandoned one, and its `Ok` would be a lost write.
#[tokio::test]
async fn transaction_after_a_dropped_batch_is_refused() {
    let registry = registry().await;
    let mut session = registry.session::<Main>().await.expect("a session");
    let rows = seats_of(0..20_000);
    let batch = seats::table.insert_batched(&rows).rows_per_statement(1);
    let mut running = Box::pin(batch.execute(&mut session));
    for _ in 0..20 {
        assert!(futures_util::poll!(running.as_mut()).is_pending());
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    drop(running);
    let later = session.transaction(async |session| {
        diesel::insert_into(seats::table).values(&seats_of(0..1)[0]).execute(session).await
    });
    let later = later.await;
    assert!(matches!(later, Err(DieselError::BrokenTransactionManager)), "{later:?}");
    drop(session);
    assert_eq!(count(&registry).await, 0);
}
