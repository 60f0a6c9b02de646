//! What the table of versions and the report of a run say about migrations is true, on each backend.

use std::path::Path;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use diesel_migrations::FileBasedMigrations;
use registry_core::settings::BindSettings;
use registry_core::{MigrateError, MigrateReport, Registry};

use super::two_binds::{Logging, Main, has, items, registry, run};
use super::{NAME, database};
use crate::support::steps::{Step, Steps, alone, step};
use crate::support::{causes, fresh_folder};

const ITEMS: &str = "CREATE TABLE items (id INTEGER PRIMARY KEY NOT NULL)";
const LOGS: &str = "CREATE TABLE logs (id INTEGER PRIMARY KEY NOT NULL)";

async fn migrate(registry: &Registry, steps: &[Step]) -> Result<MigrateReport, MigrateError> {
    registry.migrate::<Main>(Steps(steps.to_vec())).await
}

async fn migrate_logging(
    registry: &Registry,
    steps: &[Step],
) -> Result<MigrateReport, MigrateError> {
    registry.migrate::<Logging>(Steps(steps.to_vec())).await
}

#[tokio::test]
async fn duplicate_versions_are_refused_before_anything_runs() {
    let url = database();
    let steps = [step("0_first", LOGS), step("1_y", ITEMS), step("1_x", ITEMS)];
    let registry = registry(&url);
    for _ in 0..2 {
        let error = migrate(&registry, &steps).await.expect_err("one of them would never run");
        assert_eq!(
            error.to_string(),
            "bind `default`: the migrations `1_x` and `1_y` have one version, `1`: nothing was run; give one \
             of them another"
        );
        assert!(!has(&registry, "items").await && !has(&registry, "logs").await);
    }
    migrate(&registry, &steps[..2]).await.expect("they have two versions");
}

fn write_migrations(folder: &Path, migrations: &[(&str, &str)]) -> FileBasedMigrations {
    for (name, sql) in migrations {
        std::fs::create_dir_all(folder.join(name)).expect("a folder");
        std::fs::write(folder.join(name).join("up.sql"), sql).expect("a file");
    }
    FileBasedMigrations::from_path(folder).expect("migrations")
}

/// Diesel removes `-` from versions.
#[tokio::test]
async fn versions_that_differ_only_in_hyphens_are_duplicates() {
    let names = ["2026-01-01-000000_a", "20260101000000_b"];
    let folder = fresh_folder();
    let migrations = write_migrations(&folder, &[(names[0], ITEMS), (names[1], LOGS)]);
    let registry = registry(&database());
    let error = registry.migrate::<Main>(migrations).await.expect_err("one would never run");
    let MigrateError::SameVersion { version, migrations, .. } = &error else { panic!("{error}") };
    assert_eq!((version.as_str(), migrations), ("20260101000000", &names.map(str::to_owned)));
    assert!(!has(&registry, "items").await && !has(&registry, "logs").await);
}

/// The collations of MySQL treat them as equal.
#[tokio::test]
async fn versions_equal_under_the_collation_are_refused_before_anything_runs() {
    let registry = registry(&database());
    let steps = [step("a1_items", ITEMS), step("A1_logs", LOGS)];
    let migrated = migrate(&registry, &steps).await;
    if NAME != "mysql" {
        assert_eq!(migrated.expect("they are two").applied.len(), 2);
        return;
    }
    assert!(matches!(migrated, Err(MigrateError::SameVersion { .. })), "{migrated:?}");
    assert!(!has(&registry, "items").await && !has(&registry, "logs").await);
    migrate(&registry, &steps[..1]).await.expect("it runs");
    assert_eq!(migrate(&registry, &steps[..1]).await.expect("nothing to do").skipped, 1);
    let migrated = migrate(&registry, &steps[1..]).await;
    assert!(matches!(migrated, Err(MigrateError::VersionTaken { .. })), "{migrated:?}");
    assert!(!has(&registry, "logs").await);
}

#[tokio::test]
async fn version_too_long_for_the_table_is_refused_before_anything_runs() {
    let registry = registry(&database());
    let name = |length: usize| format!("{}_items", "1".repeat(length)).leak();
    let steps = [step("0_logs", LOGS), step(name(51), ITEMS)];
    let migrated = migrate(&registry, &steps).await;
    if NAME == "sqlite" {
        assert_eq!(migrated.expect("it takes any").applied.len(), 2);
        return;
    }
    assert_eq!(
        migrated.expect_err("it is too long").to_string(),
        format!(
            "bind `default`: the version of the migration `{}` has 51 characters, and the table of versions \
             takes 50: nothing was run; the version is what stands before the first `_`",
            steps[1].name
        )
    );
    assert!(!has(&registry, "logs").await);
    let report = migrate(&registry, &[step(name(50), ITEMS)]).await.expect("it is not too long");
    assert_eq!(report.applied.len(), 1);
}

