use super::super::Dialect::Sqlite;
use super::*;

pub(super) const PLAIN: &[&str] = &[
    "SELECT 1",
    "SELECT ?1, :a, @b, $c, ? FROM [t], `u`, \"v\"",
    "SELECT 'it''s', 'C:\\', x'00' FROM t",
    "SELECT 1 -- SET\n, 2 /* /* */",
    "SELECT count(*) FILTER (WHERE a) OVER (PARTITION BY (b)) FROM t WHERE a GLOB ('x') AND b MATCH ('y')",
    "SELECT json_extract(a, '$.b'), json('{}') ->> '$.a', iif(a, 1, 2), strftime('%s', 'now') FROM t",
    "SELECT * FROM json_each('[1]') AS e (a), pragma_table_info('t')",
    "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET (a, b) = (1, 2) RETURNING a",
    "INSERT OR IGNORE INTO `t` (`a`) VALUES (?)",
    "INSERT OR ROLLBACK INTO t DEFAULT VALUES",
    "REPLACE INTO t (a) VALUES (replace('a', 'b', 'c'))",
    "UPDATE OR FAIL t SET a = 1",
    "DELETE FROM t WHERE EXISTS (SELECT 1)",
    "WITH RECURSIVE a (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM a), b (m) AS NOT MATERIALIZED (SELECT 1) SELECT 1",
    "VALUES (1), (2)",
    "EXPLAIN SELECT 1",
    "EXPLAIN QUERY PLAN DELETE FROM t",
    "CREATE TABLE IF NOT EXISTS main.t (id INTEGER PRIMARY KEY, a VARCHAR(10) DEFAULT (lower('x')) CHECK (a > 1), \
     b INTEGER REFERENCES u (id) ON DELETE CASCADE, c AS (a || b), UNIQUE (a), temp TEXT) STRICT",
    "CREATE TABLE [t] AS SELECT 1",
    "CREATE VIRTUAL TABLE f USING fts5(a, b)",
    "CREATE UNIQUE INDEX i ON t (a, lower(b)) WHERE a > 1",
    "CREATE VIEW v (a) AS SELECT 1",
    "ALTER TABLE t ADD COLUMN a TEXT",
    "DROP TABLE IF EXISTS t",
    "DROP TRIGGER t",
    "ANALYZE",
    "REINDEX t",
    "VACUUM",
];

#[test]
fn plain_statements_leave_nothing_behind() {
    assert_all(Sqlite, HARMLESS, PLAIN);
    assert_all(Sqlite, HARMLESS, &["", ";;", "-- nothing", "/* nothing", "/* nothing */"]);
}

#[test]
fn transactions_are_followed() {
    assert_all(
        Sqlite,
        BEGINS,
        &["BEGIN", "/* x */ begin immediate", "BEGIN EXCLUSIVE TRANSACTION"],
    );
    assert_all(Sqlite, ENDS, &["COMMIT", "END", "ROLLBACK TRANSACTION", "-- a\nend transaction;"]);
    assert_all(
        Sqlite,
        MAY_BEGIN_OR_END,
        // Outside of a transaction, a savepoint begins one.
        &["SAVEPOINT a", "RELEASE a", "BEGIN; COMMIT", "BEGIN; SELECT 1", "SELECT 1; COMMIT"],
    );
    assert_all(Sqlite, HARMLESS, &["ROLLBACK TO a", "ROLLBACK TRANSACTION TO SAVEPOINT \"a\""]);
}

#[test]
fn changes_are_seen_in_every_spelling() {
    assert_changes(
        Sqlite,
        &[
            "PRAGMA foreign_keys = OFF",
            "-- bulk load\nPRAGMA foreign_keys = OFF",
            "EXPLAIN PRAGMA foreign_keys = OFF",
            "EXPLAIN QUERY PLAN PRAGMA foreign_keys = OFF",
            "ATTACH 'x' AS y",
            "/* x */ ATTACH 'x' AS y",
            "DETACH y",
            "CREATE TEMP TABLE t (i)",
            "CREATE TEMPORARY VIEW v AS SELECT 1",
            "CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END",
            "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END",
            "CREATE TABLE temp.y (i)",
            "CREATE TABLE Temp . y (i)",
            "CREATE TABLE \"temp\".y (i)",
            "CREATE TABLE [TEMP].y (i)",
            "CREATE TABLE `temp`.y (i)",
            "CREATE TABLE 'temp'.y (i)",
            "CREATE VIEW temp.v AS SELECT 1",
            "CREATE VIRTUAL TABLE temp.f USING fts5(a)",
            "SELECT load_extension('x')",
            "SELECT Load_Extension /* x */ ('x')",
            "SELECT \"load_extension\"('x')",
            "SELECT 'load_extension'('x')",
            "SELECT 'a\\', load_extension('x'), '\\'",
            "SELECT [a], load_extension('x'), [a'b]",
            "SELECT f(1)",
            "SELECT 1; PRAGMA foreign_keys = OFF",
            "SHOW TABLES",
        ],
    );
}

#[test]
fn what_is_not_understood_may_do_anything() {
    let anything = Effects {
        transaction: TransactionEffect::Unknown,
        session: SessionEffect::Replace,
        ..HARMLESS
    };
    assert_all(
        Sqlite,
        anything,
        &[
            "SELECT 'open",
            "SELECT \"open",
            "SELECT `open",
            "SELECT [open",
            "SELECT $a(; PRAGMA foreign_keys = OFF)",
            "SELECT $a::b",
            "SELECT \u{0}",
        ],
    );
}
