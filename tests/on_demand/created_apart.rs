//! Creation and drop of tenants: cases that only one backend has.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{
    AcquireError, BindSettings, CreateTenantError, DropTenantError, Error, Pooler, Registry,
    RunQueryDsl, bind_tables,
};

use crate::support::log::captured_log;
use crate::support::steps::{Step, Steps, alone, step};
use crate::support::{causes, fresh_folder, mariadb, postgres};

diesel::table! {
    invoices (id) {
        id -> Integer,
    }
}
diesel::table! {
    files (id) {
        id -> Integer,
    }
}
diesel::table! {
    orders (id) {
        id -> Integer,
    }
}
bind_tables!(db = "crm", backend = Postgres; invoices);
bind_tables!(db = "files", backend = Sqlite; files);
bind_tables!(db = "shop", backend = Mysql; orders);

type Crm = <invoices::table as registry_core::Bound>::Bind;
type Files = <files::table as registry_core::Bound>::Bind;
type Shop = <orders::table as registry_core::Bound>::Bind;

const FIRST: Step = step("1_first", "CREATE TABLE invoices (id INTEGER PRIMARY KEY)");
const FILL: Step = step("2_fill", "INSERT INTO invoices VALUES (1), (2)");
const NOTHING: [Step; 0] = [];

fn registry(key: &str, settings: impl Into<BindSettings>) -> Registry {
    Registry::builder().bind(key, settings).build().expect("good settings")
}

fn schemas(url: &str) -> Registry {
    registry("crm", BindSettings::new(url).tenant_schema("tenant_{tenant}"))
}

async fn create(
    registry: &Registry,
    name: &str,
    steps: impl Into<Vec<Step>>,
) -> Result<Vec<String>, CreateTenantError> {
    let created = registry.create_tenant::<Crm>(name, Steps(steps.into())).await;
    created.map(|report| report.applied)
}

async fn rows(registry: &Registry, name: &str) -> Result<i64, Error> {
    let tenant = registry.tenant(name).expect("a good name");
    invoices::table.count().get_result(&tenant).await
}

