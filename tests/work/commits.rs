//! Commits that fail: which binds are committed, which are not, and which are in doubt.

use std::time::Duration;

use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel_async::SimpleAsyncConnection;
use registry_core::work::{Outcome, WorkFailure};
use registry_core::{
    Bound, CommitError, Error, Registry, RunQueryDsl, UnitOfWork, WorkError, bind_tables, binds,
};

use crate::support::proxy::{Proxy, soon};
use crate::support::{causes, is_at_rest, mariadb, postgres, run_sql, sqlite_file};

use super::cut_commits::{CREATE_USERS, SLOW_COMMITS, cut_in_commit};

diesel::table! {
    users (id) {
        id -> Integer,
        friend -> Nullable<Integer>,
    }
}
diesel::table! {
    events (id) {
        id -> Integer,
    }
}
diesel::table! {
    notes (id) {
        id -> Integer,
    }
}

binds! {
    Main: Postgres = "default";
    Analytics: Mysql = "analytics";
    Files: Sqlite = "files";
}
bind_tables!(Main; users);
bind_tables!(Analytics; events);
bind_tables!(Files; notes);

/// A registry with a database of each backend. A user whose friend does not exist violates a deferred constraint, which
/// fails only at the commit.
async fn registry(postgres: &str, mysql: &str) -> Registry {
    let registry = Registry::builder()
        .bind("default", postgres)
        .bind("analytics", mysql)
        .bind("files", sqlite_file())
        .build()
        .expect("good settings");
    run_sql::<Main>(&registry, CREATE_USERS).await;
    run_sql::<Analytics>(&registry, "CREATE TABLE events (id INTEGER PRIMARY KEY)").await;
    run_sql::<Files>(&registry, "CREATE TABLE notes (id INTEGER PRIMARY KEY)").await;
    registry
}

async fn fresh() -> Registry {
    registry(&postgres().database("work"), &mariadb().database("work")).await
}

async fn add<T: Bound>(work: &mut UnitOfWork, table: &str, id: i32) {
    let session = work.session_for::<T>().await.expect("a session");
    let insert = format!("INSERT INTO {table} (id) VALUES ({id})");
    SimpleAsyncConnection::batch_execute(&mut **session, &insert).await.expect("a row");
}

async fn add_all(work: &mut UnitOfWork, id: i32) {
    add::<events::table>(work, "events", id).await;
    add::<users::table>(work, "users", id).await;
    add::<notes::table>(work, "notes", id).await;
}

/// The numbers of committed users, events and notes.
async fn committed(registry: &Registry) -> [i64; 3] {
    [
        users::table.count().get_result(registry).await.expect("a count"),
        events::table.count().get_result(registry).await.expect("a count"),
        notes::table.count().get_result(registry).await.expect("a count"),
    ]
}

fn keys<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    keys.collect()
}

#[tokio::test]
async fn databases_of_three_backends_are_committed_in_order() {
    let registry = fresh().await;
    let mut work = registry.begin();
    add_all(&mut work, 1).await;
    assert_eq!(committed(&registry).await, [0, 0, 0]);
    let done = work.commit().await.expect("committed");
    assert_eq!(
        done.keys.iter().map(|key| &**key).collect::<Vec<_>>(),
        ["analytics", "default", "files"]
    );
    assert_eq!(committed(&registry).await, [1, 1, 1]);
}

async fn friendless(work: &mut UnitOfWork) {
    let row = (users::id.eq(1), users::friend.eq(99));
    diesel::insert_into(users::table).values(row).execute(work).await.expect("not noticed yet");
}

#[tokio::test]
async fn failed_commit_reports_the_outcome_of_each_bind() {
    let registry = fresh().await;
    let mut work = registry.begin();
    add::<events::table>(&mut work, "events", 1).await;
    friendless(&mut work).await;
    add::<notes::table>(&mut work, "notes", 1).await;
    let error: CommitError = work.commit().await.unwrap_err();
    assert_eq!(keys(error.committed()), ["analytics"]);
    assert_eq!(keys(error.rolled_back()), ["files"]);
    let (key, failure) = error.failed().expect("one failed");
    assert_eq!(key, "default");
    assert!(matches!(
        failure,
        WorkFailure::Database(diesel::result::Error::DatabaseError(
            DatabaseErrorKind::ForeignKeyViolation,
            _
        ))
    ));
    assert!(error.in_doubt().is_none() && !error.is_rolled_back());
    assert_eq!(
        causes(&error)[0],
        "not all was committed: bind `analytics` is committed, bind `default` failed and is rolled back, \
         bind `files` is rolled back"
    );
    assert_eq!(committed(&registry).await, [0, 1, 0]);
    is_at_rest(&registry).await;
}

