//! Which texts may end a transaction, and which concern savepoints.

use super::Dialect::{self, Mysql, Postgres, Sqlite};
use super::effects;

#[track_caller]
fn assert_ends(dialect: Dialect, may_end: bool, texts: &[&str]) {
    let others: Vec<_> =
        texts.iter().filter(|text| effects(dialect, text).may_end != may_end).collect();
    assert!(others.is_empty(), "{dialect:?}, {may_end}: {others:#?}");
}

#[test]
fn what_ends_a_transaction_in_every_grammar() {
    for dialect in [Postgres, Mysql, Sqlite] {
        assert_ends(
            dialect,
            true,
            &[
                "COMMIT",
                "commit;",
                "/* why */ ROLLBACK",
                "-- why\nCOMMIT",
                "COMMIT; BEGIN",
                "SELECT 1; COMMIT; SELECT 2",
                "SAVEPOINT a; ROLLBACK",
                "ROLLBACK TO a; COMMIT",
                "SELECT 'unfinished",
            ],
        );
        assert_ends(
            dialect,
            false,
            &[
                "",
                "SELECT 'COMMIT'",
                "SELECT 1 -- COMMIT",
                "INSERT INTO t VALUES ('; COMMIT')",
                "UPDATE t SET a = unknown(1)",
                "DELETE FROM t",
                "WITH n AS (SELECT 1) SELECT * FROM n",
                "SAVEPOINT a",
                "RELEASE SAVEPOINT a",
                "ROLLBACK TO SAVEPOINT a",
                "ROLLBACK TO a; RELEASE SAVEPOINT a",
            ],
        );
    }
}

#[test]
fn what_ends_a_transaction_in_one_grammar() {
    assert_ends(
        Postgres,
        true,
        &["END", "ABORT", "COMMIT AND CHAIN", "PREPARE TRANSACTION 'a'", "ROLLBACK WORK"],
    );
    assert_ends(
        Postgres,
        false,
        &["BEGIN", "TRUNCATE t", "CREATE TABLE t ()", "CALL p()", "DO $$BEGIN COMMIT; END$$"],
    );
    assert_ends(Postgres, false, &["PREPARE p AS SELECT 1", "EXECUTE p", "SET x = 1"]);
    assert_ends(Sqlite, true, &["END", "END TRANSACTION", "COMMIT TRANSACTION"]);
    assert_ends(
        Sqlite,
        false,
        &["BEGIN", "PRAGMA user_version = 1", "CREATE TABLE t (id)", "EXPLAIN COMMIT", "VACUUM"],
    );
}

/// Where statements commit implicitly, the allowlist has those that do not.
#[test]
fn what_is_not_known_to_leave_a_transaction_alone_may_end_it_in_mysql() {
    assert_ends(
        Mysql,
        true,
        &[
            "TRUNCATE t",
            "CREATE TABLE t (id INTEGER)",
            "ALTER TABLE t ADD COLUMN a INTEGER",
            "CALL p()",
            "BEGIN",
            "START TRANSACTION",
            "SET autocommit = 1",
            "LOCK TABLES t READ",
            "/*!50000 TRUNCATE t */",
            "SELECT 1; TRUNCATE t",
            "BEGIN NOT ATOMIC COMMIT; END",
            "ANALYZE TABLE t",
        ],
    );
    assert_ends(
        Mysql,
        false,
        &["(SELECT 1) UNION (SELECT 2)", "REPLACE INTO t VALUES (1)", "SHOW TABLES", "DESC t"],
    );
}

#[test]
fn savepoints_are_seen() {
    for dialect in [Postgres, Mysql, Sqlite] {
        for text in ["SAVEPOINT a", "ROLLBACK TO a", "SELECT 1; RELEASE SAVEPOINT a"] {
            assert!(effects(dialect, text).has_savepoint, "{text}");
        }
        for text in ["SELECT 'SAVEPOINT a'", "ROLLBACK", "COMMIT", "BEGIN"] {
            assert!(!effects(dialect, text).has_savepoint, "{text}");
        }
    }
}
