//! Streams read rows on demand, and can be dropped at any row.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Binary};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::{StreamExt, TryStreamExt};
use registry_core::Sqlite;
use registry_core::settings::BindSettings;

use crate::gate::Gate;
use crate::support::{eventually, sqlite_file};
use crate::{in_memory, number, on_both_runtimes, registry, session};

on_both_runtimes!(
    thread_reads_only_a_bounded_number_of_rows_ahead,
    large_rows_are_read_in_small_batches,
    dropped_stream_ends_its_query_before_the_next,
    dropped_query_ends_at_its_next_row,
    dropped_connection_waits_for_no_reader,
    error_after_the_first_rows_is_the_last_item,
    error_among_the_first_rows_fails_the_query,
    writing_statement_completes_although_one_row_is_read,
    stream_dropped_in_a_transaction_leaves_the_transaction_open,
    session_of_a_dropped_stream_is_lent_again,
    in_memory_database_survives_a_dropped_stream,
);

/// How far the thread can be ahead of its reader: by the batch that the reader has, and the next one.
const AHEAD: usize = 2 * 256;

diesel::define_sql_function! { fn seen(value: BigInt) -> BigInt; }

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Blob {
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
}

/// How many rows a SQL function has seen.
struct Seen(Arc<AtomicUsize>);

impl Seen {
    fn rows(&self) -> usize {
        AtomicUsize::load(&self.0, Ordering::SeqCst)
    }

    fn restart(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }

    /// Whether the function was dropped, which happens with its connection.
    fn is_over(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

/// The SQL function `seen`, which counts the rows that it sees.
async fn count_seen(connection: &mut Sqlite) -> Seen {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = AssertUnwindSafe(Arc::clone(&count));
    let see = move |value: i64| {
        counted.fetch_add(1, Ordering::SeqCst);
        value
    };
    let register = |connection: &mut SqliteConnection| {
        seen_utils::register_nondeterministic_impl(connection, see)
    };
    connection.spawn_blocking(register).await.expect("a function");
    Seen(count)
}

/// A query for the numbers up to `last`, each passed through `column`.
fn numbers(last: usize, column: &str) -> String {
    format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}) \
         SELECT {column} AS value FROM numbers"
    )
}

async fn thread_reads_only_a_bounded_number_of_rows_ahead() {
    let mut connection = in_memory().await;
    let seen = count_seen(&mut connection).await;
    let query = sql_query(numbers(1_000_000, "seen(n)"));
    let mut rows = query.load_stream::<Number>(&mut connection).await.expect("rows");
    for read in 0..1_000_000 {
        let ahead = seen.rows() - read;
        assert!(ahead <= AHEAD, "{ahead} rows ahead of row {read}");
        let row = rows.next().await.expect("a row").expect("a row");
        assert_eq!(row.value, i64::try_from(read + 1).expect("small"));
    }
    assert!(rows.next().await.is_none());
    drop(rows);
    assert_eq!(number(&mut connection, "SELECT 1 AS value").await, 1);
}

async fn large_rows_are_read_in_small_batches() {
    let mut connection = in_memory().await;
    let seen = count_seen(&mut connection).await;
    let query = sql_query(numbers(200, "zeroblob(200000 + seen(0))"));
    let mut rows = query.load_stream::<Blob>(&mut connection).await.expect("rows");
    for read in 0..200 {
        // 400 kB are with the reader, and as much is in transit.
        assert!(seen.rows() - read <= 4);
        assert_eq!(rows.next().await.expect("a row").expect("a row").value.len(), 200_000);
    }
    assert!(rows.next().await.is_none());
}

