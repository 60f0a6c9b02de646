//! What the status and the plan of migrations say, and that they write nothing, on each backend.

use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, FileBasedMigrations, embed_migrations};
use registry_core::migrations::{MigrationSet, MigrationState, RustMigration};
use registry_core::{MigrateError, Migrations, Registry};

use super::two_binds::{Logging, Main, has, items, registry, run};
use super::{Backend, NAME, database};
use crate::support::fresh_folder;
use crate::support::steps::{Step, Steps, step};

const ITEMS: Step =
    step("20260101000000_items", "CREATE TABLE items (id INTEGER PRIMARY KEY NOT NULL)");
const FILL: Step = step("20260201000000_fill", "INSERT INTO items VALUES (1)");
const LOGS: Step =
    step("20260301000000_logs", "CREATE TABLE logs (id INTEGER PRIMARY KEY NOT NULL)");

const EMBEDDED: EmbeddedMigrations = embed_migrations!("docs/guide/migrations/analytics");

fn migrations(registry: &Registry, steps: &[Step]) -> Migrations<Main> {
    registry.migrations::<Main>(Steps(steps.to_vec()))
}

async fn states(migrations: &Migrations<Main>) -> Vec<(String, MigrationState)> {
    let status = migrations.status().await.expect("known");
    let state = |entry: registry_core::migrations::MigrationEntry| (entry.version, entry.state);
    status.migrations.into_iter().map(state).collect()
}

#[tokio::test]
async fn status_writes_nothing() {
    let url = database();
    let registry = registry(&url);
    let migrations = migrations(&registry, &[ITEMS]);
    assert_eq!(migrations.pending().await.expect("known"), [ITEMS.name]);
    assert_eq!(migrations.status().await.expect("known").pending().count(), 1);
    assert_eq!(migrations.plan().await.expect("known").migrations.len(), 1);
    if let Some(file) = url.strip_prefix("sqlite://") {
        let folder = std::path::Path::new(file).parent().expect("a folder");
        let files = std::fs::read_dir(folder).expect("a folder").flatten();
        let files: Vec<_> = files.map(|file| file.file_name()).collect();
        assert!(!files.iter().any(|name| file.ends_with(&*name.to_string_lossy())), "{files:?}");
    }
    for table in ["__diesel_schema_migrations", "__registry_schema_migrations", "items"] {
        assert!(!has(&registry, table).await, "{table}");
    }

    // Diesel's tool has made its table, and the registry has no records.
    run(&registry, diesel::migration::CREATE_MIGRATIONS_TABLE).await;
    run(&registry, "INSERT INTO __diesel_schema_migrations (version) VALUES ('20260101000000')")
        .await;
    assert_eq!(states(&migrations).await, [("20260101000000".to_owned(), MigrationState::Applied)]);
    assert!(!has(&registry, "__registry_schema_migrations").await);
}

#[tokio::test]
async fn status_tells_what_was_run_what_is_pending_and_what_is_unknown() {
    let registry = registry(&database());
    migrations(&registry, &[ITEMS, LOGS]).run().await.expect("they run");
    run(
        &registry,
        "INSERT INTO __diesel_schema_migrations (version, run_on) \
         VALUES ('20260101500000', '2026-01-02 03:04:05')",
    )
    .await;
    run(
        &registry,
        "UPDATE __diesel_schema_migrations SET run_on = '2026-05-06 07:08:09' \
         WHERE version = '20260101000000'",
    )
    .await;

    let older = migrations(&registry, &[FILL, ITEMS]);
    let status = older.status().await.expect("known");
    assert_eq!((status.key.to_string().as_str(), &status.tenant), ("default", &None));
    let entries: Vec<_> = status
        .migrations
        .iter()
        .map(|entry| (entry.version.as_str(), entry.name.as_deref(), entry.state))
        .collect();
    assert_eq!(
        entries,
        [
            ("20260101000000", Some(ITEMS.name), MigrationState::Applied),
            ("20260101500000", None, MigrationState::Unknown),
            ("20260201000000", Some(FILL.name), MigrationState::Pending),
            ("20260301000000", Some(LOGS.name), MigrationState::Unknown),
        ]
    );
    assert_eq!(status.migrations[0].run_on.as_deref(), Some("2026-05-06 07:08:09"));
    assert_eq!(status.migrations[1].run_on.as_deref(), Some("2026-01-02 03:04:05"));
    assert_eq!(status.migrations[2].run_on, None);
    let logged_on = status.migrations[3].run_on.clone().expect("it was run");
    assert_eq!(
        status.to_string(),
        format!(
            "bind `default`: 1 applied, 1 pending, 2 unknown\n\
             migration             state    run on\n\
             20260101000000_items  applied  2026-05-06 07:08:09\n\
             20260101500000        unknown  2026-01-02 03:04:05\n\
             20260201000000_fill   pending  \n\
             20260301000000_logs   unknown  {logged_on}"
        )
    );
    assert_eq!(status.pending().count(), 1);
    assert_eq!(status.unknown().count(), 2);
    let json = serde_json::to_value(&status.migrations[2]).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "version": "20260201000000", "name": FILL.name, "state": "pending", "run_on": null
        })
    );
    let none = migrations(&self::registry(&database()), &[]).status().await.expect("known");
    assert_eq!(none.to_string(), "bind `default`: no migrations");
}

