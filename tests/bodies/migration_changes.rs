//! Migrations run up to a version, reverted and run again, on each backend.

use std::path::Path;

use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use registry_core::{MigrateError, Migrations, Registry};

use super::two_binds::{Logging, Main, has, items, logs, registry};
use super::{Backend, NAME, database};
use crate::support::steps::{Step, Steps, alone, step};
use crate::support::{causes, fresh_folder};

const ITEMS: Step =
    step("2026-01-01-000000_items", "CREATE TABLE items (id INTEGER PRIMARY KEY NOT NULL)")
        .down("DROP TABLE items");
const FILL: Step =
    step("20260201000000_fill", "INSERT INTO items VALUES (1)").down("DELETE FROM items");
const LOGS: Step =
    step("20260301000000_logs", "CREATE TABLE logs (id INTEGER PRIMARY KEY NOT NULL)")
        .down("DROP TABLE logs");

fn migrations(registry: &Registry, steps: &[Step]) -> Migrations<Main> {
    registry.migrations::<Main>(Steps(steps.to_vec()))
}

#[tokio::test]
async fn migrations_run_up_to_a_version() {
    let registry = registry(&database());
    let migrations = migrations(&registry, &[LOGS, ITEMS, FILL]);
    for (version, applied) in [
        ("2026-01-01-000000", &["2026-01-01-000000_items"][..]),
        ("20260201000000_fill", &["20260201000000_fill"]),
        // It was run, and what comes after it is not run.
        ("20260201000000", &[]),
        ("2026-03-01-000000", &["20260301000000_logs"]),
    ] {
        let report = migrations.run_to(version).await.expect("it runs");
        assert_eq!(report.applied, applied, "{version}");
    }
    let report = migrations.run_to("20260301000000").await.expect("nothing to do");
    assert_eq!((report.applied.len(), report.skipped), (0, 3));
}

#[tokio::test]
async fn unknown_version_names_the_nearest_and_nothing_runs() {
    let registry = registry(&database());
    for (steps, version, said) in [
        (&[ITEMS, FILL][..], "20260201000001", "; did you mean `20260201000000_fill`?"),
        (&[ITEMS, FILL], "2026-02-01-000001", "; did you mean `20260201000000_fill`?"),
        (&[ITEMS, FILL], "20260201000000_file", "; did you mean `20260201000000_fill`?"),
        (&[ITEMS, FILL], "x", "; the last one of the program is `20260201000000_fill`"),
        (&[], "x", "; the program has none"),
    ] {
        let run = migrations(&registry, steps).run_to(version).await;
        let error = run.expect_err("the program has no such migration");
        assert_eq!(
            error.to_string(),
            format!("bind `default`: there is no migration `{version}`{said}")
        );
        assert!(!has(&registry, "items").await);
    }
}

#[tokio::test]
async fn last_migrations_are_reverted_newest_first() {
    let registry = registry(&database());
    let migrations = migrations(&registry, &[ITEMS, FILL, LOGS]);
    migrations.run().await.expect("they run");
    let report = migrations.revert(2).await.expect("they are reverted");
    assert_eq!(report.reverted, ["20260301000000_logs", "20260201000000_fill"]);
    assert_eq!((report.applied.len(), report.skipped), (0, 1));
    assert_eq!(
        report.to_string(),
        "bind `default`: migrations reverted: 2, run now: 0, before: 1\n  20260301000000_logs (reverted)\n  \
         20260201000000_fill (reverted)"
    );
    assert!(has(&registry, "items").await && !has(&registry, "logs").await);
    assert_eq!(migrations.pending().await.expect("known"), [FILL.name, LOGS.name]);
    // There are fewer than that.
    let report = migrations.revert(usize::MAX).await.expect("it is reverted");
    assert_eq!(report.reverted, ["2026-01-01-000000_items"]);
    assert!(!has(&registry, "items").await);
    let report = migrations.revert(1).await.expect("nothing to do");
    assert_eq!((report.reverted.len(), report.applied.len(), report.skipped), (0, 0, 0));
    let report = migrations.run().await.expect("they run again");
    assert_eq!(report.applied.len(), 3);
    let report = migrations.revert(0).await.expect("nothing to do");
    assert_eq!((report.reverted.len(), report.skipped), (0, 3));
}

