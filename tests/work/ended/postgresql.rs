//! PostgreSQL: `ROLLBACK`, `COMMIT` and savepoints that the program runs itself.

use diesel::result::Error as DieselError;
use registry_core::WorkError;

use super::*;

/// PostgreSQL reports `ROLLBACK TO SAVEPOINT` by the same command tag as `ROLLBACK`.
#[tokio::test]
async fn rollback_to_a_savepoint_is_not_taken_for_a_rollback() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_all(&mut work, 1).await.expect("rows");
    for text in
        ["SAVEPOINT mine", "ROLLBACK TO mine", "rollback to savepoint mine -- all", "RELEASE mine"]
    {
        let session = work.session::<Pg>().await.expect("it stands");
        diesel::sql_query(text)
            .execute(session)
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    let session = work.session::<Pg>().await.expect("it stands");
    session.batch_execute("SAVEPOINT mine; ROLLBACK TO mine; RELEASE mine").await.expect("run");
    work.commit().await.expect("committed");
    for ending in ["ROLLBACK AND CHAIN", "COMMIT AND CHAIN"] {
        let mut work = registry.begin();
        add_all(&mut work, 2).await.expect("rows");
        let session = work.session::<Pg>().await.expect("a session");
        diesel::sql_query(ending).execute(session).await.expect("run");
        let error = work.session::<Pg>().await.expect_err(ending);
        assert!(matches!(error, WorkError::Ended { .. }), "{ending}: {error}");
        drop(work);
        let delete = diesel::delete(events::table.filter(events::id.eq(2)));
        delete.execute(&registry).await.expect("deleted");
    }
}

/// The driver reports an error among rows to the reader of the rows, and not at all if the stream was dropped before
/// (rust-postgres/rust-postgres#1334, weiznich/diesel_async#250).
#[tokio::test]
async fn error_after_unread_rows_prevents_the_commit() {
    use futures_util::StreamExt;

    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        n: i32,
    }
    const ROWS: &str = "SELECT 1 / (3 - n) AS n FROM generate_series(1, 4) n";

    let registry = registry().await;
    let mut session = registry.session::<Pg>().await.expect("a session");
    let outcome = session
        .transaction(async |session| {
            let row = diesel::insert_into(events::table).values(events::id.eq(1));
            row.execute(&mut *session).await?;
            let query = diesel::sql_query(ROWS);
            let connection = &mut **session;
            let mut rows = diesel_async::RunQueryDsl::load_stream::<Row>(query, connection).await?;
            let first = rows.next().await.expect("a row")?;
            assert_eq!(first.n, 0);
            Ok::<_, DieselError>(())
        })
        .await;
    assert!(outcome.is_err(), "nothing was stored");
    let outcome = registry
        .transaction(async |work| {
            add_all(work, 2).await?;
            let query = diesel::sql_query(ROWS);
            let connection = &mut **work.session::<Pg>().await?;
            let mut rows = diesel_async::RunQueryDsl::load_stream::<Row>(query, connection).await?;
            rows.next().await.expect("a row")?;
            Ok::<_, Error>(())
        })
        .await;
    let Err(Error::Commit(error)) = outcome else { panic!("{outcome:?}") };
    assert!(error.is_rolled_back(), "{error}");
    drop(session);
    assert_eq!(events::table.count().get_result::<i64>(&registry).await.expect("a count"), 0);
    assert_eq!(my_items::table.count().get_result::<i64>(&registry).await.expect("a count"), 0);
}

/// A failed `COMMIT` has no command tag: only the transaction status after the error shows that the transaction is
/// over.
#[tokio::test]
async fn failed_commit_statement_of_the_program_ends_the_transaction() {
    const WAYS: [(&str, &str); 3] = [
        ("INSERT INTO refers VALUES (1, 99)", "COMMIT"),
        ("INSERT INTO refers VALUES (1, 99)", "COMMIT AND CHAIN"),
        ("INSERT INTO refers VALUES (1, NULL)", "PREPARE TRANSACTION 'work'"),
    ];
    let registry = registry().await;
    let mut session = registry.session::<Pg>().await.expect("a session");
    let create = "CREATE TABLE refers (id INTEGER PRIMARY KEY, \
                  other INTEGER REFERENCES refers DEFERRABLE INITIALLY DEFERRED)";
    session.batch_execute(create).await.expect("a table");
    for (insert, ending) in WAYS {
        // Repeated, as the status may arrive together with the error or a little later.
        for _ in 0..20 {
            let mut work = registry.begin();
            let in_work = work.session::<Pg>().await.expect("a session");
            in_work.batch_execute(insert).await.expect("a row");
            in_work.batch_execute(ending).await.expect_err(ending);
            let error = work.commit().await.expect_err(ending);
            assert!(matches!(outcome(&error, "pg"), Outcome::Ended), "{ending}: {error}");
            let mut work = registry.begin();
            let in_work = work.session::<Pg>().await.expect("a session");
            in_work.batch_execute(insert).await.expect("a row");
            in_work.batch_execute(ending).await.expect_err(ending);
            let error = work.session::<Pg>().await.map(drop).expect_err(ending);
            assert!(matches!(error, WorkError::Ended { .. }), "{ending}: {error}");
            let of_session = session
                .transaction(async |session| {
                    session.batch_execute(insert).await?;
                    drop(session.batch_execute(ending).await);
                    Ok::<_, DieselError>(())
                })
                .await;
            let error = of_session.expect_err(ending);
            assert!(error.to_string().contains("may be committed"), "{ending}: {error}");
        }
    }
}
