//! A database per tenant, on each backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use futures_util::future::join_all;
use registry_core::{
    AcquireError, BindSettings, Error, MigrateError, Registry, RunQueryDsl, Tenant, TenantResolver,
    bind_tables,
};
use tokio::sync::Notify;

use super::{Backend, database, tenants};
use crate::support::{causes, eventually};

diesel::table! {
    invoices (id) {
        id -> Integer,
        tenant -> Text,
    }
}
diesel::table! {
    plans (id) {
        id -> Integer,
        what -> Text,
    }
}
bind_tables!(db = "crm", connection = super::Backend; invoices);
bind_tables!(db = "default", connection = super::Backend; plans);

type Crm = <invoices::table as registry_core::Bound>::Bind;

const CREATE: &str =
    "CREATE TABLE invoices (id INTEGER PRIMARY KEY NOT NULL, tenant VARCHAR(80) NOT NULL)";
const NAMES: [&str; 3] = ["acme", "globex", "initech"];

fn tenant(registry: &Registry, name: &str) -> Tenant {
    registry.tenant(name).expect("a good name")
}

/// Creates a table in each tenant's database, with a row that names the tenant.
async fn prepare(registry: &Registry) {
    for name in NAMES {
        let tenant = tenant(registry, name);
        let mut session = tenant.session_for::<invoices::table>().await.expect("a session");
        session.batch_execute(CREATE).await.expect("a table");
        let row = (invoices::id.eq(1), invoices::tenant.eq(name));
        diesel::insert_into(invoices::table).values(row).execute(&tenant).await.expect("a row");
    }
}

async fn registry() -> Registry {
    let builder = Registry::builder().bind("crm", tenants(NAMES)).bind("default", database());
    let registry = builder.build().expect("good settings");
    prepare(&registry).await;
    registry
}

async fn whose(tenant: &Tenant) -> String {
    invoices::table.select(invoices::tenant).first(tenant).await.expect("a row")
}

#[tokio::test]
async fn each_tenant_reads_its_own_rows() {
    let registry = registry().await;
    for name in NAMES {
        let tenant = tenant(&registry, name);
        assert_eq!(tenant.name(), name);
        assert_eq!(whose(&tenant).await, name);
        let mut session = tenant.session_for::<invoices::table>().await.expect("a session");
        assert_eq!(session.key(), "crm");
        let seen: Vec<String> =
            invoices::table.select(invoices::tenant).load(&mut session).await.expect("rows");
        assert_eq!(seen, [name]);
    }
    let open = registry.status().on_demand.engines;
    assert_eq!(open.len(), 3);
    assert_eq!(open[0].tenants, ["initech"]);
}

#[tokio::test]
async fn spawned_work_stays_with_its_tenant() {
    let registry = registry().await;
    let all = NAMES.iter().cycle().take(60).map(|name| {
        let tenant = tenant(&registry, name);
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            assert_eq!(whose(&tenant).await, tenant.name());
        })
    });
    for done in join_all(all).await {
        done.expect("its own row");
    }
}

#[tokio::test]
async fn tenant_shares_binds_without_tenants() {
    let registry = registry().await;
    let mut session = registry.session_for::<plans::table>().await.expect("a session");
    session
        .batch_execute(
            "CREATE TABLE plans (id INTEGER PRIMARY KEY NOT NULL, what VARCHAR(80) NOT NULL)",
        )
        .await
        .expect("a table");
    drop(session);
    let row = (plans::id.eq(1), plans::what.eq("gold"));
    let (acme, globex) = (tenant(&registry, "acme"), tenant(&registry, "globex"));
    diesel::insert_into(plans::table).values(row).execute(&acme).await.expect("a row");
    let seen: String = plans::table.select(plans::what).first(&globex).await.expect("a row");
    assert_eq!(seen, "gold");
    assert_eq!(globex.session_for::<plans::table>().await.expect("a session").key(), "default");
}

