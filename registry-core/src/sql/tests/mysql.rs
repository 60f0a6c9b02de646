use super::super::Dialect::Mysql;
use super::*;

pub(super) const PLAIN: &[&str] = &[
    "SELECT 1 -- x",
    "SELECT 1--1",
    "DESCRIBE t",
    "DESC a.`t` b",
    "SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (x INT PATH '$')) AS t",
    "SELECT ST_Buffer(a, 2), ST_Area(a), MBRContains(a, b) FROM t",
    "SELECT 1 # SET a = b\n+ 1",
    "SELECT /*+ MAX_EXECUTION_TIME(1000) */ 1",
    "SELECT /* it's */ 1",
    "SELECT @@autocommit, @@session.sql_mode",
    "SELECT 'a''b', \"c\"\"d\", `e``f`, 'C:\\\\' FROM `t`",
    "SELECT * FROM t WHERE a IN (1, 2) AND (b LIKE 'x' OR NOT (c REGEXP ('x'))) FOR UPDATE",
    "SELECT COUNT(*), IF(a, 1, 2), LEFT(b, 1), REPLACE(c, 'a', 'b'), INSERT(d, 1, 2, 'x') FROM t",
    "SELECT LAST_INSERT_ID(), last_insert_id ( /* x */ )",
    "SELECT ROW_NUMBER() OVER (PARTITION BY a ORDER BY (b)) FROM t WINDOW w AS (ORDER BY c)",
    "SELECT IS_FREE_LOCK('a'), SLEEP(0), CAST(a AS CHAR(10)), CONVERT(b, DECIMAL(10, 2)) FROM t",
    "SELECT 0x1F, 1e5, 1.5e-3, .5, 5.",
    "INSERT INTO t (a) VALUES (1)",
    "INSERT IGNORE INTO `t` (`a`, `b`) VALUES (?, DEFAULT), (?, ?)",
    "INSERT LOW_PRIORITY INTO t () VALUES ()",
    "INSERT t (a) VALUES (1)",
    "INSERT INTO `t` (`a`) VALUES (?) ON DUPLICATE KEY UPDATE `a` = VALUES(`a`)",
    "REPLACE INTO t (a) VALUES (1)",
    "UPDATE t SET a = 1 LIMIT 1",
    "DELETE FROM t WHERE MATCH (a) AGAINST ('x')",
    "WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a), b (m) AS (SELECT 2) SELECT * FROM a, b",
    "VALUES ROW(1, 2), ROW(3, 4)",
    "(SELECT 1) UNION (SELECT 2)",
    "EXPLAIN FORMAT=JSON SELECT 1",
    "EXPLAIN EXTENDED SELECT 1",
    "SHOW VARIABLES LIKE 'a%'",
    "SAVEPOINT a",
    "RELEASE SAVEPOINT registry_work",
    "ROLLBACK TO SAVEPOINT `a`",
    "CREATE TABLE IF NOT EXISTS `t` (`id` BIGINT(20) UNSIGNED NOT NULL AUTO_INCREMENT, `n` VARCHAR(10) \
     DEFAULT (UPPER('a')), e ENUM('a', 'b'), s SET('a'), PRIMARY KEY (`id`), UNIQUE KEY `u` (`n`), KEY i (n), \
     CONSTRAINT `c` FOREIGN KEY (`id`) REFERENCES `o` (`id`) ON DELETE CASCADE ON UPDATE CASCADE, \
     FULLTEXT INDEX f (n)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    "CREATE UNIQUE INDEX i ON t (a)",
    "CREATE OR REPLACE VIEW v (a) AS SELECT 1",
    "CREATE DATABASE d",
    "ALTER TABLE t ADD COLUMN a VARCHAR(10), ADD INDEX `i` (`a`)",
    "DROP TABLE IF EXISTS t",
    "TRUNCATE TABLE t",
    "RENAME TABLE a TO b",
    "ANALYZE TABLE t",
];

#[test]
fn plain_statements_leave_nothing_behind() {
    assert_all(Mysql, HARMLESS, PLAIN);
    assert_all(Mysql, HARMLESS, &["", ";", "# nothing", "-- nothing", "--", "/* nothing */"]);
}

