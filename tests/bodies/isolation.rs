//! Isolated registries for tests (`test_isolation`), on each backend.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use futures_util::StreamExt;
use futures_util::future::join_all;
use registry_core::{
    AcquireError, BindDsl, BindSettings, Error, Registry, RunQueryDsl, Session, UnitOfWork,
    WorkError, bind_tables,
};

use super::{NAME, database, tenants};
use crate::support::{is_at_rest, run_sql};

diesel::table! {
    users (id) {
        id -> Integer,
        name -> Text,
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

const CREATE_USERS: &str =
    "CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(80) NOT NULL)";

/// A registry of an application, whose database has one user.
async fn application() -> Registry {
    let registry = Registry::builder()
        .bind("default", database())
        .bind("analytics", BindSettings::new(database()))
        .build()
        .expect("good settings");
    run_sql::<Main>(&registry, CREATE_USERS).await;
    run_sql::<Main>(&registry, "INSERT INTO users VALUES (1, 'ann')").await;
    run_sql::<Analytics>(&registry, "CREATE TABLE events (id INTEGER PRIMARY KEY NOT NULL)").await;
    registry
}

async fn ids(registry: &Registry) -> Vec<i32> {
    users::table.select(users::id).order(users::id).load(registry).await.expect("rows")
}

async fn add(registry: &Registry, id: i32) -> Result<usize, Error> {
    let row = (users::id.eq(id), users::name.eq("bob"));
    diesel::insert_into(users::table).values(row).execute(registry).await
}

#[tokio::test]
async fn isolated_registry_commits_nothing_and_reads_its_own_writes() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    assert_eq!(ids(&registry).await, [1], "what was there");
    add(&registry, 2).await.expect("a row");
    let mut session = registry.session::<Main>().await.expect("a session");
    session
        .transaction(async |session| {
            let row = (users::id.eq(3), users::name.eq("eve"));
            diesel::insert_into(users::table).values(row).execute(session).await
        })
        .await
        .expect("committed, as far as the test can tell");
    drop(session);
    registry
        .transaction(async |work| {
            let row = (users::id.eq(4), users::name.eq("joe"));
            diesel::insert_into(users::table).values(row).execute(&mut *work).await?;
            diesel::insert_into(events::table).values(events::id.eq(1)).execute(work).await?;
            Ok::<_, Error>(())
        })
        .await
        .expect("committed, as far as the test can tell");
    assert_eq!(ids(&registry).await, [1, 2, 3, 4]);
    let events: i64 = events::table.count().get_result(&registry).await.expect("a count");
    assert_eq!(events, 1);
    assert_eq!(ids(&application).await, [1], "nobody else sees it");
    registry.close().await;
    drop(registry);
    assert_eq!(ids(&application).await, [1], "and nobody ever will");
}

#[tokio::test]
async fn rollbacks_undo_work_inside_an_isolated_test() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let failed = registry
        .transaction(async |work| {
            let row = (users::id.eq(2), users::name.eq("bob"));
            diesel::insert_into(users::table).values(row).execute(&mut *work).await?;
            let inner = work
                .savepoint(async |work| {
                    let row = (users::id.eq(3), users::name.eq("bob"));
                    diesel::insert_into(users::table).values(row).execute(work).await?;
                    Ok::<_, Error>(())
                })
                .await;
            inner?;
            Err::<(), Error>(diesel::result::Error::RollbackTransaction.into())
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(ids(&registry).await, [1]);
    // A dropped unit of work leaves nothing behind, and no caller has to wait for it.
    let mut work = registry.begin();
    let row = (users::id.eq(2), users::name.eq("bob"));
    diesel::insert_into(users::table).values(row).execute(&mut work).await.expect("a row");
    drop(work);
    is_at_rest(&registry).await;
    assert_eq!(ids(&registry).await, [1]);
}

#[tokio::test]
async fn failed_statement_leaves_an_isolated_test_usable() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    add(&registry, 2).await.expect("a row");
    let error = add(&registry, 2).await.unwrap_err();
    assert!(error.database_kind().is_some(), "{error}");
    assert_eq!(ids(&registry).await, [1, 2]);
    // A query whose error comes with the rows.
    let broken =
        diesel::sql_query("SELECT CAST(1 AS DECIMAL) / (id - id) FROM users WHERE nothing > 0")
            .bound_to::<users::table>()
            .execute(&registry)
            .await;
    assert!(broken.is_err());
    assert_eq!(ids(&registry).await, [1, 2]);
    // In a session, the failure has its usual effect, which ends with the session.
    let mut session = registry.session::<Main>().await.expect("a session");
    let row = (users::id.eq(2), users::name.eq("bob"));
    let failed = diesel::insert_into(users::table).values(row).execute(&mut session).await;
    assert!(failed.is_err());
    drop(session);
    add(&registry, 3).await.expect("a row");
    assert_eq!(ids(&registry).await, [1, 2, 3]);
}

#[tokio::test]
async fn concurrent_isolated_tests_do_not_see_each_other() {
    let application = application().await;
    let one = application.test_isolation().await.expect("a registry");
    let other = application.test_isolation().await.expect("a registry");
    add(&one, 2).await.expect("a row");
    add(&other, 3).await.expect("a row");
    assert_eq!((ids(&one).await, ids(&other).await), (vec![1, 2], vec![1, 3]));
}

#[tokio::test]
async fn task_waiting_for_its_own_session_gets_an_error_with_the_rule() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let lent = registry.session::<Main>().await.expect("a session");
    if NAME == "sqlite" {
        // An isolated SQLite registry works on a copy of the database, with the usual number of connections.
        assert_eq!(ids(&registry).await, [1]);
        return;
    }
    let error = registry.session::<Main>().await.unwrap_err();
    assert!(matches!(error, AcquireError::Isolated { key } if key == "default"));
    assert_eq!(
        error.to_string(),
        "bind `default`: in test isolation each bind has one connection, and it is lent: drop the \
         session or end the unit of work that has it before the next session or query"
    );
    assert!(!error.is_transient() && !error.is_timeout(), "{error}");
    assert!(matches!(add(&registry, 2).await, Err(Error::Acquire(AcquireError::Isolated { .. }))));
    // Also with a time-out that is shorter than the detection takes.
    let error = registry.session::<Main>().within(Duration::from_millis(10)).await.unwrap_err();
    assert!(matches!(error, AcquireError::Isolated { .. }), "{error}");
    let error = registry.begin().session::<Main>().await.unwrap_err();
    assert!(matches!(error, WorkError::Acquire(AcquireError::Isolated { .. })), "{error}");
    // Other binds have other connections.
    drop(registry.session::<Analytics>().await.expect("a session"));
    drop(lent);
    add(&registry, 2).await.expect("a row");
}