/// Runs SQL on a connection outside the registry.
async fn execute(url: &str, sql: &str) {
    let plain = registry("crm", url);
    let mut session = plain.session::<Crm>().await.expect("a session");
    session.batch_execute(sql).await.expect("it runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schema_is_created_with_its_migrations_or_not_at_all() {
    let url = postgres().database("test");
    let registry = schemas(&url);
    // A function whose body refers to the schema that it was created in.
    let function = step(
        "3_function",
        "CREATE FUNCTION total() RETURNS bigint LANGUAGE sql SET search_path FROM CURRENT \
         AS 'SELECT count(*) FROM invoices'",
    );
    for name in ["acme", "Odd.Name-7"] {
        assert_eq!(create(&registry, name, [FILL, FIRST, function]).await.expect("new").len(), 3);
        assert_eq!(rows(&registry, name).await.expect("rows"), 2);
        let call = diesel::dsl::sql::<diesel::sql_types::BigInt>("total()");
        let tenant = registry.tenant(name).expect("a good name");
        let mut session = tenant.session::<Crm>().await.expect("a session");
        let total: i64 = diesel_async::RunQueryDsl::get_result(diesel::select(call), &mut session)
            .await
            .expect("a number");
        assert_eq!(total, 2);
        drop(session);
        let again = create(&registry, name, [FIRST]).await.expect_err("it is there");
        assert!(matches!(again, CreateTenantError::Exists { .. }), "{again}");
    }
    for last in [
        step("3_fail", "SELECT 1 / 0"),
        alone("3_fail", "SELECT 1 / 0"),
        step("3_panic", "panic"),
        step("3_break", "SELECT pg_terminate_backend(pg_backend_pid())"),
    ] {
        create(&registry, "globex", [FIRST, FILL, last]).await.expect_err("it fails");
        let error = rows(&registry, "globex").await.expect_err("nothing is left");
        assert!(matches!(error, Error::Acquire(AcquireError::UnknownTenant { .. })), "{error}");
    }
    // As a killed process leaves it.
    execute(
        &url,
        "CREATE SCHEMA tenant_globex; CREATE TABLE tenant_globex.invoices (); \
         COMMENT ON SCHEMA tenant_globex IS 'registry: this tenant is being created'",
    )
    .await;
    create(&registry, "globex", [FIRST]).await.expect("nothing is in the way");
    assert_eq!(rows(&registry, "globex").await.expect("no rows"), 0);

    registry.drop_tenant::<Crm>("acme", "acme").await.expect("nobody uses it");
    assert!(rows(&registry, "acme").await.is_err());
    assert_eq!(rows(&registry, "Odd.Name-7").await.expect("another's"), 2);
    let error = registry.drop_tenant::<Crm>("acme", "acme").await.expect_err("it is gone");
    assert!(
        matches!(error, DropTenantError::Acquire(AcquireError::UnknownTenant { .. })),
        "{error}"
    );
    create(&registry, "acme", [FIRST]).await.expect("it is new again");
    assert_eq!(rows(&registry, "acme").await.expect("no rows"), 0);
}

/// PostgreSQL would truncate it, and two tenants could share a schema.
#[tokio::test]
async fn schema_name_too_long_for_postgresql_is_refused() {
    let registry = schemas(&postgres().database("test"));
    let name = "a".repeat(60);
    let error = create(&registry, &name, [FIRST]).await.expect_err("too long");
    assert_eq!(causes(&error)[1], "the name of the schema is longer than 63 bytes");
    let error = rows(&registry, &name).await.expect_err("too long");
    assert_eq!(causes(&error)[1], "the name of the schema is longer than 63 bytes");
}

#[tokio::test]
async fn missing_right_to_create_is_reported() {
    let (template, database) = (postgres().tenants([]), postgres().database("test"));
    let role = format!("weak_{}", std::process::id());
    execute(&database, &format!("CREATE ROLE {role} LOGIN PASSWORD 'x'")).await;
    let weak = |url: &str| {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        format!("{scheme}://{role}:x@{}", rest.rsplit_once('@').expect("a user").1)
    };
    for registry in [registry("crm", weak(&template)), schemas(&weak(&database))] {
        let error = create(&registry, "acme", [FIRST]).await.expect_err("it may not");
        let shown = causes(&error);
        assert_eq!(shown[0], "bind `crm`: the tenant `acme` could not be created");
        assert!(shown[1].starts_with("permission denied"), "{shown:?}");
    }
    let strong = registry("crm", template.as_str());
    create(&strong, "acme", [FIRST]).await.expect("it may");
    let error = registry("crm", weak(&template)).drop_tenant::<Crm>("acme", "acme").await;
    let shown = causes(&error.expect_err("it may not"));
    assert_eq!(shown[0], "bind `crm`: the tenant `acme` could not be dropped");
    assert!(shown[1].starts_with("must be owner"), "{shown:?}");
    assert_eq!(rows(&strong, "acme").await.expect("it is there"), 0);
    strong.drop_tenant::<Crm>("acme", "acme").await.expect("it may");
    execute(&database, &format!("DROP ROLE {role}")).await;
}

/// A creation that has lost its lock does not remove a tenant that another process has created since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenant_created_meanwhile_by_another_process_is_left_alone() {
    let template = postgres().tenants([]);
    let (first, second) = (registry("crm", template.as_str()), registry("crm", template.as_str()));
    let gate = format!("lost_{}", std::process::id());
    // The name of the unfinished database identifies the lock. The migration continues when the second process has it.
    let lock = "FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND (classid::bigint << 32 | objid::bigint) = key";
    let lose = format!(
        "DO $$ DECLARE key bigint := ('x' || right(current_database(), 16))::bit(64)::bigint; \
         BEGIN PERFORM pg_terminate_backend(pid) {lock}; \
         WHILE EXISTS (SELECT {lock}) LOOP PERFORM pg_sleep(0.02); END LOOP; \
         SET application_name = '{gate}'; \
         WHILE NOT EXISTS (SELECT {lock}) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$"
    );
    let loses = [FIRST, step("2_lose", lose.leak())];
    let (lost, created) = tokio::join!(create(&first, "acme", loses), async {
        let lost =
            format!("(SELECT count(*) FROM pg_stat_activity WHERE application_name = '{gate}')");
        let plain = registry("crm", postgres().database("test"));
        let lost = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(&lost));
        let mut session = plain.session::<Crm>().await.expect("a session");
        while diesel_async::RunQueryDsl::get_result::<i64>(lost.clone(), &mut session)
            .await
            .expect("a count")
            == 0
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        create(&second, "acme", [FIRST, FILL]).await
    });
    created.expect("nothing is in the way");
    assert!(matches!(lost, Err(CreateTenantError::Exists { .. })), "{lost:?}");
    assert_eq!(rows(&second, "acme").await.expect("the second one's"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_of_unknown_outcome_does_not_advise_a_drop() {
    let registry = schemas(&postgres().database("test"));
    // The state after another process has created the tenant as soon as the lock was free.
    let finish = "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_locks \
         WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()); END $$; \
         COMMENT ON SCHEMA tenant_acme IS NULL";
    let error = create(&registry, "acme", [FIRST, FILL, step("3_finish", finish)]).await;
    let error = error.expect_err("its connection is gone");
    assert_eq!(
        error.to_string(),
        "bind `crm`: creating the tenant `acme` failed (bind `crm`: the tenant `acme` could not be created), and \
         something of it may be left; what is there by that name may also be somebody else's. Creating it again \
         removes only what is unfinished"
    );
    assert!(matches!(error, CreateTenantError::NotUndone { .. }), "{error:?}");
    let again = create(&registry, "acme", [FIRST]).await.expect_err("it is there");
    assert!(matches!(again, CreateTenantError::Exists { .. }), "{again}");
    assert_eq!(rows(&registry, "acme").await.expect("it was left alone"), 2);
}

#[tokio::test]
async fn database_open_in_another_process_is_not_dropped() {
    let template = postgres().tenants([]);
    let registry = registry("crm", template.as_str());
    create(&registry, "acme", [FIRST]).await.expect("it is new");
    let other = self::registry("crm", template.replace("{tenant}", "acme"));
    let session = other.session::<Crm>().await.expect("a session");
    let error = registry.drop_tenant::<Crm>("acme", "acme").await.expect_err("it is in use");
    assert!(causes(&error)[1].contains("is being accessed by other users"), "{error:?}");
    drop(session);
    other.close().await;
    registry.drop_tenant::<Crm>("acme", "acme").await.expect("nobody uses it");

    let folder = fresh_folder();
    let registry = sqlite(&folder.join("{tenant}.db").display().to_string());
    registry.create_tenant::<Files>("acme", Steps(vec![FIRST])).await.expect("it is new");
    let path = folder.join("acme.db").display().to_string();
    let mut other = diesel::SqliteConnection::establish(&path).expect("a connection");
    other.batch_execute("SELECT * FROM invoices").expect("it is there");
    let error = registry.drop_tenant::<Files>("acme", "acme").await.expect_err("it is in use");
    assert_eq!(causes(&error)[1], "database is locked");
    other.batch_execute("INSERT INTO invoices VALUES (1)").expect("it is still there");
    drop(other);
    registry.drop_tenant::<Files>("acme", "acme").await.expect("nobody uses it");
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
    // In WAL mode an open connection holds a lock even if it does nothing, in the other journal modes it does not.
    registry.create_tenant::<Files>("acme", Steps(vec![FIRST])).await.expect("it is new");
    registry.close_tenant("acme").await.expect("a good name");
    let mut other = diesel::SqliteConnection::establish(&path).expect("a connection");
    other
        .batch_execute("PRAGMA journal_mode = DELETE; INSERT INTO invoices VALUES (1)")
        .expect("it is alone");
    other.batch_execute("BEGIN; SELECT * FROM invoices").expect("a transaction");
    let error = registry.drop_tenant::<Files>("acme", "acme").await.expect_err("it is in use");
    assert_eq!(causes(&error).last().expect("a cause"), "database is locked");
    other.batch_execute("COMMIT").expect("it is there");
    registry.drop_tenant::<Files>("acme", "acme").await.expect("it is not noticed");
    other.batch_execute("SELECT * FROM invoices").expect("it has the file");
    let error = other.batch_execute("INSERT INTO invoices VALUES (2)").expect_err("it has no name");
    assert_eq!(error.to_string(), "attempt to write a readonly database");
}

fn sqlite(path: &str) -> Registry {
    let busy = std::time::Duration::from_millis(200);
    registry("files", BindSettings::new(format!("sqlite://{path}")).busy_timeout(busy))
}

/// SQLite would apply the old logs to the database of the new tenant.
#[tokio::test]
async fn logs_of_a_deleted_database_do_not_reach_a_new_one() {
    let folder = fresh_folder();
    let template = folder.join("{tenant}.db").display().to_string();
    let (path, wal) = (folder.join("acme.db"), folder.join("acme.db-wal"));
    let registry = sqlite(&template);
    registry.create_tenant::<Files>("acme", Steps(vec![FIRST])).await.expect("it is new");
    let acme = registry.tenant("acme").expect("a good name");
    let mut session = acme.session::<Files>().await.expect("a session");
    session.batch_execute("INSERT INTO invoices VALUES (666)").await.expect("it runs");
    // The files as a kill at this moment would leave them.
    let log = std::fs::read(&wal).expect("a log");
    drop(session);
    registry.close().await;
    std::fs::remove_file(&path).expect("it is there");
    std::fs::write(&wal, &log).expect("a file");

    let registry = sqlite(&template);
    let acme = registry.tenant("acme").expect("a good name");
    let error = acme.session::<Files>().await.expect_err("it is not there");
    assert!(matches!(error, AcquireError::UnknownTenant { .. }), "{error}");
    for suffix in ["-wal", "-journal"] {
        std::fs::remove_file(&wal).expect("it was left alone");
        let left = folder.join(format!("acme.db{suffix}"));
        std::fs::write(&left, &log).expect("a file");
        let created = registry.create_tenant::<Files>("acme", Steps(vec![FIRST])).await;
        assert_eq!(
            causes(&created.expect_err("it is in the way")),
            [
                "bind `files`: the tenant `acme` could not be created".to_owned(),
                format!(
                    "{} is left of a database that is not there any more: move it to where that database is, or \
                     drop the tenant, which removes it",
                    left.display()
                )
            ]
        );
        assert_eq!(std::fs::read(&left).expect("it was left alone"), log);
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1);
        registry.drop_tenant::<Files>("acme", "acme").await.expect("there is something to drop");
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
        std::fs::write(&wal, "").expect("a file");
    }
    // An empty log, and a shared-memory file alone, contain nothing that SQLite would apply.
    std::fs::write(folder.join("acme.db-shm"), &log).expect("a file");
    registry.create_tenant::<Files>("acme", Steps(vec![FIRST, FILL])).await.expect("it is new");
    let mut session = acme.session::<Files>().await.expect("a session");
    let count = diesel::dsl::sql::<diesel::sql_types::BigInt>("(SELECT count(*) FROM invoices)");
    let count: i64 = diesel_async::RunQueryDsl::get_result(diesel::select(count), &mut session)
        .await
        .expect("a count");
    assert_eq!(count, 2);
}

/// Removing the link would leave the data in place.
#[cfg(unix)]
#[tokio::test]
async fn symbolic_link_to_a_tenants_file_is_not_dropped() {
    let (folder, bigger) = (fresh_folder(), fresh_folder());
    let registry = sqlite(&folder.join("{tenant}.db").display().to_string());
    registry.create_tenant::<Files>("acme", Steps(vec![FIRST])).await.expect("it is new");
    let (link, moved) = (folder.join("acme.db"), bigger.join("acme.db"));
    std::fs::rename(&link, &moved).expect("it is there");
    std::os::unix::fs::symlink(&moved, &link).expect("a link");
    let acme = registry.tenant("acme").expect("a good name");
    for is_there in [true, false] {
        assert_eq!(acme.session::<Files>().await.is_ok(), is_there);
        let dropped = registry.drop_tenant::<Files>("acme", "acme").await;
        assert_eq!(
            causes(&dropped.expect_err("it is a link"))[1],
            format!(
                "{} is a symbolic link: remove what it points to and the link yourself",
                link.display()
            )
        );
        assert!(link.is_symlink());
        assert_eq!(moved.exists(), is_there);
        registry.close_tenant("acme").await.expect("a good name");
        let _ = std::fs::remove_file(&moved);
    }
}

/// Folders are created for relative paths only, and stay only if a tenant does.
#[tokio::test]
async fn folder_of_a_relative_path_is_created_and_removed_with_a_failed_tenant() {
    let folder = fresh_folder();
    let settings =
        registry_core::Settings::from_toml("[database.binds]\nfiles = 'sqlite://a/b/{tenant}.db'");
    let settings = settings.expect("good settings").relative_to(&folder);
    let registry = Registry::from_settings(settings).expect("good settings");
    let fails = Steps(vec![FIRST, step("2_fail", "nonsense")]);
    registry.create_tenant::<Files>("acme", fails).await.expect_err("it fails");
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
    registry.create_tenant::<Files>("acme", Steps(vec![FIRST])).await.expect("it is new");
    assert!(folder.join("a/b/acme.db").exists());

    let absolute = sqlite(&folder.join("missing/{tenant}.db").display().to_string());
    let error = absolute.create_tenant::<Files>("acme", Steps(vec![FIRST])).await;
    let cause = &causes(&error.expect_err("no folder"))[1];
    let missing = folder.join("missing");
    assert!(
        cause.starts_with(&format!("the folder {} does not exist", missing.display())),
        "{cause}"
    );
    assert!(!folder.join("missing").exists());
}

/// Nobody can see the file before it is complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_appears_with_all_its_migrations_or_not_at_all() {
    let folder = fresh_folder();
    let registry = sqlite(&folder.join("{tenant}.db").display().to_string());
    let mut steps = vec![FIRST];
    for number in 2..60 {
        steps
            .push(step(format!("2{number:03}_more").leak(), "INSERT INTO invoices DEFAULT VALUES"));
    }
    let (creating, acme) = (registry.clone(), registry.tenant("acme").expect("a good name"));
    let created =
        tokio::spawn(async move { creating.create_tenant::<Files>("acme", Steps(steps)).await });
    loop {
        let count =
            diesel::dsl::sql::<diesel::sql_types::BigInt>("(SELECT count(*) FROM invoices)");
        match acme.session::<Files>().await {
            Ok(mut session) => {
                let count: i64 =
                    diesel_async::RunQueryDsl::get_result(diesel::select(count), &mut session)
                        .await
                        .expect("a count");
                assert_eq!(count, 58);
                break;
            }
            Err(error) => {
                assert!(matches!(error, AcquireError::UnknownTenant { .. }), "{error}");
                assert!(!created.is_finished() || folder.join("acme.db").exists(), "it failed");
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    }
    created.await.expect("no panic").expect("it is new");
    // A file that is not a database is left alone.
    std::fs::write(folder.join("other.db"), "not a database").expect("a file");
    let other = registry.create_tenant::<Files>("other", Steps(vec![FIRST])).await;
    assert!(matches!(other, Err(CreateTenantError::Exists { .. })), "{other:?}");
    assert_eq!(std::fs::read(folder.join("other.db")).expect("a file"), b"not a database");
}

#[tokio::test]
async fn in_memory_database_is_neither_created_nor_dropped() {
    let registry = registry("files", "sqlite:file:{tenant}?mode=memory&cache=shared");
    let error = registry.create_tenant::<Files>("acme", Steps(NOTHING.into())).await;
    assert!(matches!(error, Err(CreateTenantError::InMemory { .. })), "{error:?}");
    let error = registry.drop_tenant::<Files>("acme", "acme").await;
    assert!(matches!(error, Err(DropTenantError::InMemory { .. })), "{error:?}");
}

#[tokio::test]
async fn tenants_behind_a_pooler_are_created_through_migrate_url() {
    let template = postgres().tenants([]);
    let settings = BindSettings::new(template.as_str()).pooler(Pooler::Transaction);
    let registry = registry("crm", settings.clone());
    let error = create(&registry, "acme", [FIRST]).await.expect_err("no migrate_url");
    assert_eq!(
        error.to_string(),
        "bind `crm`: tenants cannot be created through its `pooler`: say `migrate_url`, the URL of the server \
         itself"
    );
    let registry = self::registry("crm", settings.migrate_url(template.as_str()));
    create(&registry, "acme", [FIRST]).await.expect("it is new");
    registry.drop_tenant::<Crm>("acme", "acme").await.expect("nobody uses it");
}

#[tokio::test]
async fn created_mysql_database_stores_every_unicode_character() {
    let registry = registry("shop", mariadb().tenants([]));
    let rocket = Steps(vec![
        step("1_names", "CREATE TABLE names (name TEXT)"),
        step("2_rocket", "INSERT INTO names VALUES ('🚀')"),
    ]);
    registry.create_tenant::<Shop>("acme", rocket).await.expect("it is new");
    let acme = registry.tenant("acme").expect("a good name");
    let mut session = acme.session::<Shop>().await.expect("a session");
    let name = diesel::dsl::sql::<diesel::sql_types::Text>("(SELECT name FROM names)");
    let name: String = diesel_async::RunQueryDsl::get_result(diesel::select(name), &mut session)
        .await
        .expect("a name");
    assert_eq!(name, "🚀");
    drop(session);
    registry.drop_tenant::<Shop>("acme", "acme").await.expect("nobody uses it");
}

#[tokio::test]
async fn creation_and_drop_are_logged() {
    let log = captured_log();
    let folder = fresh_folder();
    let registry = sqlite(&folder.join("{tenant}.db").display().to_string());
    registry.create_tenant::<Files>("eventful", Steps(vec![FIRST])).await.expect("it is new");
    registry.drop_tenant::<Files>("eventful", "eventful").await.expect("nobody uses it");
    for event in ["a tenant was created", "a tenant was dropped"] {
        let lines = log.lines_with(event);
        assert!(
            lines.iter().any(|line| line.contains("eventful") && line.contains("INFO")),
            "{lines:?}"
        );
    }
}