#[tokio::test]
async fn migrations_of_another_bind_on_the_database_are_not_unknown() {
    let registry = registry(&database());
    let main = migrations(&registry, &[ITEMS]);
    let logging = registry.migrations::<Logging>(Steps(vec![LOGS]));
    main.run().await.expect("it runs");
    assert_eq!(logging.pending().await.expect("known"), [LOGS.name]);
    logging.run().await.expect("it runs");
    assert_eq!(states(&main).await, [("20260101000000".to_owned(), MigrationState::Applied)]);
    let status = logging.status().await.expect("known");
    assert_eq!((status.migrations.len(), status.unknown().count()), (1, 0));

    // The other bind has run the version as another migration.
    let renamed = migrations(&registry, &[ITEMS, step("20260301000000_other", "SELECT 1")]);
    let error = renamed.status().await.expect_err("it would never run");
    assert!(matches!(error, MigrateError::VersionTaken { .. }), "{error}");
}

#[tokio::test]
async fn status_counts_the_versions_where_migrations_would_run() {
    if NAME != "postgres" {
        // The others have one namespace in a connection.
        return;
    }
    let url = database();
    let registry = registry(&url);
    migrations(&registry, &[ITEMS]).run().await.expect("it runs");
    run(&registry, "CREATE SCHEMA app").await;
    let bind = registry_core::BindSettings::new(url).on_connect(["SET search_path = app, public"]);
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let migrations = migrations(&registry, &[ITEMS]);
    // A run creates its tables in the schema `app`, so it runs the migration there.
    assert_eq!(migrations.pending().await.expect("known"), [ITEMS.name]);
    assert_eq!(migrations.run().await.expect("it runs").applied, [ITEMS.name]);
    assert_eq!(migrations.pending().await.expect("known").len(), 0);
}

#[tokio::test]
async fn status_is_read_while_another_process_migrates() {
    let registry = registry(&database());
    migrations(&registry, &[ITEMS]).run().await.expect("it runs");
    let (runs, is_running) = std::sync::mpsc::channel();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let gated = RustMigration::<Backend>::new("20260401000000_gated", move |_| {
        runs.send(())?;
        gate.lock().expect("no panic").recv()?;
        Ok(())
    });
    let gated = MigrationSet::<Backend>::new().and(Steps(vec![ITEMS])).and(gated);
    let both = registry.migrations::<Main>(gated);
    let running = tokio::spawn({
        let both = both.clone();
        async move { both.run().await }
    });
    tokio::task::spawn_blocking(move || is_running.recv())
        .await
        .expect("no panic")
        .expect("it runs");
    assert_eq!(both.pending().await.expect("known"), ["20260401000000_gated"]);
    open.send(()).expect("it waits");
    running.await.expect("no panic").expect("it runs");
    assert_eq!(both.pending().await.expect("known").len(), 0);
}

