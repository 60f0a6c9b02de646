//! Prepared statements that a borrower has dropped or left, and other state that `DISCARD` drops.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use registry_core::ResetOnReturn;

use super::rig::{How, Rig, Session, run, seen, session};

/// A query that Diesel keeps as a named prepared statement.
async fn seven(session: &mut Session) -> QueryResult<i64> {
    diesel::select(7_i64.into_sql::<BigInt>()).get_result(&mut **session).await
}

const GONE: [&str; 10] = [
    "DISCARD ALL",
    "discard all",
    "/* x */ DISCARD ALL",
    "-- x\nDISCARD ALL",
    "DEALLOCATE ALL",
    "DEALLOCATE PREPARE ALL",
    "/* x */ DEALLOCATE ALL",
    "DISCARD PLANS",
    "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
    "SELECT forget()",
];

const SETUP: [&str; 1] = ["CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql AS \
     $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"];

const RESETS: [ResetOnReturn; 2] = [ResetOnReturn::Auto, ResetOnReturn::Full];

#[tokio::test]
async fn deallocate_all_does_not_affect_the_next_borrower() {
    let mut rig = Rig::new(&SETUP).await;
    for reset in RESETS {
        for cache in [true, false] {
            for statement in GONE {
                let registry =
                    rig.registry(|bind| bind.reset_on_return(reset).statement_cache(cache));
                let mut first = session(&registry).await.expect("a session");
                assert_eq!(seven(&mut first).await, Ok(7));
                run(&mut first, &[statement], How::Batch).await.expect(statement);
                drop(first);
                for borrower in 0..3 {
                    let mut next = session(&registry).await.expect("a session");
                    if let Err(error) = seven(&mut next).await {
                        rig.fault(format!(
                            "{reset:?}, cache {cache}, {statement}, borrower {borrower}: {error}"
                        ));
                    }
                }
            }
        }
    }
    rig.finish();
}

/// The borrower itself gets at most one error.
#[tokio::test]
async fn session_stays_usable_after_deallocate_all() {
    let mut rig = Rig::new(&SETUP).await;
    for statement in GONE {
        let registry = rig.registry(|bind| bind);
        let mut session = session(&registry).await.expect("a session");
        assert_eq!(seven(&mut session).await, Ok(7));
        run(&mut session, &[statement], How::Batch).await.expect(statement);
        let first = seven(&mut session).await;
        if let Err(error) = seven(&mut session).await {
            rig.fault(format!("{statement}: {first:?}, and again {error}"));
        }
    }
    rig.finish();
}

#[tokio::test]
async fn next_session_after_a_discard_equals_a_new_connection() {
    let mut rig = Rig::new(&SETUP).await;
    rig.prepare("CREATE SCHEMA mine").await;
    for statement in ["DISCARD ALL", "/* x */ discard all", "RESET ALL", "/* x */ RESET ALL"] {
        for setting in ["TimeZone", "search_path", "default_transaction_read_only", "work_mem"] {
            let probe = format!("SELECT current_setting('{setting}') AS value");
            rig.nothing_is_left(
                &RESETS,
                |bind| {
                    bind.read_only(true)
                        .on_connect(["SET search_path = mine", "SET work_mem = '7MB'"])
                },
                &[statement],
                &probe,
            )
            .await;
        }
    }
    let registry = rig.registry(|bind| bind);
    let mut first = session(&registry).await.expect("a session");
    run(&mut first, &["DISCARD ALL"], How::Batch).await.expect("it may");
    drop(first);
    let mut next = session(&registry).await.expect("a session");
    let zone = seen(&mut next, "SELECT current_setting('TimeZone') AS value").await;
    assert_eq!(zone, Ok(Some("UTC".to_owned())));
    rig.finish();
}

#[tokio::test]
async fn prepared_statements_of_a_borrower_are_deallocated() {
    let mut rig = Rig::new(&SETUP).await;
    let cases: [&[&str]; 6] = [
        &["PREPARE q AS SELECT 1"],
        &["/* x */ PREPARE q AS SELECT 1"],
        &["-- x\nprepare q (int) as select $1"],
        &["SELECT 1; PREPARE q AS SELECT 1"],
        &["BEGIN; PREPARE q AS SELECT 1; ROLLBACK"],
        &["DO $$ BEGIN EXECUTE 'PREPARE q AS SELECT 1'; END $$"],
    ];
    for lines in cases {
        let probe = "SELECT count(*)::text AS value FROM pg_prepared_statements WHERE name = 'q'";
        rig.nothing_is_left(&RESETS, |bind| bind, lines, probe).await;
        // The next borrower can use the name.
        rig.nothing_is_left(&RESETS, |bind| bind, lines, "PREPARE q AS SELECT 2").await;
    }
    rig.finish();
}