#[tokio::test]
async fn tenant_bind_refuses_sessions_without_a_tenant() {
    let registry = registry().await;
    let error = registry.session_for::<invoices::table>().await.unwrap_err();
    assert!(matches!(error, AcquireError::NoTenant { key } if key == "crm"), "{error}");
    let error =
        invoices::table.select(invoices::tenant).first::<String>(&registry).await.unwrap_err();
    assert_eq!(
        causes(&error),
        ["bind `crm` has a database for each tenant: acquire through `registry.tenant(..)`"]
    );
    let error = registry.session_by_key::<Backend>("crm").await.unwrap_err();
    assert!(matches!(error, AcquireError::NoTenant { .. }), "{error}");
    let error = registry.engine("crm").unwrap_err();
    assert!(error.is_per_tenant());
    assert_eq!(
        error.to_string(),
        "bind `crm` has a database for each tenant, and no engine of its own: go through \
         `registry.tenant(..)`"
    );
    assert_eq!(registry.keys().collect::<Vec<_>>(), ["crm", "default"]);
}

#[tokio::test]
async fn unknown_tenant_is_an_error_and_opens_nothing() {
    let registry = registry().await;
    let open = registry.status().on_demand.engines.len();
    let stranger = tenant(&registry, "stranger");
    for _ in 0..2 {
        let error = stranger.session_for::<invoices::table>().await.unwrap_err();
        let AcquireError::UnknownTenant { key, tenant, source } = &error else { panic!("{error}") };
        assert_eq!((&**key, tenant.as_str(), source.is_some()), ("crm", "stranger", true));
        assert_eq!(causes(&error)[0], "bind `crm`: unknown tenant `stranger`");
    }
    eventually(|| registry.status().on_demand.engines.len() == open).await;
    for name in NAMES {
        assert_eq!(whose(&tenant(&registry, name)).await, name);
    }
}

#[tokio::test]
async fn each_tenant_is_migrated_separately() {
    let builder = Registry::builder().bind("crm", tenants(NAMES));
    let registry = builder.build().expect("good settings");
    let folder = crate::support::fresh_folder();
    let up = folder.join("2026-01-01-000000_invoices");
    std::fs::create_dir(&up).expect("a folder");
    std::fs::write(up.join("up.sql"), CREATE).expect("a file");
    std::fs::write(up.join("down.sql"), "DROP TABLE invoices").expect("a file");
    let migrations =
        || diesel_migrations::FileBasedMigrations::from_path(&folder).expect("migrations");
    for name in NAMES {
        let tenant = tenant(&registry, name);
        let report = tenant.migrate::<Crm>(migrations()).await.expect("migrated");
        assert_eq!((report.applied.len(), report.skipped), (1, 0));
        let report = tenant.migrate::<Crm>(migrations()).await.expect("migrated");
        assert_eq!((report.applied.len(), report.skipped), (0, 1));
        let row = (invoices::id.eq(1), invoices::tenant.eq(name));
        diesel::insert_into(invoices::table).values(row).execute(&tenant).await.expect("a row");
        assert_eq!(whose(&tenant).await, name);
    }
    let error = registry.migrate::<Crm>(migrations()).await.unwrap_err();
    assert!(matches!(error, MigrateError::NoTenant { key } if key == "crm"), "{error}");
    let stranger = tenant(&registry, "stranger");
    let error = stranger.migrate::<Crm>(migrations()).await.unwrap_err();
    assert!(matches!(&error, MigrateError::Acquire(AcquireError::UnknownTenant { .. })), "{error}");
}

#[tokio::test]
async fn migrations_of_a_tenant_connect_to_its_migrate_url() {
    let (url, other) = (tenants(NAMES), tenants(NAMES));
    let bind = BindSettings::new(url.as_str()).migrate_url(other.as_str());
    let registry = Registry::builder().bind("crm", bind).build().expect("good settings");
    let folder = crate::support::fresh_folder();
    let up = folder.join("2026-01-01-000000_invoices");
    std::fs::create_dir(&up).expect("a folder");
    std::fs::write(up.join("up.sql"), CREATE).expect("a file");
    let migrations = diesel_migrations::FileBasedMigrations::from_path(&folder);
    let migrations = migrations.expect("migrations");
    tenant(&registry, "acme").migrate::<Crm>(migrations).await.expect("migrated");

    let there = Registry::builder().bind("crm", other).build().expect("good settings");
    for (registry, name, is_there) in
        [(&there, "acme", true), (&there, "globex", false), (&registry, "acme", false)]
    {
        let count = invoices::table.count().get_result::<i64>(&tenant(registry, name)).await;
        assert_eq!(count.is_ok(), is_there, "{name}: {count:?}");
    }
}

