//! Pragmas, attached databases and temporary tables that a borrower leaves behind.

use diesel::connection::SimpleConnection;
use registry_core::ResetOnReturn;

use super::rig::{Rig, seen, session};

const AUTO_AND_FULL: &[ResetOnReturn] = &[ResetOnReturn::Auto, ResetOnReturn::Full];

const SETUP: [&str; 5] = [
    "CREATE TABLE notes (v TEXT)",
    "CREATE TABLE users (name TEXT)",
    "INSERT INTO users VALUES ('alice')",
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "CREATE TABLE child (parent INTEGER NOT NULL REFERENCES parent (id))",
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
        &["PRAGMA foreign_keys = OFF"],
        &["pragma foreign_keys(0)"],
        &["PRAGMA main.foreign_keys = 0"],
        &["PRAGMA \"foreign_keys\" = OFF"],
        &["-- bulk load\nPRAGMA foreign_keys = OFF"],
        &["/* bulk load */ PRAGMA foreign_keys = OFF"],
        &["\u{feff}PRAGMA foreign_keys = OFF"],
        &["PRAGMA/**/foreign_keys/**/=/**/OFF"],
        &["PRAGMA foreign_keys = OFF /* and so on"],
        &["; PRAGMA foreign_keys = OFF"],
        &["SELECT 1; PRAGMA foreign_keys = OFF"],
        &["EXPLAIN PRAGMA foreign_keys = OFF"],
        &["EXPLAIN QUERY PLAN PRAGMA foreign_keys = OFF"],
        &["/* x */ EXPLAIN /* y */ PRAGMA foreign_keys = OFF"],
    ];
    assert_nothing_is_left(cases, "INSERT INTO child VALUES (99)").await;
}

#[tokio::test]
async fn pragmas_equal_those_of_a_new_connection() {
    let mut rig = Rig::new(&SETUP).await;
    for (line, probe) in [
        ("/* x */ PRAGMA query_only = 1", "INSERT INTO notes VALUES ('next')"),
        ("EXPLAIN PRAGMA query_only = 1", "INSERT INTO notes VALUES ('next')"),
        ("/* x */ PRAGMA case_sensitive_like = 1", "SELECT CAST('A' LIKE 'a' AS TEXT) AS value"),
        (
            "-- x\nPRAGMA recursive_triggers = 1",
            "SELECT CAST(recursive_triggers AS TEXT) AS value FROM pragma_recursive_triggers",
        ),
        (
            "/* x */ PRAGMA ignore_check_constraints = 1",
            "SELECT CAST(ignore_check_constraints AS TEXT) AS value \
             FROM pragma_ignore_check_constraints",
        ),
        (
            "/* x */ PRAGMA busy_timeout = 1",
            "SELECT CAST(timeout AS TEXT) AS value FROM pragma_busy_timeout",
        ),
        (
            "/* x */ PRAGMA cache_size = 7",
            "SELECT CAST(cache_size AS TEXT) AS value FROM pragma_cache_size",
        ),
        (
            "/* x */ PRAGMA synchronous = OFF",
            "SELECT CAST(synchronous AS TEXT) AS value FROM pragma_synchronous",
        ),
    ] {
        rig.nothing_is_left(AUTO_AND_FULL, |bind| bind, &[line], probe).await;
    }
    rig.finish();
}

#[tokio::test]
async fn attached_databases_equal_those_of_a_new_connection() {
    let cases: &[&[&str]] = &[
        &["ATTACH ':memory:' AS other"],
        &["attach database ':memory:' as other"],
        &["/* x */ ATTACH ':memory:' AS other"],
        &["-- x\nATTACH ':memory:' AS other"],
        &["\u{feff}ATTACH ':memory:' AS other"],
        &["; ATTACH ':memory:' AS other"],
        &["SELECT 1; ATTACH ':memory:' AS other"],
        &["ATTACH':memory:'AS other"],
    ];
    let probe = "SELECT group_concat(name) AS value FROM pragma_database_list";
    assert_nothing_is_left(cases, probe).await;
    // Databases that `on_connect` attaches stay attached for every borrower.
    let mut rig = Rig::new(&SETUP).await;
    for detach in ["DETACH other", "/* x */ DETACH DATABASE other", "; detach other"] {
        rig.nothing_is_left(
            AUTO_AND_FULL,
            |bind| bind.on_connect(["ATTACH ':memory:' AS other"]),
            &[detach],
            probe,
        )
        .await;
    }
    rig.finish();
}

