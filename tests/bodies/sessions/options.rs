//! Options of a bind that have an effect on sessions.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;

use super::*;
use crate::support::causes;
use crate::support::log::captured_log;

#[tokio::test]
async fn on_connect_prepares_connections_and_reports_a_failed_statement() {
    let statement = "CREATE TEMPORARY TABLE mine (id INTEGER)";
    let registry = registry_with(|bind| bind.max_connections(1).on_connect([statement]));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute("INSERT INTO mine VALUES (1)").await.expect("the table is there");

    // Statements may contain secrets, and databases quote parts of a statement in their errors.
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
async fn read_only_is_enforced_by_the_database() {
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
async fn queries_work_without_a_statement_cache() {
    let registry = registry_with(|bind| bind.statement_cache(false));
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    insert(&mut session, 1).await;
    insert(&mut session, 2).await;
    assert_eq!(ids(&mut session).await, [1, 2]);
}

#[tokio::test]
async fn slow_queries_are_logged_without_their_values() {
    let log = captured_log();
    // A separate key for each backend, as all tests of this binary share one log.
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
    let is_slow = |line: &&String| line.contains("slow query") && line.contains("INSERT INTO");
    let line = lines.iter().find(is_slow).expect("the insert is slow");
    assert!(line.contains("elapsed"), "{line}");
    assert!(!lines.iter().any(|line| line.contains("hunter2")), "{lines:?}");
}

/// Every write would be in it, and be lost with an `Ok`.
#[tokio::test]
async fn on_connect_that_leaves_a_transaction_open_is_refused() {
    let registry = registry_with(|bind| bind.on_connect(["SELECT 1", "BEGIN"]));
    let error = registry.session_for::<Event>().await.expect_err("nobody would commit it");
    let causes = crate::support::causes(&error).join(": ");
    assert!(causes.contains("has begun a transaction and left it open"), "{causes}");

    let registry = registry_with(|bind| bind.on_connect(["BEGIN", "COMMIT"]));
    registry.session_for::<Event>().await.expect("a session");
}