#[tokio::test]
async fn query_beside_the_tasks_own_unit_of_work_gets_an_error_with_the_rule() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let mut work = registry.begin();
    work.session::<Main>().await.expect("a session");
    if NAME == "sqlite" {
        return;
    }
    let error = add(&registry, 2).await.unwrap_err();
    assert!(matches!(error, Error::Acquire(AcquireError::Isolated { .. })), "{error}");
    work.commit().await.expect("committed, as far as the test can tell");
    add(&registry, 2).await.expect("a row");
}

#[tokio::test]
async fn query_beside_an_open_stream_gets_an_error_with_the_rule() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    add(&registry, 2).await.expect("a row");
    let rows = users::table.select(users::id).order(users::id);
    let mut rows = rows.load_stream::<i32>(&registry).await.expect("rows");
    assert_eq!(rows.next().await.expect("a row").expect("a number"), 1);
    if NAME == "sqlite" {
        return;
    }
    let error = add(&registry, 3).await.unwrap_err();
    assert!(matches!(error, Error::Acquire(AcquireError::Isolated { .. })), "{error}");
    assert_eq!(rows.next().await.expect("a row").expect("a number"), 2);
    assert!(rows.next().await.is_none());
    drop(rows);
    add(&registry, 3).await.expect("a row");
}

