//! Transactions that a statement of the program ends without their unit of work, on each backend.

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel_async::SimpleAsyncConnection;
use registry_core::work::Outcome;
use registry_core::{
    BindSettings, CommitError, Error, Registry, RunQueryDsl, Session, UnitOfWork, WorkError,
    bind_tables,
};

use super::{NAME, database};
use crate::support::{causes, is_at_rest, run_sql};

diesel::table! {
    users (id) {
        id -> Integer,
    }
}
diesel::table! {
    events (id) {
        id -> Integer,
    }
}
bind_tables!(db = "default", connection = super::Backend; users);
bind_tables!(db = "analytics", connection = super::Backend; events);

type Main = <users::table as registry_core::Bound>::Bind;
type Analytics = <events::table as registry_core::Bound>::Bind;

async fn registry() -> Registry {
    let settings = |url: String| BindSettings::new(url).max_connections(2);
    let registry = Registry::builder()
        .bind("default", settings(database()))
        .bind("analytics", settings(database()))
        .build()
        .expect("good settings");
    run_sql::<Main>(&registry, "CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL)").await;
    run_sql::<Analytics>(&registry, "CREATE TABLE events (id INTEGER PRIMARY KEY NOT NULL)").await;
    registry
}

async fn add_user(work: &mut UnitOfWork, id: i32) -> Result<(), Error> {
    diesel::insert_into(users::table).values(users::id.eq(id)).execute(work).await?;
    Ok(())
}

async fn add_event(work: &mut UnitOfWork, id: i32) -> Result<(), Error> {
    diesel::insert_into(events::table).values(events::id.eq(id)).execute(work).await?;
    Ok(())
}

async fn users(registry: &Registry) -> Vec<i32> {
    users::table.select(users::id).order(users::id).load(registry).await.expect("rows")
}

async fn events(registry: &Registry) -> Vec<i32> {
    events::table.select(events::id).order(events::id).load(registry).await.expect("rows")
}

/// A unit of work that has inserted a row in each database.
async fn begun(registry: &Registry, id: i32) -> UnitOfWork {
    let mut work = registry.begin();
    add_user(&mut work, id).await.expect("a row");
    add_event(&mut work, id).await.expect("a row");
    work
}

async fn run(work: &mut UnitOfWork, statement: &str) {
    let session = work.session::<Main>().await.expect("a session");
    session.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// Texts that end a transaction, in one statement or in several.
fn endings() -> Vec<&'static str> {
    let mut all =
        vec!["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK; BEGIN", "/* why */ COMMIT"];
    all.extend(match NAME {
        "postgres" => &[
            "END",
            "ABORT",
            "COMMIT AND CHAIN",
            "ROLLBACK AND CHAIN",
            "COMMIT; BEGIN; SAVEPOINT mine; ROLLBACK TO mine",
        ][..],
        "mysql" => &["COMMIT AND CHAIN", "START TRANSACTION", "SET autocommit = 1"],
        _ => &["END", "COMMIT; BEGIN IMMEDIATE", "SAVEPOINT mine; COMMIT; BEGIN; SAVEPOINT mine"],
    });
    all
}

#[track_caller]
fn assert_ended(error: &CommitError, why: &str) {
    let of = |key: &str| error.binds().find(|(other, _)| *other == key).map(|(_, outcome)| outcome);
    assert!(matches!(of("default"), Some(Outcome::Ended)), "{why}: {error}");
    assert!(matches!(of("analytics"), Some(Outcome::RolledBack)), "{why}: {error}");
    assert!(!error.is_rolled_back() && !error.is_transient(), "{why}: {error}");
    assert_eq!(error.ended().collect::<Vec<_>>(), ["default"]);
    let text = error.to_string();
    assert!(text.contains("bind `default` may be committed"), "{text}");
    assert!(text.contains("bind `analytics` is rolled back"), "{text}");
    assert!(!text.contains("nothing was committed"), "{text}");
}

#[track_caller]
fn assert_refused(error: &Error, why: &str) {
    assert!(
        matches!(error, Error::Work(WorkError::Ended { key }) if key == "default"),
        "{why}: {error}"
    );
    assert!(!error.is_transient(), "{why}");
    assert!(causes(error).concat().contains("may be committed"), "{why}: {error}");
}

