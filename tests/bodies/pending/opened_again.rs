//! When a tenant is checked again: its engine was opened again, or replaced, or serves another bind.

use std::time::Duration;

use registry_core::{TenantResolver, WhenUnknown};

use super::super::tenants;
use super::*;

diesel::table! {
    notes (id) {
        id -> Integer,
    }
}
bind_tables!(db = "notes", connection = super::super::Backend; notes);

type Notes = <notes::table as registry_core::Bound>::Bind;

const NOTES: Step =
    step("20260105000000_notes", "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL)");

async fn migrate(settings: &BindSettings, names: &[&str]) {
    let plain = Registry::builder().bind("crm", settings.clone()).build().expect("good settings");
    for name in names {
        let migrated = tenant(&plain, name).migrate::<Crm>(Steps(vec![CREATE])).await;
        migrated.expect("it runs");
    }
}

#[tokio::test]
async fn a_tenant_is_checked_once_for_each_opened_engine() {
    let settings = settings(&["acme", "globex"], WhenPending::Fail);
    migrate(&settings, &["acme", "globex"]).await;
    let held = Held::default();
    let registry = Registry::builder()
        .bind("crm", settings.clone())
        .max_engines(1)
        .migrations::<Crm>(held.clone())
        .build()
        .expect("good settings");
    let (acme, globex) = (tenant(&registry, "acme"), tenant(&registry, "globex"));
    for _ in 0..3 {
        rows(&acme).await.expect("a session");
    }
    assert_eq!(held.listed(), 1);
    rows(&globex).await.expect("a session");
    rows(&acme).await.expect("a session");
    let shares_an_engine = registry.engine("crm").is_ok();
    assert_eq!(held.listed(), if shares_an_engine { 2 } else { 3 }, "an engine was evicted");

    registry.replace_engine("crm", settings).expect("the same settings");
    let before = held.listed();
    rows(&acme).await.expect("a session");
    rows(&acme).await.expect("a session");
    assert_eq!(held.listed(), before + 1);
}

/// With room for one engine, and for one connection in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_engine_with_one_connection_is_enough() {
    let names = ["acme", "globex", "initech"];
    let settings = settings(&names, WhenPending::Migrate).max_connections(1);
    let registry = Registry::builder()
        .bind("crm", settings)
        .max_engines(1)
        .migrations::<Crm>(steps())
        .build()
        .expect("good settings");
    let callers = names.iter().cycle().take(12).map(|name| {
        let tenant = tenant(&registry, name);
        tokio::spawn(async move { rows(&tenant).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        assert_eq!(caller.await.expect("it ends").expect("a session"), 1);
    }
}

#[tokio::test]
async fn binds_of_one_engine_have_migrations_of_their_own() {
    let settings = settings(&["acme"], WhenPending::Migrate).when_unknown(WhenUnknown::Fail);
    // The second registry finds what the first one has recorded for each bind.
    for _ in 0..2 {
        let registry = Registry::builder()
            .bind("crm", settings.clone())
            .bind("notes", settings.clone())
            .migrations::<Crm>(steps())
            .migrations::<Notes>(Steps(vec![NOTES]))
            .build()
            .expect("good settings");
        let acme = tenant(&registry, "acme");
        assert_eq!(rows(&acme).await.expect("a session"), 1);
        let notes: i64 = notes::table.count().get_result(&acme).await.expect("a session");
        assert_eq!(notes, 0);
    }
}

#[tokio::test]
async fn settings_of_a_resolver_say_what_happens_to_their_tenant() {
    let template = tenants(["acme", "globex", "initech"]);
    let resolver = TenantResolver::new(move |tenant: &Tenant| {
        let url = template.replace("{tenant}", tenant.name());
        let when_pending = match tenant.name() {
            "acme" => WhenPending::Migrate,
            "globex" => WhenPending::Serve,
            _ => WhenPending::Fail,
        };
        let settings = BindSettings::new(url.as_str()).when_pending(when_pending);
        async move { Ok::<_, std::io::Error>(settings) }
    });
    let held = Held::default();
    let registry = Registry::builder()
        // Each session asks the resolver again, and finds the same engine.
        .tenants("crm", resolver.time_to_live(Duration::ZERO))
        .migrations::<Crm>(held.clone())
        .build()
        .expect("good settings");
    for _ in 0..3 {
        assert_eq!(rows(&tenant(&registry, "acme")).await.expect("a session"), 0);
    }
    assert_eq!(held.runs(), 1);
    let listed = held.listed();
    tenant(&registry, "globex").session::<Crm>().await.expect("a session");
    assert_eq!(held.listed(), listed);
    let refused = tenant(&registry, "initech").session::<Crm>().await;
    assert_eq!(pending(refused.unwrap_err()), [CREATE.name]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_the_wait_and_not_the_migrations() {
    let held = Held::default();
    let settings = settings(&["acme"], WhenPending::Migrate);
    let registry = Registry::builder()
        .bind("crm", settings.clone())
        .migrations::<Crm>(held.clone())
        .build()
        .expect("good settings");
    let acme = tenant(&registry, "acme");
    tokio::task::block_in_place(|| {
        let hold = held.hold();
        tokio::runtime::Handle::current().block_on(async {
            let waiting = tokio::spawn(async move { acme.session::<Crm>().await });
            held.has_begun().await;
            let closing = registry.close_within(Duration::from_secs(30));
            let (closed, waited) = tokio::join!(closing, waiting);
            let error = waited.expect("it ends").unwrap_err();
            assert!(matches!(error, AcquireError::Closed { .. }), "{error:?}");
            drop(hold);
            drop(closed);
        });
    });
    let later = Registry::builder().bind("crm", settings).build().expect("good settings");
    let acme = tenant(&later, "acme").migrations::<Crm>(held.clone());
    while !acme.pending().await.expect("known").is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(held.runs(), 1);
}