#[tokio::test]
async fn concurrent_queries_wait_for_the_isolated_connection() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let (two, three, _) = tokio::try_join!(
        add(&registry, 2),
        add(&registry, 3),
        users::table.select(users::id).load::<i32>(&registry)
    )
    .expect("each in its turn");
    assert_eq!((two, three), (1, 1));
    let many = join_all((4..40).map(|id| add(&registry, id))).await;
    assert!(many.into_iter().all(|added| matches!(added, Ok(1))));
    let spawned = (40..60).map(|id| {
        let registry = registry.clone();
        tokio::spawn(async move { add(&registry, id).await })
    });
    for added in join_all(spawned).await {
        added.expect("no panic").expect("a row");
    }
    assert_eq!(ids(&registry).await, (1..60).collect::<Vec<_>>());
    assert_eq!(ids(&application).await, [1]);
}

#[tokio::test]
async fn queue_limit_does_not_apply_in_isolation() {
    let settings = BindSettings::new(database()).max_connections(8).queue_limit(1);
    let application = Registry::builder().bind("default", settings).build().expect("good settings");
    run_sql::<Main>(&application, CREATE_USERS).await;
    let registry = application.test_isolation().await.expect("a registry");
    for added in join_all((1..9).map(|id| add(&registry, id))).await {
        added.expect("a row");
    }
}

/// Inserts three rows, with pauses between the statements.
async fn slowly(session: &mut Session<Main>, first: i32) {
    for id in first..first + 3 {
        let row = (users::id.eq(id), users::name.eq("bob"));
        diesel::insert_into(users::table).values(row).execute(&mut *session).await.expect("a row");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn session_beside_a_unit_of_work_waits_for_it() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let session = async {
        let mut session = registry.session::<Main>().await.expect("a session");
        slowly(&mut session, 10).await;
    };
    let work = registry.try_scope(async {
        let mut work = UnitOfWork::current().await?;
        slowly(work.session::<Main>().await?, 20).await;
        Ok::<_, Error>(())
    });
    let own = async {
        let work = registry.transaction(async |work| {
            slowly(work.session::<Main>().await?, 30).await;
            Ok::<_, Error>(())
        });
        work.await.expect("committed");
    };
    // In one task, and in two.
    let ((), scoped, ()) = tokio::join!(session, work, own);
    scoped.expect("committed");
    let handed_on = registry.clone();
    let other = tokio::spawn(async move {
        slowly(&mut handed_on.session::<Main>().await.expect("a session"), 40).await;
    });
    add(&registry, 50).await.expect("a row");
    other.await.expect("no panic");
    assert_eq!(ids(&registry).await, [1, 10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50]);
}

/// Two futures of one task: the one that has the connection pauses for a while.
#[tokio::test]
async fn session_that_pauses_is_waited_for_by_its_own_task() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let pausing = async {
        let mut session = registry.session::<Main>().await.expect("a session");
        slowly(&mut session, 10).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        slowly(&mut session, 20).await;
    };
    let ((), asked) = tokio::join!(pausing, add(&registry, 30));
    asked.expect("a row");
    assert_eq!(ids(&registry).await, [1, 10, 11, 12, 20, 21, 22, 30]);
}

