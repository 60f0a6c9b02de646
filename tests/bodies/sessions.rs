//! Acquiring sessions, on each backend.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{AcquireError, Registry, ResetOnReturn, Session, bind, bind_tables};

use super::{Backend, NAME, database};
use crate::support::log::captured_log;
use crate::support::{causes, eventually};

mod schema {
    diesel::table! {
        events (id) {
            id -> Integer,
            what -> Text,
        }
    }

    diesel::table! {
        #[sql_name = "events"]
        old_events (id) {
            id -> Integer,
            what -> Text,
        }
    }
}

use schema::{events, old_events};

#[bind(connection = super::Backend)]
#[derive(Debug, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = events)]
struct Event {
    id: i32,
    what: String,
}

/// A table of the same name in another database.
#[bind(db = "archive", connection = super::Backend)]
#[derive(Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = old_events)]
struct OldEvent {
    id: i32,
    what: String,
}

type Main = <Event as registry_core::Bound>::Bind;

bind_tables!(db = "default", connection = super::Backend; schema::events);

const CREATE: &str = "CREATE TABLE events (id INTEGER PRIMARY KEY NOT NULL, what TEXT NOT NULL)";

/// A registry of one fresh database, whose bind `settings` completes.
fn registry_with(settings: impl FnOnce(BindSettings) -> BindSettings) -> Registry {
    Registry::builder()
        .bind("default", settings(BindSettings::new(database())))
        .build()
        .expect("good settings")
}

async fn insert(session: &mut Session<Main>, id: i32) {
    diesel::insert_into(events::table)
        .values(Event { id, what: "new".to_owned() })
        .execute(session)
        .await
        .expect("a row");
}

async fn ids(session: &mut Session<Main>) -> Vec<i32> {
    events::table.select(events::id).order(events::id).load(session).await.expect("rows")
}

#[tokio::test]
async fn each_model_finds_its_own_database() {
    let registry = Registry::builder()
        .bind("default", database())
        .bind("archive", database())
        .build()
        .expect("good settings");

    let mut main = registry.session_for::<Event>().await.expect("a session");
    let mut archive = registry.session_for::<OldEvent>().await.expect("a session");
    assert_eq!((main.key(), archive.key()), ("default", "archive"));
    for (connection, what) in [(&mut *main, "main"), (&mut *archive, "archive")] {
        connection.batch_execute(CREATE).await.expect("an empty database");
        diesel::insert_into(events::table)
            .values((events::id.eq(1), events::what.eq(what)))
            .execute(connection)
            .await
            .expect("a row");
    }
    drop((main, archive));

    let mut main = registry.session_for::<Event>().await.expect("a session");
    let rows = events::table.select(Event::as_select()).load(&mut main).await.expect("rows");
    assert_eq!(rows, [Event { id: 1, what: "main".to_owned() }]);
    let mut archive = registry.session_for::<OldEvent>().await.expect("a session");
    let rows =
        old_events::table.select(OldEvent::as_select()).load(&mut archive).await.expect("rows");
    assert_eq!(rows, [OldEvent { id: 1, what: "archive".to_owned() }]);
    // A table finds its way as a model does, and a bind as well.
    assert_eq!(registry.session_for::<events::table>().await.expect("a session").key(), "default");
    assert_eq!(registry.session::<Main>().await.expect("a session").key(), "default");
}

#[tokio::test]
async fn a_session_is_a_connection_and_hands_itself_to_transactions() {
    let registry = registry_with(|bind| bind);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");

    let outcome: Result<(), diesel::result::Error> = session
        .transaction(async |session: &mut Session<Main>| {
            insert(session, 1).await;
            Err(diesel::result::Error::RollbackTransaction)
        })
        .await;
    assert_eq!(outcome, Err(diesel::result::Error::RollbackTransaction));
    let outcome: Result<(), diesel::result::Error> = session
        .transaction(async |session| {
            insert(session, 2).await;
            Ok(())
        })
        .await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(ids(&mut session).await, [2]);
}

#[tokio::test]
async fn a_key_of_the_run_time_finds_its_database() {
    let registry = registry_with(|bind| bind);
    let session = registry.session_by_key::<Backend>("default").await.expect("a session");
    assert_eq!(session.key(), "default");

    let error = registry.session_by_key::<Backend>("defualt").await.expect_err("no such bind");
    assert!(matches!(error, AcquireError::UnknownBind(_)));
    assert_eq!(
        error.to_string(),
        "the settings have no bind `defualt`; they have `default`; did you mean `default`?"
    );
    // Not a key at all.
    let error = registry.session_by_key::<Backend>("").await.expect_err("no such bind");
    assert_eq!(error.to_string(), "the settings have no bind ``; they have `default`");
}

