//! Settings, roles, locks, cursors and channels that a borrower leaves behind.

use registry_core::ResetOnReturn;
use registry_core::settings::BindSettings;

use super::rig::Rig;

const AUTO_AND_FULL: &[ResetOnReturn] = &[ResetOnReturn::Auto, ResetOnReturn::Full];

/// A role, functions that change the session without a word of it in the statement, and a table to write to.
const SETUP: [&str; 7] = [
    "DO $$ BEGIN CREATE ROLE leftovers_clerk; EXCEPTION WHEN duplicate_object OR unique_violation \
     THEN NULL; END $$",
    "CREATE TABLE notes (v TEXT)",
    "INSERT INTO notes VALUES ('one')",
    "CREATE FUNCTION leave() RETURNS text LANGUAGE sql AS \
     $$ SELECT set_config('app.tenant', 'acme', false) $$",
    "CREATE PROCEDURE depart() LANGUAGE plpgsql AS \
     $$ BEGIN PERFORM set_config('app.tenant', 'acme', false); END $$",
    "CREATE FUNCTION hold() RETURNS void LANGUAGE sql AS $$ SELECT pg_advisory_lock(42) $$",
    "CREATE SCHEMA other",
];

/// After a reset, a custom setting is an empty text instead of unset.
const TENANT: &str = "SELECT nullif(current_setting('app.tenant', true), '') AS value";

async fn assert_nothing_is_left(cases: &[&[&str]], probe: &str) {
    let mut rig = Rig::new(&SETUP).await;
    for lines in cases {
        rig.nothing_is_left(AUTO_AND_FULL, |bind| bind, lines, probe).await;
    }
    rig.finish();
}

#[tokio::test]
async fn custom_setting_is_cleared_however_it_was_set() {
    assert_nothing_is_left(
        &[
            &["SET app.tenant = 'acme'"],
            &["set  app.tenant to 'acme'"],
            &["SET SESSION app.tenant = 'acme'"],
            &["/* web */ SET app.tenant = 'acme'"],
            &["-- as acme\nSET app.tenant = 'acme'"],
            &["/* one /* nested */ */ SET app.tenant = 'acme'"],
            &[";SET app.tenant = 'acme'"],
            &["SELECT 1; SET app.tenant = 'acme'"],
            &["SELECT 'it''s'; SET app.tenant = 'acme'"],
            &["BEGIN; SET app.tenant = 'acme'; COMMIT"],
            &["BEGIN", "/* x */ SET app.tenant = 'acme'", "COMMIT"],
            &["SET app.tenant = 'acme'", "BEGIN", "ROLLBACK"],
            &["SELECT set_config('app.tenant', 'acme', false)"],
            &["SELECT set_config ('app.tenant', 'acme', false)"],
            &["SELECT set_config\n\t('app.tenant', 'acme', false)"],
            &["SELECT set_config/* x */('app.tenant', 'acme', false)"],
            &["/* web */ SELECT set_config('app.tenant', 'acme', false)"],
            &["VALUES (set_config('app.tenant', 'acme', false))"],
            &["SELECT Set_Config('app.tenant', 'acme', false)"],
            &["SELECT pg_catalog.set_config('app.tenant', 'acme', false)"],
            &["SELECT pg_catalog . set_config ('app.tenant', 'acme', false)"],
            &["SELECT \"set_config\"('app.tenant', 'acme', false)"],
            &["SELECT U&\"set\\005fconfig\"('app.tenant', 'acme', false)"],
            &["(SELECT set_config('app.tenant', 'acme', false))"],
            &["SELECT 1 FROM set_config('app.tenant', 'acme', false)"],
            &["SELECT 1 WHERE set_config('app.tenant', 'acme', false) = 'no'"],
            &["SELECT count(*) FILTER (WHERE set_config('app.tenant', 'acme', false) = '') FROM notes"],
            &["WITH x AS (SELECT set_config('app.tenant', 'acme', false) AS v) SELECT v FROM x"],
            &["EXPLAIN ANALYZE SELECT set_config('app.tenant', 'acme', false)"],
            &["EXPLAIN (ANALYZE, COSTS OFF) SELECT set_config('app.tenant', 'acme', false)"],
            &["?COPY (SELECT set_config('app.tenant', 'acme', false)) TO STDOUT"],
            &["DROP TABLE IF EXISTS made", "CREATE TABLE made AS SELECT set_config('app.tenant', 'acme', false)"],
            &["DROP TABLE IF EXISTS made", "SELECT set_config('app.tenant', 'acme', false) AS v INTO made"],
            &["INSERT INTO notes SELECT set_config('app.tenant', 'acme', false)"],
            &["INSERT INTO notes VALUES (set_config('app.tenant', 'acme', false))"],
            &["UPDATE notes SET v = set_config('app.tenant', 'acme', false)"],
            &["DELETE FROM notes WHERE v = set_config('app.tenant', 'acme', false) || '?'"],
            &["UPDATE notes SET v = v RETURNING set_config('app.tenant', 'acme', false)"],
        ],
        TENANT,
    )
    .await;
}

