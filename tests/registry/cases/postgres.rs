//! Cases of PostgreSQL alone.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{AcquireError, ConnectError, Postgres, Registry, ResetOnReturn, bind};

use crate::support;

#[bind(backend = Postgres)]
struct Model;

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}

async fn word(connection: &mut Postgres, expression: &str) -> String {
    let query = format!("SELECT CAST(({expression}) AS TEXT) AS value");
    let row: Word = sql_query(query).get_result(connection).await.expect("a row");
    row.value
}

#[tokio::test]
async fn full_reset_keeps_only_the_connection_and_its_prepared_statements() {
    let bind = BindSettings::new(support::postgres().database("reset"))
        .max_connections(1)
        .reset_on_return(ResetOnReturn::Full)
        .read_only(true)
        .on_connect(["SET search_path = mine"]);
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let seen = [
        ("pg_backend_pid()", "the same connection"),
        ("current_user", "the role"),
        ("current_setting('work_mem')", "a setting"),
        ("current_setting('timezone')", "a setting that Diesel needs"),
        ("current_setting('default_transaction_read_only')", "a setting of the engine"),
        ("current_setting('search_path')", "a setting of on_connect"),
        ("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "locks"),
        ("SELECT count(*) FROM pg_class WHERE relname = 'passing'", "temporary tables"),
        ("SELECT count(*) FROM pg_listening_channels()", "channels"),
        ("SELECT count(*) FROM pg_cursors", "cursors"),
    ];
    let mut session = registry.session_for::<Model>().await.expect("a session");
    let mut before = Vec::new();
    for (expression, what) in seen {
        before.push((what, word(&mut session, expression).await));
    }
    let one = || diesel::select(1_i32.into_sql::<diesel::sql_types::Integer>());
    assert_eq!(one().get_result::<i32>(&mut session).await, Ok(1));
    // In a batch of its own: a batch is one transaction, to which the setting would not apply.
    let writable = "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE";
    session.batch_execute(writable).await.expect("it is allowed");
    session
        .batch_execute(
            "SET work_mem = '1234kB';
             SET timezone = 'Europe/Paris';
             SET search_path = yours;
             SELECT pg_advisory_lock(7);
             LISTEN news;
             DECLARE leaves CURSOR WITH HOLD FOR SELECT 1;
             CREATE TEMPORARY TABLE passing (id INTEGER);
             SET ROLE pg_read_all_stats",
        )
        .await
        .expect("all of it is allowed");
    drop(session);

    let mut session = registry.session_for::<Model>().await.expect("a session");
    assert_eq!(one().get_result::<i32>(&mut session).await, Ok(1), "it is still prepared");
    let mut after = Vec::new();
    for (expression, what) in seen {
        after.push((what, word(&mut session, expression).await));
    }
    assert_eq!(after, before);
    assert!(before.iter().any(|(_, value)| value == "UTC"), "{before:?}");
}

#[tokio::test]
async fn connection_limits_of_server_and_role_are_reported() {
    let url = support::postgres().database("limited");
    let registry = Registry::builder().bind("default", url.as_str()).build().expect("settings");
    let mut session = registry.session_for::<Model>().await.expect("a session");
    let role =
        "DROP ROLE IF EXISTS lonely; CREATE ROLE lonely LOGIN PASSWORD 'x' CONNECTION LIMIT 0";
    session.batch_execute(role).await.expect("a role");
    let name = url.rsplit('/').next().expect("a database");
    let url = format!("postgres://lonely:x@127.0.0.1:{}/{name}", support::postgres().port());
    let registry = Registry::builder().bind("default", url).build().expect("good settings");
    let error = registry.session_for::<Model>().await.expect_err("not even one");
    let AcquireError::Connect { source, .. } = &error else { panic!("another variant: {error:?}") };
    assert!(matches!(**source, ConnectError::TooManyConnections(_)), "{error:?}");
    assert!(error.is_transient() && !error.is_timeout());
}

#[tokio::test]
async fn statements_stay_prepared_unless_the_cache_is_off() {
    for is_on in [true, false] {
        let bind = BindSettings::new(support::postgres().database("cache")).statement_cache(is_on);
        let registry = Registry::builder().bind("default", bind).build().expect("good settings");
        let mut session = registry.session_for::<Model>().await.expect("a session");
        for _ in 0..2 {
            let one = diesel::select(1_i32.into_sql::<diesel::sql_types::Integer>());
            assert_eq!(one.get_result::<i32>(&mut session).await, Ok(1));
        }
        // Statements on the catalog are not prepared by Diesel.
        let kept = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1%'";
        assert_eq!(word(&mut session, kept).await, if is_on { "1" } else { "0" });
    }
}