#[tokio::test]
async fn a_bind_that_the_settings_lack_is_an_error_that_lists_those_they_have() {
    let registry = registry_with(|bind| bind);
    let error = registry.session_for::<OldEvent>().await.expect_err("no such bind");
    assert_eq!(error.key(), "archive");
    assert_eq!(error.to_string(), "the settings have no bind `archive`; they have `default`");
    assert_eq!(registry.engine_for::<OldEvent>().expect_err("no such bind").key, "archive");
}

#[tokio::test]
async fn a_connection_is_lent_again_and_again() {
    let registry = registry_with(|bind| bind.max_connections(3));
    for _ in 0..5 {
        registry.session_for::<Event>().await.expect("a session");
    }
    let two = (
        registry.session_for::<Event>().await.expect("a session"),
        registry.session_for::<Event>().await.expect("a session"),
    );
    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.idle, status.max), (2, 0, 3));
    assert_eq!((status.direct, status.waited, status.timed_out), (7, 0, 0));
    drop(two);
    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.idle, status.max), (0, 2, 3));
}

#[tokio::test]
async fn a_wait_ends_with_an_error_that_says_how_busy_the_engine_is() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let held = registry.session_for::<Event>().await.expect("a session");
    let limit = Duration::from_millis(30);
    let error = registry.session_for::<Event>().within(limit).await.expect_err("none is free");
    assert!(error.is_timeout() && error.is_transient());
    assert_eq!(
        error.to_string(),
        "bind `default`: no session within 30ms: of at most 1 connections 1 are in use and 0 idle, \
         and 0 more callers wait; the task that waits holds 1 of them itself"
    );
    assert_eq!(registry.status().engines[0].timed_out, 1);

    // What ended without a session has taken nothing along.
    drop(held);
    registry.session_for::<Event>().within(limit).await.expect("it is free again");
}

#[tokio::test]
async fn a_wait_for_what_others_hold_does_not_blame_the_caller() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let (sender, lent) = tokio::sync::oneshot::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let other = tokio::spawn({
        let registry = registry.clone();
        async move {
            let session = registry.session_for::<Event>().await.expect("a session");
            sender.send(()).expect("somebody waits");
            ended.await.expect("it is told to end");
            drop(session);
        }
    });
    lent.await.expect("the other task has it");
    let limit = Duration::from_millis(30);
    let error = registry.session_for::<Event>().within(limit).await.expect_err("none is free");
    assert!(error.to_string().ends_with("0 more callers wait"), "{error}");
    end.send(()).expect("it waits");
    other.await.expect("no panic");
}

#[tokio::test]
async fn a_waiting_caller_gets_the_session_that_comes_back() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let held = registry.session_for::<Event>().await.expect("a session");
    let waiting = tokio::spawn({
        let registry = registry.clone();
        async move { registry.session_for::<Event>().await.map(|session| session.key().to_owned()) }
    });
    eventually(|| registry.status().engines[0].waiting == 1).await;
    drop(held);
    assert_eq!(waiting.await.expect("no panic").expect("a session"), "default");
    let status = &registry.status().engines[0];
    assert_eq!((status.waiting, status.direct, status.waited), (0, 1, 1));
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_queue() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let held = registry.session_for::<Event>().await.expect("a session");
    for _ in 0..3 {
        let mut acquire = registry.session_for::<Event>();
        assert!(futures_util::poll!(&mut acquire).is_pending());
        assert_eq!(registry.status().engines[0].waiting, 1);
        drop(acquire);
        assert_eq!(registry.status().engines[0].waiting, 0);
    }
    drop(held);
    registry.session_for::<Event>().await.expect("it is free again");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let registry = registry_with(|bind| bind.max_connections(1).queue_limit(1));
    let held = registry.session_for::<Event>().await.expect("a session");
    let mut first = registry.session_for::<Event>();
    assert!(futures_util::poll!(&mut first).is_pending());
    let error = registry.session_for::<Event>().await.expect_err("the queue is full");
    assert!(matches!(error, AcquireError::QueueFull { limit: 1, .. }));
    assert_eq!(
        error.to_string(),
        "bind `default`: the queue is full: no more than 1 may wait, its queue_limit"
    );
    assert!(error.is_transient() && !error.is_timeout());
    assert_eq!(registry.status().engines[0].waiting, 1);
    drop(held);
    first.await.expect("the first in the queue");
}