#[tokio::test]
async fn custom_setting_made_inside_a_function_is_cleared() {
    assert_nothing_is_left(
        &[
            &["SELECT leave()"],
            &["SELECT leave() FROM notes"],
            &["SELECT 1 WHERE leave() = 'no'"],
            &["INSERT INTO notes VALUES (leave())"],
            &["CALL depart()"],
            &["DO $$ BEGIN PERFORM set_config('app.tenant', 'acme', false); END $$"],
            &["/* x */ DO $$ BEGIN EXECUTE 'SET app.tenant = ''acme'''; END $$"],
            &["PREPARE q AS SELECT leave()", "EXECUTE q"],
            &[
                "UPDATE pg_settings SET setting = 'acme' WHERE name = 'app.tenant'",
                "SELECT leave()",
            ],
        ],
        TENANT,
    )
    .await;
}

/// The text of the statement does not show what its trigger does.
#[tokio::test]
async fn settings_made_by_a_trigger_are_cleared_by_a_full_reset() {
    let mut rig = Rig::new(&SETUP).await;
    rig.prepare(
        "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM leave(); RETURN NEW; END $$; \
         CREATE TRIGGER fires AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION fire()",
    )
    .await;
    let lines: &[&str] = &["INSERT INTO notes VALUES ('two')"];
    rig.nothing_is_left(&[ResetOnReturn::Full], |bind| bind, lines, TENANT).await;
    rig.finish();
}

