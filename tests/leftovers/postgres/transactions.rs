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
        &["begin"],
        &["BeGiN wOrK"],
        &["BEGIN TRANSACTION"],
        &["BEGIN READ WRITE"],
        &["BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE"],
        &["START TRANSACTION"],
        &["START\n\tTRANSACTION ISOLATION LEVEL REPEATABLE READ"],
        &["/* app:web */ BEGIN"],
        &["-- step one\nBEGIN"],
        &["BEGIN/* app:web */"],
        &["BEGIN-- step one"],
        &["/* one /* nested */ */BEGIN"],
        &["/**/START/**/TRANSACTION/**/"],
        &["\t\r\n BEGIN"],
        &["; BEGIN"],
        &[";;/* x */; START TRANSACTION"],
        &["SELECT 1; BEGIN"],
        &["SELECT 'it''s; commit'; BEGIN"],
        &["BEGIN; COMMIT; BEGIN"],
        &["BEGIN", "ROLLBACK; BEGIN"],
    ])
    .await;
}

#[tokio::test]
async fn failed_batch_leaves_no_transaction() {
    assert_undone(&[
        &["!BEGIN; INSERT INTO t VALUES ('a'); SELECT 1/0; COMMIT"],
        &["BEGIN", "!SELECT 1/0; COMMIT"],
        &["BEGIN", "!SELECT 1/0"],
        &["BEGIN", "!SELEKT 1; COMMIT"],
        &["BEGIN", "!INSERT INTO t VALUES ('a'), ('a'); ROLLBACK"],
        &["BEGIN", "SAVEPOINT s", "!SELECT 1/0", "ROLLBACK TO s"],
        &["BEGIN; SAVEPOINT s", "!SELECT 1/0; ROLLBACK TO s; COMMIT"],
        &["BEGIN", "!DO $$ BEGIN RAISE EXCEPTION 'no'; END $$; END"],
    ])
    .await;
}

#[tokio::test]
async fn keywords_in_literals_comments_and_blocks_end_no_transaction() {
    assert_undone(&[
        &["BEGIN", "INSERT INTO t VALUES ('first; end of it')"],
        &["BEGIN", "SELECT 'a; commit ; b'"],
        &["BEGIN; SELECT 'a; rollback; b'"],
        &["BEGIN", "DO $$ BEGIN PERFORM 1; END; $$"],
        &["BEGIN", "DO $x$ BEGIN PERFORM 'COMMIT'; END; $x$"],
        &["BEGIN", "SELECT $q$; COMMIT; $q$"],
        &["BEGIN", "SELECT $$; COMMIT; $$"],
        &["BEGIN", "SELECT 1 AS \"; COMMIT; \""],
        &["BEGIN", r"SELECT E'\'; COMMIT; --'"],
        &["BEGIN", r"SELECT E'\\''; COMMIT; --'"],
        &["BEGIN", r"SELECT '\'; SELECT '; COMMIT; '"],
        &["BEGIN", "/* ; COMMIT; */ SELECT 1"],
        &["BEGIN", "/* /* */ ; COMMIT; */ SELECT 1"],
        &["BEGIN", "SELECT 1 -- ; COMMIT"],
        &["BEGIN", "-- it's\nSELECT 1 --; COMMIT; '"],
        &["BEGIN", "COMMENT ON TABLE t IS '; END;'"],
        &["BEGIN", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END"],
        &["BEGIN", "PREPARE commit AS SELECT 1"],
    ])
    .await;
}

#[tokio::test]
async fn transaction_continued_by_chain_or_savepoint_is_undone() {
    assert_undone(&[
        &["BEGIN", "COMMIT AND CHAIN"],
        &["BEGIN", "commit work and chain"],
        &["BEGIN", "COMMIT TRANSACTION AND CHAIN"],
        &["BEGIN", "END AND CHAIN"],
        &["BEGIN", "ROLLBACK AND CHAIN"],
        &["BEGIN", "ROLLBACK WORK AND CHAIN"],
        &["BEGIN", "ABORT AND CHAIN"],
        &["BEGIN", "COMMIT/**/AND/* x */CHAIN"],
        &["BEGIN; COMMIT AND CHAIN"],
        &["BEGIN", "!SELECT 1/0", "ROLLBACK AND CHAIN"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK TO s"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK TO SAVEPOINT s"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK WORK TO s"],
        &["BEGIN", "SAVEPOINT s; ROLLBACK WORK TO SAVEPOINT s"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK TRANSACTION TO s"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK TRANSACTION TO SAVEPOINT s"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK /* x */ TO s"],
        &["BEGIN", "SAVEPOINT s", "RELEASE s"],
        &["BEGIN", "SAVEPOINT s", "RELEASE SAVEPOINT s"],
        &["BEGIN", "COMMIT; BEGIN"],
        &["BEGIN", "ROLLBACK; START TRANSACTION"],
        &["BEGIN", "END; BEGIN; SELECT 1"],
    ])
    .await;
}

/// A borrower that has ended its transaction leaves nothing open, and its committed rows stay.
#[tokio::test]
async fn committed_rows_of_a_borrower_stay() {
    let mut rig = Rig::new(&[CREATE]).await;
    let registry = rig.registry(|bind| bind);
    for (number, end) in ["COMMIT", "END", "/* x */ COMMIT", "COMMIT AND NO CHAIN", "end work"]
        .into_iter()
        .enumerate()
    {
        let mut session = super::rig::session(&registry).await.expect("a session");
        let insert = format!("INSERT INTO t VALUES ('{number}')");
        let lines = ["/* app:web */ BEGIN", insert.as_str(), end];
        let how = super::rig::How::Batch;
        super::rig::run(&mut session, &lines, how).await.expect("a transaction");
        drop(session);
        assert_eq!(rig.rows().await.len(), number + 1, "after {end}");
    }
}