#[test]
fn transactions_are_followed() {
    assert_all(
        Mysql,
        BEGINS,
        &[
            "BEGIN",
            "BEGIN WORK",
            "# step one\nSTART TRANSACTION",
            "/* app:web */ START TRANSACTION",
            "-- a\n START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;",
            "START TRANSACTION; SAVEPOINT registry_work",
        ],
    );
    assert_all(Mysql, ENDS, &["COMMIT", "COMMIT WORK AND NO CHAIN", "ROLLBACK # x"]);
    assert_all(
        Mysql,
        MAY_BEGIN_OR_END,
        &["COMMIT AND CHAIN", "BEGIN; COMMIT", "START TRANSACTION; INSERT INTO t VALUES (1)"],
    );
    assert_all(
        Mysql,
        Effects {
            transaction: TransactionEffect::Unknown,
            session: SessionEffect::Changed,
            ..HARMLESS
        },
        &[
            "XA START 'x'",
            "COMMIT RELEASE",
            "COMMIT AND NO CHAIN RELEASE",
            "BEGIN NOT ATOMIC SET @a = 1; END",
            "SET autocommit = 0",
            "SET LOCAL autocommit = 0",
            "SET @@session.autocommit = OFF",
            "LOCK TABLES t WRITE",
            "START SLAVE",
        ],
    );
}

#[test]
fn changes_are_seen_in_every_spelling() {
    assert_changes(
        Mysql,
        &[
            "SELECT 'acme' INTO @who",
            "SELECT @who := 'acme'",
            "SELECT @`who`:='acme'",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "SELECT 1 INTO x",
            "SELECT @who",
            "SET NAMES utf8",
            "SET LOCAL sql_mode = ''",
            "SET TRANSACTION READ ONLY",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
            "DO GET_LOCK('a', 1)",
            "SELECT Get_Lock ('a', 1)",
            "SELECT GET_LOCK/* x */('a', 1)",
            "SELECT `get_lock`('a', 1)",
            "SELECT \"get_lock\"('a', 1)",
            "SELECT 'a\\\\', GET_LOCK('a', 1), '\\\\'",
            "SELECT 1 -- x\n, GET_LOCK('a', 1)",
            "SELECT 1 --GET_LOCK(\n, GET_LOCK('a', 1)",
            "SELECT --GET_LOCK('a', 1)",
            "SELECT 1 /* /* */ , GET_LOCK('a', 1) /* */",
            "SELECT RELEASE_ALL_LOCKS()",
            "SELECT LAST_INSERT_ID(5)",
            "UPDATE t SET id = LAST_INSERT_ID(id + 1)",
            "INSERT INTO t VALUES (LAST_INSERT_ID( /* x */ 5))",
            "SELECT f(1)",
            "SELECT 1lower('x')",
            "SELECT other.lower('x')",
            "/* c */ USE other",
            "USE other",
            "CREATE TEMPORARY TABLE t (i INTEGER)",
            "CREATE OR REPLACE TEMPORARY TABLE users (name TEXT)",
            "DROP TEMPORARY TABLE t",
            "DROP DATABASE d",
            "DROP PREPARE p",
            "LOCK TABLES t WRITE",
            "UNLOCK TABLES",
            "FLUSH TABLES",
            "HANDLER t OPEN",
            "PREPARE p FROM 'SELECT 1'",
            "EXECUTE p",
            "DEALLOCATE PREPARE p",
            "CALL p()",
            "DO SLEEP(1)",
            "LOAD DATA INFILE 'x' INTO TABLE t",
            "CREATE PROCEDURE p() BEGIN SET @a = 1; END",
            "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
            "CREATE FUNCTION f() RETURNS INT RETURN 1",
            "KILL 5",
            "SELECT 1; SET @a = 1",
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
        Mysql,
        anything,
        &[
            "/*!40014 SET FOREIGN_KEY_CHECKS=0 */",
            "/*! SET a = b */",
            "/*M! SET a = b */",
            "/*M!100100 SET a = b */",
            "SELECT 1 /*!, GET_LOCK('a', 1) */",
            "SELECT 1 /*!*/",
            // The server's settings decide where these end.
            "SELECT 'it\\'s'",
            "SELECT \"a\\\" , GET_LOCK('a', 1), \\\"",
            "SELECT 'open",
            "SELECT \"open",
            "SELECT `open",
            "SELECT 1 /* open",
            "SELECT \u{0}",
        ],
    );
}