#[tokio::test]
async fn engine_of_a_tenant_can_be_closed_by_its_url() {
    let template = tenants(NAMES);
    let builder = Registry::builder().bind("crm", template.as_str());
    let registry = builder.build().expect("good settings");
    drop(tenant(&registry, "acme").session_for::<invoices::table>().await.expect("a session"));
    let url_of = |name| template.replace("{tenant}", name);
    registry.close_engine(url_of("globex")).await.expect("a URL");
    assert_eq!(registry.status().on_demand.engines.len(), 1, "it is another's");
    assert!(registry.close_engine(url_of("acme")).await.expect("a URL").is_complete());
    assert!(registry.status().on_demand.engines.is_empty());
}

#[tokio::test]
async fn closed_tenant_is_opened_again_on_the_next_use() {
    let registry = registry().await;
    let acme = tenant(&registry, "acme");
    let report = registry.close_tenant("acme").await.expect("a good name");
    assert!(report.is_complete());
    let open: Vec<_> =
        registry.status().on_demand.engines.into_iter().flat_map(|engine| engine.tenants).collect();
    assert_eq!(open, ["initech", "globex"]);
    assert_eq!(whose(&acme).await, "acme");
    // A caller that waits for a session of an engine that is closed gets one of its successor.
    let mut lent = Vec::new();
    for _ in 0..10 {
        lent.push(acme.session_for::<invoices::table>().await.expect("a session"));
    }
    let waiting = {
        let acme = acme.clone();
        tokio::spawn(async move { whose(&acme).await })
    };
    eventually(|| registry.status().on_demand.engines[0].engine.waiting == 1).await;
    let closing = {
        let registry = registry.clone();
        tokio::spawn(async move { registry.close_tenant("acme").await })
    };
    assert_eq!(waiting.await.expect("no panic"), "acme");
    drop(lent);
    assert!(closing.await.expect("no panic").expect("a good name").is_complete());
    assert!(registry.close_tenant("..").await.is_err());
}

/// A function instead of the method `load`, whose name the methods of queries share.
fn times(asked: &AtomicU32) -> u32 {
    AtomicU32::load(asked, Ordering::SeqCst)
}

/// A resolver over a template that counts its calls.
fn resolver(template: String, asked: &Arc<AtomicU32>) -> TenantResolver {
    let asked = Arc::clone(asked);
    TenantResolver::new(move |tenant| {
        asked.fetch_add(1, Ordering::SeqCst);
        let (tenant, template) = (tenant.clone(), template.clone());
        async move {
            tokio::task::yield_now().await;
            let url = template.replace("{tenant}", tenant.name());
            match tenant.name() {
                "nobody" => Ok(None),
                "locked" => Err("the vault is sealed"),
                "broken" => Ok(Some(BindSettings::new("nonsense"))),
                "remote" => Ok(Some(BindSettings::new("oracle://h/db"))),
                _ => Ok(Some(BindSettings::new(url))),
            }
        }
    })
}

#[tokio::test]
async fn concurrent_callers_ask_the_resolver_once() {
    let asked = Arc::new(AtomicU32::new(0));
    let builder = Registry::builder().tenants("crm", resolver(tenants(NAMES), &asked));
    let registry = builder.build().expect("good settings");
    let acme = tenant(&registry, "acme");
    let sessions = (0..8).map(|_| acme.session_for::<invoices::table>());
    for session in join_all(sessions).await {
        drop(session.expect("a session"));
    }
    assert_eq!(times(&asked), 1);
    prepare(&registry).await;
    for name in NAMES {
        assert_eq!(whose(&tenant(&registry, name)).await, name);
    }
    assert_eq!(times(&asked), 3, "once a tenant");
    registry.close_tenant("acme").await.expect("a good name");
    assert_eq!(whose(&acme).await, "acme");
    assert_eq!(times(&asked), 4, "its answer went with the engine");
}

#[tokio::test]
async fn answer_of_a_resolver_is_cached_for_its_time_to_live() {
    let asked = Arc::new(AtomicU32::new(0));
    let resolver = resolver(tenants(NAMES), &asked).time_to_live(Duration::from_millis(30));
    let registry = Registry::builder().tenants("crm", resolver).build().expect("good settings");
    let acme = tenant(&registry, "acme");
    drop(acme.session_for::<invoices::table>().await.expect("a session"));
    tokio::time::sleep(Duration::from_millis(40)).await;
    drop(acme.session_for::<invoices::table>().await.expect("a session"));
    assert_eq!(times(&asked), 2);
    assert_eq!(registry.status().on_demand.engines.len(), 1, "the same answer is the same engine");
}

