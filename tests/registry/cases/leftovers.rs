//! Session state that a borrower leaves on PostgreSQL, where a reset does not need a new connection.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{Registry, ResetOnReturn, Session, binds};

use crate::support;

binds! {
    Main: Postgres = "default";
}

diesel::table! {
    plans (id) {
        id -> Integer,
    }
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Truth {
    #[diesel(sql_type = Bool)]
    value: bool,
}

/// A registry with one connection, so that the next session gets the same one.
fn registry(bind: impl FnOnce(BindSettings) -> BindSettings) -> Registry {
    let settings = BindSettings::new(support::postgres().database("particular"));
    let settings = bind(settings.max_connections(1));
    Registry::builder().bind("default", settings).build().expect("good settings")
}

async fn session(registry: &Registry) -> Session<Main> {
    registry.session::<Main>().await.expect("a session")
}

async fn word(session: &mut Session<Main>, query: &str) -> String {
    let word: Word = sql_query(query).get_result(session).await.expect("a row");
    word.value
}

const PROCESS: &str = "SELECT pg_backend_pid()::text AS value";

#[tokio::test]
async fn settings_locks_and_subscriptions_are_reset_on_the_same_connection() {
    for reset in [ResetOnReturn::Auto, ResetOnReturn::Full] {
        let registry = registry(|bind| {
            bind.reset_on_return(reset).read_only(true).on_connect(["SET search_path = mine"])
        });
        let mut first = session(&registry).await;
        let process = word(&mut first, PROCESS).await;
        for statement in [
            "SET search_path = other",
            "SET TIME ZONE 'Asia/Tokyo'",
            "SET default_transaction_read_only = off",
            "LISTEN news",
            "SELECT pg_advisory_lock(1)",
        ] {
            first.batch_execute(statement).await.expect(statement);
        }
        drop(first);

        let mut second = session(&registry).await;
        assert_eq!(word(&mut second, PROCESS).await, process, "{reset:?}");
        for (setting, value) in
            [("search_path", "mine"), ("timezone", "UTC"), ("default_transaction_read_only", "on")]
        {
            let query = format!("SELECT current_setting('{setting}') AS value");
            assert_eq!(word(&mut second, &query).await, value, "{reset:?}");
        }
        let query = "SELECT NOT EXISTS (SELECT 1 FROM pg_listening_channels()) AND NOT EXISTS \
                     (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) \
                     AS value";
        let nothing: Truth = sql_query(query).get_result(&mut second).await.expect("a row");
        assert!(nothing.value, "{reset:?}");
    }
}

#[tokio::test]
async fn prepared_statements_survive_a_reset() {
    let registry = registry(|bind| bind.reset_on_return(ResetOnReturn::Full));
    let mut first = session(&registry).await;
    first.batch_execute("CREATE TABLE plans (id INTEGER PRIMARY KEY)").await.expect("a table");
    let query = || plans::table.select(plans::id).filter(plans::id.gt(0));
    query().load::<i32>(&mut first).await.expect("rows");
    drop(first);
    let mut second = session(&registry).await;
    query().load::<i32>(&mut second).await.expect("rows");
}

#[tokio::test]
async fn stale_plan_is_prepared_again_outside_transactions() {
    let registry = registry(|bind| bind);
    let mut session = session(&registry).await;
    let alter = |to: &str| format!("ALTER TABLE plans ALTER COLUMN id TYPE {to}");
    session.batch_execute("CREATE TABLE plans (id INTEGER PRIMARY KEY)").await.expect("a table");
    let query = || plans::table.select(plans::id);
    query().load::<i32>(&mut session).await.expect("rows");
    session.batch_execute(&alter("BIGINT")).await.expect("another type");
    session.batch_execute("ALTER TABLE plans ADD COLUMN more TEXT").await.expect("a column");
    let stale = query().load::<i32>(&mut session).await.expect_err("the plan is for INTEGER");
    assert_eq!(stale.to_string(), "cached plan must not change result type");
    session.batch_execute(&alter("INTEGER")).await.expect("the old type");
    // The statement was prepared again: with the old plan it would fail after each change of the type.
    query().load::<i32>(&mut session).await.expect("it has healed");
    session.batch_execute(&alter("BIGINT")).await.expect("another type");
    query().load::<i32>(&mut session).await.expect_err("the plan is for INTEGER");
    drop(session);
    let mut session = self::session(&registry).await;
    let outcome: diesel::QueryResult<()> = session
        .transaction(async |session| {
            let rows =
                sql_query("SELECT id::text AS value FROM plans").load::<Word>(session).await?;
            assert!(rows.is_empty());
            Ok(())
        })
        .await;
    assert_eq!(outcome, Ok(()));
    session.batch_execute(&alter("INTEGER")).await.expect("the old type");
    query().load::<i32>(&mut session).await.expect("it has healed for the next borrower");
}

#[tokio::test]
async fn cancelled_statement_does_not_reach_the_next_borrower() {
    let registry = registry(|bind| bind);
    let mut first = session(&registry).await;
    let process = word(&mut first, PROCESS).await;
    let slow = sql_query("SELECT pg_sleep(30)").execute(&mut first);
    let limit = std::time::Duration::from_millis(50);
    tokio::time::timeout(limit, slow).await.expect_err("it sleeps");
    drop(first);
    // The next borrower does not wait for the cancelled statement.
    let mut second = session(&registry).await;
    assert_ne!(word(&mut second, PROCESS).await, process);
}