#[tokio::test]
async fn ended_transaction_is_refused_at_the_next_use_and_at_commit() {
    let registry = registry().await;
    for (at, ending) in endings().into_iter().enumerate() {
        let id = i32::try_from(at).expect("few") + 1;
        let mut work = begun(&registry, id).await;
        run(&mut work, ending).await;
        assert_refused(&add_user(&mut work, 100 + id).await.unwrap_err(), ending);
        add_event(&mut work, 100 + id).await.expect("the other bind is as it was");
        assert_ended(&work.commit().await.unwrap_err(), ending);
        is_at_rest(&registry).await;
        assert!(!users(&registry).await.contains(&(100 + id)), "{ending}");
    }
    assert_eq!(events(&registry).await, Vec::<i32>::new());
}

#[tokio::test]
async fn commit_and_rollback_right_after_an_end_claim_no_rollback() {
    let registry = registry().await;
    for (at, ending) in endings().into_iter().enumerate() {
        let id = i32::try_from(at).expect("few") + 1;
        let mut work = begun(&registry, id).await;
        run(&mut work, ending).await;
        assert_ended(&work.commit().await.unwrap_err(), ending);
        let mut work = begun(&registry, 100 + id).await;
        run(&mut work, ending).await;
        let error = work.rollback().await.unwrap_err();
        assert!(matches!(error, WorkError::Ended { key } if key == "default"), "{ending}: {error}");
        let transaction = registry.transaction(async |work| {
            add_user(work, 200 + id).await?;
            add_event(work, 200 + id).await?;
            run(work, ending).await;
            Ok::<_, Error>(())
        });
        match transaction.await.unwrap_err() {
            Error::Commit(error) => assert_ended(&error, ending),
            error => panic!("{ending}: {error}"),
        }
        is_at_rest(&registry).await;
    }
    assert_eq!(events(&registry).await, Vec::<i32>::new());
}

#[tokio::test]
async fn end_is_noticed_whichever_method_runs_the_statement() {
    let registry = registry().await;
    for way in 0..3 {
        let mut work = begun(&registry, way + 1).await;
        let session = work.session::<Main>().await.expect("a session");
        let statement = diesel::sql_query("COMMIT");
        match way {
            0 => drop(statement.execute(session).await.expect("committed")),
            1 => {
                let done = diesel_async::RunQueryDsl::execute(statement, &mut **session).await;
                done.expect("committed");
            }
            _ => {
                let done =
                    diesel_async::RunQueryDsl::load::<users_row::Row>(statement, &mut **session);
                // Some drivers refuse to load a statement without rows; others run it.
                drop(done.await);
            }
        }
        assert_refused(&add_user(&mut work, 100 + way).await.unwrap_err(), "whoever");
        assert_ended(&work.commit().await.unwrap_err(), "whoever");
    }
}

mod users_row {
    #[derive(diesel::QueryableByName)]
    pub(super) struct Row {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        #[expect(dead_code, reason = "there is none")]
        id: i32,
    }
}

#[tokio::test]
async fn end_is_noticed_in_savepoints_and_inner_transactions() {
    let registry = registry().await;
    let mut work = begun(&registry, 1).await;
    let error = work
        .savepoint(async |work| {
            add_user(work, 2).await?;
            run(work, "COMMIT; BEGIN").await;
            add_user(work, 3).await
        })
        .await
        .unwrap_err();
    assert_refused(&error, "used in it");
    assert_refused(&add_user(&mut work, 4).await.unwrap_err(), "used after it");
    assert_ended(&work.commit().await.unwrap_err(), "a savepoint");

    let mut work = begun(&registry, 11).await;
    let ended = work.savepoint(async |work| {
        run(work, "COMMIT; BEGIN").await;
        Ok::<_, Error>(())
    });
    assert_refused(&ended.await.unwrap_err(), "at its end");
    assert_ended(&work.commit().await.unwrap_err(), "a savepoint");

    let mut work = begun(&registry, 21).await;
    let session = work.session::<Main>().await.expect("a session");
    let inner = session
        .transaction(async |session| {
            session.batch_execute("COMMIT; BEGIN").await?;
            Ok::<_, DieselError>(())
        })
        .await;
    assert!(inner.is_err());
    assert_refused(&add_user(&mut work, 22).await.unwrap_err(), "an inner one");
    assert_ended(&work.commit().await.unwrap_err(), "an inner one");
    is_at_rest(&registry).await;
    assert_eq!(events(&registry).await, Vec::<i32>::new());
}

