//! Transactions that a borrower leaves open, in every spelling.

use super::rig::{CREATE, Rig};

async fn assert_undone(cases: &[&[&str]]) {
    let mut rig = Rig::new(&[CREATE]).await;
    for lines in cases {
        rig.transaction_is_undone(lines).await;
    }
    rig.finish();
}

#[tokio::test]
async fn transaction_is_undone_however_it_was_begun() {
    assert_undone(&[
        &["BEGIN"],
        &["begin transaction"],
        &["BEGIN DEFERRED"],
        &["BEGIN IMMEDIATE"],
        &["BEGIN EXCLUSIVE TRANSACTION"],
        &["SAVEPOINT x"],
        &["savepoint \"x\""],
        &["/* app:web */ BEGIN"],
        &["/* app:web */ SAVEPOINT x"],
        &["-- step one\nBEGIN IMMEDIATE"],
        &["BEGIN/* app:web */"],
        &["BEGIN /* a comment that nobody ends"],
        &["/**/BEGIN/**/IMMEDIATE"],
        &["\u{feff}BEGIN"],
        &["\r\n\t\u{c} BEGIN"],
        &["; BEGIN"],
        &["SELECT 1; BEGIN"],
        &["SELECT 'it''s; commit'; BEGIN"],
        &["BEGIN; COMMIT; BEGIN"],
        &["SAVEPOINT x; SAVEPOINT y"],
    ])
    .await;
}

#[tokio::test]
async fn failed_batch_leaves_no_transaction() {
    assert_undone(&[
        &["!BEGIN; INSERT INTO t VALUES ('a'); INSERT INTO t VALUES ('a'); COMMIT"],
        &["BEGIN", "!INSERT INTO t VALUES ('a'), ('a'); COMMIT"],
        &["BEGIN", "!SELEKT 1; COMMIT"],
        &["SAVEPOINT x", "!SELECT * FROM nowhere; RELEASE x"],
        &["BEGIN", "!INSERT OR ROLLBACK INTO t VALUES ('c'), ('c')", "BEGIN"],
    ])
    .await;
}

#[tokio::test]
async fn keywords_in_literals_comments_and_blocks_end_no_transaction() {
    assert_undone(&[
        &["BEGIN", "INSERT INTO t VALUES ('first; end of it')"],
        &["BEGIN", "SELECT 'a; commit ; b'"],
        &["BEGIN", "SELECT 1 AS \"; COMMIT; \""],
        &["BEGIN", "SELECT 1 AS `; COMMIT; `"],
        &["BEGIN", "SELECT 1 AS [; COMMIT; ]"],
        &["BEGIN", r"SELECT '\'; SELECT '; COMMIT; '"],
        &["BEGIN", "/* ; COMMIT; */ SELECT 1"],
        &["BEGIN", "SELECT 1 -- ; COMMIT"],
        &["BEGIN", "SELECT 1 /* ; COMMIT"],
        &[
            "BEGIN",
            "CREATE TRIGGER g AFTER DELETE ON t BEGIN SELECT 1; END; SELECT 1",
            "DROP TRIGGER g",
        ],
        &["BEGIN", "EXPLAIN COMMIT"],
    ])
    .await;
}

#[tokio::test]
async fn transaction_continued_by_chain_or_savepoint_is_undone() {
    assert_undone(&[
        &["BEGIN", "SAVEPOINT s", "ROLLBACK TO s"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK TRANSACTION TO SAVEPOINT s"],
        &["BEGIN", "SAVEPOINT s; ROLLBACK TO SAVEPOINT s"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK /* x */ TO s"],
        &["BEGIN", "SAVEPOINT s", "RELEASE s"],
        &["SAVEPOINT s", "ROLLBACK TO s"],
        &["SAVEPOINT s", "SAVEPOINT u", "RELEASE u"],
        &["BEGIN", "COMMIT; BEGIN"],
        &["BEGIN", "END; SAVEPOINT s"],
    ])
    .await;
}
