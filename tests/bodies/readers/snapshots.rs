//! Snapshots: several queries of a reader that see the same state.

use diesel::result::Error as DieselError;
use registry_core::ReadSession;

use super::*;

async fn count(session: &mut ReadSession<Shop>) -> QueryResult<i64> {
    orders::table.count().get_result(session).await
}

async fn add(registry: &Registry, id: i32) {
    let row = Order { id, customer: 9, note: None };
    diesel::insert_into(orders::table).values(&row).execute(registry).await.expect("a row");
}

#[tokio::test]
async fn all_queries_of_a_snapshot_see_the_same_state() {
    let registry = registry().await;
    let mut session = registry.reader().session::<Shop>().await.expect("a session");
    let seen = session
        .snapshot(async |session| {
            let before = count(session).await?;
            add(&registry, 3).await;
            let after = count(session).await?;
            // The same state in one of its own, which is a savepoint.
            let inside = session.snapshot(count).await?;
            QueryResult::Ok((before, after, inside))
        })
        .await
        .expect("a snapshot");
    assert_eq!(seen, (2, 2, 2));
    assert_eq!(count(&mut session).await.expect("a count"), 3);
}

#[tokio::test]
async fn a_session_is_usable_after_a_snapshot_that_has_failed() {
    let registry = registry().await;
    let mut session = registry.reader().session::<Shop>().await.expect("a session");
    let failed = session
        .snapshot(async |session| {
            count(session).await?;
            Err::<i64, _>(DieselError::NotFound)
        })
        .await;
    assert_eq!(failed, Err(DieselError::NotFound));
    // An error of the database, after which PostgreSQL takes no further statement in the transaction.
    let failed = session
        .snapshot(async |session| {
            diesel::sql_query("SELECT nothing FROM orders")
                .reads::<Shop>()
                .execute(&mut *session)
                .await
        })
        .await;
    assert!(matches!(failed, Err(DieselError::DatabaseError(..))), "{failed:?}");
    let inside = session
        .snapshot(async |session| {
            let failed = session
                .snapshot(async |session| {
                    let text = diesel::sql_query("SELECT nothing FROM orders").reads::<Shop>();
                    text.execute(session).await
                })
                .await;
            assert!(failed.is_err());
            count(session).await
        })
        .await;
    assert_eq!(inside, Ok(2));
    add(&registry, 3).await;
    assert_eq!(count(&mut session).await, Ok(3));
    assert_eq!(session.snapshot(count).await, Ok(3));
}

#[tokio::test]
async fn a_snapshot_that_is_dropped_leaves_no_transaction() {
    let registry = registry().await;
    let mut session = registry.reader().session::<Shop>().await.expect("a session");
    let (entered, has_entered) = tokio::sync::oneshot::channel();
    let snapshot = session.snapshot(async |session| {
        count(session).await?;
        entered.send(()).expect("somebody waits");
        std::future::pending::<()>().await;
        QueryResult::Ok(())
    });
    tokio::select! {
        _ = snapshot => panic!("it never ends"),
        entered = has_entered => entered.expect("it was entered"),
    }
    let another = session.snapshot(count).await;
    assert!(matches!(another, Err(DieselError::BrokenTransactionManager)), "{another:?}");
    drop(session);
    add(&registry, 3).await;
    let mut session = registry.reader().session::<Shop>().await.expect("a session");
    assert_eq!(session.snapshot(count).await, Ok(3));
}