#[tokio::test]
async fn an_open_transaction_is_never_lent_on() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    // Cut short in the middle, as by a request that goes away.
    let cut = async {
        let _: Result<(), diesel::result::Error> = session
            .transaction(async |session| {
                insert(session, 1).await;
                std::future::pending().await
            })
            .await;
    };
    tokio::time::timeout(Duration::from_millis(200), cut).await.expect_err("it never ends");
    drop(session);

    let mut session = registry.session_for::<Event>().await.expect("a session");
    assert!(ids(&mut session).await.is_empty());
    // It would fail inside a transaction that somebody else has left behind.
    let outcome: Result<(), diesel::result::Error> = session
        .transaction(async |session| {
            insert(session, 2).await;
            Ok(())
        })
        .await;
    assert_eq!(outcome, Ok(()));
    drop(session);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    assert_eq!(ids(&mut session).await, [2]);
}

#[tokio::test]
async fn a_transaction_that_diesel_does_not_know_of_is_undone() {
    for reset in [ResetOnReturn::Auto, ResetOnReturn::Rollback, ResetOnReturn::Full] {
        let registry = registry_with(|bind| bind.max_connections(1).reset_on_return(reset));
        let mut session = registry.session_for::<Event>().await.expect("a session");
        session.batch_execute(CREATE).await.expect("an empty database");
        session.batch_execute("BEGIN").await.expect("a transaction of the user's own");
        insert(&mut session, 1).await;
        drop(session);
        let mut session = registry.session_for::<Event>().await.expect("a session");
        assert!(ids(&mut session).await.is_empty(), "{reset:?}");
    }
}

#[tokio::test]
async fn what_a_borrower_changes_is_not_there_for_the_next() {
    for reset in [ResetOnReturn::Auto, ResetOnReturn::Rollback, ResetOnReturn::Full] {
        let registry = registry_with(|bind| bind.max_connections(1).reset_on_return(reset));
        let mut session = registry.session_for::<Event>().await.expect("a session");
        session.batch_execute("CREATE TEMPORARY TABLE mine (id INTEGER)").await.expect("a table");
        drop(session);
        let mut session = registry.session_for::<Event>().await.expect("a session");
        let gone = session.batch_execute("SELECT * FROM mine").await;
        gone.expect_err(&format!("{reset:?}: the table must be gone"));
    }
}

#[tokio::test]
async fn a_test_transaction_stays_open() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    session.begin_test_transaction().await.expect("a transaction");
    insert(&mut session, 1).await;
    drop(session);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    assert_eq!(ids(&mut session).await, [1]);
    session.batch_execute("ROLLBACK").await.expect("it is open");
    assert!(ids(&mut session).await.is_empty());
}

#[tokio::test]
async fn on_connect_prepares_each_connection_and_its_failure_is_told() {
    let statement = "CREATE TEMPORARY TABLE mine (id INTEGER)";
    let registry = registry_with(|bind| bind.max_connections(1).on_connect([statement]));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute("INSERT INTO mine VALUES (1)").await.expect("the table is there");

    // Statements may have secrets in them, which databases repeat in several ways.
    let registry = registry_with(|bind| bind.on_connect(["SELECT 1", "SELEKT 'zauber' zauber"]));
    let error = registry.session_for::<Event>().await.expect_err("no such statement");
    let causes = causes(&error);
    assert!(causes[0].starts_with("bind `default`: could not connect to "), "{causes:?}");
    assert_eq!(causes[1], "the statement `on_connect[1]` that prepares a connection failed");
    assert!(causes[2].contains("syntax") && causes[2].contains("***"), "{causes:?}");
    let shown = format!("{causes:?} {error:?} {registry:?} {:?}", registry.status());
    assert!(!shown.contains("SELEKT") && !shown.contains("zauber"), "{shown}");
    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.idle), (0, 0));
    let last_error = status.last_error.as_ref().expect("it is remembered");
    assert!(last_error.message.contains("on_connect[1]"), "{last_error}");
}

#[tokio::test]
async fn read_only_is_kept_by_the_database() {
    let url = database();
    let writable = Registry::builder().bind("default", url.as_str()).build().expect("settings");
    let mut session = writable.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    let read_only = Registry::builder()
        .bind("default", BindSettings::new(url).read_only(true))
        .build()
        .expect("good settings");
    let mut session = read_only.session_for::<Event>().await.expect("a session");
    let refused = diesel::insert_into(events::table)
        .values(Event { id: 1, what: "new".to_owned() })
        .execute(&mut session)
        .await;
    let refused = refused.expect_err("it must be refused").to_string();
    assert!(refused.to_lowercase().contains("read"), "{refused}");
    assert!(ids(&mut session).await.is_empty());
}