#[tokio::test]
async fn redo_reverts_and_runs_the_last_migration() {
    let registry = registry(&database());
    let migrations = migrations(&registry, &[ITEMS, LOGS]);
    let report = migrations.redo().await.expect("nothing was run, so nothing to do");
    assert_eq!((report.reverted.len(), report.applied.len(), report.skipped), (0, 0, 0));
    migrations.run().await.expect("they run");
    let mut session = registry.session::<Logging>().await.expect("a session");
    session.batch_execute("INSERT INTO logs VALUES (1)").await.expect("a row");
    drop(session);
    let report = migrations.redo().await.expect("it runs");
    assert_eq!(
        (report.reverted.as_slice(), report.applied.as_slice()),
        (&[LOGS.name.to_owned()][..], &[LOGS.name.to_owned()][..])
    );
    assert_eq!(report.skipped, 1);
    let count = diesel::QueryDsl::count(logs::table);
    let count: i64 = registry_core::RunQueryDsl::get_result(count, &registry).await.expect("rows");
    assert_eq!(count, 0, "the table is a new one");
    assert_eq!(migrations.pending().await.expect("known").len(), 0);
}

#[tokio::test]
async fn failed_revert_is_named_and_the_migration_counts_as_run() {
    let registry = registry(&database());
    let broken = step("20260202000000_broken", "SELECT 1").down("DELETE FROM nowhere");
    let migrations = migrations(&registry, &[ITEMS, broken, LOGS]);
    migrations.run().await.expect("they run");
    let error = migrations.revert(3).await.expect_err("one of them fails");
    assert_eq!(
        error.to_string(),
        "bind `default`: the migration `20260202000000_broken` could not be reverted, after 1 had been reverted"
    );
    assert!(causes(&error)[1].contains("nowhere"), "{error:?}");
    let MigrateError::Revert { reverted, in_part: false, .. } = error else { panic!("{error:?}") };
    assert_eq!(*reverted, [LOGS.name]);
    assert_eq!(migrations.pending().await.expect("known"), [LOGS.name]);
    assert!(has(&registry, "items").await);
}

#[tokio::test]
async fn failed_redo_says_that_the_migration_is_pending() {
    let registry = registry(&database());
    migrations(&registry, &[ITEMS]).run().await.expect("it runs");
    let worse = step(ITEMS.name, "SELECT * FROM nowhere").down("DROP TABLE items");
    let migrations = migrations(&registry, &[worse]);
    let error = migrations.redo().await.expect_err("it cannot be run again");
    assert_eq!(
        error.to_string(),
        "bind `default`: the migration `2026-01-01-000000_items` failed, after 0 had been run; it had been \
         reverted before, and is pending now"
    );
    assert_eq!(migrations.pending().await.expect("known"), [ITEMS.name]);
    assert!(!has(&registry, "items").await);
}

#[tokio::test]
async fn panic_while_reverting_is_an_error_and_the_migration_counts_as_run() {
    let registry = registry(&database());
    let panicking = step("20260202000000_panics", "SELECT 1").down("DELETE FROM items;panic");
    let migrations = migrations(&registry, &[ITEMS, FILL, panicking]);
    migrations.run().await.expect("they run");
    let error = migrations.revert(2).await.expect_err("it panics");
    let MigrateError::Panicked { migration, .. } = &error else { panic!("{error}") };
    assert_eq!(migration.as_deref(), Some(panicking.name));
    assert_eq!(migrations.pending().await.expect("known").len(), 0);
    let count = diesel::QueryDsl::count(items::table);
    let count: i64 = registry_core::RunQueryDsl::get_result(count, &registry).await.expect("rows");
    assert_eq!(count, 1, "what it deleted is there again");
}

#[tokio::test]
async fn migration_that_the_program_does_not_have_is_not_reverted() {
    let registry = registry(&database());
    migrations(&registry, &[ITEMS, FILL, LOGS]).run().await.expect("they run");
    let older = migrations(&registry, &[ITEMS, FILL]);
    for change in [older.revert(1).await, older.revert(3).await, older.redo().await] {
        assert_eq!(
            change.expect_err("its SQL is unknown").to_string(),
            "bind `default`: the migration `20260301000000_logs` was run on this database, and this program \
             does not have it: nothing was reverted; revert it with a program that has it"
        );
    }
    // Those before it are not reverted either.
    let gap = migrations(&registry, &[ITEMS, LOGS]);
    gap.revert(2).await.expect_err("the second one is unknown");
    assert!(has(&registry, "logs").await);
    assert_eq!(gap.revert(1).await.expect("it is known").reverted, [LOGS.name]);
}