async fn dropped_stream_ends_its_query_before_the_next() {
    let mut connection = in_memory().await;
    let seen = count_seen(&mut connection).await;
    connection.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    for read in [0, 1, 256, 257, 600, 5_000] {
        let query = sql_query(numbers(1_000_000_000, "seen(n)"));
        let rows = query.load_stream::<Number>(&mut connection).await.expect("rows");
        let some = rows.take(read).try_collect::<Vec<_>>().await.expect("rows");
        assert_eq!(some.len(), read);
        // An unfinished statement would lock the table.
        connection.batch_execute("DROP TABLE t; CREATE TABLE t (value INTEGER)").await.expect("t");
        let count = seen.rows();
        connection.batch_execute("INSERT INTO t VALUES (1)").await.expect("a row");
        assert_eq!(seen.restart(), count, "it went on");
    }
    // One row of very many.
    let query = sql_query(numbers(1_000_000_000, "seen(n)"));
    let first: Number = query.get_result(&mut connection).await.expect("a row");
    assert_eq!(first.value, 1);
    assert_eq!(number(&mut connection, "SELECT count(*) AS value FROM t").await, 1);
    assert!(seen.rows() <= AHEAD);
}

async fn dropped_query_ends_at_its_next_row() {
    let mut connection = in_memory().await;
    let mut gate = Gate::on(&mut connection).await;
    // Each row would have to pass the gate.
    let query = sql_query(numbers(1_000_000_000, "gate(n)"));
    gate.abandon(query.load::<Number>(&mut connection)).await;
    gate.open();
    assert_eq!(number(&mut connection, "SELECT 1 AS value").await, 1);
}

async fn dropped_connection_waits_for_no_reader() {
    for read in [1, 300] {
        let mut connection = in_memory().await;
        let seen = count_seen(&mut connection).await;
        let query = sql_query(numbers(1_000_000_000, "seen(n)"));
        let mut rows = query.load_stream::<Number>(&mut connection).await.expect("rows");
        for _ in 0..read {
            rows.next().await.expect("a row").expect("a row");
        }
        // The worst case: the stream is neither read nor dropped.
        std::mem::forget(rows);
        drop(connection);
        eventually(|| seen.is_over()).await;
    }
    let mut connection = in_memory().await;
    let query = sql_query(numbers(1_000_000_000, "n"));
    std::mem::forget(query.load_stream::<Number>(&mut connection).await.expect("rows"));
    assert_eq!(number(&mut connection, "SELECT 7 AS value").await, 7);
}

/// An expression that overflows at the given row.
fn overflow_at(row: i64) -> String {
    let least = "-9223372036854775807 - 1";
    numbers(1_000_000, &format!("CASE n WHEN {row} THEN abs({least}) ELSE n END"))
}

async fn error_after_the_first_rows_is_the_last_item() {
    let mut connection = in_memory().await;
    for row in [257, 300, 100_000] {
        let query = sql_query(overflow_at(row));
        let mut rows = query.load_stream::<Number>(&mut connection).await.expect("rows");
        for expected in 1..row {
            assert_eq!(rows.next().await.expect("a row").expect("a row").value, expected);
        }
        let error = rows.next().await.expect("an error").map(|row| row.value);
        assert_eq!(error.expect_err("an error").to_string(), "integer overflow");
        assert!(rows.next().await.is_none());
        drop(rows);
        let all = sql_query(overflow_at(row)).load::<Number>(&mut connection).await;
        assert_eq!(all.map(|all| all.len()).expect_err("an error").to_string(), "integer overflow");
    }
    assert_eq!(number(&mut connection, "SELECT 1 AS value").await, 1);
}

async fn error_among_the_first_rows_fails_the_query() {
    let mut connection = in_memory().await;
    let begun = sql_query(overflow_at(200)).load_stream::<Number>(&mut connection).await;
    assert_eq!(begun.map(drop).expect_err("an error").to_string(), "integer overflow");
    let one = sql_query(overflow_at(200)).get_result::<Number>(&mut connection).await;
    assert_eq!(one.map(drop).expect_err("an error").to_string(), "integer overflow");
}