#[tokio::test]
async fn failure_of_a_resolver_is_reported_and_not_cached() {
    let asked = Arc::new(AtomicU32::new(0));
    let builder = Registry::builder().tenants("crm", resolver(tenants(NAMES), &asked));
    let registry = builder.build().expect("good settings");
    let refused = async |name: &str| {
        let tenant = tenant(&registry, name);
        tenant.session_for::<invoices::table>().await.unwrap_err()
    };
    let error = refused("nobody").await;
    assert!(matches!(error, AcquireError::UnknownTenant { source: None, .. }), "{error}");
    let error = refused("locked").await;
    assert_eq!(
        causes(&error),
        ["bind `crm`: the settings of tenant `locked` could not be found", "the vault is sealed"]
    );
    for name in ["broken", "remote"] {
        let error = refused(name).await;
        assert!(matches!(error, AcquireError::Settings { key, .. } if key == "crm"), "{error}");
    }
    assert!(matches!(
        refused("stranger").await,
        AcquireError::UnknownTenant { source: Some(_), .. }
    ));
    assert_eq!(times(&asked), 5);
    refused("nobody").await;
    assert_eq!(times(&asked), 6, "asked anew");
    let error = Error::from(refused("locked").await);
    assert!(!error.is_timeout());
}

#[tokio::test]
async fn hanging_resolver_times_out_after_acquire_timeout() {
    let resolver = TenantResolver::new(|_| std::future::pending::<Result<BindSettings, Error>>());
    let registry = Registry::builder().tenants("crm", resolver).build().expect("good settings");
    let acme = tenant(&registry, "acme");
    let waiting = acme.session_for::<invoices::table>().within(Duration::from_millis(30));
    let error = waiting.await.unwrap_err();
    assert_eq!(
        causes(&error),
        ["bind `crm`: the settings of tenant `acme` could not be found", "no answer within 30ms"]
    );
    assert!(error.is_timeout() && error.is_transient());
}

#[tokio::test]
async fn resolver_answers_the_others_after_the_first_caller_goes_away() {
    let (gate, template) = (Arc::new(Notify::new()), tenants(NAMES));
    let held = Arc::clone(&gate);
    let resolver = TenantResolver::new(move |tenant| {
        let (url, held) = (template.replace("{tenant}", tenant.name()), Arc::clone(&held));
        async move {
            held.notified().await;
            Ok::<_, Error>(BindSettings::new(url))
        }
    });
    let registry = Registry::builder().tenants("crm", resolver).build().expect("good settings");
    let acme = tenant(&registry, "acme");
    let mut first = Box::pin(acme.session_for::<invoices::table>());
    let mut second = Box::pin(acme.session_for::<invoices::table>());
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(first);
    assert!(futures_util::poll!(&mut second).is_pending());
    gate.notify_waiters();
    drop(second.await.expect("a session"));
}

/// The table of tenants can be in another bind of the same registry.
#[tokio::test]
async fn resolver_can_query_another_bind_of_the_registry() {
    let template = tenants(NAMES);
    let resolver = TenantResolver::new(move |tenant| {
        let (tenant, template) = (tenant.clone(), template.clone());
        async move {
            let known: Option<String> = registry_core::OptionalExtension::optional(
                plans::table
                    .filter(plans::what.eq(tenant.name().to_owned()))
                    .select(plans::what)
                    .first(tenant.registry())
                    .await,
            )?;
            Ok::<_, Error>(known.map(|name| BindSettings::new(template.replace("{tenant}", &name))))
        }
    });
    let builder = Registry::builder().bind("default", database()).tenants("crm", resolver);
    let registry = builder.build().expect("good settings");
    let mut session = registry.session_for::<plans::table>().await.expect("a session");
    session
        .batch_execute(
            "CREATE TABLE plans (id INTEGER PRIMARY KEY NOT NULL, what VARCHAR(80) NOT NULL); \
             INSERT INTO plans VALUES (1, 'acme')",
        )
        .await
        .expect("a table");
    drop(session);
    drop(tenant(&registry, "acme").session_for::<invoices::table>().await.expect("a session"));
    let error = tenant(&registry, "globex").session_for::<invoices::table>().await.unwrap_err();
    assert!(matches!(error, AcquireError::UnknownTenant { .. }), "{error}");
}

