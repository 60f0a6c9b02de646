//! Statements that leave no session state keep the connection as it is: the next borrower gets the same one.

use super::queries::{assert_queries_are_harmless, assert_statements_are_harmless};
use super::rig::{CREATE, Rig, Session, seen, session};

const CONNECTION: &str = "SELECT CAST(CONNECTION_ID() AS CHAR) AS value";

pub(crate) async fn assert_kept(rig: &mut Rig, what: &str, work: impl AsyncFn(&mut Session)) {
    let registry = rig.registry(|bind| bind);
    let mut first = session(&registry).await.expect("a session");
    let connection = seen(&mut first, CONNECTION).await;
    work(&mut first).await;
    drop(first);
    let mut next = session(&registry).await.expect("a session");
    if seen(&mut next, CONNECTION).await != connection {
        rig.fault(format!("{what}: another connection"));
    }
}

#[tokio::test]
async fn statements_that_leave_no_state_keep_the_connection() {
    let mut rig = Rig::new(&[CREATE]).await;
    assert_queries_are_harmless(&mut rig).await;
    rig.finish();
}

#[tokio::test]
async fn plain_sql_without_state_keeps_the_connection() {
    let mut rig = Rig::new(&[CREATE]).await;
    let statements = [
        "SELECT 1",
        "SELECT count(*) FROM t",
        "SELECT v FROM t WHERE v LIKE 'a%' ORDER BY v LIMIT 3",
        "SELECT LOWER(v), NOW(), COALESCE(v, 'GET_LOCK') FROM t",
        "SELECT 'SET @a; USE x' AS v",
        "INSERT IGNORE INTO t VALUES ('SET @who := 1')",
        "UPDATE t SET v = v WHERE false",
        "DELETE FROM t WHERE v = 'BEGIN'",
    ];
    assert_statements_are_harmless(&mut rig, &statements).await;
    rig.finish();
}
