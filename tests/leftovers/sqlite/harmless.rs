//! Statements that leave no session state keep the connection: no other one is opened for the next borrower.

use super::queries::{assert_queries_are_harmless, assert_statements_are_harmless};
use super::rig::{CREATE, Rig, Session, seen, session};

/// Counts the opened connections, each of which inserts a row.
const OPENED: &str = "SELECT CAST(count(*) AS TEXT) AS value FROM opened";

pub(crate) async fn assert_kept(rig: &mut Rig, what: &str, work: impl AsyncFn(&mut Session)) {
    let registry = rig.registry(|bind| bind.on_connect(["INSERT INTO opened VALUES (1)"]));
    let mut first = session(&registry).await.expect("a session");
    let opened = seen(&mut first, OPENED).await;
    work(&mut first).await;
    drop(first);
    let mut next = session(&registry).await.expect("a session");
    if seen(&mut next, OPENED).await != opened {
        rig.fault(format!("{what}: another connection"));
    }
}

async fn rig() -> Rig {
    Rig::new(&[CREATE, "CREATE TABLE opened (v INTEGER)"]).await
}

#[tokio::test]
async fn statements_that_leave_no_state_keep_the_connection() {
    let mut rig = rig().await;
    assert_queries_are_harmless(&mut rig).await;
    rig.finish();
}

#[tokio::test]
async fn plain_sql_without_state_keeps_the_connection() {
    let mut rig = rig().await;
    let statements = [
        "SELECT 1",
        "SELECT count(*) FROM t",
        "SELECT v FROM t WHERE v LIKE 'a%' ORDER BY v LIMIT 3",
        "SELECT lower(v), coalesce(v, 'PRAGMA x; ATTACH') FROM t",
        "INSERT OR IGNORE INTO t VALUES ('CREATE TEMP TABLE x')",
        "UPDATE t SET v = v WHERE false",
        "DELETE FROM t WHERE v = 'BEGIN'",
    ];
    assert_statements_are_harmless(&mut rig, &statements).await;
    rig.finish();
}
