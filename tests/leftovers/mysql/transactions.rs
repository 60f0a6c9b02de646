//! Transactions that a borrower leaves open, in every spelling.

use diesel::prelude::*;

use super::rig::{CREATE, Rig, session, t};

/// Procedures that begin and end transactions without a word of it in the statement that calls them.
const PROCEDURES: [&str; 3] = [
    "CREATE PROCEDURE begins() START TRANSACTION",
    "CREATE PROCEDURE holds_back() SET autocommit = 0",
    "CREATE PROCEDURE begins_late() BEGIN SELECT 1; START TRANSACTION; END",
];

async fn assert_undone(cases: &[&[&str]]) {
    let mut rig = Rig::new(&[CREATE]).await;
    for procedure in PROCEDURES {
        rig.prepare(procedure).await;
    }
    for lines in cases {
        rig.transaction_is_undone(lines).await;
    }
    rig.finish();
}

#[tokio::test]
async fn transaction_is_undone_however_it_was_begun() {
    assert_undone(&[
        &["BEGIN"],
        &["begin work"],
        &["START TRANSACTION"],
        &["START TRANSACTION READ WRITE"],
        &["START TRANSACTION WITH CONSISTENT SNAPSHOT"],
        &["/* app:web */ START TRANSACTION"],
        &["# step one\nSTART TRANSACTION"],
        &["-- step one\nBEGIN"],
        &["--\tstep one\nBEGIN"],
        &["BEGIN/* app:web */"],
        &["BEGIN # step one"],
        &["/*! START TRANSACTION */"],
        &["/*!40000 BEGIN */"],
        &["/*M! BEGIN */"],
        &["/*M!100100 START TRANSACTION*/"],
        &["/*! START */ TRANSACTION"],
        &["/**/START/**/TRANSACTION"],
        &["\r\n\t BEGIN"],
        &["SELECT 1; BEGIN"],
        &["SELECT 'it\\'s; commit'; BEGIN"],
        &["BEGIN; COMMIT; BEGIN"],
        &["XA START 'x'"],
        &["XA BEGIN 'x'"],
        &["/* c */ XA START 'x'"],
        &["XA START 'x'; INSERT INTO t VALUES ('a'); XA END 'x'"],
    ])
    .await;
}

#[tokio::test]
async fn transaction_begun_by_a_procedure_is_undone() {
    assert_undone(&[
        &["CALL begins()"],
        &["CALL begins_late()"],
        &["CALL holds_back()"],
        &["EXECUTE IMMEDIATE 'START TRANSACTION'"],
        &["PREPARE s FROM 'START TRANSACTION'", "EXECUTE s"],
        &["SET @begin = CONCAT('BEG', 'IN'); PREPARE s FROM @begin; EXECUTE s"],
        &["BEGIN NOT ATOMIC START TRANSACTION; END"],
        &["SET completion_type = 'CHAIN'", "BEGIN", "COMMIT"],
        &["SET completion_type = 1; BEGIN; ROLLBACK"],
    ])
    .await;
}

#[tokio::test]
async fn autocommit_off_does_not_reach_the_next_borrower() {
    assert_undone(&[
        &["SET autocommit = 0"],
        &["set AutoCommit=off"],
        &["SET SESSION autocommit = 0"],
        &["SET LOCAL autocommit = 0"],
        &["SET @@autocommit = 0"],
        &["SET @@session.autocommit = OFF"],
        &["SET @@local . autocommit = 0"],
        &["SET @a = 1, autocommit = 0"],
        &["SET autocommit := 0"],
        &["/*!40101 SET autocommit = 0 */"],
        &["/* x */ SET autocommit = 0"],
        &["# x\nSET autocommit = 0"],
        &["SET `autocommit` = 0"],
        &["SET autocommit = 0; INSERT INTO t VALUES ('a'); SET autocommit = 0"],
        &["EXECUTE IMMEDIATE 'SET autocommit = 0'"],
    ])
    .await;
}

#[tokio::test]
async fn failed_batch_leaves_no_transaction() {
    assert_undone(&[
        &["!BEGIN; INSERT INTO t VALUES ('a'); INSERT INTO t VALUES ('a'); COMMIT"],
        &["BEGIN", "!INSERT INTO t VALUES ('a'), ('a'); COMMIT"],
        &["BEGIN", "!SELEKT 1; COMMIT"],
        &["BEGIN; INSERT INTO t VALUES ('a')", "!SELECT * FROM nowhere; ROLLBACK"],
    ])
    .await;
}

#[tokio::test]
async fn keywords_in_literals_comments_and_blocks_end_no_transaction() {
    assert_undone(&[
        &["BEGIN", "INSERT INTO t VALUES ('first; end of it')"],
        &["BEGIN", "SELECT 'a; commit ; b'"],
        &["BEGIN", "SELECT \"a; commit ; b\""],
        &["BEGIN", "SELECT 1 AS `; COMMIT; `"],
        &["BEGIN", r"SELECT 'it\'; COMMIT; #'"],
        &["BEGIN", "SELECT 'it''; COMMIT; '"],
        &["BEGIN", "/* ; COMMIT; */ SELECT 1"],
        &["BEGIN", "SELECT 1 # ; COMMIT"],
        &["BEGIN", "SELECT 1 -- ; COMMIT"],
        &["BEGIN", "SELECT 5--1; SELECT ' -- ; COMMIT'"],
        &["BEGIN", "BEGIN NOT ATOMIC SELECT 1; END"],
    ])
    .await;
}

#[tokio::test]
async fn transaction_continued_by_chain_or_savepoint_is_undone() {
    assert_undone(&[
        &["BEGIN", "COMMIT AND CHAIN"],
        &["BEGIN", "commit work and chain"],
        &["BEGIN", "ROLLBACK AND CHAIN"],
        &["BEGIN", "ROLLBACK WORK AND CHAIN NO RELEASE"],
        &["BEGIN", "COMMIT/**/AND/* x */CHAIN"],
        &["BEGIN", "COMMIT /*! AND CHAIN */"],
        &["BEGIN; COMMIT AND CHAIN"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK TO s"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK TO SAVEPOINT s"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK WORK TO s"],
        &["BEGIN", "SAVEPOINT s; ROLLBACK WORK TO SAVEPOINT s"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK /* x */ TO s"],
        &["BEGIN", "SAVEPOINT s", "RELEASE SAVEPOINT s"],
        &["BEGIN", "COMMIT; BEGIN"],
        &["BEGIN", "ROLLBACK; START TRANSACTION"],
    ])
    .await;
}

/// Without autocommit, each statement begins a transaction without a word of it in the text.
#[tokio::test]
async fn transaction_begun_without_autocommit_is_undone() {
    let mut rig = Rig::new(&[CREATE]).await;
    let registry = rig.registry(|bind| bind.on_connect(["SET autocommit = 0"]));
    let mut first = session(&registry).await.expect("a session");
    let insert = diesel::insert_into(t::table).values(t::v.eq("a"));
    diesel_async::RunQueryDsl::execute(insert, &mut *first).await.expect("a row");
    drop(first);
    let mut next = session(&registry).await.expect("a session");
    let seen = diesel_async::RunQueryDsl::load::<String>(t::table.select(t::v), &mut *next).await;
    assert_eq!(seen.expect("rows"), [""; 0]);
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *next, "COMMIT").await.expect("done");
    drop(next);
    assert_eq!(rig.rows().await, [""; 0]);
}