#[tokio::test]
async fn temporary_tables_and_views_hide_no_table_of_the_next_borrower() {
    let cases: &[&[&str]] = &[
        &["CREATE TEMP TABLE users (name TEXT)"],
        &["create temporary table if not exists users (name text)"],
        &["/* x */ CREATE TEMP TABLE users AS SELECT 'mallory' AS name"],
        &["-- x\nCREATE TEMP TABLE users (name TEXT)"],
        &["CREATE/**/TEMP/**/TABLE users (name TEXT)"],
        &["CREATE TABLE temp.users (name TEXT)"],
        &["CREATE TABLE TEMP . users AS SELECT 'mallory' AS name"],
        &["CREATE TABLE \"temp\".users (name TEXT)"],
        &["CREATE TABLE [temp].users (name TEXT)"],
        &["CREATE TABLE `temp`.users (name TEXT)"],
        &["CREATE TABLE 'temp'.users (name TEXT)"],
        &["CREATE TABLE IF NOT EXISTS temp.users (name TEXT)"],
        &["CREATE TEMP VIEW users AS SELECT 'mallory' AS name"],
        &["CREATE VIEW temp.users AS SELECT 'mallory' AS name"],
        &["CREATE VIEW IF NOT EXISTS /* x */ temp.users AS SELECT 'mallory' AS name"],
        &["SELECT 1; CREATE TABLE temp.users (name TEXT)"],
        &["BEGIN; CREATE TABLE temp.users (name TEXT); COMMIT"],
    ];
    assert_nothing_is_left(cases, "SELECT name AS value FROM users").await;
}

#[tokio::test]
async fn temporary_triggers_and_indexes_are_dropped() {
    let cases: &[&[&str]] = &[
        &["CREATE TEMP TRIGGER g AFTER INSERT ON notes BEGIN DELETE FROM users; END"],
        &["/* x */ CREATE TRIGGER temp.g AFTER INSERT ON notes BEGIN DELETE FROM users; END"],
        &["CREATE TABLE temp.y (v)"],
        &["CREATE TABLE temp.y (v); CREATE INDEX temp.i ON y (v)"],
    ];
    let probe = "SELECT CAST(count(*) AS TEXT) AS value FROM temp.sqlite_schema";
    assert_nothing_is_left(cases, probe).await;
}

/// No statement shows what such a closure does.
#[tokio::test]
async fn state_left_by_spawn_blocking_is_cleared() {
    let mut rig = Rig::new(&SETUP).await;
    for reset in AUTO_AND_FULL {
        for (statement, probe) in [
            ("PRAGMA foreign_keys = OFF", "INSERT INTO child VALUES (99)"),
            ("PRAGMA query_only = 1", "INSERT INTO notes VALUES ('next')"),
            ("CREATE TEMP TABLE users (name TEXT)", "SELECT name AS value FROM users"),
            (
                "ATTACH ':memory:' AS other",
                "SELECT group_concat(name) AS value FROM pragma_database_list",
            ),
            ("SELECT 1", "SELECT name AS value FROM users ORDER BY name COLLATE mine"),
        ] {
            let registry = rig.registry(|bind| bind.reset_on_return(*reset));
            let mut first = session(&registry).await.expect("a session");
            let expected = seen(&mut first, probe).await;
            let work = move |connection: &mut diesel::SqliteConnection| {
                connection.register_collation("mine", |a, b| a.cmp(b))?;
                connection.batch_execute(statement)
            };
            first.spawn_blocking(work).await.expect(statement);
            drop(first);
            let found = seen(&mut session(&registry).await.expect("a session"), probe).await;
            if found != expected {
                rig.fault(format!("{reset:?}, {statement}: {found:?}, and not {expected:?}"));
            }
        }
    }
    rig.finish();
}