#[tokio::test]
async fn version_already_run_by_another_bind_is_refused() {
    let url = database();
    let registry = registry(&url);
    migrate(&registry, &[step("1_items", ITEMS)]).await.expect("it runs");
    let logging = [step("1_logs", LOGS), step("2_more", "SELECT 1")];
    // Also in another process, which only has the database to go by.
    for registry in [&registry, &self::registry(&url)] {
        let error = migrate_logging(registry, &logging).await.expect_err("it would never run");
        assert_eq!(
            error.to_string(),
            "bind `logging`: the migration `1_logs` has the version `1`, and this database has run `1_items` \
             of bind `default` as that version: nothing was run; give one of them another version"
        );
        assert!(!has(registry, "logs").await);
    }
    let report = migrate_logging(&registry, &[step("3_logs", LOGS)]).await.expect("it runs");
    assert_eq!((report.applied.as_slice(), report.skipped), (&["3_logs".to_owned()][..], 0));
    // A migration of the same name counts as run, whichever bind ran it.
    let both = [step("1_items", ITEMS), step("3_logs", LOGS)];
    for report in [migrate(&registry, &both).await, migrate_logging(&registry, &both).await] {
        let report = report.expect("nothing to do");
        assert_eq!((report.applied.len(), report.skipped), (0, 2));
    }
}

#[tokio::test]
async fn version_already_run_under_another_name_is_refused() {
    let registry = registry(&database());
    migrate(&registry, &[step("1_x", ITEMS)]).await.expect("it runs");
    let error = migrate(&registry, &[step("1_y", LOGS)]).await.expect_err("it would never run");
    assert_eq!(
        error.to_string(),
        "bind `default`: the migration `1_y` has the version `1`, and this database has run `1_x` of bind \
         `default` as that version: nothing was run; if it is the same migration, give it its name back, and \
         else another version"
    );
}

#[tokio::test]
async fn runs_and_reverts_by_the_diesel_cli_count() {
    let registry = registry(&database());
    run(&registry, diesel::migration::CREATE_MIGRATIONS_TABLE).await;
    let run_by_diesel = "INSERT INTO __diesel_schema_migrations (version, run_on) \
                         VALUES ('1', '2026-01-01 00:00:00')";
    run(&registry, run_by_diesel).await;
    let report = migrate(&registry, &[step("1_x", ITEMS)]).await.expect("nothing to do");
    assert_eq!((report.applied.len(), report.skipped), (0, 1));
    // From now on the version belongs to the bind `default`.
    migrate_logging(&registry, &[step("1_y", LOGS)]).await.expect_err("it is another's");

    run(&registry, "DELETE FROM __diesel_schema_migrations").await;
    let report = migrate_logging(&registry, &[step("1_y", LOGS)]).await.expect("it runs");
    assert_eq!(report.applied, ["1_y"]);
    // The CLI reverts the migration and runs another one.
    run(&registry, "DELETE FROM __diesel_schema_migrations").await;
    run(&registry, run_by_diesel).await;
    let report = migrate(&registry, &[step("1_z", ITEMS)]).await.expect("nothing to do");
    assert_eq!((report.applied.len(), report.skipped), (0, 1));
}

#[tokio::test]
async fn migration_that_leaves_a_transaction_open_is_not_recorded() {
    let registry = registry(&database());
    let insert = alone("2_insert", "BEGIN; INSERT INTO items VALUES (1)");
    let error =
        migrate(&registry, &[step("1_items", ITEMS), insert]).await.expect_err("it is undone");
    assert_eq!(
        causes(&error),
        [
            "bind `default`: the migration `2_insert` failed, after 1 had been run; a part of it may have \
             been applied, and stays",
            "it ended without an error, but its version is not in `__diesel_schema_migrations`: a \
             transaction that it left open was rolled back",
        ]
    );
    let count: i64 = registry_core::RunQueryDsl::get_result(items::table.count(), &registry)
        .await
        .expect("rows");
    assert_eq!(count, 0);
}

