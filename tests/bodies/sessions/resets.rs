//! What a borrower leaves on a connection, and what the next one finds.

use std::future::pending;
use std::time::Duration;

use diesel::result::Error::{BrokenTransactionManager, RollbackTransaction};
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::ResetOnReturn;

use super::*;

#[tokio::test]
async fn open_transaction_never_reaches_the_next_borrower() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    // The transaction is cancelled midway, as by a client that disconnects.
    let cut = async {
        let _: Result<(), diesel::result::Error> = session
            .transaction(async |session| {
                insert(session, 1).await;
                std::future::pending().await
            })
            .await;
    };
    tokio::time::timeout(Duration::from_millis(200), cut).await.expect_err("it never ends");
    drop(session);

    let mut session = registry.session_for::<Event>().await.expect("a session");
    assert!(ids(&mut session).await.is_empty());
    // This would fail inside a transaction that the last borrower left open.
    let outcome: Result<(), diesel::result::Error> = session
        .transaction(async |session| {
            insert(session, 2).await;
            Ok(())
        })
        .await;
    assert_eq!(outcome, Ok(()));
    drop(session);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    assert_eq!(ids(&mut session).await, [2]);
}

/// A transaction begun in one that nobody can commit any more would be a savepoint, and its `Ok` would be wrong.
#[tokio::test]
async fn transaction_after_one_that_was_dropped_is_refused() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    dropped(&mut session, 1).await;
    let outcome = session
        .transaction(async |session| {
            insert(session, 2).await;
            Ok(())
        })
        .await;
    assert!(matches!(outcome, Err(BrokenTransactionManager)), "{outcome:?}");
    let build = session.build_transaction();
    let outcome = build
        .run(async |session| {
            insert(session, 3).await;
            Ok(())
        })
        .await;
    assert!(matches!(outcome, Err(BrokenTransactionManager)), "{outcome:?}");
    drop(session);

    // The same inside of another transaction, which would only release the savepoint.
    let mut session = registry.session_for::<Event>().await.expect("a session");
    let outcome = session
        .transaction(async |session| {
            insert(session, 4).await;
            dropped(session, 5).await;
            Ok(())
        })
        .await;
    assert!(matches!(outcome, Err(BrokenTransactionManager)), "{outcome:?}");
    // All of it was rolled back, also where the callback has returned an error.
    assert!(ids(&mut session).await.is_empty());
    let outcome = session
        .transaction(async |session| {
            insert(session, 4).await;
            dropped(session, 5).await;
            Err::<(), _>(RollbackTransaction)
        })
        .await;
    assert_eq!(outcome, Err(RollbackTransaction));
    assert!(ids(&mut session).await.is_empty());
    drop(session);

    let mut session = registry.session_for::<Event>().await.expect("a session");
    assert!(ids(&mut session).await.is_empty());
    let outcome: QueryResult<()> = session
        .transaction(async |session| {
            insert(session, 6).await;
            Ok(())
        })
        .await;
    assert_eq!(outcome, Ok(()));
    drop(session);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    assert_eq!(ids(&mut session).await, [6]);
}

/// Inserts a row in a transaction, and drops the future of the transaction.
async fn dropped(session: &mut Session<Main>, id: i32) {
    let (inserted, is_inserted) = tokio::sync::oneshot::channel();
    let transaction = session.transaction(async move |session| {
        insert(session, id).await;
        inserted.send(()).expect("it is awaited");
        pending::<QueryResult<()>>().await
    });
    tokio::select! {
        ended = transaction => panic!("{ended:?}"),
        inserted = is_inserted => inserted.expect("a row"),
    }
}

#[tokio::test]
async fn raw_begin_is_rolled_back_on_return() {
    for reset in [ResetOnReturn::Auto, ResetOnReturn::Rollback, ResetOnReturn::Full] {
        let registry = registry_with(|bind| bind.max_connections(1).reset_on_return(reset));
        let mut session = registry.session_for::<Event>().await.expect("a session");
        session.batch_execute(CREATE).await.expect("an empty database");
        session.batch_execute("BEGIN").await.expect("a transaction of the user's own");
        insert(&mut session, 1).await;
        drop(session);
        let mut session = registry.session_for::<Event>().await.expect("a session");
        assert!(ids(&mut session).await.is_empty(), "{reset:?}");
    }
}

#[tokio::test]
async fn temporary_table_of_a_borrower_is_gone_for_the_next() {
    for reset in [ResetOnReturn::Auto, ResetOnReturn::Rollback, ResetOnReturn::Full] {
        let registry = registry_with(|bind| bind.max_connections(1).reset_on_return(reset));
        let mut session = registry.session_for::<Event>().await.expect("a session");
        session.batch_execute("CREATE TEMPORARY TABLE mine (id INTEGER)").await.expect("a table");
        drop(session);
        let mut session = registry.session_for::<Event>().await.expect("a session");
        let gone = session.batch_execute("SELECT * FROM mine").await;
        gone.expect_err(&format!("{reset:?}: the table must be gone"));
    }
}

#[tokio::test]
async fn test_transaction_stays_open_across_sessions() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    session.begin_test_transaction().await.expect("a transaction");
    insert(&mut session, 1).await;
    drop(session);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    assert_eq!(ids(&mut session).await, [1]);
    session.batch_execute("ROLLBACK").await.expect("it is open");
    assert!(ids(&mut session).await.is_empty());
}
