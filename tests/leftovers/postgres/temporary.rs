//! Temporary objects, which shadow permanent ones of the same name.

use registry_core::ResetOnReturn;

use super::rig::Rig;

const SETUP: [&str; 3] = [
    "CREATE TABLE users (name TEXT)",
    "INSERT INTO users VALUES ('alice')",
    "CREATE FUNCTION shadow() RETURNS void LANGUAGE sql AS \
     $$ CREATE TEMP TABLE users (name TEXT) $$",
];

async fn assert_nothing_is_left(cases: &[&[&str]], probe: &str) {
    let mut rig = Rig::new(&SETUP).await;
    for lines in cases {
        let resets = [ResetOnReturn::Auto, ResetOnReturn::Full];
        rig.nothing_is_left(&resets, |bind| bind, lines, probe).await;
    }
    rig.finish();
}

#[tokio::test]
async fn temporary_tables_and_views_hide_no_table_of_the_next_borrower() {
    let cases: &[&[&str]] = &[
        &["CREATE TEMP TABLE users (name TEXT)"],
        &["create temporary table users (name text)"],
        &["CREATE LOCAL TEMPORARY TABLE users (name TEXT)"],
        &["CREATE GLOBAL TEMP TABLE users (name TEXT)"],
        &["CREATE TEMP TABLE IF NOT EXISTS users (name TEXT)"],
        &["/* job 7 */ CREATE TEMP TABLE users AS SELECT 'mallory'::text AS name"],
        &["-- job 7\nCREATE TEMP TABLE users (name TEXT)"],
        &["CREATE/**/TEMP/**/TABLE users (name TEXT)"],
        &["CREATE TABLE pg_temp.users (name TEXT)"],
        &["CREATE TABLE \"pg_temp\" . users AS SELECT 'mallory' AS name"],
        &["CREATE TABLE PG_TEMP.users (name TEXT)"],
        &["CREATE TEMP VIEW users AS SELECT 'mallory'::text AS name"],
        &["CREATE OR REPLACE TEMP VIEW users AS SELECT 'mallory'::text AS name"],
        &["CREATE OR REPLACE /* x */ TEMPORARY VIEW users AS SELECT 'mallory'::text AS name"],
        &["CREATE TEMP RECURSIVE VIEW users (name) AS SELECT 'mallory'::text"],
        &["CREATE VIEW pg_temp.users AS SELECT 'mallory'::text AS name"],
        &["SELECT 'mallory'::text AS name INTO TEMP users"],
        &["SELECT 'mallory'::text AS name INTO TEMPORARY TABLE users"],
        &["SELECT 'mallory'::text AS name INTO LOCAL TEMP users"],
        &["SELECT 'mallory'::text AS name INTO pg_temp.users"],
        &["WITH x AS (SELECT 'mallory'::text AS name) SELECT name INTO TEMP users FROM x"],
        &["PREPARE q AS SELECT 'mallory' AS name", "CREATE TEMP TABLE users AS EXECUTE q"],
        &["EXPLAIN ANALYZE CREATE TEMP TABLE users AS SELECT 'mallory'::text AS name"],
        &["EXPLAIN ANALYZE CREATE TABLE pg_temp.users AS SELECT 'mallory'::text AS name"],
        &["CREATE TEMP SEQUENCE users"],
        &["CREATE SEQUENCE pg_temp.users"],
        &["BEGIN; CREATE TEMP TABLE users (name TEXT); COMMIT"],
        &["BEGIN; SET LOCAL search_path = pg_temp; CREATE TABLE users (name TEXT); COMMIT"],
        &[
            "BEGIN",
            "SET LOCAL search_path TO \"pg_temp\", public",
            "CREATE VIEW users AS SELECT 'mallory'::text AS name",
            "COMMIT",
        ],
        &[
            "BEGIN",
            "SELECT set_config('search_path', 'pg_temp, public', true)",
            "CREATE TABLE users (name TEXT)",
            "COMMIT",
        ],
        &["DO $$ BEGIN CREATE TEMP TABLE users (name TEXT); END $$"],
        &["SELECT shadow()"],
    ];
    assert_nothing_is_left(cases, "SELECT name AS value FROM users").await;
}

#[tokio::test]
async fn temporary_functions_and_types_are_dropped() {
    let function: &[&[&str]] = &[
        &["CREATE FUNCTION pg_temp.mine() RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$"],
        &[
            "/* x */ CREATE OR REPLACE FUNCTION pg_temp.mine() RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$",
        ],
    ];
    let probe = "SELECT count(*)::text AS value FROM pg_proc WHERE proname = 'mine'";
    assert_nothing_is_left(function, probe).await;
    let kinds: &[&[&str]] = &[
        &["CREATE TYPE pg_temp.mood AS ENUM ('calm')"],
        &["CREATE DOMAIN pg_temp.mood AS text"],
        &["CREATE TYPE \"pg_temp\".mood AS (x int)"],
    ];
    assert_nothing_is_left(kinds, "SELECT to_regtype('mood')::text AS value").await;
}

#[tokio::test]
async fn temporary_table_stays_for_its_borrower() {
    let mut rig = Rig::new(&SETUP).await;
    let registry = rig.registry(|bind| bind);
    let mut session = super::rig::session(&registry).await.expect("a session");
    let lines = ["CREATE TEMP TABLE mine (name TEXT)", "INSERT INTO mine VALUES ('one')"];
    super::rig::run(&mut session, &lines, super::rig::How::Batch).await.expect("a table");
    let name = super::rig::seen(&mut session, "SELECT name AS value FROM mine").await;
    assert_eq!(name, Ok(Some("one".to_owned())));
    rig.prepare("SELECT 1").await;
}
