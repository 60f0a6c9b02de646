//! Settings, variables, roles, locks and temporary tables that a borrower leaves behind.

use registry_core::ResetOnReturn;

use super::rig::Rig;

const AUTO_AND_FULL: &[ResetOnReturn] = &[ResetOnReturn::Auto, ResetOnReturn::Full];

const SETUP: [&str; 10] = [
    "CREATE TABLE notes (v VARCHAR(100))",
    "INSERT INTO notes VALUES ('one')",
    "CREATE TABLE users (name VARCHAR(100))",
    "INSERT INTO users VALUES ('alice')",
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "CREATE TABLE child (parent INTEGER NOT NULL, FOREIGN KEY (parent) REFERENCES parent (id))",
    "CREATE PROCEDURE sets() SET @who = 'acme'",
    "CREATE PROCEDURE hands_out(OUT who TEXT) SET who = 'acme'",
    "CREATE PROCEDURE unchecks() SET foreign_key_checks = 0",
    "CREATE FUNCTION leaves() RETURNS INTEGER BEGIN SET @who = 'acme'; RETURN 1; END",
];

async fn assert_nothing_is_left(cases: &[&[&str]], probe: &str) {
    let mut rig = Rig::new(&SETUP).await;
    for lines in cases {
        rig.nothing_is_left(AUTO_AND_FULL, |bind| bind, lines, probe).await;
    }
    rig.finish();
}

#[tokio::test]
async fn foreign_key_checks_are_restored() {
    let cases: &[&[&str]] = &[
        &["SET FOREIGN_KEY_CHECKS = 0"],
        &["/*!40014 SET FOREIGN_KEY_CHECKS=0 */"],
        &["/*!SET FOREIGN_KEY_CHECKS=0*/"],
        &["/*M! SET FOREIGN_KEY_CHECKS=0 */"],
        &["/*M!100100 SET FOREIGN_KEY_CHECKS=0 */"],
        &["/*! SET */ FOREIGN_KEY_CHECKS = 0"],
        &["SET /*! FOREIGN_KEY_CHECKS */ = 0"],
        &["/* x */ SET FOREIGN_KEY_CHECKS = 0"],
        &["# x\nSET FOREIGN_KEY_CHECKS = 0"],
        &["-- x\nSET FOREIGN_KEY_CHECKS = 0"],
        &["SELECT 1; SET FOREIGN_KEY_CHECKS = 0"],
        &["SET SESSION foreign_key_checks = OFF"],
        &["SET LOCAL foreign_key_checks = OFF"],
        &["SET @@foreign_key_checks = OFF"],
        &["SET @@session.foreign_key_checks = OFF"],
        &["SET @a = 1, foreign_key_checks = 0"],
        &["EXECUTE IMMEDIATE 'SET foreign_key_checks = 0'"],
        &["PREPARE s FROM 'SET foreign_key_checks = 0'", "EXECUTE s"],
        &["BEGIN NOT ATOMIC SET foreign_key_checks = 0; END"],
        &["CALL unchecks()"],
        &["/* x */ CALL unchecks()"],
    ];
    assert_nothing_is_left(cases, "INSERT INTO child VALUES (99)").await;
}

#[tokio::test]
async fn user_variables_are_cleared() {
    let cases: &[&[&str]] = &[
        &["SET @who = 'acme'"],
        &["/* x */ SET @who := 'acme'"],
        &["SELECT 'acme' INTO @who"],
        &["SELECT 'acme' AS v INTO @`who`"],
        &["SELECT v INTO @who FROM notes LIMIT 1"],
        &["SELECT @who := 'acme'"],
        &["SELECT@who:='acme'"],
        &["/* x */ SELECT @who /* y */ := 'acme'"],
        &["SELECT @'who' := 'acme'"],
        &["(SELECT @who := 'acme')"],
        &["WITH x AS (SELECT @who := 'acme' AS v) SELECT v FROM x"],
        &["VALUES (@who := 'acme')"],
        &["DO @who := 'acme'"],
        &["ANALYZE SELECT @who := 'acme' FROM notes"],
        &["INSERT INTO notes SELECT @who := 'acme'"],
        &["INSERT INTO notes VALUES (@who := 'acme')"],
        &["UPDATE notes SET v = (@who := 'acme')"],
        &["DELETE FROM notes WHERE (@who := 'acme') = 'x'"],
        &["CREATE OR REPLACE TABLE made AS SELECT @who := 'acme' AS v"],
        &["EXECUTE IMMEDIATE 'SET @who = ''acme'''"],
        &["BEGIN NOT ATOMIC SET @who = 'acme'; END"],
        &["GET DIAGNOSTICS @who = NUMBER"],
        &["CALL sets()"],
        &["CALL hands_out(@who)"],
        &["SELECT leaves()"],
        &["SELECT leaves() FROM notes"],
        &["INSERT INTO notes SELECT leaves()"],
        &["SET STATEMENT max_statement_time = 10 FOR SELECT @who := 'acme'"],
    ];
    assert_nothing_is_left(cases, "SELECT CAST(@who AS CHAR) AS value").await;
}

