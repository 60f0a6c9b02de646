//! What ends a transaction in each backend's own way.

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel_async::SimpleAsyncConnection;
use registry_core::work::Outcome;
use registry_core::{
    CommitError, Error, Registry, RunQueryDsl, UnitOfWork, WorkError, bind_tables, binds,
};

use crate::support::{causes, mariadb, postgres, sqlite_file};

diesel::table! {
    events (id) {
        id -> Integer,
    }
}
diesel::table! {
    my_items (id) {
        id -> Integer,
    }
}
diesel::table! {
    notes (id) {
        id -> Integer,
    }
}

binds! {
    Pg: Postgres = "pg";
    My: Mysql = "my";
    Lite: Sqlite = "lite";
}
bind_tables!(Pg; events);
bind_tables!(My; my_items);
bind_tables!(Lite; notes);

async fn registry() -> Registry {
    let registry = Registry::builder()
        .bind("pg", postgres().database("work"))
        .bind("my", mariadb().database("work"))
        .bind("lite", sqlite_file())
        .build()
        .expect("good settings");
    let mut pg = registry.session::<Pg>().await.expect("a session");
    pg.batch_execute("CREATE TABLE events (id INTEGER PRIMARY KEY)").await.expect("a table");
    let mut my = registry.session::<My>().await.expect("a session");
    my.batch_execute(
        "CREATE TABLE my_items (id INTEGER PRIMARY KEY); \
         CREATE TABLE scratch (id INTEGER PRIMARY KEY, v INTEGER NOT NULL DEFAULT 0); \
         CREATE VIEW seen AS SELECT id FROM scratch; \
         CREATE PROCEDURE commits() COMMIT; \
         CREATE PROCEDURE commits_and_begins() BEGIN COMMIT; START TRANSACTION; END; \
         CREATE PROCEDURE is_harmless() DO 1",
    )
    .await
    .expect("tables");
    let mut lite = registry.session::<Lite>().await.expect("a session");
    lite.batch_execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)").await.expect("a table");
    registry
}

async fn add_all(work: &mut UnitOfWork, id: i32) -> Result<(), Error> {
    diesel::insert_into(events::table).values(events::id.eq(id)).execute(&mut *work).await?;
    diesel::insert_into(my_items::table).values(my_items::id.eq(id)).execute(&mut *work).await?;
    diesel::insert_into(notes::table).values(notes::id.eq(id)).execute(work).await?;
    Ok(())
}

fn outcome<'a>(error: &'a CommitError, key: &str) -> &'a Outcome {
    error.binds().find(|(other, _)| *other == key).expect("it was touched").1
}

/// <https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/>
const COMMIT_IMPLICITLY: &[&str] = &[
    "TRUNCATE TABLE scratch",
    "CREATE INDEX by_v ON scratch (v)",
    "DROP INDEX by_v ON scratch",
    "ALTER TABLE scratch ADD COLUMN w INTEGER",
    "CREATE TABLE made (id INTEGER)",
    "RENAME TABLE made TO renamed",
    "DROP TABLE renamed",
    "CREATE OR REPLACE VIEW seen AS SELECT id, v FROM scratch",
    "DROP VIEW seen",
    "LOCK TABLES scratch READ",
    "ANALYZE TABLE scratch",
    "OPTIMIZE TABLE scratch",
    "CHECK TABLE scratch",
    "FLUSH TABLES",
    "START TRANSACTION",
    "BEGIN",
    "BEGIN NOT ATOMIC COMMIT; END",
    "SET autocommit = 1",
    "SET @@session.autocommit = ON",
    "CREATE PROCEDURE another() DO 1",
    "DROP PROCEDURE another",
    "CREATE TRIGGER t BEFORE INSERT ON scratch FOR EACH ROW SET NEW.v = 1",
    "DROP TRIGGER t",
    "CREATE SEQUENCE s",
    "CREATE USER IF NOT EXISTS nobody@localhost",
    "GRANT SELECT ON scratch TO nobody@localhost",
    "REVOKE SELECT ON scratch FROM nobody@localhost",
    "DROP USER nobody@localhost",
    "CALL commits()",
    "CALL commits_and_begins()",
    "EXECUTE IMMEDIATE 'COMMIT'",
    "PREPARE p FROM 'TRUNCATE TABLE scratch'; EXECUTE p",
    "/*!50000 TRUNCATE TABLE scratch */",
    "COMMIT; INSERT INTO scratch (id) VALUES (1)",
    "TRUNCATE TABLE scratch; INSERT INTO scratch (id) VALUES (1); SELECT 1",
    "CREATE TABLE IF NOT EXISTS scratch (id INTEGER)",
];

