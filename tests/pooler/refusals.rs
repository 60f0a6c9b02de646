//! Session state is refused, as it would stay on a server connection that the next transaction may not get.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use registry_core::{ByKey, Postgres, Registry, Session};

use super::rig::{by_transaction, registry};
use crate::support::{causes, postgres};

/// Statements with session state, in many spellings.
const OF_A_SESSION: [&str; 30] = [
    "LISTEN news",
    "/* x */ LISTEN news",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_advisory_lock (1)",
    "SELECT pg_try_advisory_lock(1)",
    "SELECT PG_ADVISORY_LOCK_SHARED(1)",
    "SET lock_timeout = '7s'",
    "set lock_timeout to '7s'",
    "SET SESSION lock_timeout = '7s'",
    "/* x */ SET lock_timeout = '7s'",
    "-- x\nSET lock_timeout = '7s'",
    "SET TIME ZONE 'Asia/Tokyo'",
    "SET ROLE pg_monitor",
    "SET SESSION AUTHORIZATION pg_monitor",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SELECT set_config('lock_timeout', '7s', false)",
    "SELECT set_config ('lock_timeout', '7s', false)",
    "UPDATE pg_settings SET setting = '7000' WHERE name = 'lock_timeout'",
    "BEGIN; SET LOCAL search_path = pg_temp; CREATE TABLE mine (id INTEGER); COMMIT",
    "RESET lock_timeout",
    "PREPARE q AS SELECT 1",
    "/* x */ PREPARE q AS SELECT 1",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "CREATE TEMP TABLE mine (id INTEGER)",
    "/* x */ CREATE TEMPORARY TABLE mine (id INTEGER)",
    "SELECT 1 AS id INTO TEMP mine",
    "WITH x AS (SELECT 1 AS id) SELECT id INTO TEMPORARY TABLE mine FROM x",
    "EXPLAIN ANALYZE CREATE TEMP TABLE mine AS SELECT 1 AS id",
    "CREATE TEMP VIEW mine AS SELECT 1 AS id",
    "SELECT 1; LISTEN news",
];

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}

async fn session(registry: &Registry) -> Session<ByKey<Postgres>> {
    registry.session_by_key::<Postgres>("main").await.expect("a session")
}

#[tokio::test]
async fn statements_with_session_state_are_refused() {
    let direct = postgres().database("pooled");
    let pooler = by_transaction(postgres());
    let registry = registry(&pooler.url(&direct), "");
    let mut faults = Vec::new();
    for statement in OF_A_SESSION {
        for is_batch in [true, false] {
            if !is_batch && statement.contains(';') {
                continue;
            }
            let mut session = session(&registry).await;
            let outcome = if is_batch {
                session.batch_execute(statement).await
            } else {
                sql_query(statement).execute(&mut *session).await.map(|_| ())
            };
            match outcome {
                Err(error) if causes(&error).join(": ").contains("pooler") => {}
                outcome => faults.push(format!("{statement}, batch {is_batch}: {outcome:?}")),
            }
        }
        // The session stays usable after a refusal.
        let mut session = session(&registry).await;
        if let Err(error) = session.batch_execute("SELECT 1").await {
            faults.push(format!("after {statement}: {error}"));
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn statements_with_transaction_state_work() {
    let direct = postgres().database("pooled");
    let pooler = by_transaction(postgres());
    let registry = registry(&pooler.url(&direct), "");
    let mut session = session(&registry).await;
    let seen: QueryResult<String> = session
        .transaction(async |session| {
            session.batch_execute("SET LOCAL lock_timeout = '7s'").await?;
            session.batch_execute("SELECT pg_advisory_xact_lock(1)").await?;
            let query = sql_query("SELECT current_setting('lock_timeout') AS value");
            let word: Word = query.get_result(&mut *session).await?;
            Ok(word.value)
        })
        .await;
    assert_eq!(seen, Ok("7s".to_owned()));
    let seen: Word = sql_query("SELECT current_setting('lock_timeout') AS value")
        .get_result(&mut *session)
        .await
        .expect("a row");
    assert_eq!(seen.value, "0", "only in the transaction");
}

/// On a Unix socket, the protocol stream can only be read by a driver task of this crate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_with_session_state_are_refused_through_a_unix_socket() {
    let direct = postgres().database("pooled");
    let pooler = by_transaction(postgres());
    let registry = registry(&pooler.by_socket(&direct), "");
    let tasks = (0..16).map(|task| {
        let registry = registry.clone();
        tokio::spawn(async move {
            for number in 0..50 {
                let mut session = session(&registry).await;
                let query = sql_query("SELECT $1 || ' ' || $2::text AS value")
                    .bind::<Text, _>(format!("task {task}"))
                    .bind::<diesel::sql_types::Integer, _>(number);
                let word: Word = query.get_result(&mut *session).await.expect("a row");
                assert_eq!(word.value, format!("task {task} {number}"));
            }
        })
    });
    for task in futures_util::future::join_all(tasks).await {
        task.expect("every row is its own");
    }
    let refused = session(&registry).await.batch_execute("LISTEN news").await;
    let refused = refused.expect_err("it needs a session");
    assert!(causes(&refused).join(": ").contains("pooler"), "{refused}");
    assert!(registry.close().await.is_complete());
}

/// In session mode, PgBouncer needs no setting of the bind.
#[tokio::test]
async fn session_pooling_refuses_nothing() {
    let direct = postgres().database("pooled");
    let settings = [("pool_mode", "session"), ("default_pool_size", "4")];
    let pooler = crate::support::pgbouncer::Pooler::before(postgres(), &settings);
    let url = pooler.url(&direct);
    let registry = Registry::builder().bind("main", url).build().expect("good settings");
    for _ in 0..2 {
        let mut session = session(&registry).await;
        session.batch_execute("SET lock_timeout = '7s'").await.expect("it may");
        session.batch_execute("CREATE TEMP TABLE mine (id INTEGER)").await.expect("it may");
    }
}
