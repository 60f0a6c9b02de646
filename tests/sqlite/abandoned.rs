//! Futures that are dropped while their statement runs. The gate stays closed meanwhile, so anything that waited for
//! the statement would hang.

use std::time::Duration;

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use futures_util::future::FutureExt;
use registry_core::settings::BindSettings;
use registry_core::{AcquireError, ResetOnReturn};

use crate::gate::Gate;
use crate::support::{eventually, sqlite_file};
use crate::{Model, in_memory, number, on_both_runtimes, registry, session};

on_both_runtimes!(
    abandoned_statement_finishes_before_later_ones,
    abandoned_statement_that_has_not_begun_is_not_run,
    connection_of_an_abandoned_statement_is_replaced,
    in_memory_database_is_lent_after_its_abandoned_statement_ends,
    in_memory_transaction_is_rolled_back_after_an_abandoned_statement,
    abandoned_transaction_statement_in_memory_leaves_nothing,
);

async fn abandoned_statement_finishes_before_later_ones() {
    let mut connection = in_memory().await;
    connection.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    let mut gate = Gate::on(&mut connection).await;
    gate.abandon(connection.batch_execute("INSERT INTO t VALUES (gate(7))")).await;

    // None of these calls needs the thread of the connection.
    connection.set_instrumentation(|_: diesel::connection::InstrumentationEvent<'_>| {});
    connection.set_prepared_statement_cache_size(diesel::connection::CacheSize::Unbounded);
    connection.instrumentation();
    connection.transaction_state();
    {
        let mut later = Box::pin(number(&mut connection, "SELECT value FROM t"));
        for _ in 0..100 {
            assert!(later.as_mut().now_or_never().is_none(), "it waits");
            tokio::task::yield_now().await;
        }
        gate.open();
        assert_eq!(later.await, 7);
    }
    assert_eq!(number(&mut connection, "SELECT 1 AS value").await, 1);
}

async fn abandoned_statement_that_has_not_begun_is_not_run() {
    let mut connection = in_memory().await;
    connection.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    let mut gate = Gate::on(&mut connection).await;
    gate.abandon(connection.batch_execute("SELECT gate(1)")).await;
    assert!(connection.batch_execute("INSERT INTO t VALUES (1)").now_or_never().is_none());
    gate.open();
    assert_eq!(number(&mut connection, "SELECT count(*) AS value FROM t").await, 0);
}

async fn connection_of_an_abandoned_statement_is_replaced() {
    for reset in [ResetOnReturn::Auto, ResetOnReturn::Rollback, ResetOnReturn::Full] {
        let bind = BindSettings::new(sqlite_file()).max_connections(2).reset_on_return(reset);
        let registry = registry(bind);
        for _ in 0..5 {
            let mut lent = session(&registry).await;
            let mut gate = Gate::on(&mut lent).await;
            gate.abandon(lent.batch_execute("SELECT gate(1)")).await;
            drop(lent);

            let (mut one, mut two) = (session(&registry).await, session(&registry).await);
            assert_eq!(number(&mut one, "SELECT 1 AS value").await, 1);
            assert_eq!(number(&mut two, "SELECT 1 AS value").await, 1);
            gate.open();
        }
        let status = &registry.status().engines[0];
        assert_eq!((status.timed_out, status.waiting), (0, 0));
    }
}

async fn in_memory_database_is_lent_after_its_abandoned_statement_ends() {
    // Much shorter than the statement takes. A timed-out check must not cost the database.
    let check_timeout = Duration::from_millis(1);
    let registry = registry(BindSettings::new("sqlite::memory:").check_timeout(check_timeout));
    let mut lent = session(&registry).await;
    lent.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    let mut gate = Gate::on(&mut lent).await;
    gate.abandon(lent.batch_execute("INSERT INTO t VALUES (gate(7))")).await;
    drop(lent);

    let limit = Duration::from_millis(30);
    let refused = registry.session_for::<Model>().within(limit).await;
    assert!(matches!(refused, Err(AcquireError::TimedOut { in_use: 1, .. })), "{refused:?}");
    gate.open();
    assert_eq!(number(&mut *session(&registry).await, "SELECT value FROM t").await, 7);
}

async fn in_memory_transaction_is_rolled_back_after_an_abandoned_statement() {
    let registry = registry("sqlite::memory:");
    let mut lent = session(&registry).await;
    lent.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    let mut gate = Gate::on(&mut lent).await;
    let cut = lent.transaction::<(), diesel::result::Error, _>(async |lent| {
        lent.batch_execute("INSERT INTO t VALUES (1)").await?;
        lent.batch_execute("SELECT gate(1)").await
    });
    gate.abandon(cut).await;
    drop(lent);
    gate.open();

    let mut lent = session(&registry).await;
    assert_eq!(number(&mut lent, "SELECT count(*) AS value FROM t").await, 0);
    // Neither Diesel nor SQLite believes that a transaction is open.
    let insert = async |lent: &mut crate::Session<crate::Main>| {
        lent.batch_execute("INSERT INTO t VALUES (2)").await
    };
    lent.transaction::<(), diesel::result::Error, _>(insert).await.expect("a transaction");
    drop(lent);
    assert_eq!(number(&mut *session(&registry).await, "SELECT value FROM t").await, 2);
}

async fn abandoned_transaction_statement_in_memory_leaves_nothing() {
    let registry = registry("sqlite::memory:");
    let mut lent = session(&registry).await;
    let mut gate = Gate::on(&mut lent).await;
    gate.abandon(lent.batch_execute("SELECT gate(1)")).await;
    let begin = lent.transaction::<(), diesel::result::Error, _>(async |_| Ok(()));
    assert!(begin.now_or_never().is_none(), "`BEGIN` waits");
    drop(lent);
    gate.open();
    let mut lent = session(&registry).await;
    let nothing = lent.transaction::<(), diesel::result::Error, _>(async |_| Ok(()));
    nothing.await.expect("a transaction");
}

#[test]
fn in_memory_database_survives_its_runtime() {
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }
    let registry = registry("sqlite::memory:");
    let mut gate = runtime().block_on(async {
        let mut lent = session(&registry).await;
        lent.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
        Gate::on(&mut lent).await
    });
    // This session is returned inside the runtime, which then ends.
    runtime().block_on(async {
        let mut lent = session(&registry).await;
        lent.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.expect("a row");
        gate.abandon(lent.batch_execute("SELECT gate(1)")).await;
    });
    gate.open();
    let lent = runtime().block_on(async {
        let mut lent = session(&registry).await;
        assert_eq!(number(&mut lent, "SELECT count(*) AS value FROM t").await, 0);
        lent.batch_execute("INSERT INTO t VALUES (2); BEGIN; DELETE FROM t").await.expect("a row");
        lent
    });
    // This session is returned outside any runtime.
    drop(lent);
    assert_eq!(registry.status().engines[0].in_use, 0);
    runtime().block_on(async {
        assert_eq!(number(&mut *session(&registry).await, "SELECT value FROM t").await, 2);
    });
}

#[tokio::test]
async fn in_memory_database_survives_an_abandoned_check() {
    let registry = registry(BindSettings::new("sqlite::memory:").check_idle_after(Duration::ZERO));
    let mut lent = session(&registry).await;
    lent.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    drop(lent);
    let _ = registry.session_for::<Model>().now_or_never();
    let _ = registry.check(Duration::from_secs(1)).now_or_never();
    eventually(|| registry.status().engines[0].in_use == 0).await;
    assert_eq!(number(&mut *session(&registry).await, "SELECT count(*) AS value FROM t").await, 0);
}