#[tokio::test]
async fn session_settings_equal_those_of_a_new_connection() {
    let mut rig = Rig::new(&SETUP).await;
    let settings =
        |bind: BindSettings| bind.on_connect(["SET search_path = public, other"]).read_only(false);
    for (lines, setting) in [
        (&["SET search_path = other"][..], "search_path"),
        (&["/* x */ SET search_path = other"], "search_path"),
        (&["SET SCHEMA 'other'"], "search_path"),
        (&["RESET search_path"], "search_path"),
        (&["-- x\nRESET ALL"], "search_path"),
        (&["/* x */ DISCARD ALL"], "search_path"),
        (&["SET search_path TO DEFAULT"], "search_path"),
        (&["BEGIN", "SET search_path = other", "COMMIT"], "search_path"),
        (&["SET TIME ZONE 'Asia/Tokyo'"], "TimeZone"),
        (&["/* x */ SET LOCAL TIME ZONE 'Asia/Tokyo'"], "TimeZone"),
        (&["RESET TIME ZONE"], "TimeZone"),
        (&["DISCARD ALL"], "TimeZone"),
        (&["UPDATE pg_settings SET setting = 'Asia/Tokyo' WHERE name = 'TimeZone'"], "TimeZone"),
        (
            &["/* x */ SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"],
            "default_transaction_read_only",
        ),
        (
            &["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
            "default_transaction_isolation",
        ),
        (&["/**/SET default_transaction_read_only = on"], "default_transaction_read_only"),
        (&["SET DateStyle = 'German'"], "DateStyle"),
        (&["SET NAMES 'LATIN1'"], "client_encoding"),
        (&["/* x */ SET standard_conforming_strings = off"], "standard_conforming_strings"),
        (&["SET row_security = off"], "row_security"),
        (&["SET statement_timeout = 1234"], "statement_timeout"),
        (
            &["UPDATE pg_settings SET setting = '1234' WHERE name = 'statement_timeout'"],
            "statement_timeout",
        ),
        (
            &[
                "UPDATE ONLY pg_catalog.\"pg_settings\" SET setting = 'other' WHERE name = 'search_path'",
            ],
            "search_path",
        ),
        (&["SET application_name = 'mallory'"], "application_name"),
        (&["SET session_replication_role = replica"], "session_replication_role"),
    ] {
        let probe = format!("SELECT current_setting('{setting}') AS value");
        rig.nothing_is_left(AUTO_AND_FULL, settings, lines, &probe).await;
    }
    rig.finish();
}

#[tokio::test]
async fn roles_are_reset() {
    let cases: &[&[&str]] = &[
        &["SET ROLE leftovers_clerk"],
        &["/* x */ SET ROLE leftovers_clerk"],
        &["-- x\nset role leftovers_clerk"],
        &["SET SESSION ROLE leftovers_clerk"],
        &["SET SESSION AUTHORIZATION leftovers_clerk"],
        &["/* x */ SET SESSION AUTHORIZATION leftovers_clerk"],
        &["SELECT set_config ('role', 'leftovers_clerk', false)"],
        &["DO $$ BEGIN SET ROLE leftovers_clerk; END $$"],
        &["BEGIN; SET ROLE leftovers_clerk; COMMIT"],
    ];
    assert_nothing_is_left(cases, "SELECT session_user || ' as ' || current_user AS value").await;
}

#[tokio::test]
async fn session_locks_are_released_on_return() {
    let cases: &[&[&str]] = &[
        &["SELECT pg_advisory_lock(42)"],
        &["SELECT pg_advisory_lock (42)"],
        &["SELECT pg_advisory_lock/**/(42)"],
        &["SELECT Pg_Advisory_Lock(42)"],
        &["SELECT pg_catalog.pg_advisory_lock(42)"],
        &["SELECT \"pg_advisory_lock\"(42)"],
        &["SELECT pg_advisory_lock_shared (42)"],
        &["SELECT pg_try_advisory_lock (4, 2)"],
        &["SELECT pg_try_advisory_lock_shared(42)"],
        &["SELECT 1 FROM pg_advisory_lock(42)"],
        &["(SELECT pg_advisory_lock(42))"],
        &["/* x */ SELECT pg_advisory_lock(42) FROM notes"],
        &["EXPLAIN ANALYZE SELECT pg_advisory_lock(42)"],
        &["DO $$ BEGIN PERFORM pg_advisory_lock(42); END $$"],
        &["SELECT hold()"],
        &["BEGIN; SELECT pg_advisory_lock(42); ROLLBACK"],
    ];
    // Only locks in this database, as other tests use the same server.
    let probe = "SELECT count(*)::text AS value FROM pg_locks WHERE locktype = 'advisory' \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_nothing_is_left(cases, probe).await;
}

/// State that `DISCARD ALL` does not undo.
#[tokio::test]
async fn state_that_outlives_a_reset_closes_its_connection() {
    let mut rig = Rig::new(&SETUP).await;
    rig.prepare("CREATE EXTENSION dblink").await;
    // Replication origins belong to the whole server.
    rig.prepare(
        "SELECT pg_replication_origin_create('leftovers') \
         WHERE pg_replication_origin_oid('leftovers') IS NULL",
    )
    .await;
    let server = crate::support::postgres();
    let connect = format!(
        "SELECT dblink_connect('mine', 'dbname=postgres host=127.0.0.1 port={} user={} password={}')",
        server.port(),
        server.user(),
        server.password(),
    );
    for (line, probe) in [
        (connect.as_str(), "SELECT dblink_get_connections()::text AS value"),
        (
            "SELECT pg_replication_origin_session_setup('leftovers')",
            "SELECT pg_replication_origin_session_is_setup()::text AS value",
        ),
        (
            "SELECT setseed(0.5)",
            "SELECT (round(random()::numeric, 9) = 0.985167718)::text AS value",
        ),
    ] {
        rig.nothing_is_left(AUTO_AND_FULL, |bind| bind, &[line], probe).await;
    }
    rig.finish();
}

#[tokio::test]
async fn cursors_are_closed() {
    let cases: &[&[&str]] = &[
        &["DECLARE c CURSOR WITH HOLD FOR SELECT v FROM notes"],
        &["/* x */ DECLARE c CURSOR WITH HOLD FOR SELECT v FROM notes"],
        &["-- x\ndeclare c no scroll cursor with hold for select v from notes"],
        &["BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT v FROM notes; COMMIT"],
        &["DO $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1'; END $$"],
    ];
    let probe = "SELECT count(*)::text AS value FROM pg_cursors WHERE name = 'c'";
    assert_nothing_is_left(cases, probe).await;
}

#[tokio::test]
async fn listen_ends_with_its_borrower() {
    let cases: &[&[&str]] = &[
        &["LISTEN acme"],
        &["/* x */ LISTEN acme"],
        &["-- x\nlisten \"acme\""],
        &["SELECT 1; LISTEN acme"],
        &["BEGIN; LISTEN acme; COMMIT"],
        &["DO $$ BEGIN LISTEN acme; END $$"],
    ];
    let probe = "SELECT count(*)::text AS value FROM pg_listening_channels()";
    assert_nothing_is_left(cases, probe).await;
}