#[tokio::test]
async fn migration_that_commits_its_own_transaction_is_recorded() {
    let registry = registry(&database());
    let steps = [
        step("1_items", ITEMS),
        step("2_insert", "INSERT INTO items VALUES (1); COMMIT"),
        step("3_logs", LOGS),
    ];
    let report = migrate(&registry, &steps).await.expect("they run");
    assert_eq!(report.applied.len(), 3);
    assert!(has(&registry, "logs").await);
    assert_eq!(migrate(&registry, &steps).await.expect("nothing to do").skipped, 3);
}

#[tokio::test]
async fn migration_that_rolls_back_is_not_recorded() {
    for sql in [
        "INSERT INTO items VALUES (1); ROLLBACK",
        "INSERT INTO items VALUES (1); ROLLBACK; BEGIN; INSERT INTO items VALUES (2); COMMIT",
    ] {
        let registry = registry(&database());
        let steps = [step("1_items", ITEMS), step("2_insert", sql)];
        for _ in 0..2 {
            run_silently(&registry, "DELETE FROM items").await;
            let error = migrate(&registry, &steps).await.expect_err("a row is not there");
            let causes = causes(&error);
            assert!(causes[0].contains("`2_insert` failed") && causes[0].ends_with("and stays"));
            assert!(causes[1].starts_with("it ended its transaction by itself"), "{causes:?}");
        }
        run_silently(&registry, "DELETE FROM items").await;
        let right = step("2_insert", "INSERT INTO items VALUES (3)");
        let report = migrate(&registry, &[right]).await.expect("it runs");
        assert_eq!(report.applied, ["2_insert"]);
    }
}

/// Runs SQL and ignores a failure.
async fn run_silently(registry: &Registry, sql: &str) {
    let mut session = registry.session::<Main>().await.expect("a session");
    let _ = session.batch_execute(sql).await;
}

/// MariaDB and MySQL have tables without transactions, such as those of MyISAM.
#[tokio::test]
async fn rows_left_in_a_nontransactional_table_are_reported() {
    let engines: &[&str] = if NAME == "mysql" { &["MyISAM", "MEMORY"] } else { &[] };
    for engine in engines {
        let registry = registry(&database());
        let first = format!("CREATE TABLE items (id INTEGER PRIMARY KEY) ENGINE = {engine}");
        migrate(&registry, &[step("1_items", first.leak())]).await.expect("it runs");
        for sql in [
            "INSERT INTO items VALUES (1); INSERT INTO nowhere VALUES (1)",
            "SET max_error_count = 0; INSERT INTO items VALUES (2); INSERT INTO nowhere VALUES (1)",
        ] {
            let error = migrate(&registry, &[step("2_fill", sql)]).await.expect_err("it fails");
            assert!(
                matches!(error, MigrateError::Migration { in_part: true, .. }),
                "{engine}: {error}"
            );
        }
    }
}

