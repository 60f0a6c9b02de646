//! Tenants that are created and dropped, on each backend.

use std::sync::atomic::{AtomicU32, Ordering};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use futures_util::FutureExt;
use futures_util::future::join_all;
use registry_core::{
    AcquireError, BindSettings, CreateTenantError, DatabaseUrl, DropTenantError, Error,
    MigrateError, MigrateReport, Registry, RunQueryDsl, Tenant, TenantResolver, bind_tables,
};

use super::{NAME, database, tenants};
use crate::support::steps::{Step, Steps, alone, step};
use crate::support::{causes, eventually};

diesel::table! {
    invoices (id) {
        id -> Integer,
    }
}
diesel::table! {
    plans (id) {
        id -> Integer,
    }
}
bind_tables!(db = "crm", connection = super::Backend; invoices);
bind_tables!(db = "default", connection = super::Backend; plans);

type Crm = <invoices::table as registry_core::Bound>::Bind;
type Main = <plans::table as registry_core::Bound>::Bind;

const FIRST: Step = step("1_first", "CREATE TABLE invoices (id INTEGER PRIMARY KEY NOT NULL)");
const FILL: Step = step("2_fill", "INSERT INTO invoices VALUES (1), (2)");

fn registry(template: &str) -> Registry {
    let settings = BindSettings::new(template).acquire_timeout(std::time::Duration::from_secs(20));
    let builder = Registry::builder().bind("crm", settings).bind("default", database());
    builder.build().expect("good settings")
}

fn tenant(registry: &Registry, name: &str) -> Tenant {
    registry.tenant(name).expect("a good name")
}

async fn create(
    registry: &Registry,
    name: &str,
    steps: &[Step],
) -> Result<MigrateReport, CreateTenantError> {
    registry.create_tenant::<Crm>(name, Steps(steps.to_vec())).await
}

async fn drop_it(registry: &Registry, name: &str) -> Result<(), DropTenantError> {
    registry.drop_tenant::<Crm>(name, name).await
}

async fn rows(registry: &Registry, name: &str) -> Result<i64, Error> {
    invoices::table.count().get_result(&tenant(registry, name)).await
}

fn is_unknown<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Acquire(AcquireError::UnknownTenant { .. })))
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The name of the tenant's database, and its name until its creation is complete.
fn names(template: &str, name: &str) -> (String, String) {
    let url = template.replace("{tenant}", name);
    let database = match NAME {
        "sqlite" => url.trim_start_matches("sqlite://").to_owned(),
        _ => {
            url.split('?').next().and_then(|url| url.rsplit('/').next()).expect("a name").to_owned()
        }
    };
    let digest = database.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let unfinished = match NAME {
        "sqlite" => format!("{database}-creating"),
        "postgres" => format!("registry-creating-{digest:016x}"),
        _ => database.clone(),
    };
    (database, unfinished)
}

/// Whether nothing of a tenant is left.
async fn is_gone(registry: &Registry, template: &str, name: &str) -> bool {
    let (database, unfinished) = names(template, name);
    if NAME == "sqlite" {
        let path = std::path::Path::new(&database);
        let left = std::fs::read_dir(path.parent().expect("a folder")).expect("a folder");
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        return !left.flatten().any(|file| file.file_name().to_string_lossy().starts_with(name));
    }
    let databases = match NAME {
        "postgres" => "pg_database WHERE datname",
        _ => "information_schema.schemata WHERE schema_name",
    };
    let left = sql_query(format!(
        "SELECT count(*) AS count FROM {databases} IN ('{database}', '{unfinished}')"
    ));
    let mut session = registry.session::<Main>().await.expect("a session");
    let left: Count =
        diesel_async::RunQueryDsl::get_result(left, &mut session).await.expect("a count");
    left.count == 0
}