#[tokio::test]
async fn end_is_noticed_in_a_scope() {
    let registry = registry().await;
    let outcome = registry
        .try_scope(async {
            let mut work = UnitOfWork::current().await?;
            add_user(&mut work, 1).await?;
            add_event(&mut work, 1).await?;
            run(&mut work, "COMMIT").await;
            Ok::<_, Error>(())
        })
        .await;
    match outcome.unwrap_err() {
        Error::Commit(error) => assert_ended(&error, "a scope"),
        error => panic!("{error}"),
    }
}

/// Statements that do not end the transaction may be run in it, and savepoints of the program stay.
#[tokio::test]
async fn statements_that_end_nothing_leave_the_work_usable() {
    let registry = registry().await;
    let harmless: &[&str] = match NAME {
        "postgres" => &[
            "CREATE TABLE made (id INTEGER)",
            "TRUNCATE made",
            "DO $$ BEGIN PERFORM 1; END $$",
            "SET LOCAL work_mem = '1MB'",
            "SELECT 'COMMIT'; -- COMMIT",
            "BEGIN",
        ],
        "mysql" => &[
            "SET @own = 1",
            "DO 1",
            "CREATE TEMPORARY TABLE made (id INTEGER)",
            "DROP TEMPORARY TABLE made",
            "SELECT 'COMMIT'; -- COMMIT",
            "SET NAMES utf8mb4",
        ],
        _ => &[
            "CREATE TABLE made (id INTEGER)",
            "PRAGMA user_version = 3",
            "EXPLAIN COMMIT",
            "SELECT 'COMMIT'; -- COMMIT",
            "CREATE TRIGGER t AFTER INSERT ON made BEGIN DELETE FROM made; END",
        ],
    };
    let mut work = begun(&registry, 1).await;
    run(&mut work, "SAVEPOINT mine").await;
    add_user(&mut work, 2).await.expect("a row");
    for statement in harmless {
        run(&mut work, statement).await;
        add_user(&mut work, 3).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        run(&mut work, "DELETE FROM users WHERE id = 3").await;
    }
    if NAME != "mysql" {
        // Statements whose effect is unknown until the next check of the transaction.
        run(&mut work, "SAVEPOINT other; RELEASE SAVEPOINT other").await;
    }
    add_user(&mut work, 4).await.expect("a row");
    run(&mut work, "ROLLBACK TO SAVEPOINT mine").await;
    add_user(&mut work, 5).await.expect("a row");
    run(&mut work, "SAVEPOINT mine; RELEASE SAVEPOINT mine").await;
    let in_savepoint = work.savepoint(async |work| {
        run(work, "SAVEPOINT inner_one").await;
        add_user(work, 6).await?;
        run(work, "ROLLBACK TO SAVEPOINT inner_one").await;
        add_user(work, 7).await
    });
    in_savepoint.await.expect("kept");
    work.commit().await.expect("committed");
    assert_eq!(users(&registry).await, [1, 5, 7]);
}

#[tokio::test]
async fn batch_that_fails_before_its_commit_ends_nothing_or_is_reported() {
    let registry = registry().await;
    let mut work = begun(&registry, 1).await;
    let session = work.session::<Main>().await.expect("a session");
    let failed = session.batch_execute("INSERT INTO users VALUES (1); COMMIT; BEGIN").await;
    assert!(failed.is_err(), "the row is there already");
    let error = work.commit().await;
    match NAME {
        // The rest of the batch was not run.
        "sqlite" => drop(error.expect("committed")),
        "mysql" => drop(error.expect("committed")),
        // On PostgreSQL the failed statement aborts the transaction; where the protocol stream cannot be read, it is
        // not known how far the batch came. The commit fails either way.
        _ => drop(error.unwrap_err()),
    }
}

#[tokio::test]
async fn ended_transaction_of_a_session_is_an_error() {
    let registry = registry().await;
    let mut session = registry.session::<Main>().await.expect("a session");
    // Autocommit is already on, so setting it again commits nothing.
    let endings = || endings().into_iter().filter(|ending| *ending != "SET autocommit = 1");
    for (at, ending) in endings().enumerate() {
        let id = i32::try_from(at).expect("few") + 1;
        let outcome = session
            .transaction(async |session| {
                diesel::insert_into(users::table)
                    .values(users::id.eq(id))
                    .execute(&mut *session)
                    .await?;
                session.batch_execute(ending).await?;
                Ok::<_, DieselError>(())
            })
            .await;
        let error = outcome.expect_err(ending);
        assert!(error.to_string().contains("may be committed"), "{ending}: {error}");
        // The session can be used again.
        let again = session.transaction(async |session: &mut Session<Main>| {
            let row = diesel::insert_into(users::table).values(users::id.eq(100 + id));
            row.execute(session).await
        });
        again.await.unwrap_or_else(|error| panic!("{ending}: {error}"));
    }
    drop(session);
    is_at_rest(&registry).await;
    let count = endings().count();
    let kept = users(&registry).await.into_iter().filter(|id| *id > 100).count();
    assert_eq!(kept, count);
}

