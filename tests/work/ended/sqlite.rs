//! SQLite: rollbacks of its own, and statements on its thread.

use diesel::result::Error as DieselError;
use registry_core::WorkError;

use super::*;

#[tokio::test]
async fn end_in_spawn_blocking_is_noticed() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_all(&mut work, 1).await.expect("rows");
    let session = work.session::<Lite>().await.expect("a session");
    let harmless = session.spawn_blocking(|connection| {
        use diesel::connection::SimpleConnection;
        connection.batch_execute("INSERT INTO notes VALUES (2)")
    });
    harmless.await.expect("a row");
    let session = work.session::<Lite>().await.expect("it stands");
    let ended = session.spawn_blocking(|connection| {
        use diesel::connection::SimpleConnection;
        connection.batch_execute("COMMIT; BEGIN")
    });
    ended.await.expect("run");
    let error = work.session::<Lite>().await.expect_err("it has ended");
    assert!(matches!(error, WorkError::Ended { key } if key == "lite"), "{error}");
    let error = work.commit().await.unwrap_err();
    assert!(matches!(outcome(&error, "lite"), Outcome::Ended), "{error}");
}

#[tokio::test]
async fn rollback_by_sqlite_is_reported_as_a_rollback() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_all(&mut work, 1).await.expect("rows");
    let session = work.session::<Lite>().await.expect("a session");
    session.batch_execute("INSERT OR ROLLBACK INTO notes VALUES (1)").await.expect_err("there");
    let error = work.session::<Lite>().await.expect_err("it is gone");
    assert!(matches!(error, WorkError::RolledBack { key } if key == "lite"), "{error}");
    let error = work.commit().await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    // The same for a transaction of a session.
    let mut session = registry.session::<Lite>().await.expect("a session");
    let outcome = session
        .transaction(async |session| {
            session.batch_execute("INSERT INTO notes VALUES (1)").await?;
            drop(session.batch_execute("INSERT OR ROLLBACK INTO notes VALUES (1)").await);
            Ok::<_, DieselError>(())
        })
        .await;
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("has rolled the transaction back"), "{error}");
    drop(session);
    assert_eq!(notes::table.count().get_result::<i64>(&registry).await.expect("a count"), 0);
}

/// Each later statement would be stored immediately, and the retried work would store it again.
#[tokio::test]
async fn statements_after_a_rollback_by_sqlite_store_nothing() {
    use std::sync::atomic::{AtomicU32, Ordering};

    use registry_core::WorkOptions;

    const ROLLS_BACK: &str = "INSERT OR ROLLBACK INTO notes VALUES (1)";
    let registry = registry().await;
    diesel::insert_into(notes::table)
        .values(notes::id.eq(1))
        .execute(&registry)
        .await
        .expect("one");
    let runs = AtomicU32::new(0);
    let options = WorkOptions::new().retries(3);
    let outcome = registry
        .transaction_with(options, async |work| {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            let session = work.session::<Lite>().await?;
            drop(session.batch_execute(ROLLS_BACK).await);
            let statement = format!("INSERT INTO notes VALUES ({})", 10 + run);
            drop(session.batch_execute(&statement).await);
            drop(diesel::sql_query(&statement).execute(&mut *session).await);
            let returning = format!("{statement} RETURNING id");
            drop(diesel::sql_query(returning).load::<Id>(session).await);
            Ok::<_, Error>(())
        })
        .await;
    let Err(Error::Commit(error)) = outcome else { panic!("{outcome:?}") };
    assert!(error.is_rolled_back() && !error.is_transient(), "{error}");
    assert_eq!(runs.into_inner(), 1, "the row is there in each run");
    let mut session = registry.session::<Lite>().await.expect("a session");
    let outcome = session
        .transaction(async |session| {
            drop(session.batch_execute(ROLLS_BACK).await);
            drop(session.batch_execute("INSERT INTO notes VALUES (20)").await);
            Ok::<_, DieselError>(())
        })
        .await;
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("nothing of it was stored"), "{error}");
    session.batch_execute("INSERT INTO notes VALUES (30)").await.expect("it can be used again");
    drop(session);
    let all = notes::table.select(notes::id).order(notes::id).load::<i32>(&registry).await;
    assert_eq!(all.expect("rows"), [1, 30]);
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    #[expect(dead_code, reason = "there is none")]
    id: i32,
}
