//! Connections that the server closes before the commit.

use super::*;
use crate::support::causes;

/// The lost connection is noticed before the first commit is sent.
#[tokio::test]
async fn connection_closed_before_the_commit_is_transient_and_commits_nothing() {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }

    let registry = registry().await;
    let mut work = registry.begin();
    let add = diesel::insert_into(notes::table).values(notes::id.eq(1));
    add.execute(&mut work).await.expect("a row");
    let session = work.session::<Pg>().await.expect("a session");
    let id = diesel::sql_query("SELECT pg_backend_pid()::bigint AS n").get_result(session).await;
    let Number { n } = id.expect("a number");
    let mut other = registry.session::<Pg>().await.expect("a session");
    let kill = format!("SELECT pg_terminate_backend({n})");
    other.batch_execute(&kill).await.expect("it has ended");
    let error = work.commit().await.expect_err("it is gone");
    assert!(matches!(outcome(&error, "lite"), Outcome::RolledBack), "{error}");
    assert!(matches!(outcome(&error, "pg"), Outcome::Failed(_)), "{error}");
    assert!(error.is_transient(), "{error}");

    let mut work = registry.begin();
    let add = diesel::insert_into(notes::table).values(notes::id.eq(2));
    add.execute(&mut work).await.expect("a row");
    let session = work.session::<My>().await.expect("a session");
    let id = diesel::sql_query("SELECT CAST(connection_id() AS SIGNED) AS n");
    let Number { n } = id.get_result(session).await.expect("a number");
    let mut other = registry.session::<My>().await.expect("a session");
    other.batch_execute(&format!("KILL {n}")).await.expect("it has ended");
    let error = work.commit().await.expect_err("it is gone");
    assert!(matches!(outcome(&error, "lite"), Outcome::RolledBack), "{error}");
    assert!(matches!(outcome(&error, "my"), Outcome::Failed(_)), "{error}");
    assert!(error.is_transient(), "{error}");
    let words = causes(&error).concat();
    assert!(words.matches("Input/output error").count() <= 1, "{words}");
    assert_eq!(notes::table.count().get_result::<i64>(&registry).await.expect("a count"), 0);
}

/// With one database, the connection is not checked before the commit, but the last message of the server is known.
#[tokio::test]
async fn connection_closed_with_a_reason_before_the_commit_leaves_no_doubt() {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        n: i32,
    }

    let registry = registry().await;
    let mut other = registry.session::<Pg>().await.expect("a session");
    let mut told = String::new();
    // The driver task reads the message asynchronously, so the pause grows until it has.
    for pause in [10, 100, 1_000, 10_000] {
        let mut work = registry.begin();
        let add = diesel::insert_into(events::table).values(events::id.eq(1));
        add.execute(&mut work).await.expect("a row");
        let session = work.session::<Pg>().await.expect("a session");
        let id = diesel::sql_query("SELECT pg_backend_pid() AS n").get_result(session).await;
        let Number { n } = id.expect("a number");
        let kill = format!("SELECT pg_terminate_backend({n})");
        other.batch_execute(&kill).await.expect("it has ended");
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        let error = work.commit().await.expect_err("it is gone");
        told = error.to_string();
        if matches!(outcome(&error, "pg"), Outcome::Failed(_)) {
            assert!(error.is_rolled_back() && error.is_transient(), "{error}");
            assert!(causes(&error).concat().contains("terminating connection"), "{error}");
            let rows: i64 = events::table.count().get_result(&registry).await.expect("a count");
            assert_eq!(rows, 0);
            return;
        }
    }
    panic!("{told}");
}