#[tokio::test]
async fn bind_whose_commit_may_fail_can_be_committed_first() {
    let registry = fresh().await;
    let mut work = registry.begin();
    add::<events::table>(&mut work, "events", 1).await;
    friendless(&mut work).await;
    let error = work.commit_in_order(&["default"]).await.unwrap_err();
    assert!(error.is_rolled_back());
    assert_eq!(error.binds().map(|(key, _)| key).collect::<Vec<_>>(), ["default", "analytics"]);
    assert!(matches!(error.binds().next(), Some((_, Outcome::Failed(_)))));
    assert_eq!(committed(&registry).await, [0, 0, 0]);
}

/// PostgreSQL answers the `COMMIT` of a failed transaction with `ROLLBACK`, and without an error.
#[tokio::test]
async fn earlier_failure_is_noticed_before_anything_is_committed() {
    let registry = fresh().await;
    let mut work = registry.begin();
    add::<events::table>(&mut work, "events", 1).await;
    add::<users::table>(&mut work, "users", 1).await;
    let again = diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut work).await;
    assert!(again.is_err());
    let error = work.commit().await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    assert_eq!(error.failed().expect("one failed").0, "default");
    assert_eq!(committed(&registry).await, [0, 0, 0]);
    let error = Error::from(error);
    assert!(causes(&error)[1].contains("current transaction is aborted"), "{:?}", causes(&error));
}

/// MySQL rolls back the whole transaction of a deadlock victim, so later statements would each be committed.
#[tokio::test(flavor = "multi_thread")]
async fn statements_after_a_deadlock_are_not_run_outside_a_transaction() {
    let registry = fresh().await;
    registry
        .transaction(async |work| {
            add::<events::table>(work, "events", 1).await;
            add::<events::table>(work, "events", 2).await;
            Ok::<_, Error>(())
        })
        .await
        .expect("committed");
    let both = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let tasks: Vec<_> = [(1, 2), (2, 1)]
        .map(|(first, second)| {
            let (registry, both) = (registry.clone(), std::sync::Arc::clone(&both));
            tokio::spawn(async move {
                let mut work = registry.begin();
                let touch = |id: i32| diesel::delete(events::table.filter(events::id.eq(id)));
                touch(first).execute(&mut work).await.expect("a row");
                both.wait().await;
                let outcome = touch(second).execute(&mut work).await;
                if outcome.is_ok() {
                    work.commit().await.expect("committed");
                    return true;
                }
                // The program ignores the error and continues.
                let row = diesel::insert_into(events::table).values(events::id.eq(77));
                let error = row.execute(&mut work).await.unwrap_err();
                assert!(matches!(error, Error::Work(_)), "{error}");
                assert!(error.is_transient());
                assert!(work.commit().await.unwrap_err().is_rolled_back());
                false
            })
        })
        .into_iter()
        .collect();
    let mut won = 0;
    for task in tasks {
        won += u32::from(task.await.expect("no panic"));
    }
    assert_eq!(won, 1, "one of the two is the victim");
    assert_eq!(
        committed(&registry).await[1],
        0,
        "the other has deleted both, and nothing was added"
    );
}

/// The connection breaks while the server runs the commit, which it completes.
async fn broken_in_commit(analytics_too: bool) {
    let database = postgres().database("work");
    let proxy = Proxy::before(postgres().port()).await;
    let registry = registry(&proxy.url(&database), &mariadb().database("work")).await;
    run_sql::<Main>(&registry, SLOW_COMMITS).await;
    let mut work = registry.begin();
    add::<users::table>(&mut work, "users", 1).await;
    if analytics_too {
        add::<events::table>(&mut work, "events", 1).await;
    }
    let outcome = cut_in_commit(&database, &proxy, work.commit()).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.in_doubt().expect("nobody knows").0, "default");
    assert!(error.failed().is_none() && !error.is_rolled_back());
    if analytics_too {
        assert_eq!(keys(error.rolled_back()), ["analytics"]);
        assert_eq!(
            causes(&error)[0],
            "it is not known whether it was committed: bind `default` may be committed or not, bind \
             `analytics` is rolled back"
        );
    }
    // The server had received the commit, but its answer was lost.
    assert_eq!(committed(&registry).await, [1, 0, 0]);
    is_at_rest(&registry).await;
}