async fn writing_statement_completes_although_one_row_is_read() {
    let mut connection = in_memory().await;
    connection
        .batch_execute(
            "PRAGMA foreign_keys = ON; CREATE TABLE parents (id INTEGER PRIMARY KEY); \
             CREATE TABLE t (id INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
        )
        .await
        .expect("tables");
    // The deferred constraint fails when the statement's own transaction ends, after its last row.
    for count in [1, 1000] {
        let query = numbers(count, "n").replacen("SELECT n AS value", "INSERT INTO t SELECT n", 1);
        let query = format!("{query} RETURNING id AS value");
        let one = sql_query(query).get_result::<Number>(&mut connection).await;
        let error = one.map(drop).expect_err("a foreign key that points nowhere");
        assert_eq!(error.to_string(), "FOREIGN KEY constraint failed");
    }
    assert_eq!(number(&mut connection, "SELECT count(*) AS value FROM t").await, 0);
    let query = "INSERT INTO parents VALUES (1), (2), (3) RETURNING id AS value";
    let one = sql_query(query).get_result::<Number>(&mut connection).await.expect("a row");
    assert_eq!(one.value, 1);
    assert_eq!(number(&mut connection, "SELECT count(*) AS value FROM parents").await, 3);
}

async fn stream_dropped_in_a_transaction_leaves_the_transaction_open() {
    let mut connection = in_memory().await;
    connection.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    let transaction = connection.transaction::<(), Error, _>(async |connection| {
        for _ in 0..3 {
            let query = sql_query(numbers(1_000_000_000, "n"));
            let mut rows = query.load_stream::<Number>(connection).await?;
            for _ in 0..400 {
                rows.try_next().await?;
            }
            drop(rows);
            let nested = connection.transaction::<(), Error, _>(async |connection| {
                connection.batch_execute("INSERT INTO t VALUES (1)").await
            });
            nested.await?;
        }
        Ok(())
    });
    transaction.await.expect("committed");
    assert_eq!(number(&mut connection, "SELECT count(*) AS value FROM t").await, 3);
}

/// Reads some rows of a long stream, and then drops the stream and its session.
async fn drop_midway_through_a_stream(mut lent: crate::Session<crate::Main>) {
    let query = sql_query(numbers(1_000_000_000, "n"));
    let mut rows = query.load_stream::<Number>(&mut lent).await.expect("rows");
    for _ in 0..300 {
        rows.next().await.expect("a row").expect("a row");
    }
}

async fn session_of_a_dropped_stream_is_lent_again() {
    // Each connection that is opened inserts a row.
    let opened = ["CREATE TABLE IF NOT EXISTS opened (v INTEGER)", "INSERT INTO opened VALUES (1)"];
    let settings = BindSettings::new(sqlite_file()).max_connections(1).on_connect(opened);
    let registry = registry(settings);
    let mut lent = session(&registry).await;
    let query = sql_query(numbers(1_000_000_000, "n"));
    let first: Number = query.get_result(&mut lent).await.expect("a row");
    assert_eq!(first.value, 1);
    drop(lent);
    // The same connection: the dropped stream did not delay its return, so it was not closed.
    let mut lent = session(&registry).await;
    assert_eq!(number(&mut lent, "SELECT count(*) AS value FROM opened").await, 1);
    // The thread reads ahead for this query, so the connection may be closed.
    for _ in 0..20 {
        drop_midway_through_a_stream(lent).await;
        lent = session(&registry).await;
        assert_eq!(number(&mut lent, "SELECT 7 AS value").await, 7);
    }
    drop(lent);
    assert!(registry.close().await.is_complete());
}

async fn in_memory_database_survives_a_dropped_stream() {
    let registry = registry("sqlite::memory:");
    let mut lent = session(&registry).await;
    lent.batch_execute("CREATE TABLE t (value INTEGER); INSERT INTO t VALUES (7)")
        .await
        .expect("t");
    for _ in 0..20 {
        drop_midway_through_a_stream(lent).await;
        lent = session(&registry).await;
        assert_eq!(number(&mut lent, "SELECT value FROM t").await, 7);
    }
}
