//! Queries on the registry whose connection is lost: which are run once more, and which never are.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::sql_query;
use diesel::sql_types::Integer;
use diesel_async::SimpleAsyncConnection;
use futures_util::TryStreamExt;
use registry_core::settings::BindSettings;
use registry_core::{BindDsl, Error, RunQueryDsl, bind_tables};

use super::rig::{Rig, number};
use super::{CREATE_THINGS, CREATE_TOUCH};
use crate::support::log::own_log;
use crate::support::proxy::soon;

diesel::table! {
    things (id) {
        id -> Integer,
        value -> Integer,
    }
}
bind_tables!(db = "default", connection = super::Backend; things);

type Main = <things::table as registry_core::Bound>::Bind;

/// Never checked, unless there is a reason to.
fn unchecked(bind: BindSettings) -> BindSettings {
    bind.check_idle_after(Duration::from_secs(600))
}

/// A rig whose connections are lent unchecked, with a table of one row.
async fn rig(settings: impl FnOnce(BindSettings) -> BindSettings) -> Rig {
    let rig = Rig::new(|bind| settings(unchecked(bind))).await;
    let mut observer = rig.observer().await;
    for statement in CREATE_THINGS.iter().chain(CREATE_TOUCH) {
        observer.batch_execute(statement).await.expect("an empty database");
    }
    observer.batch_execute("INSERT INTO things (value) VALUES (1)").await.expect("a row");
    rig
}