#[tokio::test]
async fn statements_that_commit_implicitly_end_the_transaction_on_mariadb() {
    let registry = registry().await;
    for (at, statement) in COMMIT_IMPLICITLY.iter().enumerate() {
        let id = i32::try_from(at).expect("few") + 1;
        let mut work = registry.begin();
        add_all(&mut work, id).await.expect("rows");
        let session = work.session::<My>().await.expect("a session");
        let done = session.batch_execute(statement).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        let next = diesel::insert_into(my_items::table).values(my_items::id.eq(100 + id));
        let error = next.execute(&mut work).await.expect_err(statement);
        assert!(
            matches!(error, Error::Work(WorkError::Ended { key }) if key == "my"),
            "{statement}: {error}"
        );
        let error = work.commit().await.expect_err(statement);
        assert!(matches!(outcome(&error, "my"), Outcome::Ended), "{statement}: {error}");
        assert!(matches!(outcome(&error, "pg"), Outcome::RolledBack), "{statement}: {error}");
        assert!(matches!(outcome(&error, "lite"), Outcome::RolledBack), "{statement}: {error}");
        assert!(!error.is_rolled_back() && !error.is_transient(), "{statement}: {error}");
        let kept: i64 = my_items::table.count().get_result(&registry).await.expect("a count");
        assert_eq!(kept, i64::from(id), "{statement} has committed, and nothing after it was");
    }
    let counts = (
        events::table.count().get_result::<i64>(&registry).await.expect("a count"),
        notes::table.count().get_result::<i64>(&registry).await.expect("a count"),
    );
    assert_eq!(counts, (0, 0));
}

#[tokio::test]
async fn a_statement_that_commits_and_then_fails_has_ended_the_transaction_on_mariadb() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_all(&mut work, 1).await.expect("rows");
    let session = work.session::<My>().await.expect("a session");
    session.batch_execute("CREATE TABLE scratch (id INTEGER)").await.expect_err("it is there");
    let error = work.rollback().await.unwrap_err();
    assert!(matches!(error, WorkError::Ended { key } if key == "my"), "{error}");
    let kept: i64 = my_items::table.count().get_result(&registry).await.expect("a count");
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn ddl_in_a_transaction_of_several_databases_is_told_with_the_databases() {
    let registry = registry().await;
    let outcome = registry
        .transaction(async |work| {
            let row = diesel::insert_into(events::table).values(events::id.eq(1));
            row.execute(&mut *work).await?;
            let row = diesel::insert_into(my_items::table).values(my_items::id.eq(1));
            row.execute(&mut *work).await?;
            diesel::sql_query("TRUNCATE TABLE scratch")
                .execute(work.session_for::<my_items::table>().await?)
                .await?;
            Ok::<_, Error>(())
        })
        .await;
    let Err(Error::Commit(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        error.to_string(),
        "it is not known whether it was committed: bind `pg` is rolled back, bind `my` may be committed, \
         as a statement of the program has ended its transaction"
    );
    assert!(!error.is_rolled_back() && !error.is_transient());
    assert_eq!(events::table.count().get_result::<i64>(&registry).await.expect("a count"), 0);
    assert_eq!(my_items::table.count().get_result::<i64>(&registry).await.expect("a count"), 1);
}

#[tokio::test]
async fn a_statement_that_was_cut_short_may_have_ended_the_transaction() {
    let registry = registry().await;
    // Somebody else has the table, so that it waits.
    let mut other = registry.session::<My>().await.expect("a session");
    other.batch_execute("LOCK TABLES scratch WRITE").await.expect("locked");
    let mut work = registry.begin();
    add_all(&mut work, 1).await.expect("rows");
    let session = work.session::<My>().await.expect("a session");
    let cut = session.batch_execute("TRUNCATE TABLE scratch");
    let waited = tokio::time::timeout(std::time::Duration::from_millis(300), cut).await;
    assert!(waited.is_err(), "it waits for the table");
    let error = work.commit().await.unwrap_err();
    assert!(matches!(outcome(&error, "my"), Outcome::Ended), "{error}");
    assert!(!error.is_rolled_back());
    other.batch_execute("UNLOCK TABLES").await.expect("unlocked");
}

#[tokio::test]
async fn savepoints_of_the_program_s_own_outlive_the_questions_that_are_asked_on_mariadb() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_all(&mut work, 1).await.expect("rows");
    let session = work.session::<My>().await.expect("a session");
    session.batch_execute("SAVEPOINT mine").await.expect("set");
    session.batch_execute("CALL is_harmless()").await.expect("called");
    for id in [2, 3] {
        let session = work.session::<My>().await.expect("it stands");
        session.batch_execute("SET @own = 1").await.expect("set");
        let insert = format!("INSERT INTO my_items VALUES ({id})");
        session.batch_execute(&insert).await.expect("a row");
    }
    let session = work.session::<My>().await.expect("it stands");
    session.batch_execute("ROLLBACK TO SAVEPOINT mine").await.expect("it is there");
    work.commit().await.expect("committed");
    let kept = my_items::table.select(my_items::id).load::<i32>(&registry).await.expect("rows");
    assert_eq!(kept, [1]);

    // And what ends the transaction is found out all the same.
    let mut work = registry.begin();
    add_all(&mut work, 11).await.expect("rows");
    let session = work.session::<My>().await.expect("a session");
    session.batch_execute("SAVEPOINT mine").await.expect("set");
    session.batch_execute("CALL commits()").await.expect("called");
    let error = work.session::<My>().await.expect_err("it has ended");
    assert!(matches!(error, WorkError::Ended { .. }), "{error}");
    assert!(matches!(outcome(&work.commit().await.unwrap_err(), "my"), Outcome::Ended));
    let mut work = registry.begin();
    add_all(&mut work, 21).await.expect("rows");
    let session = work.session::<My>().await.expect("a session");
    session.batch_execute("SAVEPOINT mine; COMMIT; BEGIN").await.expect("run");
    assert!(matches!(outcome(&work.commit().await.unwrap_err(), "my"), Outcome::Ended));
}