#[tokio::test]
async fn connection_lost_during_the_commit_leaves_it_in_doubt() {
    broken_in_commit(false).await;
}

#[tokio::test]
async fn commit_in_doubt_prevents_the_remaining_commits() {
    broken_in_commit(true).await;
}

/// A connection that is lost before its commit cannot have committed anything.
#[tokio::test]
async fn connection_lost_before_the_commit_leaves_no_doubt() {
    let database = postgres().database("work");
    let proxy = Proxy::before(postgres().port()).await;
    let registry = registry(&proxy.url(&database), &mariadb().database("work")).await;
    let mut work = registry.begin();
    add::<events::table>(&mut work, "events", 1).await;
    add::<users::table>(&mut work, "users", 1).await;
    proxy.cut();
    let lost = diesel::insert_into(users::table).values(users::id.eq(2)).execute(&mut work).await;
    assert!(lost.is_err());
    let error = work.commit().await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    assert_eq!(committed(&registry).await, [0, 0, 0]);
}

/// A silent server is not waited for: it rolls back when it notices the closed connection.
#[tokio::test]
async fn rollback_does_not_wait_for_a_silent_network() {
    let database = postgres().database("work");
    let proxy = Proxy::before(postgres().port()).await;
    let registry = registry(&proxy.url(&database), &mariadb().database("work")).await;
    let mut work = registry.begin();
    add::<users::table>(&mut work, "users", 1).await;
    add::<events::table>(&mut work, "events", 1).await;
    proxy.lose_open();
    let error = soon(work.rollback()).await.expect_err("it is silent");
    assert!(matches!(error, WorkError::NotTold { key } if key == "default"), "{error}");
    is_at_rest(&registry).await;
    assert_eq!(committed(&registry).await, [0, 0, 0]);
}

/// Errors that arrive among the rows instead of with the first answer to the statement.
#[tokio::test]
async fn failure_among_unread_rows_prevents_the_commit() {
    let registry = fresh().await;
    let mut work = registry.begin();
    add::<events::table>(&mut work, "events", 1).await;
    add::<users::table>(&mut work, "users", 1).await;
    let again: Result<i32, Error> = diesel::insert_into(users::table)
        .values(users::id.eq(1))
        .returning(users::id)
        .get_result(&mut work)
        .await;
    assert!(again.is_err());
    let error = work.commit().await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    assert_eq!(committed(&registry).await, [0, 0, 0]);
}

#[tokio::test]
async fn cancelled_statement_prevents_the_commit() {
    let registry = fresh().await;
    let mut work = registry.begin();
    add::<events::table>(&mut work, "events", 1).await;
    let session = work.session_for::<users::table>().await.expect("a session");
    let slow = SimpleAsyncConnection::batch_execute(&mut **session, "SELECT pg_sleep(10)");
    assert!(tokio::time::timeout(Duration::from_millis(50), slow).await.is_err());
    let row = diesel::insert_into(users::table).values(users::id.eq(1));
    let error = row.execute(&mut work).await.unwrap_err();
    assert!(causes(&error)[0].contains("cut short"), "{:?}", causes(&error));
    let error = soon(work.commit()).await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    is_at_rest(&registry).await;
    assert_eq!(committed(&registry).await, [0, 0, 0]);
}

/// SQLite rolls a transaction back by itself for `ON CONFLICT ROLLBACK` and for some errors.
#[tokio::test]
async fn statements_after_a_rollback_by_sqlite_are_not_run() {
    let registry = fresh().await;
    let mut work = registry.begin();
    add::<notes::table>(&mut work, "notes", 1).await;
    let session = work.session_for::<notes::table>().await.expect("a session");
    let ended = diesel::sql_query("INSERT OR ROLLBACK INTO notes (id) VALUES (1)");
    assert!(ended.execute(session).await.is_err());
    let row = diesel::insert_into(notes::table).values(notes::id.eq(2));
    let error = row.execute(&mut work).await.unwrap_err();
    assert!(matches!(error, Error::Work(_)), "{error}");
    assert!(work.commit().await.unwrap_err().is_rolled_back());
    assert_eq!(committed(&registry).await, [0, 0, 0]);
}
