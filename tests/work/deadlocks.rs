//! Victims of deadlocks and other conflicts: whichever method ran the statement, the error is transient.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::SimpleAsyncConnection;
use registry_core::{
    Bind, BindSettings, Error, Registry, RunQueryDsl, Session, UnitOfWork, WorkError, binds,
};
use tokio::sync::Barrier;

use crate::support::{causes, mariadb, postgres, sqlite_file};

binds! {
    Pg: Postgres = "pg";
    My: Mysql = "my";
    Lite: Sqlite = "lite";
}

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL); \
                     INSERT INTO t VALUES (1, 0), (2, 0)";

fn build(pg: String, my: String) -> Registry {
    Registry::builder()
        .bind("pg", pg)
        .bind("my", my)
        .bind("lite", BindSettings::new(sqlite_file()))
        .build()
        .expect("good settings")
}

async fn registry() -> Registry {
    let registry = build(postgres().database("work"), mariadb().database("work"));
    let mut session = registry.session::<Pg>().await.expect("a session");
    session.batch_execute(TABLE).await.expect("rows");
    let mut session = registry.session::<My>().await.expect("a session");
    session.batch_execute(TABLE).await.expect("rows");
    let mut session = registry.session::<Lite>().await.expect("a session");
    session.batch_execute(TABLE).await.expect("rows");
    registry
}

/// The method that runs the statement.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Batch,
    /// A method of this crate.
    Registry,
    /// Methods of diesel-async, without rows and with rows.
    DieselAsync,
    DieselAsyncWithRows,
}

const ALL: [By; 4] = [By::Batch, By::Registry, By::DieselAsync, By::DieselAsyncWithRows];

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    #[expect(dead_code, reason = "only the lock is wanted")]
    id: i32,
}

/// Locks a row, on either server.
macro_rules! lock {
    ($session:expr, $id:expr, $by:expr) => {{
        let update = format!("UPDATE t SET v = v + 1 WHERE id = {}", $id);
        let select = format!("SELECT id FROM t WHERE id = {} FOR UPDATE", $id);
        let session = $session;
        match $by {
            By::Batch => session.batch_execute(&update).await.map_err(Error::from),
            By::Registry => {
                diesel::sql_query(update).execute(session).await.map(drop).map_err(Error::from)
            }
            By::DieselAsync => {
                let update = diesel::sql_query(update);
                let done = diesel_async::RunQueryDsl::execute(update, &mut **session).await;
                done.map(drop).map_err(Error::from)
            }
            By::DieselAsyncWithRows => {
                let select = diesel::sql_query(select);
                let done = diesel_async::RunQueryDsl::load::<Row>(select, &mut **session).await;
                done.map(drop).map_err(Error::from)
            }
        }
    }};
}

/// Runs two transactions that wait for each other, and returns the outcomes of both.
macro_rules! deadlock {
    ($registry:expr, $bind:ty, $work:expr) => {{
        let both = Arc::new(Barrier::new(2));
        let tasks = [(1, 2), (2, 1)].map(|(first, second)| {
            let (registry, both) = ($registry.clone(), Arc::clone(&both));
            tokio::spawn(async move { $work(registry, both, first, second).await })
        });
        let [one, other] = tasks;
        [one.await.expect("no panic"), other.await.expect("no panic")]
    }};
}

#[track_caller]
fn assert_victim(outcomes: [Result<(), Error>; 2], why: &str) {
    let errors: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    let [error] = &errors[..] else { panic!("{why}: one is the victim: {errors:?}") };
    assert!(error.is_transient(), "{why}: {:?}", causes(error));
    let words = causes(error).concat().to_lowercase();
    assert!(words.contains("deadlock"), "{why}: {words}");
}

/// Asserts that one of two transactions is the victim, for each method that can run the statement.
macro_rules! assert_one_victim {
    ($work:ident, $bind:ty) => {
        let registry = registry().await;
        for by in ALL {
            let outcomes = deadlock!(registry, $bind, |r, both, a, b| $work(r, both, (a, b), by));
            assert_victim(outcomes, &format!("{by:?}"));
        }
    };
}