#[tokio::test]
async fn resolver_that_returns_a_tenant_schema_is_refused() {
    let template = tenants(NAMES);
    let resolver = TenantResolver::new(move |_| {
        let settings = BindSettings::new(template.replace("{tenant}", "acme"));
        async move { Ok::<_, Error>(settings.tenant_schema("t_{tenant}")) }
    });
    let registry = Registry::builder().tenants("crm", resolver).build().expect("good settings");
    let error = tenant(&registry, "acme").session_for::<invoices::table>().await.unwrap_err();
    assert!(matches!(error, AcquireError::Settings { .. }), "{error}");
}

#[tokio::test]
async fn closing_ends_waits_for_a_hanging_resolver() {
    let asked = Arc::new(AtomicU32::new(0));
    let resolver = TenantResolver::new({
        let asked = Arc::clone(&asked);
        move |_| {
            asked.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Result<BindSettings, Error>>()
        }
    });
    let registry = Registry::builder().tenants("crm", resolver).build().expect("good settings");
    let waiting: Vec<_> = (0..30)
        .map(|number| {
            let tenant = tenant(&registry, NAMES[number % NAMES.len()]);
            tokio::spawn(async move { tenant.session_for::<invoices::table>().await.err() })
        })
        .collect();
    eventually(|| times(&asked) == NAMES.len() as u32).await;
    let closing = tokio::time::timeout(Duration::from_secs(10), registry.close());
    let report = closing.await.expect("at once");
    assert!(report.is_complete(), "{report}");
    assert!(waiting.iter().all(tokio::task::JoinHandle::is_finished), "the report came first");
    for error in join_all(waiting).await {
        let error = error.expect("no panic").expect("it is closed");
        assert!(matches!(error, AcquireError::Closed { .. }), "{error}");
        assert_eq!(error.key(), "crm");
    }
}

#[tokio::test]
async fn panic_of_a_resolver_is_an_error_for_its_callers() {
    let resolver = TenantResolver::new(|tenant| {
        let name = tenant.name().to_owned();
        async move {
            assert_ne!(name, "acme", "a mistake of the program's");
            Ok::<Option<BindSettings>, Error>(None)
        }
    });
    let registry = Registry::builder().tenants("crm", resolver).build().expect("good settings");
    for _ in 0..2 {
        let error = tenant(&registry, "acme").session_for::<invoices::table>().await.unwrap_err();
        assert!(matches!(error, AcquireError::Resolve { .. }), "{error}");
        assert!(causes(&error)[1].contains("a mistake of the program's"), "{:?}", causes(&error));
    }
    let error = tenant(&registry, "globex").session_for::<invoices::table>().await.unwrap_err();
    assert!(matches!(error, AcquireError::UnknownTenant { .. }), "{error}");
}

#[tokio::test]
async fn failed_query_names_its_bind_and_tenant() {
    let registry = registry().await;
    let acme = tenant(&registry, "acme");
    let again = (invoices::id.eq(1), invoices::tenant.eq("acme"));
    let again = || diesel::insert_into(invoices::table).values(again);
    let error = again().execute(&acme).await.expect_err("there is one");
    assert_eq!(error.to_string(), "bind `crm`, tenant `acme`: the query failed");
    assert_eq!(causes(&error).len(), 2, "{error:?}");
    let kind = error.database_kind();
    assert!(matches!(kind, Some(diesel::result::DatabaseErrorKind::UniqueViolation)), "{kind:?}");
    let in_work = acme.transaction(async |work| again().execute(work).await).await;
    let Err(Error::Query(error)) = in_work else { panic!("{in_work:?}") };
    assert_eq!((error.key(), error.tenant()), (Some("crm"), Some("acme")));
    // Also for a bind that all tenants share.
    let missing = plans::table.select(plans::what).first::<String>(&acme).await;
    let error = missing.expect_err("there is no such table");
    assert_eq!(error.to_string(), "bind `default`, tenant `acme`: the query failed");
    let error = Error::from(diesel::result::Error::NotFound);
    assert_eq!(error.to_string(), "the query failed");
}