/// Closes the open connections of the rig, and waits until they are closed.
async fn cut(rig: &Rig) {
    rig.proxy.cut();
    soon(async {
        while rig.proxy.open() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn count(rig: &Rig, table: &str) -> i64 {
    number(&mut rig.observer().await, &format!("SELECT count(*) AS value FROM {table}")).await
}

fn assert_lost(error: &Error) {
    assert!(error.is_connection_lost() && error.is_transient(), "{error:?}");
    assert!(matches!(error, Error::Query(_)), "{error:?}");
    assert!(
        matches!(
            error.database_kind(),
            Some(DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand)
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn plain_select_on_a_lost_connection_is_run_again_unseen() {
    let rig = rig(|bind| bind).await;
    let values = || things::table.select(things::value);
    for which in 0..6 {
        rig.warm().await;
        cut(&rig).await;
        let on = &rig.registry;
        let rows = match which {
            0 => values().load::<i32>(on).await,
            1 => values().get_results::<i32>(on).await,
            2 => values().first::<i32>(on).await.map(|value| vec![value]),
            3 => values().get_result::<i32>(on).await.map(|value| vec![value]),
            // MariaDB reports no number for it.
            4 => values().execute(on).await.map(|_| vec![1]),
            _ => match values().load_stream::<i32>(on).await {
                Ok(rows) => rows.try_collect().await,
                Err(error) => Err(error),
            },
        };
        assert_eq!(rows.expect("a new connection"), [1], "method {which}");
    }
    rig.finish().await;
}

#[tokio::test]
async fn select_whose_answer_is_lost_is_run_again() {
    let rig = rig(|bind| bind.max_connections(1)).await;
    let values = || things::table.select(things::value).order(things::id);
    assert_eq!(values().load::<i32>(&rig.registry).await.expect("prepared"), [1]);
    let (log, _guard) = own_log();
    for bytes in [0, 1, 5, 6, 20, 60, 100] {
        rig.proxy.cut_after(bytes);
        let rows = values().load::<i32>(&rig.registry).await;
        assert_eq!(rows.expect("a new connection"), [1], "after {bytes} bytes");
        rig.proxy.heal().await;
    }
    let retried = log.lines_with("a query is run again");
    assert!(!retried.is_empty());
    for line in retried {
        assert!(line.contains("bind=default reason=\"lost\""), "{line}");
        assert!(line.contains("retried.rs:"), "{line}");
    }
    rig.finish().await;
}

#[tokio::test]
async fn write_whose_answer_is_lost_is_never_run_again() {
    let rig = rig(|bind| bind.max_connections(1)).await;
    let insert = |value| diesel::insert_into(things::table).values(things::value.eq(value));
    let touch = || things::table.select(sql::<Integer>("touch(value)"));
    let raw = || sql_query("SELECT id, value FROM things").bound_to::<things::table>();
    // The prepared statement reaches the server, which executes it. Its answer is lost.
    insert(2).execute(&rig.registry).await.expect("prepared");
    assert_eq!(count(&rig, "things").await, 2);
    rig.proxy.cut_after(0);
    assert_lost(&insert(3).execute(&rig.registry).await.expect_err("it may have been executed"));
    rig.proxy.heal().await;
    assert_eq!(count(&rig, "things").await, 3);

    // The session is made as new after such a function, so it may be the answer to the preparation that is lost.
    for bytes in [0, 20, 60, 100, 140, 180] {
        let before = count(&rig, "touched").await;
        rig.proxy.cut_after(bytes);
        if let Err(error) = touch().load::<i32>(&rig.registry).await {
            assert!(error.is_transient(), "{error:?}");
        }
        rig.proxy.heal().await;
        let after = count(&rig, "touched").await;
        assert!(after - before <= 3, "once at most, after {bytes} bytes: {before} {after}");
    }

    raw().execute(&rig.registry).await.expect("rows");
    rig.proxy.cut_after(0);
    assert_lost(&raw().execute(&rig.registry).await.expect_err("its text is not judged"));
    rig.proxy.heal().await;
    rig.finish().await;
}

#[tokio::test]
async fn without_a_server_the_caller_gets_the_error_of_connecting() {
    let rig = rig(|bind| bind).await;
    rig.warm().await;
    rig.proxy.refuse().await;
    cut(&rig).await;
    let error = things::table.load::<(i32, i32)>(&rig.registry).await.expect_err("no server");
    assert!(matches!(error, Error::Acquire(_)), "{error:?}");
    assert!(error.is_transient() && !error.is_connection_lost(), "{error:?}");
    assert_eq!(error.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
    let rows = things::table.load_stream::<(i32, i32)>(rig.registry.clone()).await;
    assert!(matches!(rows, Err(Error::Acquire(_))), "{rows:?}");
    rig.proxy.heal().await;
    rig.finish().await;
}

#[tokio::test]
async fn loss_of_one_connection_has_the_others_checked() {
    let rig = rig(|bind| bind).await;
    let insert = || diesel::insert_into(things::table).values(things::value.eq(2));
    for _ in 0..5 {
        rig.warm().await;
        cut(&rig).await;
        // It may be lost on the first connection, but not on the other one as well.
        if let Err(error) = insert().execute(&rig.registry).await {
            assert_lost(&error);
        }
        insert().execute(&rig.registry).await.expect("a checked connection");
    }
    rig.finish().await;
}

#[tokio::test]
async fn stream_is_run_again_only_before_its_first_row() {
    let rig = rig(|bind| bind.max_connections(1)).await;
    let values: Vec<_> = (2..=2000).map(|value| things::value.eq(value)).collect();
    diesel::insert_into(things::table).values(values).execute(&rig.registry).await.expect("rows");
    let query = || things::table.select(things::value).order(things::value);
    query().load::<i32>(&rig.registry).await.expect("prepared");
    let (mut interrupted, mut complete) = (0, 0);
    for bytes in [0, 5, 6, 30, 70, 100, 400, 3000, 20_000] {
        rig.proxy.cut_after(bytes);
        let mut rows = query().load_stream::<i32>(&rig.registry).await.expect("it is run again");
        let mut seen = 0;
        let outcome = loop {
            match rows.try_next().await {
                Ok(Some(value)) => {
                    assert_eq!(value, seen + 1, "no row comes twice, after {bytes} bytes");
                    seen = value;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(rows);
        match outcome {
            Ok(()) => {
                assert_eq!(seen, 2000, "after {bytes} bytes");
                complete += 1;
            }
            Err(error) => {
                assert_lost(&error);
                assert!(seen > 0, "without a row, it is run again: after {bytes} bytes");
                interrupted += 1;
            }
        }
        rig.proxy.heal().await;
        query().load::<i32>(&rig.registry).await.expect("prepared");
    }
    assert!(complete >= 1 && interrupted >= 1, "{complete} {interrupted}");
    rig.finish().await;
}

#[tokio::test]
async fn query_on_a_session_or_in_a_unit_of_work_is_not_run_again() {
    let rig = rig(|bind| bind).await;
    let mut session = rig.registry.session::<Main>().await.expect("a session");
    let mut work = rig.registry.begin();
    things::table.load::<(i32, i32)>(&mut work).await.expect("begun");
    cut(&rig).await;
    let error = things::table.load::<(i32, i32)>(&mut session).await.expect_err("it was cut");
    assert_lost(&error.into());
    let error = things::table.load::<(i32, i32)>(&mut work).await.expect_err("it was cut");
    assert_lost(&error);
    let response = error.into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(RETRY_AFTER));
    drop((session, work));
    rig.finish().await;
}

#[tokio::test]
async fn unit_of_work_begins_on_another_connection_if_its_first_one_is_lost() {
    let rig = rig(|bind| bind).await;
    for round in 1..=3 {
        rig.warm().await;
        cut(&rig).await;
        let outcome = rig
            .registry
            .transaction(async |work| {
                let insert = diesel::insert_into(things::table).values(things::value.eq(2));
                insert.execute(work).await
            })
            .await;
        assert_eq!(outcome.expect("nothing was lost"), 1);
        assert_eq!(count(&rig, "things").await, 1 + round);
    }
    rig.warm().await;
    rig.proxy.refuse().await;
    cut(&rig).await;
    let error = things::table.load::<(i32, i32)>(&mut rig.registry.begin()).await;
    assert!(matches!(error, Err(Error::Acquire(_))), "{error:?}");
    rig.proxy.heal().await;
    rig.finish().await;
}

#[tokio::test]
async fn only_a_lost_connection_is_answered_with_503() {
    let rig = rig(|bind| bind).await;
    let twice =
        [(things::id.eq(90), things::value.eq(1)), (things::id.eq(90), things::value.eq(1))];
    let insert = diesel::insert_into(things::table).values(&twice);
    let error = insert.execute(&rig.registry).await.expect_err("the same key twice");
    assert!(!error.is_connection_lost() && !error.is_transient(), "{error:?}");
    assert_eq!(error.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);

    // Diesel's own error, as `?` converts it in a handler with a session.
    let mut session = rig.registry.session::<Main>().await.expect("a session");
    cut(&rig).await;
    let error = things::table.load::<(i32, i32)>(&mut session).await.expect_err("it was cut");
    let error = Error::from(error);
    drop(session);
    assert_eq!(error.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
    rig.finish().await;
}

#[tokio::test]
async fn query_in_test_isolation_is_not_run_again() {
    let rig = rig(|bind| bind).await;
    let registry = rig.registry.test_isolation().await.expect("isolated");
    things::table.load::<(i32, i32)>(&registry).await.expect("a row");
    cut(&rig).await;
    let (log, _guard) = own_log();
    let error = things::table.load::<(i32, i32)>(&registry).await.expect_err("the data are lost");
    if let Error::Query(_) = error {
        assert_lost(&error);
    }
    assert_eq!(log.lines_with("a query is run again"), [""; 0]);
    let error = things::table.load::<(i32, i32)>(&registry).await.expect_err("and goes on so");
    assert!(matches!(error, Error::Acquire(_)), "{error:?}");
    drop(registry);
    rig.finish().await;
}