macro_rules! victims {
    ($name:ident, $bind:ty) => {
        mod $name {
            use super::*;

            type B = $bind;

            async fn in_transaction(
                registry: Registry,
                both: Arc<Barrier>,
                (first, second): (i32, i32),
                by: By,
            ) -> Result<(), Error> {
                registry
                    .transaction(async |work| {
                        lock!(work.session::<B>().await?, first, by)?;
                        both.wait().await;
                        lock!(work.session::<B>().await?, second, by)
                    })
                    .await
            }

            async fn in_savepoint(
                registry: Registry,
                both: Arc<Barrier>,
                (first, second): (i32, i32),
                by: By,
            ) -> Result<(), Error> {
                registry
                    .transaction(async |work| {
                        lock!(work.session::<B>().await?, first, by)?;
                        both.wait().await;
                        work.savepoint(async |work: &mut UnitOfWork| {
                            lock!(work.session::<B>().await?, second, by)
                        })
                        .await
                    })
                    .await
            }

            async fn of_session(
                registry: Registry,
                both: Arc<Barrier>,
                (first, second): (i32, i32),
                by: By,
            ) -> Result<(), Error> {
                let mut session = registry.session::<B>().await?;
                let outcome = session
                    .transaction(async |session| {
                        lock!(&mut *session, first, by)?;
                        both.wait().await;
                        session
                            .transaction(async |session: &mut Session<B>| {
                                lock!(&mut *session, second, by)
                            })
                            .await
                    })
                    .await;
                // The failed transaction has left nothing behind on the session.
                session
                    .transaction(async |session: &mut Session<B>| lock!(&mut *session, first, by))
                    .await
                    .expect("another transaction");
                outcome
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn deadlock_victim_is_transient_whichever_method_ran_the_statement() {
                assert_one_victim!(in_transaction, B);
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn deadlock_error_in_a_savepoint_is_kept() {
                assert_one_victim!(in_savepoint, B);
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn deadlock_error_in_a_transaction_of_a_session_is_kept() {
                assert_one_victim!(of_session, B);
            }
        }
    };
}

victims!(on_postgresql, Pg);
victims!(on_mariadb, My);

/// The program ignores the error and runs another statement, which would be committed outside a transaction.
async fn swallowed(
    registry: Registry,
    both: Arc<Barrier>,
    (first, second): (i32, i32),
    by: By,
) -> Result<(), Error> {
    let mut session = registry.session::<My>().await?;
    session
        .transaction(async |session| {
            lock!(&mut *session, first, by)?;
            both.wait().await;
            let _ = lock!(&mut *session, second, by);
            Ok::<_, Error>(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlock_victim_that_continues_is_not_reported_as_committed() {
    let registry = registry().await;
    for by in ALL {
        let outcomes = deadlock!(registry, My, |r, both, a, b| swallowed(r, both, (a, b), by));
        let errors: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        let [error] = &errors[..] else { panic!("{by:?}: one is the victim: {errors:?}") };
        let words = causes(error).concat();
        assert!(words.contains("has rolled the transaction back"), "{by:?}: {words}");
        assert!(error.is_transient(), "{by:?}: {words}");
    }
}

/// Recognized in a unit of work by the error code, whatever the language of the server.
#[tokio::test(flavor = "multi_thread")]
async fn rollback_by_mariadb_is_reported_as_a_rollback() {
    async fn goes_on(
        registry: Registry,
        both: Arc<Barrier>,
        (first, second): (i32, i32),
    ) -> Result<(), Error> {
        let mut work = registry.begin();
        let session = work.session::<My>().await?;
        session.batch_execute("SET lc_messages = 'de_DE'").await?;
        lock!(work.session::<My>().await?, first, By::Batch)?;
        both.wait().await;
        if lock!(work.session::<My>().await?, second, By::Batch).is_ok() {
            work.commit().await?;
            return Ok(());
        }
        let error = work.session::<My>().await.expect_err("it is gone");
        assert!(matches!(error, WorkError::RolledBack { key } if key == "my"), "{error}");
        let error = work.commit().await.expect_err("there is nothing to commit");
        assert!(error.is_rolled_back() && error.is_transient(), "{error}");
        Err(error.into())
    }

    let registry = registry().await;
    let outcomes = deadlock!(registry, My, |r, both, a, b| goes_on(r, both, (a, b)));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1, "{outcomes:?}");
}

/// Only the statement is rolled back, and the transaction continues.
#[tokio::test]
async fn lock_timeout_is_transient_and_ends_nothing() {
    let registry = registry().await;
    let mut holder = registry.begin();
    lock!(holder.session::<My>().await.expect("a session"), 1, By::Batch).expect("locked");
    let outcome = registry
        .transaction(async |work| {
            let session = work.session::<My>().await?;
            session.batch_execute("SET innodb_lock_wait_timeout = 1").await?;
            lock!(work.session::<My>().await?, 1, By::Batch)
        })
        .await;
    assert!(outcome.unwrap_err().is_transient());
    let mut work = registry.begin();
    let session = work.session::<My>().await.expect("a session");
    session.batch_execute("SET innodb_lock_wait_timeout = 1").await.expect("set");
    lock!(work.session::<My>().await.expect("a session"), 2, By::Batch).expect("locked");
    let waited = lock!(work.session::<My>().await.expect("a session"), 1, By::Batch);
    assert!(waited.is_err());
    lock!(work.session::<My>().await.expect("it stands"), 2, By::Batch).expect("locked");
    work.commit().await.expect("committed");
    holder.rollback().await.expect("told");
}

#[tokio::test]
async fn locked_sqlite_database_is_transient() {
    let url = sqlite_file();
    let limit = std::time::Duration::from_millis(20);
    let settings = BindSettings::new(url).busy_timeout(limit).acquire_timeout(limit);
    let registry = Registry::builder().bind("lite", settings).build().expect("good settings");
    let mut session = registry.session::<Lite>().await.expect("a session");
    session.batch_execute(TABLE).await.expect("rows");
    let mut writer = registry.begin();
    writer.session::<Lite>().await.expect("it has the lock");
    let blocked = session
        .transaction(async |session| {
            session.batch_execute("UPDATE t SET v = 1").await?;
            Ok::<_, Error>(())
        })
        .await;
    assert!(blocked.unwrap_err().is_transient());
    let blocked = registry
        .transaction(async |work| {
            work.session::<Lite>().await?;
            Ok::<_, Error>(())
        })
        .await;
    assert!(blocked.unwrap_err().is_transient());
    writer.rollback().await.expect("told");
}

/// The texts of errors differ with the language of the server, and their codes do not.
#[tokio::test(flavor = "multi_thread")]
async fn deadlock_on_a_german_server_is_recognized_by_its_code() {
    async fn works(
        registry: Registry,
        both: Arc<Barrier>,
        (first, second): (i32, i32),
    ) -> Result<(), Error> {
        registry
            .transaction(async |work| {
                let session = work.session::<My>().await?;
                session.batch_execute("SET lc_messages = 'de_DE'").await?;
                lock!(work.session::<My>().await?, first, By::Batch)?;
                both.wait().await;
                work.savepoint(async |work: &mut UnitOfWork| {
                    lock!(work.session::<My>().await?, second, By::Batch)
                })
                .await
            })
            .await
    }

    let registry = registry().await;
    let outcomes = deadlock!(registry, My, |r, both, a, b| works(r, both, (a, b)));
    let errors: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    let [error] = &errors[..] else { panic!("one is the victim: {errors:?}") };
    assert!(error.is_transient(), "{:?}", causes(error));
    assert_eq!(<My as Bind>::KEY, "my");
}

/// For later statements, PostgreSQL only reports that the transaction is aborted and not why, and MariaDB forgets the
/// error with the next statement, so the first error has to be remembered.
#[tokio::test(flavor = "multi_thread")]
async fn deadlock_victim_that_continues_is_transient_and_stores_nothing() {
    async fn in_work<B: Bind>(
        registry: Registry,
        both: Arc<Barrier>,
        (first, second): (i32, i32),
    ) -> Result<(), Error> {
        let update = |id: i32| format!("UPDATE t SET v = v + 1 WHERE id = {id}");
        registry
            .transaction(async |work| {
                let session = work.session::<B>().await?;
                session.batch_execute(&update(first)).await?;
                both.wait().await;
                drop(session.batch_execute(&update(second)).await);
                Ok::<_, Error>(())
            })
            .await
    }

    async fn in_session(
        registry: Registry,
        both: Arc<Barrier>,
        (first, second): (i32, i32),
    ) -> Result<(), Error> {
        let mut session = registry.session::<My>().await?;
        session
            .transaction(async |session| {
                lock!(&mut *session, first, By::Batch)?;
                both.wait().await;
                drop(lock!(&mut *session, second, By::Batch));
                session.batch_execute("UPDATE t SET v = v + 100 WHERE id = 1").await?;
                Ok::<_, Error>(())
            })
            .await
    }

    let registry = registry().await;
    let one = deadlock!(registry, Pg, |r, both, a, b| in_work::<Pg>(r, both, (a, b)));
    let other = deadlock!(registry, My, |r, both, a, b| in_work::<My>(r, both, (a, b)));
    let of_session = deadlock!(registry, My, |r, both, a, b| in_session(r, both, (a, b)));
    for outcomes in [one, other, of_session] {
        let errors: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        let [error] = &errors[..] else { panic!("one is the victim: {errors:?}") };
        assert!(error.is_transient(), "{:?}", causes(error));
    }
    let mut session = registry.session::<My>().await.expect("a session");
    let twice = diesel::sql_query("SELECT id FROM t WHERE v > 199").execute(&mut session).await;
    assert_eq!(twice.expect("a count"), 0, "only one of them is stored");
    let once = diesel::sql_query("UPDATE t SET v = 0 WHERE v > 99").execute(&mut session).await;
    assert_eq!(once.expect("a count"), 1);
}