#[tokio::test]
async fn binds_that_share_a_database_revert_their_own_migrations() {
    let registry = registry(&database());
    let main = migrations(&registry, &[ITEMS, FILL]);
    let logging = registry.migrations::<Logging>(Steps(vec![LOGS]));
    main.run().await.expect("they run");
    logging.run().await.expect("it runs");
    // The newest one on the database is the other bind's.
    let report = main.revert(1).await.expect("it is reverted");
    assert_eq!(report.reverted, [FILL.name]);
    assert!(has(&registry, "logs").await);
    let report = logging.revert(5).await.expect("it is reverted");
    assert_eq!(report.reverted, [LOGS.name]);
    assert!(has(&registry, "items").await);

    // Where both have a migration, it is reverted by the bind that has run it.
    logging.run().await.expect("it runs");
    let both = migrations(&registry, &[ITEMS, FILL, LOGS]);
    let error = both.revert(1).await.expect_err("the other bind has run it");
    assert_eq!(
        error.to_string(),
        "bind `default`: the migration `20260301000000_logs` was run by bind `logging` on this database: \
         nothing was reverted; revert it through that bind"
    );
    assert!(has(&registry, "logs").await);
}

/// Migrations in files, as pairs of a name and of the SQL of `up.sql` and `down.sql`.
fn files(folder: &Path, migrations: &[(&str, &str, Option<&str>)]) -> FileBasedMigrations {
    for (name, up, down) in migrations {
        std::fs::create_dir_all(folder.join(name)).expect("a folder");
        std::fs::write(folder.join(name).join("up.sql"), up).expect("a file");
        if let Some(down) = down {
            std::fs::write(folder.join(name).join("down.sql"), down).expect("a file");
        }
    }
    FileBasedMigrations::from_path(folder).expect("migrations")
}

#[tokio::test]
async fn irreversible_migration_is_refused_before_anything_is_reverted() {
    let registry = registry(&database());
    let folder = fresh_folder();
    let files = files(
        &folder,
        &[("1_items", ITEMS.sql, None), ("2_logs", LOGS.sql, Some("DROP TABLE logs"))],
    );
    let migrations = registry.migrations::<Main>(files);
    migrations.run().await.expect("they run");
    let error = migrations.revert(2).await.expect_err("the first has no `down.sql`");
    assert_eq!(
        error.to_string(),
        "bind `default`: the migration `1_items` cannot be reverted, as it has neither a `down.sql` nor a \
         `down`: nothing was reverted"
    );
    assert!(has(&registry, "logs").await);
    assert_eq!(migrations.revert(1).await.expect("it has one").reverted, ["2_logs"]);
    let error = migrations.redo().await.expect_err("it has none");
    assert!(matches!(error, MigrateError::Irreversible { .. }), "{error}");
    assert!(has(&registry, "items").await);
}

/// Diesel's own code, on a connection that no registry has opened.
async fn by_diesel(
    url: &str,
    work: impl FnOnce(&mut AsyncConnectionWrapper<Backend>) + Send + 'static,
) {
    let mut connection = Backend::establish(url).await.expect("a connection");
    if NAME == "sqlite" {
        // A connection of the registry locks the file while it is being closed.
        connection.batch_execute("PRAGMA busy_timeout = 5000").await.expect("it is set");
    }
    let mut connection: AsyncConnectionWrapper<Backend> = connection.into();
    tokio::task::spawn_blocking(move || work(&mut connection)).await.expect("no panic");
}