#[tokio::test]
async fn work_on_the_thread_of_sqlite_is_watched_as_well() {
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
async fn a_rollback_of_sqlite_s_own_is_known_to_be_one() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_all(&mut work, 1).await.expect("rows");
    let session = work.session::<Lite>().await.expect("a session");
    session.batch_execute("INSERT OR ROLLBACK INTO notes VALUES (1)").await.expect_err("there");
    let error = work.session::<Lite>().await.expect_err("it is gone");
    assert!(matches!(error, WorkError::RolledBack { key } if key == "lite"), "{error}");
    let error = work.commit().await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    // The transaction of a session is no more committed than that.
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

/// `ROLLBACK TO SAVEPOINT` is reported by PostgreSQL in the same word as `ROLLBACK`.
#[tokio::test]
async fn a_rollback_to_a_savepoint_is_not_taken_for_a_rollback_on_postgresql() {
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

/// The driver reports an error among rows to whoever reads them, and to nobody if the stream was dropped before
/// (rust-postgres/rust-postgres#1334, weiznich/diesel_async#250).
#[tokio::test]
async fn an_error_behind_rows_that_nobody_reads_keeps_all_from_being_committed_on_postgresql() {
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

/// Where the engine has no eyes on a connection, it asks.
#[tokio::test]
async fn an_instrumentation_of_the_program_s_own_hides_no_end_on_mariadb() {
    use diesel_async::AsyncConnection;

    let registry = registry().await;
    let mut work = registry.begin();
    add_all(&mut work, 1).await.expect("rows");
    let session = work.session::<My>().await.expect("a session");
    session.set_instrumentation(|_: diesel::connection::InstrumentationEvent<'_>| {});
    work.session::<My>().await.expect("it stands");
    let session = work.session::<My>().await.expect("it stands");
    session.batch_execute("SAVEPOINT mine").await.expect("set");
    let session = work.session::<My>().await.expect("it stands");
    session.batch_execute("ROLLBACK TO SAVEPOINT mine").await.expect("it is there");
    session.batch_execute("TRUNCATE TABLE scratch").await.expect("run");
    let error = work.session::<My>().await.expect_err("it has ended");
    assert!(matches!(error, WorkError::Ended { key } if key == "my"), "{error}");
    drop(work);
    let mut session = registry.session::<My>().await.expect("a session");
    session.set_instrumentation(|_: diesel::connection::InstrumentationEvent<'_>| {});
    let ended = session
        .transaction(async |session| {
            session.batch_execute("INSERT INTO my_items VALUES (2); COMMIT; BEGIN").await?;
            Ok::<_, DieselError>(())
        })
        .await;
    assert!(ended.unwrap_err().to_string().contains("may be committed"));
}

/// A `COMMIT` that fails is no completed statement: PostgreSQL only tells in the status behind the error that the
/// transaction is over.
#[tokio::test]
async fn a_commit_of_the_program_s_own_that_fails_is_an_end_on_postgresql() {
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
        // Whether the status comes with the error or a little later is a matter of luck.
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

/// Another transaction is open by then, so that only the mark in the first one tells of its end.
#[tokio::test]
async fn a_batch_that_ends_one_transaction_and_sets_savepoints_in_another_is_noticed_on_mariadb() {
    const BATCHES: [&str; 3] = [
        "COMMIT; START TRANSACTION; SAVEPOINT mine",
        "TRUNCATE scratch; START TRANSACTION; SAVEPOINT mine",
        "COMMIT; START TRANSACTION; SAVEPOINT mine; RELEASE SAVEPOINT mine",
    ];
    let registry = registry().await;
    for (at, batch) in BATCHES.into_iter().enumerate() {
        let id = i32::try_from(at).expect("few") * 10;
        for is_used_again in [false, true] {
            let mut work = registry.begin();
            add_all(&mut work, id + i32::from(is_used_again)).await.expect("rows");
            let session = work.session::<My>().await.expect("a session");
            session.batch_execute(batch).await.expect(batch);
            if is_used_again {
                // It need not be known yet.
                drop(work.session::<My>().await);
            }
            let error = work.rollback().await.expect_err(batch);
            assert!(matches!(error, WorkError::Ended { key } if key == "my"), "{batch}: {error}");
        }
        let mut work = registry.begin();
        add_all(&mut work, id + 2).await.expect("rows");
        let in_savepoint = work
            .savepoint(async |work: &mut UnitOfWork| {
                work.session::<My>().await?.batch_execute(batch).await?;
                Ok::<_, Error>(())
            })
            .await;
        in_savepoint.expect_err(batch);
        let error = work.commit().await.expect_err(batch);
        assert!(matches!(outcome(&error, "my"), Outcome::Ended), "{batch}: {error}");
        let mut work = registry.begin();
        add_all(&mut work, id + 3).await.expect("rows");
        work.session::<My>().await.expect("a session").batch_execute(batch).await.expect(batch);
        let around =
            work.savepoint(async |work: &mut UnitOfWork| add_all(work, id + 4).await).await;
        around.expect_err(batch);
        let error = work.commit().await.expect_err(batch);
        assert!(matches!(outcome(&error, "my"), Outcome::Ended), "{batch}: {error}");
    }
}

#[tokio::test]
async fn a_savepoint_of_the_program_s_own_outlives_a_savepoint_of_the_unit_of_work_on_mariadb() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_all(&mut work, 1).await.expect("rows");
    let session = work.session::<My>().await.expect("a session");
    session.batch_execute("SAVEPOINT mine").await.expect("set");
    work.savepoint(async |work: &mut UnitOfWork| add_all(work, 2).await).await.expect("kept");
    let session = work.session::<My>().await.expect("it stands");
    session.batch_execute("ROLLBACK TO SAVEPOINT mine").await.expect("it is there");
    work.commit().await.expect("committed");
    assert_eq!(my_items::table.count().get_result::<i64>(&registry).await.expect("a count"), 1);
}

/// Each of them would be stored at once, and the work be run again.
#[tokio::test]
async fn what_follows_a_rollback_of_sqlite_s_own_is_not_stored() {
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

/// It is known before anything is committed, and nothing was told to commit.
#[tokio::test]
async fn a_connection_that_has_ended_before_the_commit_is_transient_and_nothing_is_committed() {
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

/// With one database, nothing is asked before the commit: what the server has last said is known all the same.
#[tokio::test]
async fn a_connection_that_has_said_good_bye_before_the_commit_leaves_no_doubt() {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        n: i32,
    }

    let registry = registry().await;
    let mut other = registry.session::<Pg>().await.expect("a session");
    let mut told = String::new();
    // The driver reads it in its own time.
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