/// The text of the statement does not show what its trigger does.
#[tokio::test]
async fn variables_set_by_a_trigger_are_cleared_by_a_full_reset() {
    let mut rig = Rig::new(&SETUP).await;
    rig.prepare("CREATE TRIGGER fires AFTER INSERT ON notes FOR EACH ROW SET @who = NEW.v").await;
    let (lines, probe) =
        (["INSERT INTO notes VALUES ('acme')"], "SELECT CAST(@who AS CHAR) AS value");
    rig.nothing_is_left(&[ResetOnReturn::Full], |bind| bind, &lines, probe).await;
    rig.finish();
}

#[tokio::test]
async fn session_settings_equal_those_of_a_new_connection() {
    let mut rig = Rig::new(&SETUP).await;
    for (line, setting) in [
        ("SET sql_mode = ''", "sql_mode"),
        ("/*!40101 SET SQL_MODE='ANSI_QUOTES' */", "sql_mode"),
        ("SET @@sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')", "sql_mode"),
        ("/* x */ SET LOCAL sql_mode = ''", "sql_mode"),
        ("SET time_zone = '+09:00'", "time_zone"),
        ("/*!40103 SET TIME_ZONE='+09:00' */", "time_zone"),
        ("/* x */ SET @@local.time_zone = '+09:00'", "time_zone"),
        ("SET NAMES latin1", "character_set_client"),
        ("/*!40101 SET NAMES latin1 */", "character_set_client"),
        ("/* x */ SET CHARACTER SET latin1", "character_set_client"),
        ("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "tx_isolation"),
        ("# x\nSET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "tx_isolation"),
        ("SET SESSION TRANSACTION READ ONLY", "tx_read_only"),
        ("/* x */ SET LOCAL TRANSACTION READ ONLY", "tx_read_only"),
        ("SET max_statement_time = 7", "max_statement_time"),
        ("/* x */ SET innodb_lock_wait_timeout = 7", "innodb_lock_wait_timeout"),
        ("/* x */ SET unique_checks = 0", "unique_checks"),
        ("/* x */ SET sql_log_bin = 0", "sql_log_bin"),
        ("SET sql_select_limit = 1", "sql_select_limit"),
        ("/* x */ SET insert_id = 50", "insert_id"),
        ("/* x */ SET timestamp = 1000", "timestamp = 1000"),
    ] {
        let probe = format!("SELECT CAST(@@session.{setting} AS CHAR) AS value");
        rig.nothing_is_left(AUTO_AND_FULL, |bind| bind, &[line], &probe).await;
    }
    rig.finish();
}

/// `SET TRANSACTION` applies to the next transaction only, and no variable shows it.
#[tokio::test]
async fn characteristics_of_the_next_transaction_do_not_reach_the_next_borrower() {
    let cases: &[&[&str]] = &[
        &["SET TRANSACTION READ ONLY"],
        &["/* x */ SET TRANSACTION READ ONLY"],
        &["# x\nset transaction isolation level serializable, read only"],
        &["/*! SET TRANSACTION READ ONLY */"],
        &["EXECUTE IMMEDIATE 'SET TRANSACTION READ ONLY'"],
    ];
    assert_nothing_is_left(cases, "INSERT INTO notes VALUES ('next')").await;
}

#[tokio::test]
async fn current_database_is_restored() {
    let cases: &[&[&str]] = &[
        &["USE information_schema"],
        &["use`information_schema`"],
        &["/* c */ USE information_schema"],
        &["# c\nUSE information_schema"],
        &["/*! USE information_schema */"],
        &["SELECT 1; USE information_schema"],
        &["EXECUTE IMMEDIATE 'USE information_schema'"],
    ];
    assert_nothing_is_left(cases, "SELECT DATABASE() AS value").await;
}

#[tokio::test]
async fn roles_are_reset() {
    let mut rig = Rig::new(&SETUP).await;
    // Roles and accounts belong to the whole server.
    for statement in [
        "CREATE OR REPLACE ROLE leftovers_clerk",
        "CREATE OR REPLACE USER leftovers@'%' IDENTIFIED BY 'sesame'",
        "GRANT ALL ON *.* TO leftovers@'%'",
        "GRANT leftovers_clerk TO leftovers@'%'",
    ] {
        rig.prepare(statement).await;
    }
    let server = crate::support::mariadb();
    let login = |user: &str, password: &str| format!("//{user}:{password}@");
    let own = login(server.user(), server.password());
    rig.url = rig.url.replace(&own, &login("leftovers", "sesame"));
    let cases: &[&[&str]] = &[
        &["SET ROLE leftovers_clerk"],
        &["/* x */ SET ROLE leftovers_clerk"],
        &["-- x\nset role leftovers_clerk"],
        &["/*! SET ROLE leftovers_clerk */"],
    ];
    for lines in cases {
        rig.nothing_is_left(AUTO_AND_FULL, |bind| bind, lines, "SELECT CURRENT_ROLE() AS value")
            .await;
    }
    rig.prepare("DROP USER leftovers@'%'").await;
    rig.prepare("DROP ROLE leftovers_clerk").await;
    rig.finish();
}

#[tokio::test]
async fn named_locks_are_released() {
    let cases: &[&[&str]] = &[
        &["SELECT GET_LOCK('leftovers', 0)"],
        &["SELECT Get_Lock('leftovers', 0)"],
        &["SELECT GET_LOCK ('leftovers', 0)"],
        &["SELECT get_lock/**/('leftovers', 0)"],
        &["/* x */ SELECT GET_LOCK('leftovers', 0)"],
        &["SELECT 1 FROM notes WHERE GET_LOCK('leftovers', 0)"],
        &["DO GET_LOCK('leftovers', 0)"],
        &["(SELECT GET_LOCK('leftovers', 0))"],
        &["SET @x = GET_LOCK('leftovers', 0)"],
        &["SELECT /*! GET_LOCK('leftovers', 0) */"],
        &["BEGIN NOT ATOMIC DO GET_LOCK('leftovers', 0); END"],
        &["UPDATE notes SET v = GET_LOCK('leftovers', 0)"],
    ];
    assert_nothing_is_left(cases, "SELECT CAST(IS_FREE_LOCK('leftovers') AS CHAR) AS value").await;
}

#[tokio::test]
async fn table_locks_are_released() {
    let cases: &[&[&str]] = &[
        &["LOCK TABLES notes READ"],
        &["/* x */ LOCK TABLE notes READ"],
        &["# x\nlock tables users write"],
        &["/*! LOCK TABLES `users` WRITE */"],
        &["FLUSH TABLES notes WITH READ LOCK"],
        &["/* x */ FLUSH TABLES notes FOR EXPORT"],
    ];
    assert_nothing_is_left(cases, "INSERT INTO notes VALUES ('next')").await;
    let handlers: &[&[&str]] = &[&["HANDLER notes OPEN"], &["/* x */ HANDLER notes OPEN"]];
    assert_nothing_is_left(handlers, "HANDLER notes CLOSE").await;
}

#[tokio::test]
async fn a_temporary_table_hides_no_table_of_the_next_borrower() {
    let cases: &[&[&str]] = &[
        &["CREATE TEMPORARY TABLE users (name TEXT)"],
        &["CREATE OR REPLACE TEMPORARY TABLE users (name TEXT)"],
        &["create temporary table if not exists users (name text)"],
        &["/* x */ CREATE TEMPORARY TABLE users SELECT 'mallory' AS name"],
        &["/*! CREATE TEMPORARY TABLE users (name TEXT) */"],
        &["CREATE /*! OR REPLACE */ TEMPORARY TABLE users (name TEXT)"],
        &["CREATE /*! TEMPORARY */ TABLE users (name TEXT)"],
        &["CREATE/**/TEMPORARY/**/TABLE users LIKE notes"],
        &["BEGIN NOT ATOMIC CREATE TEMPORARY TABLE users (name TEXT); END"],
        &["EXECUTE IMMEDIATE 'CREATE TEMPORARY TABLE users (name TEXT)'"],
    ];
    assert_nothing_is_left(cases, "SELECT name AS value FROM users").await;
}

#[tokio::test]
async fn prepared_statements_of_a_borrower_are_deallocated() {
    let cases: &[&[&str]] = &[
        &["PREPARE s FROM 'SELECT 1'"],
        &["/* x */ PREPARE s FROM 'SELECT 1'"],
        &["/*! PREPARE s FROM 'SELECT 1' */"],
    ];
    assert_nothing_is_left(cases, "DEALLOCATE PREPARE s").await;
}