#[tokio::test]
async fn a_tenant_is_created_with_its_migrations_and_dropped() {
    let template = tenants([]);
    let registry = registry(&template);
    assert!(is_unknown(rows(&registry, "acme").await));
    let report = create(&registry, "acme", &[FILL, FIRST]).await.expect("it is new");
    assert_eq!(
        (report.applied.as_slice(), report.skipped),
        (&["1_first".to_owned(), "2_fill".to_owned()][..], 0)
    );
    assert_eq!(rows(&registry, "acme").await.expect("rows"), 2);
    let migrated = tenant(&registry, "acme").migrate::<Crm>(Steps(vec![FIRST, FILL])).await;
    assert_eq!(migrated.expect("nothing to do").skipped, 2);

    let error = create(&registry, "acme", &[FIRST]).await.expect_err("it is there");
    assert_eq!(error.to_string(), "bind `crm`: the tenant `acme` exists already");
    assert_eq!(rows(&registry, "acme").await.expect("nothing was changed"), 2);

    let error = registry.drop_tenant::<Crm>("acme", "acmee").await.expect_err("two names");
    assert_eq!(
        error.to_string(),
        "bind `crm`: nothing was dropped: the tenant's name has to be given twice, and the two names differ"
    );
    // A task that drops a tenant while it holds a session of it gets an error instead of a deadlock.
    let acme = tenant(&registry, "acme");
    let session = acme.session::<Crm>().await.expect("a session");
    let error = drop_it(&registry, "acme").await.expect_err("it is in use");
    assert_eq!(
        error.to_string(),
        "bind `crm`: the tenant `acme` is in use: 1 of its sessions are lent"
    );
    drop(session);
    assert_eq!(rows(&registry, "acme").await.expect("it is still there"), 2);

    drop_it(&registry, "acme").await.expect("nobody uses it");
    assert!(is_unknown(rows(&registry, "acme").await));
    assert!(is_gone(&registry, &template, "acme").await);
    let error = drop_it(&registry, "acme").await.map_err(Error::from).expect_err("it is gone");
    assert!(
        matches!(
            &error,
            Error::DropTenant(DropTenantError::Acquire(AcquireError::UnknownTenant { .. }))
        ),
        "{error}"
    );
    assert!(is_gone(&registry, &template, "acme").await, "it was looked for");
    create(&registry, "acme", &[FIRST]).await.expect("it is new again");
    assert_eq!(rows(&registry, "acme").await.expect("no rows"), 0);
    drop_it(&registry, "acme").await.expect("nobody uses it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_migrations_leave_nothing_of_a_new_tenant() {
    let template = tenants([]);
    let registry = registry(&template);
    for (last, told) in [
        (step("3_fail", "INSERT INTO nowhere VALUES (1)"), "the migration `3_fail` failed"),
        (alone("3_fail", "INSERT INTO nowhere VALUES (1)"), "the migration `3_fail` failed"),
        (step("3_panic", "panic"), "the migrations panicked"),
        (step("2_other", "SELECT 1"), "the migrations `2_fill` and `2_other` have one version"),
    ] {
        let error = create(&registry, "acme", &[FIRST, FILL, last]).await.expect_err("it fails");
        let shown = causes(&error);
        assert_eq!(
            shown[0],
            "bind `crm`: the tenant `acme` was not created, as its migrations could not all be run"
        );
        assert!(shown[1].contains(told), "{shown:?}");
        assert!(is_unknown(rows(&registry, "acme").await), "{told}");
        assert!(is_gone(&registry, &template, "acme").await, "{told}");
    }
    create(&registry, "acme", &[FIRST, FILL]).await.expect("nothing is in the way");
    drop_it(&registry, "acme").await.expect("nobody uses it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connection_leaves_nothing_of_a_new_tenant() {
    let breaks = match NAME {
        "postgres" => "SELECT pg_terminate_backend(pg_backend_pid())",
        "mysql" => "KILL CONNECTION_ID()",
        // SQLite has no server connection that could break.
        _ => return,
    };
    let template = tenants([]);
    let registry = registry(&template);
    for last in [step("3_break", breaks), alone("3_break", breaks)] {
        let error = create(&registry, "acme", &[FIRST, FILL, last]).await.expect_err("it broke");
        assert!(matches!(error, CreateTenantError::Migrate { .. }), "{error:?}");
        assert!(is_gone(&registry, &template, "acme").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_creation_of_a_tenant_succeeds_once() {
    let template = tenants([]);
    let registries: Vec<_> = (0..4).map(|_| registry(&template)).collect();
    let creating = registries.iter().map(|registry| create(registry, "acme", &[FIRST, FILL]));
    let outcomes = join_all(creating).await;
    let created = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(created, 1, "{outcomes:?}");
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(error, CreateTenantError::Exists { .. }), "{error:?}");
    }
    assert_eq!(rows(&registries[0], "acme").await.expect("the winner's"), 2);
    // One of them drops the tenant, and the others find it gone.
    join_all(registries.iter().map(Registry::close_all)).await;
    let registries: Vec<_> = (0..3).map(|_| registry(&template)).collect();
    let outcomes = join_all(registries.iter().map(|registry| drop_it(registry, "acme"))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert!(is_gone(&registries[0], &template, "acme").await);
}

trait CloseAll {
    async fn close_all(&self);
}

impl CloseAll for Registry {
    async fn close_all(&self) {
        self.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creation_and_drop_of_a_tenant_finish_after_their_futures_are_dropped() {
    let template = tenants([]);
    let registry = registry(&template);
    assert!(create(&registry, "acme", &[FIRST, FILL]).now_or_never().is_none());
    until(async || rows(&registry, "acme").await.ok() == Some(2)).await;
    assert!(drop_it(&registry, "acme").now_or_never().is_none());
    until(async || is_gone(&registry, &template, "acme").await).await;
    // The same for migrations that fail.
    let fails = step("3_fail", "INSERT INTO nowhere VALUES (1)");
    assert!(create(&registry, "acme", &[FIRST, fails]).now_or_never().is_none());
    // The work may not have begun when its future is dropped for the first time.
    until(async || {
        let dropped = drop_it(&registry, "acme").await;
        matches!(dropped, Err(DropTenantError::Acquire(_)))
            && is_gone(&registry, &template, "acme").await
    })
    .await;
}

async fn until(condition: impl AsyncFn() -> bool) {
    let limit = std::time::Duration::from_secs(60);
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(limit, waiting).await.expect("it comes to its end");
}

/// Produces what a process leaves behind that is killed while it creates a tenant.
async fn leave_unfinished(registry: &Registry, template: &str, name: &str) {
    let (database, unfinished) = names(template, name);
    let statements = match NAME {
        "sqlite" => {
            for suffix in ["", "-wal", "-shm", "-migrate.lock"] {
                std::fs::write(format!("{unfinished}{suffix}"), "half of something")
                    .expect("a file");
            }
            return;
        }
        "postgres" => vec![format!("CREATE DATABASE \"{unfinished}\"")],
        _ => vec![
            format!("CREATE DATABASE `{database}`"),
            format!("CREATE TABLE `{database}`.__registry_unfinished (id INTEGER PRIMARY KEY)"),
            format!("CREATE TABLE `{database}`.invoices (id INTEGER PRIMARY KEY)"),
        ],
    };
    let mut session = registry.session::<Main>().await.expect("a session");
    for statement in statements {
        diesel_async::SimpleAsyncConnection::batch_execute(&mut session, &statement)
            .await
            .expect("it runs");
    }
}

#[tokio::test]
async fn leftovers_of_a_killed_process_do_not_block_creation() {
    let template = tenants([]);
    let registry = registry(&template);
    leave_unfinished(&registry, &template, "acme").await;
    create(&registry, "acme", &[FIRST, FILL]).await.expect("nothing is in the way");
    assert_eq!(rows(&registry, "acme").await.expect("rows"), 2);
    drop_it(&registry, "acme").await.expect("nobody uses it");
    leave_unfinished(&registry, &template, "acme").await;
    drop_it(&registry, "acme").await.expect("there is something to drop");
    assert!(is_gone(&registry, &template, "acme").await);
}

#[tokio::test]
async fn tenant_names_cannot_inject_sql_or_paths() {
    let template = tenants([]);
    let odd = match NAME {
        "postgres" => "a%22b%27c%3b--",
        "mysql" => "a%60b%27c%3b--",
        _ => "a%22b%27c%3b--%60",
    };
    let (prefix, suffix) = template.split_once("{tenant}").expect("a template");
    let template = format!("{prefix}{odd}{{tenant}}{suffix}");
    let registry = registry(&template);
    for name in ["acme", "Odd.Name-7", "a--b"] {
        create(&registry, name, &[FIRST, FILL]).await.expect("it is new");
        assert_eq!(rows(&registry, name).await.expect("rows"), 2);
    }
    for name in ["acme", "Odd.Name-7", "a--b"] {
        drop_it(&registry, name).await.expect("nobody uses it");
        assert!(is_unknown(rows(&registry, name).await));
    }
    for name in ["", "..", "a/b", "a\"; DROP TABLE x"] {
        let error = create(&registry, name, &[FIRST]).await.expect_err("no name");
        assert!(matches!(error, CreateTenantError::Tenant(_)), "{error}");
        let error = drop_it(&registry, name).await.expect_err("no name");
        assert!(matches!(error, DropTenantError::Tenant(_)), "{error}");
    }
    if NAME != "sqlite" {
        let error =
            create(&registry, &"a".repeat(63), &[FIRST]).await.expect_err("it would be cut");
        assert!(
            causes(&error)[1].starts_with("the name of the database is longer than"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn creation_refuses_tenants_that_the_resolver_does_not_know() {
    let template = tenants([]);
    let asked = std::sync::Arc::new(AtomicU32::new(0));
    let resolver = TenantResolver::new({
        let (template, asked) = (template.clone(), asked.clone());
        move |tenant: &Tenant| {
            asked.fetch_add(1, Ordering::SeqCst);
            let url = template.replace("{tenant}", tenant.name());
            let settings = (tenant.name() != "nobody").then(|| BindSettings::new(url));
            async move { Ok::<_, Error>(settings) }
        }
    });
    let registry = Registry::builder().bind("default", database()).tenants("crm", resolver);
    let registry = registry.build().expect("good settings");
    let error = create(&registry, "nobody", &[FIRST]).await.expect_err("nobody knows it");
    assert!(
        matches!(error, CreateTenantError::Acquire(AcquireError::UnknownTenant { .. })),
        "{error}"
    );
    create(&registry, "acme", &[FIRST, FILL]).await.expect("it is new");
    assert_eq!(rows(&registry, "acme").await.expect("rows"), 2);
    drop_it(&registry, "acme").await.expect("nobody uses it");
    assert!(is_unknown(rows(&registry, "acme").await));
    assert!(is_gone(&registry, &template, "acme").await);
}

#[tokio::test]
async fn creation_is_refused_where_there_can_be_no_tenant() {
    let template = tenants([]);
    let registry = registry(&template);
    let steps = || Steps(vec![FIRST]);
    let error = registry.create_tenant::<Main>("acme", steps()).await.expect_err("one for all");
    assert_eq!(error.to_string(), "bind `default` has no database or schema for each tenant");
    let error = registry.drop_tenant::<Main>("acme", "acme").await.expect_err("one for all");
    assert_eq!(error.to_string(), "bind `default` has no database or schema for each tenant");

    let isolated = registry.test_isolation().await.expect("a registry for a test");
    let error = isolated.create_tenant::<Crm>("acme", steps()).await.expect_err("isolated");
    assert!(matches!(error, CreateTenantError::Isolated { .. }), "{error}");
    let error = isolated.drop_tenant::<Crm>("acme", "acme").await.expect_err("isolated");
    assert!(matches!(error, DropTenantError::Isolated { .. }), "{error}");

    let url: DatabaseUrl = database().parse().expect("a URL");
    let other = Registry::builder().bind("default", url).build().expect("good settings");
    let error = other.create_tenant::<Crm>("acme", steps()).await.expect_err("no such bind");
    assert!(matches!(error, CreateTenantError::Acquire(AcquireError::UnknownBind(_))), "{error}");

    registry.close().await;
    let error = create(&registry, "acme", &[FIRST]).await.expect_err("it is closed");
    assert!(matches!(error, CreateTenantError::Acquire(AcquireError::Closed { .. })), "{error}");
}

#[test]
fn creation_and_drop_outside_a_runtime_are_refused() {
    let registry = registry(&tenants([]));
    let error = create(&registry, "acme", &[FIRST]).now_or_never().expect("it does not wait");
    assert!(matches!(error, Err(CreateTenantError::NoRuntime { .. })), "{error:?}");
    let error = drop_it(&registry, "acme").now_or_never().expect("it does not wait");
    assert!(matches!(error, Err(DropTenantError::NoRuntime { .. })), "{error:?}");
}

/// Sessions of other tasks are waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_tenant_waits_for_its_sessions() {
    let registry = registry(&tenants([]));
    create(&registry, "acme", &[FIRST]).await.expect("it is new");
    let acme = tenant(&registry, "acme");
    let session = tokio::spawn(async move { acme.session::<Crm>().await }).await.expect("no panic");
    let session = session.expect("a session");
    let dropping = tokio::spawn({
        let registry = registry.clone();
        async move { drop_it(&registry, "acme").await }
    });
    eventually(|| registry.status().on_demand.engines.is_empty()).await;
    assert!(!dropping.is_finished());
    drop(session);
    dropping.await.expect("no panic").expect("nobody uses it any more");
    assert!(is_unknown(rows(&registry, "acme").await));
}

#[tokio::test]
async fn migration_errors_keep_their_kind_in_creation() {
    let registry = registry(&tenants([]));
    let fails = step("1_fail", "INSERT INTO nowhere VALUES (1)");
    let error = create(&registry, "acme", &[fails]).await.expect_err("it fails");
    let CreateTenantError::Migrate { source, .. } = error else { panic!("{error}") };
    assert!(matches!(*source, MigrateError::Migration { .. }), "{source}");
}