#[tokio::test]
async fn session_of_another_task_is_waited_for() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    // Acquired in this task and used in another one.
    let mut session = registry.session::<Main>().await.expect("a session");
    let other = tokio::spawn(async move {
        slowly(&mut session, 2).await;
        // Longer than it takes to detect that a task waits for itself.
        tokio::time::sleep(Duration::from_secs(6)).await;
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    add(&registry, 5).await.expect("a row");
    other.await.expect("no panic");
    assert_eq!(ids(&registry).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn session_kept_by_another_task_times_out() {
    if NAME == "sqlite" {
        return;
    }
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let session = registry.session::<Main>();
    let kept = tokio::spawn({
        let registry = registry.clone();
        async move { registry.session::<Main>().await.expect("a session") }
    });
    // No task is blamed: the one that acquired the session has ended.
    let kept = kept.await.expect("no panic");
    let error = session.within(Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, AcquireError::TimedOut { held_by_caller: 0, .. }), "{error}");
    drop(kept);
}

#[tokio::test]
async fn abandoned_wait_for_the_isolated_connection_loses_nothing() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    add(&registry, 2).await.expect("a row");
    for polls in 0..100 {
        let mut acquire = registry.session::<Main>();
        for _ in 0..polls {
            let polled = futures_util::poll!(&mut acquire);
            if polled.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(ids(&registry).await, [1, 2]);
}

#[tokio::test]
async fn transaction_left_open_by_a_session_is_rolled_back() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let mut session = registry.session::<Main>().await.expect("a session");
    {
        let unfinished = session.transaction(async |session| {
            let row = (users::id.eq(2), users::name.eq("bob"));
            diesel::insert_into(users::table).values(row).execute(session).await?;
            std::future::pending::<QueryResult<()>>().await
        });
        let waited = tokio::time::timeout(Duration::from_millis(100), unfinished).await;
        assert!(waited.is_err());
    }
    drop(session);
    assert_eq!(ids(&registry).await, [1]);
}

#[tokio::test]
async fn cancelled_statement_ends_the_isolation_with_an_error() {
    if NAME == "sqlite" {
        return;
    }
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    add(&registry, 2).await.expect("a row");
    let mut session = registry.session::<Main>().await.expect("a session");
    let sleep = if NAME == "postgres" { "SELECT pg_sleep(30)" } else { "SELECT SLEEP(30)" };
    let cut = session.batch_execute(sleep);
    assert!(tokio::time::timeout(Duration::from_millis(50), cut).await.is_err());
    drop(session);
    for _ in 0..2 {
        let error = registry.session::<Main>().await.unwrap_err();
        assert!(
            matches!(error, AcquireError::IsolationLost { key } if key == "default"),
            "{error}"
        );
    }
    assert_eq!(ids(&application).await, [1]);
}

#[tokio::test]
async fn scopes_work_in_isolation() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    registry
        .try_scope(async {
            let mut work = UnitOfWork::current().await?;
            let row = (users::id.eq(2), users::name.eq("bob"));
            diesel::insert_into(users::table).values(row).execute(&mut *work).await?;
            Ok::<_, Error>(())
        })
        .await
        .expect("committed, as far as the test can tell");
    assert_eq!(ids(&registry).await, [1, 2]);
    assert_eq!(ids(&application).await, [1]);
}

#[tokio::test]
async fn tenants_and_urls_are_isolated_or_refused() {
    let template = tenants(["acme"]);
    let application = Registry::builder()
        .bind("default", database())
        .bind("analytics", template)
        .build()
        .expect("good settings");
    let tenant = application.tenant("acme").expect("a good name");
    let mut session = tenant.session::<Analytics>().await.expect("a session");
    let create = "CREATE TABLE events (id INTEGER PRIMARY KEY NOT NULL)";
    session.batch_execute(create).await.expect("a table");
    drop(session);
    let registry = application.test_isolation().await.expect("a registry");
    let isolated = registry.tenant("acme").expect("a good name");
    diesel::insert_into(events::table)
        .values(events::id.eq(1))
        .execute(&isolated)
        .await
        .expect("a row");
    let count: i64 = events::table.count().get_result(&isolated).await.expect("a count");
    assert_eq!(count, 1);
    let count: i64 = events::table.count().get_result(&tenant).await.expect("a count");
    assert_eq!(count, 0);
    if NAME == "sqlite" {
        let error = registry.session_by_url::<users::table>(database()).await.unwrap_err();
        assert!(matches!(error, AcquireError::Settings { .. }), "{error}");
        return;
    }
    let mut session = registry.session_by_url::<users::table>(database()).await.expect("one");
    session.batch_execute("SELECT 1").await.expect("it works");
    let error = registry.session_by_url::<users::table>(database()).await;
    drop((session, error));
}