#[tokio::test]
async fn without_a_statement_cache_queries_work_as_well() {
    let registry = registry_with(|bind| bind.statement_cache(false));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    insert(&mut session, 1).await;
    insert(&mut session, 2).await;
    assert_eq!(ids(&mut session).await, [1, 2]);
}

#[tokio::test]
async fn an_update_counts_the_rows_that_it_finds() {
    let registry = registry_with(|bind| bind);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    insert(&mut session, 1).await;
    // MySQL's own way is to count only those that it changes.
    let update = diesel::update(events::table).set(events::what.eq("new"));
    assert_eq!(update.execute(&mut session).await, Ok(1));
}

#[tokio::test]
async fn idle_connections_are_closed_after_idle_timeout_but_for_min_idle() {
    let registry = registry_with(|bind| {
        bind.max_connections(4).min_idle(1).idle_timeout(Duration::from_millis(40))
    });
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(registry.session_for::<Event>().await.expect("a session"));
    }
    drop(sessions);
    eventually(|| registry.status().engines[0].idle == 1).await;
}

#[tokio::test]
async fn min_idle_is_kept_warm() {
    let registry = registry_with(|bind| bind.max_connections(4).min_idle(3));
    let session = registry.session_for::<Event>().await.expect("a session");
    eventually(|| registry.status().engines[0].idle == 3).await;
    drop(session);
    assert_eq!(registry.status().engines[0].in_use, 0);
}

#[test]
fn maintenance_goes_on_in_the_next_runtime() {
    let registry = registry_with(|bind| {
        bind.max_connections(6).min_idle(2).idle_timeout(Duration::from_millis(200))
    });
    // One more each time, so that what the first has left is not enough.
    for sessions in [3, 4] {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut held = Vec::new();
            for _ in 0..sessions {
                held.push(registry.session_for::<Event>().await.expect("a session"));
            }
            eventually(|| registry.status().engines[0].idle == 2).await;
        });
    }
}

#[tokio::test]
async fn a_connection_is_replaced_after_max_lifetime() {
    let registry =
        registry_with(|bind| bind.max_connections(1).max_lifetime(Duration::from_millis(30)));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute("CREATE TEMPORARY TABLE mine (id INTEGER)").await.expect("a table");
    tokio::time::sleep(Duration::from_millis(40)).await;
    drop(session);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute("INSERT INTO mine VALUES (1)").await.expect_err("a new connection");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_max_lifetime() {
    let registry =
        registry_with(|bind| bind.max_lifetime(Duration::from_millis(40)).idle_timeout(None));
    drop(registry.session_for::<Event>().await.expect("a session"));
    eventually(|| registry.status().engines[0].idle == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_few_connections() {
    let registry = registry_with(|bind| bind.max_connections(4));
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let registry = registry.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    let mut session = registry.session_for::<Event>().await.expect("a session");
                    session.batch_execute("SELECT 1").await.expect("an answer");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.waiting, status.timed_out), (0, 0, 0));
    assert!((1..=4).contains(&status.idle), "{status:?}");
    assert_eq!(status.direct + status.waited, 320);
}

#[test]
fn a_registry_outlives_its_runtime() {
    // Neither building nor dropping it needs one.
    let registry = registry_with(|bind| bind.max_connections(2));
    for flavor in ["current", "multi", "current"] {
        let runtime = match flavor {
            "current" => tokio::runtime::Builder::new_current_thread().enable_all().build(),
            _ => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        };
        let session = runtime.expect("a runtime").block_on(async {
            let mut held = Vec::new();
            for _ in 0..2 {
                let mut session = registry.session_for::<Event>().await.expect("a session");
                session.batch_execute("SELECT 1").await.expect("an answer");
                held.push(session);
            }
            held.pop()
        });
        // The runtime is gone, and then the session.
        drop(session);
        assert_eq!(registry.status().engines[0].in_use, 0);
    }
}

#[test]
fn outside_a_runtime_nothing_panics() {
    fn at_once<T>(future: impl Future<Output = T>) -> T {
        futures_util::FutureExt::now_or_never(future).expect("it does not wait")
    }
    let registry = registry_with(|bind| bind);
    let message = "bind `default`: a session can only be acquired inside a Tokio runtime";
    let error = at_once(registry.session_for::<Event>()).expect_err("no runtime");
    assert_eq!(error.to_string(), message);
    let report = at_once(registry.check(Duration::from_secs(1)));
    assert_eq!(report.binds[0].failure.as_deref(), Some(message));
    assert!(at_once(registry.verify()).is_err());
    assert!(at_once(registry.close()).is_complete());
}

#[tokio::test]
async fn closing_refuses_sessions_and_waits_for_those_that_are_lent() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let clone = registry.clone();
    let mut lent = registry.session_for::<Event>().await.expect("a session");
    let mut waiting = registry.session_for::<Event>();
    assert!(futures_util::poll!(&mut waiting).is_pending());

    let report = registry.close_within(Duration::from_millis(20)).await;
    assert!(!report.is_complete());
    assert_eq!(report.to_string(), "closed, with sessions still lent:\n  bind `default`: 1");
    assert!(matches!(waiting.await, Err(AcquireError::Closed { .. })));
    let error = clone.session_for::<Event>().await.expect_err("it is closed");
    assert_eq!(error.to_string(), "bind `default`: the registry is closed");

    lent.batch_execute("SELECT 1").await.expect("a lent session works to its end");
    let closing = tokio::spawn(async move { clone.close().await });
    tokio::task::yield_now().await;
    drop(lent);
    assert!(closing.await.expect("no panic").is_complete());
    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.idle), (0, 0));
}