#[tokio::test]
async fn error_in_a_transaction_is_kept_when_the_rollback_fails() {
    let registry = registry().await;
    let mut session = registry.session::<Main>().await.expect("a session");
    let outcome = session
        .transaction(async |session| {
            let inner = session
                .transaction(async |session| {
                    session.batch_execute("ROLLBACK").await?;
                    Err::<(), _>(DieselError::NotFound)
                })
                .await;
            assert!(matches!(inner, Err(DieselError::NotFound)), "{inner:?}");
            inner
        })
        .await;
    assert!(matches!(outcome, Err(DieselError::NotFound)), "{outcome:?}");
}

/// PostgreSQL answers the `COMMIT` of a failed transaction with `ROLLBACK`, and without an error.
#[tokio::test]
async fn transaction_returns_ok_only_after_a_commit() {
    let registry = registry().await;
    let mut session = registry.session::<Main>().await.expect("a session");
    let swallowed = session
        .transaction(async |session| {
            let row = diesel::insert_into(users::table).values(users::id.eq(1));
            row.execute(&mut *session).await?;
            let again = diesel::insert_into(users::table).values(users::id.eq(1));
            assert!(again.execute(session).await.is_err());
            Ok::<_, DieselError>(())
        })
        .await;
    match NAME {
        "postgres" => {
            let error = swallowed.unwrap_err();
            assert!(error.to_string().contains("current transaction is aborted"), "{error}");
            assert!(error.to_string().contains("ROLLBACK"), "{error}");
        }
        // Elsewhere only the statement failed.
        _ => swallowed.expect("committed"),
    }
    let expected = if NAME == "postgres" { vec![] } else { vec![1] };
    assert_eq!(users(&registry).await, expected);
    // The same for an inner transaction; the outer one can continue.
    let outer = session.transaction(async |session| {
        let inner = session
            .transaction(async |session: &mut Session<Main>| {
                drop(session.batch_execute("INSERT INTO no_such_table VALUES (1)").await);
                Ok::<_, DieselError>(())
            })
            .await;
        assert_eq!(inner.is_err(), NAME == "postgres");
        let row = diesel::insert_into(users::table).values(users::id.eq(2));
        row.execute(session).await
    });
    outer.await.expect("committed");
    assert!(users(&registry).await.contains(&2));
    // The same for a unit of work.
    let outcome = registry
        .transaction(async |work| {
            add_user(work, 3).await?;
            assert!(add_user(work, 3).await.is_err());
            Ok::<_, Error>(())
        })
        .await;
    assert_eq!(outcome.is_err(), NAME == "postgres");
    assert_eq!(users(&registry).await.contains(&3), NAME != "postgres");
}

#[tokio::test]
async fn end_of_a_transaction_ends_test_isolation() {
    if NAME == "sqlite" {
        // An isolated SQLite registry works on a copy of the database, in which everything is committed.
        return;
    }
    let registry = registry().await;
    let isolated = registry.test_isolation().await.expect("a registry");
    let mut work = begun(&isolated, 1).await;
    run(&mut work, "COMMIT").await;
    assert_refused(&add_user(&mut work, 2).await.unwrap_err(), "isolated");
    assert_ended(&work.commit().await.unwrap_err(), "isolated");
    let error = isolated.session::<Main>().await.unwrap_err();
    assert!(
        matches!(error, registry_core::AcquireError::IsolationLost { key } if key == "default"),
        "{error}"
    );
    // The same through a session.
    let isolated = registry.test_isolation().await.expect("a registry");
    let mut session = isolated.session::<Main>().await.expect("a session");
    session.batch_execute("COMMIT").await.expect("committed");
    drop(session);
    let error = isolated.session::<Main>().await.unwrap_err();
    assert!(matches!(error, registry_core::AcquireError::IsolationLost { .. }), "{error}");
}
