//! User code that panics on the thread of a connection.

use diesel::result::{DatabaseErrorKind, Error};
use diesel::{QueryResult, SqliteConnection};
use diesel_async::SimpleAsyncConnection;
use registry_core::settings::BindSettings;

use crate::gate::Gate;
use crate::support::sqlite_file;
use crate::{in_memory, number, on_both_runtimes, registry, session};

diesel::define_sql_function! { fn broken(value: diesel::sql_types::Integer) -> diesel::sql_types::Integer; }

on_both_runtimes!(
    panicking_closure_closes_only_its_connection,
    value_that_panics_in_drop_closes_its_connection,
    abandoned_result_that_panics_in_drop_is_contained,
    statement_after_a_panic_does_not_wait_for_a_database_that_cannot_be_closed,
    panicking_sql_function_fails_only_its_statement,
);

fn panics(_: &mut SqliteConnection) -> QueryResult<()> {
    panic!("the closure's own words")
}

async fn panicking_closure_closes_only_its_connection() {
    for url in [sqlite_file(), "sqlite::memory:".to_owned()] {
        let registry = registry(BindSettings::new(url).max_connections(1));
        for _ in 0..3 {
            let mut lent = session(&registry).await;
            let first = lent.spawn_blocking(panics).await.expect_err("it panicked");
            let second = lent.batch_execute("SELECT 1").await.expect_err("it is closed");
            for error in [first, second] {
                assert!(matches!(
                    error,
                    Error::DatabaseError(DatabaseErrorKind::ClosedConnection, _)
                ));
                let text = "the connection is closed, as code that ran on it panicked: the closure's \
                            own words";
                assert_eq!(error.to_string(), text);
            }
            // The connection is not lent again.
            drop(lent);
            let status = &registry.status().engines[0];
            assert_eq!((status.in_use, status.idle), (0, 0));
            assert_eq!(number(&mut *session(&registry).await, "SELECT 1 AS value").await, 1);
        }
    }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

async fn value_that_panics_in_drop_closes_its_connection() {
    let mut connection = in_memory().await;
    let result = connection.spawn_blocking(|_| {
        let _bomb = Bomb;
        Ok(())
    });
    result.await.expect_err("it panicked");
    let error = connection.batch_execute("SELECT 1").await.expect_err("it is closed");
    assert!(error.to_string().ends_with("panicked: dropped"), "{error}");
}

async fn abandoned_result_that_panics_in_drop_is_contained() {
    let mut connection = in_memory().await;
    let mut gate = Gate::on(&mut connection).await;
    let result = connection.spawn_blocking(|connection| {
        diesel::connection::SimpleConnection::batch_execute(connection, "SELECT gate(1)")?;
        Ok(Bomb)
    });
    gate.abandon(async { result.await.map(std::mem::forget) }).await;
    gate.open();
    let error = connection.batch_execute("SELECT 1").await.expect_err("it is closed");
    let expected = "the connection is closed, as code that ran on it panicked: dropped";
    assert_eq!(error.to_string(), expected);
}

async fn panicking_sql_function_fails_only_its_statement() {
    let mut connection = in_memory().await;
    let function = |_: i32| -> i32 { panic!("the function's own words") };
    connection
        .spawn_blocking(move |connection| broken_utils::register_impl(connection, function))
        .await
        .expect("a function");
    connection.batch_execute("SELECT broken(1)").await.expect_err("it panicked");
    assert_eq!(number(&mut connection, "SELECT 1 AS value").await, 1);
}

async fn statement_after_a_panic_does_not_wait_for_a_database_that_cannot_be_closed() {
    let mut connection = in_memory().await;
    let mut gate = Gate::on(&mut connection).await;
    let leaks = connection.spawn_blocking(|connection| -> QueryResult<()> {
        use diesel::connection::LoadConnection;

        let rows = LoadConnection::load(connection, diesel::sql_query("SELECT 1"))?;
        // SQLite refuses to close the database, and Diesel panics.
        std::mem::forget(rows);
        diesel::connection::SimpleConnection::batch_execute(connection, "SELECT gate(1)")?;
        panic!("the closure's own words")
    });
    gate.abandon(leaks).await;
    let next = connection.batch_execute("SELECT 1");
    let opens = async {
        // The next statement is queued.
        tokio::task::yield_now().await;
        gate.open();
    };
    let (next, ()) = tokio::join!(next, opens);
    let error = next.expect_err("it is closed");
    assert!(error.to_string().ends_with("panicked: the closure's own words"), "{error}");
}
