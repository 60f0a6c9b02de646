//! Sessions without a registry.

use std::time::Duration;

use diesel::result::Error::RollbackTransaction;
use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};
use registry_core::{AcquireError, RunQueryDsl, Session};

use super::*;
use crate::support::causes;
use crate::support::log::own_log;

/// A connection that the program opens itself.
async fn own_connection(url: &str) -> Backend {
    let url = url.strip_prefix("sqlite://").unwrap_or(url);
    Backend::establish(url).await.expect("a connection")
}

/// Waits until no other connection has a transaction open.
async fn no_transaction(url: &str) {
    for _ in 0..2_000 {
        if !super::super::has_transaction(url).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("a transaction is still open");
}

#[tokio::test]
async fn session_is_opened_from_a_url_with_the_options_of_an_engine() {
    let url = database();
    let settings =
        BindSettings::new(&*url).on_connect([CREATE, "CREATE TEMPORARY TABLE mine (id INTEGER)"]);
    let mut session = Session::<Main>::connect(settings).await.expect("a session");
    assert_eq!(session.key(), "default");
    session.batch_execute("SELECT count(*) FROM mine").await.expect("`on_connect` has run");
    insert(&mut session, 1).await;
    let rolled_back = session
        .transaction(async |session| {
            insert(session, 2).await;
            Err::<(), _>(RollbackTransaction)
        })
        .await;
    assert_eq!(rolled_back, Err(RollbackTransaction));
    drop(session);
    let mut again = Session::<Main>::connect(url).await.expect("a session");
    assert_eq!(ids(&mut again).await, [1]);
}

#[tokio::test]
async fn one_off_session_honours_read_only() {
    let url = database();
    let mut session = Session::<Main>::connect(&*url).await.expect("a session");
    session.batch_execute(CREATE).await.expect("a table");
    let settings = BindSettings::new(&*url).read_only(true);
    let mut reader = Session::<Main>::connect(settings).await.expect("a session");
    let refused = diesel::insert_into(events::table)
        .values(Event { id: 1, what: String::new() })
        .execute(&mut reader)
        .await;
    refused.expect_err("it only reads");
}

#[tokio::test]
async fn dropped_one_off_session_leaves_no_transaction_and_no_event() {
    let url = database();
    let (log, _guard) = own_log();
    let mut session = Session::<Main>::connect(&*url).await.expect("a session");
    session.batch_execute(CREATE).await.expect("a table");
    let begun = <Backend as AsyncConnection>::TransactionManager::begin_transaction(&mut *session);
    begun.await.expect("a transaction");
    insert(&mut session, 1).await;
    drop(session);
    no_transaction(&url).await;
    assert_eq!(log.lines_with("a connection was closed"), [""; 0], "that is what a drop is for");
}

#[tokio::test]
async fn wrong_settings_of_a_one_off_session_are_errors() {
    let connect = async |settings: BindSettings| {
        let error = Session::<Main>::connect(settings).await.map(drop).expect_err("a mistake");
        assert!(!format!("{error:?}").contains("zauber"), "{error:?}");
        causes(&error).join(": ")
    };
    let other = if NAME == "postgres" { "mysql" } else { "postgres" };
    let wrong = connect(BindSettings::new(format!("{other}://app:zauber@127.0.0.1:1/app"))).await;
    assert!(wrong.starts_with("bind `default`: the program expects "), "{wrong}");
    let scheme = connect(BindSettings::new("oracle://app:zauber@h/app")).await;
    assert!(
        scheme.starts_with("bind `default`: no engine can be opened with these settings"),
        "{scheme}"
    );
    assert!(scheme.contains("oracle"), "{scheme}");
    let option = connect(BindSettings::new(database()).max_connections(0)).await;
    assert!(option.contains("max_connections"), "{option}");
    let tenant = connect(BindSettings::new(format!("{}{{tenant}}", database()))).await;
    assert!(tenant.contains("has a database for each tenant"), "{tenant}");
}

#[test]
fn one_off_session_outside_of_a_runtime_is_an_error() {
    let connecting = Box::pin(Session::<Main>::connect(database()));
    let error = futures_util::FutureExt::now_or_never(connecting).expect("it does not wait");
    let error = error.map(drop).expect_err("there is no runtime");
    assert!(matches!(error, AcquireError::NoRuntime { .. }), "{error:?}");
}

#[tokio::test]
async fn own_connection_is_a_session_with_all_its_checks() {
    let url = database();
    let mut connection = own_connection(&url).await;
    connection.batch_execute(CREATE).await.expect("a table");
    let mut session = Session::<Main>::from_connection(connection).await.expect("a session");
    assert_eq!(session.key(), "default");
    insert(&mut session, 1).await;
    session
        .transaction(async |session| {
            insert(session, 2).await;
            diesel::QueryResult::Ok(())
        })
        .await
        .expect("committed");
    // A statement of the program ends the transaction: it is not reported as committed.
    let ended = session
        .transaction(async |session| {
            insert(session, 3).await;
            session.batch_execute("ROLLBACK").await
        })
        .await;
    ended.expect_err("there is nothing to commit");
    assert_eq!(ids(&mut session).await, [1, 2]);

    session.batch_execute("BEGIN").await.expect("a transaction");
    insert(&mut session, 4).await;
    let mut connection = session.into_inner().expect("it is handed back");
    connection.batch_execute("COMMIT").await.expect("as it was");

    let mut session = Session::<Main>::from_connection(connection).await.expect("a session");
    session.batch_execute("BEGIN").await.expect("a transaction");
    insert(&mut session, 5).await;
    drop(session);
    no_transaction(&url).await;
    let mut again = Session::<Main>::connect(url).await.expect("a session");
    assert_eq!(ids(&mut again).await, [1, 2, 4]);
}