/// PostgreSQL has constraints that are checked at the commit.
#[tokio::test]
async fn migration_whose_commit_is_refused_leaves_nothing() {
    if NAME != "postgres" {
        return;
    }
    let registry = registry(&database());
    let first = "CREATE TABLE items (id INTEGER PRIMARY KEY); CREATE TABLE logs (id INTEGER \
                 REFERENCES items (id) DEFERRABLE INITIALLY DEFERRED)";
    migrate(&registry, &[step("1_items", first)]).await.expect("it runs");
    for (sql, is_in_part) in [
        ("INSERT INTO logs VALUES (7)", false),
        ("INSERT INTO items VALUES (1); COMMIT; BEGIN; INSERT INTO logs VALUES (7)", true),
    ] {
        let error = migrate(&registry, &[step("2_fill", sql)]).await.expect_err("it is refused");
        let MigrateError::Migration { in_part, .. } = &error else { panic!("{error}") };
        assert_eq!(*in_part, is_in_part, "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn statements_committed_by_a_failed_migration_are_reported() {
    let registry = registry(&database());
    for (steps, in_part) in [
        (
            [
                step("1_items", ITEMS),
                step("2_fail", "INSERT INTO items VALUES (1); INSERT INTO nowhere VALUES (1)"),
            ],
            false,
        ),
        (
            [
                step("1_items", ITEMS),
                step(
                    "2_fail",
                    "INSERT INTO items VALUES (2); COMMIT; INSERT INTO nowhere VALUES (1)",
                ),
            ],
            true,
        ),
        (
            [
                step("1_items", ITEMS),
                alone("2_fail", "INSERT INTO items VALUES (3); INSERT INTO nowhere VALUES (1)"),
            ],
            true,
        ),
        // DDL commits implicitly on MySQL.
        ([step("1_items", ITEMS), step("2_fail", DDL_THAT_FAILS)], NAME == "mysql"),
    ] {
        let error = migrate(&registry, &steps).await.expect_err("it fails");
        let MigrateError::Migration { migration, in_part: told, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((migration.as_str(), *told), ("2_fail", in_part), "{}", steps[1].sql);
        assert_eq!(
            error.to_string().ends_with("may have been applied, and stays"),
            in_part,
            "{error}"
        );
    }
    assert_eq!(has(&registry, "logs").await, NAME == "mysql");
}

const DDL_THAT_FAILS: &str =
    "CREATE TABLE logs (id INTEGER PRIMARY KEY NOT NULL); INSERT INTO nowhere VALUES (1)";

/// Such as the settings at the beginning of a database dump.
#[tokio::test]
async fn session_settings_of_a_migration_do_not_reach_the_next() {
    let (sets, next) = match NAME {
        "postgres" => (
            "SELECT pg_catalog.set_config('search_path', '', false); \
             SET SESSION AUTHORIZATION pg_monitor; \
             SET statement_timeout = '1ms'",
            "SELECT pg_sleep(0.05); SELECT 1 / (session_user <> 'pg_monitor')::int",
        ),
        "mysql" => (
            "SET foreign_key_checks = 0; SET autocommit = 0; SET time_zone = '+05:00'; \
             SET sql_mode = ''; SET SESSION default_storage_engine = MEMORY, group_concat_max_len = 4, \
             div_precision_increment = 0, tx_isolation = 'SERIALIZABLE', timestamp = 1; USE information_schema",
            "INSERT INTO items SELECT 1 FROM DUAL WHERE @@foreign_key_checks = 0 OR NOT @@autocommit \
             OR @@sql_mode = '' OR @@default_storage_engine = 'MEMORY' OR @@group_concat_max_len = 4 \
             OR @@div_precision_increment = 0 OR @@tx_isolation = 'SERIALIZABLE' OR @@timestamp = 1",
        ),
        _ => ("PRAGMA query_only = ON", "SELECT 1"),
    };
    let registry = registry(&database());
    let (sets, next) = (step("2_sets", sets), step("3_next", next));
    let report =
        migrate(&registry, &[step("1_items", ITEMS), sets, next, step("4_logs", LOGS)]).await;
    assert_eq!(report.expect("they run").applied.len(), 4);
    let count: i64 = registry_core::RunQueryDsl::get_result(items::table.count(), &registry)
        .await
        .expect("rows");
    assert_eq!(count, 0);
}

#[tokio::test]
async fn panic_of_a_migration_is_an_error_and_rolls_back() {
    let registry = registry(&database());
    let panics = [step("1_items", ITEMS), step("2_panics", "panic")];
    let error = migrate(&registry, &panics).await.expect_err("it panics");
    let MigrateError::Panicked { migration, applied, .. } = error else { panic!("{error}") };
    assert_eq!(
        (migration.as_deref(), applied.as_slice()),
        (Some("2_panics"), &["1_items".into()][..])
    );
    let report = migrate(&registry, &[step("1_items", ITEMS), step("2_logs", LOGS)]).await;
    assert_eq!(report.expect("nobody holds the lock").applied, ["2_logs"]);
}

/// The settings that Diesel makes on a connection, and those of `on_connect`, hold for every migration.
#[tokio::test]
async fn on_connect_settings_hold_for_every_migration() {
    let (on_connect, check) = match NAME {
        "postgres" => (
            "SET search_path = pg_temp, public; SET app.name = 'ada'",
            "SELECT 1 / (current_setting('search_path') = 'pg_temp, public')::int; \
             SELECT 1 / (current_setting('app.name') = 'ada')::int",
        ),
        _ => return,
    };
    let settings = BindSettings::new(database()).on_connect([on_connect]);
    let registry = Registry::builder().bind("default", settings).build().expect("good settings");
    let steps = [
        step("1_first", check),
        step("2_reset", "SET search_path = public; RESET ALL"),
        step("3_last", check),
    ];
    migrate(&registry, &steps).await.expect("they run");
}
