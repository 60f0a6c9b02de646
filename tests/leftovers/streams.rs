//! Dropped streams with unread rows, which must not delay the next session.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel_async::SimpleAsyncConnection;
use futures_util::StreamExt;
use registry_core::{BindDsl, BindSettings, Registry, RunQueryDsl, bind_tables};

use super::{NAME, database};

diesel::table! {
    numbers (value) {
        value -> BigInt,
    }
}
bind_tables!(db = "default", connection = super::Backend; numbers);

type Main = <numbers::table as registry_core::Bound>::Bind;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// A query with millions of rows, which the server produces one by one.
fn rows() -> &'static str {
    match NAME {
        "postgres" => "SELECT generate_series(1, 50000000)::bigint AS value",
        "mysql" => "SELECT CAST(seq AS SIGNED) AS value FROM seq_1_to_8000000",
        _ => {
            "WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n \
             WHERE value < 8000000) SELECT value FROM n"
        }
    }
}

/// Reading all rows would take several times as long, and opening a connection takes a fraction of it.
const AT_ONCE: Duration = Duration::from_secs(5);

fn registry() -> Registry {
    let bind = BindSettings::new(database()).max_connections(1);
    Registry::builder().bind("default", bind).build().expect("good settings")
}

async fn assert_next_session_answers_at_once(registry: &Registry) {
    let started = Instant::now();
    let mut next = registry.session::<Main>().await.expect("a session");
    next.batch_execute("SELECT 1").await.expect("an answer");
    let took = started.elapsed();
    assert!(took < AT_ONCE, "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_stream_of_a_session_does_not_delay_the_next_borrower() {
    let registry = registry();
    let mut session = registry.session::<Main>().await.expect("a session");
    {
        let stream = sql_query(rows()).load_stream::<Number>(&mut session);
        let mut stream = Box::pin(stream.await.expect("a stream"));
        let row = stream.next().await.expect("a first row").expect("no error");
        assert_eq!(row.value, 1);
    }
    drop(session);
    assert_next_session_answers_at_once(&registry).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_stream_of_a_registry_does_not_delay_the_next_borrower() {
    let registry = registry();
    {
        let query = sql_query(rows()).bound_to::<Main>();
        let stream = query.load_stream::<Number>(&registry);
        let mut stream = Box::pin(stream.await.expect("a stream"));
        let row = stream.next().await.expect("a first row").expect("no error");
        assert_eq!(row.value, 1);
    }
    assert_next_session_answers_at_once(&registry).await;
}

/// The session stays usable after its stream, where its connection does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_stream_leaves_its_session_usable() {
    let registry = registry();
    let mut session = registry.session::<Main>().await.expect("a session");
    for _ in 0..2 {
        let stream =
            sql_query("SELECT count(*) AS value UNION ALL SELECT count(*) + 1 ORDER BY value");
        let stream = stream.load_stream::<Number>(&mut session).await.expect("a stream");
        let rows: Vec<i64> =
            stream.map(|row| row.expect("no error").value).collect::<Vec<_>>().await;
        assert_eq!(rows, [1, 2]);
    }
}

/// The engine does not see calls of diesel-async's own methods, and some drivers do not show whether rows are left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_left_by_diesel_async_do_not_delay_the_next_borrower() {
    for is_stream in [true, false] {
        let registry = registry();
        let mut session = registry.session::<Main>().await.expect("a session");
        let query = sql_query(rows());
        if is_stream {
            let stream = diesel_async::RunQueryDsl::load_stream::<Number>(query, &mut *session);
            let mut stream = Box::pin(stream.await.expect("a stream"));
            let row = stream.next().await.expect("a first row").expect("no error");
            assert_eq!(row.value, 1);
        } else {
            let row = diesel_async::RunQueryDsl::get_result::<Number>(query, &mut *session).await;
            assert_eq!(row.expect("a row").value, 1);
        }
        drop(session);
        assert_next_session_answers_at_once(&registry).await;
    }
}