#[tokio::test]
async fn closing_closes_idle_connections() {
    let registry = registry_with(|bind| bind.max_connections(2));
    let two = (
        registry.session_for::<Event>().await.expect("a session"),
        registry.session_for::<Event>().await.expect("a session"),
    );
    drop(two);
    assert_eq!(registry.status().engines[0].idle, 2);
    assert!(registry.close().await.is_complete());
    assert_eq!(registry.status().engines[0].idle, 0);
}

#[tokio::test]
async fn why_min_idle_cannot_be_kept_is_remembered() {
    // The first connection makes the table, and every other fails.
    let once = "CREATE TABLE once (id INTEGER PRIMARY KEY NOT NULL)";
    let registry = registry_with(|bind| bind.max_connections(2).min_idle(1).on_connect([once]));
    let _first = registry.session_for::<Event>().await;
    eventually(|| registry.status().engines[0].last_error.is_some()).await;
    let status = &registry.status().engines[0];
    let told = &status.last_error.as_ref().expect("it is remembered").message;
    assert!(told.starts_with("the statement `on_connect[0]` that prepares"), "{told}");
}

#[tokio::test]
async fn a_broken_rule_of_the_database_can_be_told() {
    async fn insert_twice(registry: &Registry) -> Result<(), registry_core::Error> {
        let mut session = registry.session_for::<Event>().await?;
        session.batch_execute(CREATE).await?;
        for _ in 0..2 {
            diesel::insert_into(events::table)
                .values(Event { id: 1, what: "new".to_owned() })
                .execute(&mut session)
                .await?;
        }
        Ok(())
    }
    let error = insert_twice(&registry_with(|bind| bind)).await.expect_err("a key twice");
    let kind = error.database_kind().expect("an error of the database");
    assert!(matches!(kind, diesel::result::DatabaseErrorKind::UniqueViolation));
    assert!(!error.is_timeout() && !error.is_transient());
    assert_eq!(error.to_string(), "the query failed");
    assert_eq!(causes(&error).len(), 2);
}

#[tokio::test]
async fn slow_queries_are_logged_without_their_values() {
    let log = captured_log();
    // Another key in each module, as all tests of this binary write one log.
    let key = format!("slow_{NAME}");
    let bind = BindSettings::new(database()).log_slow_queries(Duration::ZERO);
    let registry = Registry::builder().bind(&key, bind).build().expect("good settings");
    let mut session = registry.session_by_key::<Backend>(&key).await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    diesel::insert_into(events::table)
        .values(Event { id: 1, what: "hunter2".to_owned() })
        .execute(&mut *session)
        .await
        .expect("a row");
    let lines = log.lines_with(&key);
    let line = lines.iter().find(|line| line.contains("INSERT INTO")).expect("the insert is slow");
    assert!(line.contains("slow query") && line.contains("elapsed"), "{line}");
    assert!(!lines.iter().any(|line| line.contains("hunter2")), "{lines:?}");
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

#[tokio::test]
async fn the_backend_is_the_one_that_the_url_names() {
    let registry = registry_with(|bind| bind);
    let query = if NAME == "sqlite" {
        "SELECT 'sqlite ' || sqlite_version() AS version"
    } else {
        "SELECT version() AS version"
    };
    let mut session = registry.session_for::<Event>().await.expect("a session");
    let version: Version = sql_query(query).get_result(&mut session).await.expect("a row");
    let version = version.version.to_lowercase();
    let expected = if NAME == "mysql" { "mariadb" } else { NAME };
    assert!(version.contains(expected) || NAME == "mysql" && !version.is_empty(), "{version}");
}
