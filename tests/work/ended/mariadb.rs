//! MariaDB: statements that commit implicitly, and transactions that end within a batch.

use diesel::result::Error as DieselError;
use registry_core::WorkError;

use super::*;

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
async fn implicit_commits_end_the_transaction() {
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
async fn failed_statement_with_an_implicit_commit_ends_the_transaction() {
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
async fn ddl_in_a_transaction_of_several_databases_is_reported_per_database() {
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
async fn cancelled_ddl_may_have_ended_the_transaction() {
    let registry = registry().await;
    // Another session has locked the table, so that the statement waits.
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
async fn savepoints_of_the_program_survive_the_status_queries() {
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

    // An end of the transaction is noticed all the same.
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

/// Where an instrumentation of the program replaces the engine's, the engine asks the server instead.
#[tokio::test]
async fn instrumentation_of_the_program_hides_no_end() {
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

/// Another transaction is open afterwards, so only the engine's mark in the first one shows that it has ended.
#[tokio::test]
async fn batch_that_ends_a_transaction_and_sets_savepoints_in_another_is_noticed() {
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
                // The end may not have been noticed yet.
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
async fn savepoint_of_the_program_survives_a_savepoint_of_the_unit_of_work() {
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