#[tokio::test]
async fn plan_has_the_sql_of_the_pending_migrations_and_runs_nothing() {
    let registry = registry(&database());
    let folder = fresh_folder();
    for (name, sql) in [("2_items", ITEMS.sql), ("3_index", "CREATE INDEX by_id ON items (id);\n")]
    {
        std::fs::create_dir(folder.join(name)).expect("a folder");
        std::fs::write(folder.join(name).join("up.sql"), sql).expect("a file");
    }
    std::fs::write(folder.join("3_index/metadata.toml"), "run_in_transaction = false")
        .expect("a file");
    let files = FileBasedMigrations::from_path(&folder).expect("migrations");
    let fail = |_: &mut _| -> diesel::migration::Result<()> { panic!("a plan runs nothing") };
    let set = MigrationSet::<Backend>::new()
        .and(Steps(vec![step("1_own", "panic")]))
        .and(RustMigration::<Backend>::new("4_rust", fail))
        .and(files);
    let migrations = registry.migrations::<Main>(set);
    let plan = migrations.plan().await.expect("known");
    let planned: Vec<_> = plan
        .migrations
        .iter()
        .map(|planned| (planned.name.as_str(), planned.sql.as_deref(), planned.run_in_transaction))
        .collect();
    assert_eq!(
        planned,
        [
            // The code of both is the program's own.
            ("1_own", None, true),
            ("2_items", Some(ITEMS.sql), true),
            ("3_index", Some("CREATE INDEX by_id ON items (id);\n"), false),
            ("4_rust", None, true),
        ]
    );
    assert_eq!(
        plan.to_string(),
        format!(
            "-- bind `default`: pending migrations: 4\n\n\
             -- 1_own\n-- its SQL is not known before it is run\n\n\
             -- 2_items\n{}\n\n\
             -- 3_index (not in a transaction)\nCREATE INDEX by_id ON items (id);\n\n\
             -- 4_rust\n-- its SQL is not known before it is run",
            ITEMS.sql
        )
    );
    assert!(!has(&registry, "items").await);

    let embedded = registry.migrations::<Main>(EMBEDDED);
    embedded.run_to("20260101000000").await.expect("it runs");
    let plan = embedded.plan().await.expect("known");
    assert_eq!(plan.migrations.len(), 1);
    let sql = plan.migrations[0].sql.as_deref().expect("it is SQL");
    assert!(sql.contains("CREATE INDEX"), "{sql}");
}

#[tokio::test]
async fn migration_in_rust_that_commits_by_itself_is_run() {
    use diesel::connection::{Connection, TransactionManager};
    use registry_core::migrations::BlockingConnection;

    type Manager = <BlockingConnection<Backend> as Connection>::TransactionManager;

    let registry = registry(&database());
    let commits = RustMigration::<Backend>::new("20260201000000_commits", |connection| {
        diesel::insert_into(items::table).values(items::id.eq(1)).execute(connection)?;
        Ok(Manager::commit_transaction(connection)?)
    });
    let set = MigrationSet::<Backend>::new().and(Steps(vec![ITEMS, LOGS])).and(commits);
    let migrations = registry.migrations::<Main>(set);
    let report = migrations.run().await.expect("they run");
    assert_eq!(report.applied.len(), 3);
    assert_eq!(migrations.pending().await.expect("known").len(), 0);
}

#[tokio::test]
async fn migrations_in_rust_run_beside_those_in_sql() {
    let registry = registry(&database());
    let fill = RustMigration::<Backend>::new("2026-02-01-000000_fill", |connection| {
        let ids: Vec<_> = (1..=3).map(|id| items::id.eq(id)).collect();
        diesel::insert_into(items::table).values(ids).execute(connection)?;
        let count: i64 = items::table.count().get_result(connection)?;
        assert_eq!(count, 3);
        Ok(())
    });
    let fill = fill.down(|connection| {
        diesel::delete(items::table).execute(connection)?;
        Ok(())
    });
    let fails = RustMigration::<Backend>::new("20260201500000_fails", |connection| {
        diesel::delete(items::table).execute(connection)?;
        Err("it changes its mind".into())
    });
    let set = MigrationSet::<Backend>::new().and(Steps(vec![ITEMS, LOGS])).and(fill.clone());
    let migrations = registry.migrations::<Main>(set.clone().and(fails));
    let error = migrations.run().await.expect_err("one of them fails");
    assert_eq!(
        crate::support::causes(&error),
        [
            "bind `default`: the migration `20260201500000_fails` failed, after 2 had been run",
            "it changes its mind"
        ]
    );
    let count = items::table.count();
    let count: i64 = registry_core::RunQueryDsl::get_result(count, &registry).await.expect("rows");
    assert_eq!(count, 3, "what it deleted is there again");
    let migrations = registry.migrations::<Main>(set);
    assert_eq!(migrations.run().await.expect("it runs").applied, [LOGS.name]);
    let report = migrations.revert(2).await.expect("they are reverted");
    assert_eq!(report.reverted, [LOGS.name, "2026-02-01-000000_fill"]);

    let one_way = RustMigration::<Backend>::new("20260501000000_one_way", |_| Ok(()));
    let migrations = registry
        .migrations::<Main>(MigrationSet::<Backend>::new().and(Steps(vec![ITEMS])).and(one_way));
    migrations.run().await.expect("it runs");
    let error = migrations.revert(1).await.expect_err("it has no way back");
    assert!(matches!(error, MigrateError::Irreversible { .. }), "{error}");

    let nameless = RustMigration::<Backend>::new("_x", |_| Ok(()));
    let error = registry.migrations::<Main>(nameless).status().await.expect_err("no version");
    assert_eq!(
        crate::support::causes(&error)[1],
        "the migration `_x` in Rust has no version: its name begins with it, as in `20260101000000_users`"
    );
}