#[tokio::test]
async fn diesel_and_the_registry_take_turns_on_one_database() {
    let url = database();
    let path = match NAME {
        "sqlite" => url.trim_start_matches("sqlite://").to_owned(),
        _ => url.clone(),
    };
    let registry = registry(&url);
    let folder = fresh_folder();
    let files = files(
        &folder,
        &[
            ("2026-01-01-000000_items", ITEMS.sql, Some("DROP TABLE items")),
            ("2026-02-01-000000_fill", FILL.sql, Some("DELETE FROM items")),
            ("2026-03-01-000000_logs", LOGS.sql, Some("DROP TABLE logs")),
        ],
    );
    let all = ["2026-01-01-000000_items", "2026-02-01-000000_fill", "2026-03-01-000000_logs"];
    let migrations = registry.migrations::<Main>(files.clone());

    // Diesel runs one, and the registry the others.
    let source = files.clone();
    by_diesel(&path, move |diesel| {
        diesel.run_next_migration(source).expect("it runs");
    })
    .await;
    assert_eq!(migrations.pending().await.expect("known"), all[1..]);
    assert_eq!(migrations.run().await.expect("they run").applied, all[1..]);

    // Diesel has nothing to do, reverts the last one, and runs it again.
    let source = files.clone();
    by_diesel(&path, move |diesel| {
        assert!(!diesel.has_pending_migration(source.clone()).expect("known"));
        diesel.revert_last_migration(source).expect("it is reverted");
    })
    .await;
    assert_eq!(migrations.pending().await.expect("known"), all[2..]);
    assert!(!has(&registry, "logs").await);
    let source = files.clone();
    by_diesel(&path, move |diesel| {
        diesel.run_pending_migrations(source).expect("it runs");
    })
    .await;

    // The registry reverts what Diesel has run, and again.
    let report = migrations.redo().await.expect("it runs");
    assert_eq!(
        (report.reverted.as_slice(), report.applied.as_slice()),
        (&[all[2].to_owned()][..], &[all[2].to_owned()][..])
    );
    assert_eq!(migrations.revert(3).await.expect("they are reverted").reverted.len(), 3);
    let source = files.clone();
    by_diesel(&path, move |diesel| {
        assert_eq!(diesel.applied_migrations().expect("known").len(), 0);
        assert_eq!(diesel.run_pending_migrations(source).expect("they run").len(), 3);
    })
    .await;
    let source = files;
    assert_eq!(migrations.run().await.expect("nothing to do").skipped, 3);
    by_diesel(&path, move |diesel| {
        assert_eq!(diesel.revert_all_migrations(source).expect("they are reverted").len(), 3);
    })
    .await;
    assert_eq!(migrations.pending().await.expect("known"), all);
    assert_eq!(migrations.run().await.expect("they run").applied, all);
}

#[tokio::test]
async fn migration_outside_a_transaction_is_run_and_reverted() {
    let url = database();
    let registry = registry(&url);
    // Other sessions of this process are open. They are idle outside of a transaction.
    let _idle = registry.session::<Main>().await.expect("a session");
    let (up, down) = match NAME {
        // Both are refused within a transaction, and wait for all older transactions.
        "postgres" => {
            ("CREATE INDEX CONCURRENTLY by_id ON items (id)", "DROP INDEX CONCURRENTLY by_id")
        }
        "mysql" => ("CREATE INDEX by_id ON items (id)", "DROP INDEX by_id ON items"),
        // It is refused within a transaction.
        _ => ("VACUUM", "VACUUM"),
    };
    let index = alone("20260202000000_index", up).down(down);
    let other = self::registry(&url);
    let migrations = migrations(&registry, &[ITEMS, FILL, index]);
    // A process that waits for the migration lock has no transaction open either.
    let waiting = self::migrations(&other, &[ITEMS, FILL, index]);
    let (run, waited) = tokio::join!(migrations.run(), waiting.run());
    assert_eq!(run.expect("they run").applied.len() + waited.expect("they run").applied.len(), 3);
    let report = migrations.redo().await.expect("it is reverted and run");
    assert_eq!(
        (report.reverted, report.applied),
        (vec![index.name.to_owned()], vec![index.name.to_owned()])
    );
    assert_eq!(migrations.revert(1).await.expect("it is reverted").reverted, [index.name]);
}

/// PostgreSQL runs the statements of one message in one transaction.
#[tokio::test]
async fn concurrent_index_beside_another_statement_is_refused() {
    if NAME != "postgres" {
        return;
    }
    let registry = registry(&database());
    let two =
        "DROP INDEX CONCURRENTLY IF EXISTS by_id; CREATE INDEX CONCURRENTLY by_id ON items (id)";
    let migrations = migrations(&registry, &[ITEMS, alone("20260202000000_index", two)]);
    let error = migrations.run().await.expect_err("it is a transaction");
    assert!(causes(&error)[1].contains("transaction block"), "{error:?}");
    let drop = alone("20260202000000_drop", "DROP INDEX CONCURRENTLY IF EXISTS by_id");
    let create = alone("20260202000001_index", "CREATE INDEX CONCURRENTLY by_id ON items (id)");
    let migrations = self::migrations(&registry, &[ITEMS, drop, create]);
    assert_eq!(migrations.run().await.expect("each has one statement").applied.len(), 2);
}

/// What the table of versions says afterwards counts.
#[tokio::test]
async fn revert_that_leaves_a_transaction_open_is_not_recorded() {
    let registry = registry(&database());
    let open = alone("20260202000000_open", "SELECT 1").down("BEGIN; DELETE FROM items");
    let migrations = migrations(&registry, &[ITEMS, FILL, open]);
    migrations.run().await.expect("they run");
    let error = migrations.revert(1).await.expect_err("it is undone");
    assert_eq!(
        causes(&error),
        [
            "bind `default`: the migration `20260202000000_open` could not be reverted, after 0 had been \
             reverted; a part of it may have been reverted, and stays so",
            "it ended without an error, but its version is still in `__diesel_schema_migrations`: a \
             transaction that it left open was rolled back",
        ]
    );
    assert_eq!(migrations.pending().await.expect("known").len(), 0);
}

#[tokio::test]
async fn migrations_of_a_tenant_name_it() {
    let registry = Registry::builder()
        .bind("default", super::tenants(["acme"]))
        .build()
        .expect("good settings");
    let tenant = registry.tenant("acme").expect("a good name");
    let migrations = tenant.migrations::<Main>(Steps(vec![ITEMS]));
    let report = migrations.run().await.expect("it runs");
    assert_eq!(
        report.to_string(),
        "bind `default`, tenant `acme`: migrations run now: 1, before: 0\n  2026-01-01-000000_items"
    );
    assert_eq!(migrations.revert(1).await.expect("it is reverted").tenant.as_deref(), Some("acme"));
    let status = migrations.status().await.expect("known");
    assert_eq!(status.tenant.as_deref(), Some("acme"));
    let error = registry.migrations::<Main>(Steps(vec![ITEMS])).revert(1).await;
    assert!(matches!(error, Err(MigrateError::NoTenant { .. })), "{error:?}");
}

#[tokio::test]
async fn binds_that_share_the_engine_of_a_tenant_keep_their_own_migrations() {
    let url = super::tenants(["acme"]);
    let builder = Registry::builder().bind("default", url.as_str()).bind("logging", url.as_str());
    let registry = builder.build().expect("good settings");
    let tenant = registry.tenant("acme").expect("a good name");
    let main = tenant.migrations::<Main>(Steps(vec![ITEMS]));
    let logging = tenant.migrations::<Logging>(Steps(vec![LOGS]));
    assert_eq!(main.run().await.expect("it runs").key, "default");
    assert_eq!(logging.run().await.expect("it runs").key, "logging");
    assert_eq!(registry.status().on_demand.engines.len(), 1, "the URL is the same");
    for (status, name) in [
        (main.status().await.expect("known"), ITEMS.name),
        (logging.status().await.expect("known"), LOGS.name),
    ] {
        assert_eq!(status.migrations.len(), 1, "{status}");
        assert_eq!(status.migrations[0].name.as_deref(), Some(name));
    }
    assert_eq!(main.revert(5).await.expect("it is reverted").reverted, [ITEMS.name]);
    assert_eq!(logging.revert(5).await.expect("it is reverted").reverted, [LOGS.name]);
}

/// Diesel's command-line tool does not wait for locks, and SQLite locks a file while its last connection is being closed.
#[tokio::test]
async fn connection_is_closed_when_a_change_or_a_status_returns() {
    let url = database();
    if NAME != "sqlite" {
        return;
    }
    let path = url.trim_start_matches("sqlite://").to_owned();
    for _ in 0..20 {
        let registry = registry(&url);
        let migrations = migrations(&registry, &[ITEMS, FILL]);
        for step in 0..4 {
            match step {
                0 => drop(migrations.run().await.expect("they run")),
                1 => drop(migrations.redo().await.expect("it runs")),
                2 => drop(migrations.status().await.expect("known")),
                _ => drop(migrations.revert(2).await.expect("they are reverted")),
            }
            let mut other = Backend::establish(&path).await.expect("a connection");
            let lock = other.batch_execute("BEGIN EXCLUSIVE; ROLLBACK").await;
            lock.expect("nobody has the file open");
        }
    }
}
