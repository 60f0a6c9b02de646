//! Tenants in isolated registries, on each backend.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use futures_util::future::{join_all, try_join};
use registry_core::{
    AcquireError, BindSettings, Error, Registry, RunQueryDsl, Tenant, TenantResolver, UnitOfWork,
    bind_tables,
};

use super::{NAME, database, tenants};

diesel::table! {
    invoices (id) {
        id -> Integer,
    }
}
diesel::table! {
    customers (name) {
        name -> Text,
        url -> Text,
    }
}
bind_tables!(db = "crm", connection = super::Backend; invoices);
bind_tables!(db = "default", connection = super::Backend; customers);

type Crm = <invoices::table as registry_core::Bound>::Bind;
type Main = <customers::table as registry_core::Bound>::Bind;

const NAMES: [&str; 2] = ["acme", "globex"];

fn tenant(registry: &Registry, name: &str) -> Tenant {
    registry.tenant(name).expect("a good name")
}

/// Creates one invoice for each tenant.
async fn prepare(registry: &Registry) {
    for name in NAMES {
        let mut session = tenant(registry, name).session::<Crm>().await.expect("a session");
        let create = "CREATE TABLE invoices (id INTEGER PRIMARY KEY NOT NULL)";
        session.batch_execute(create).await.expect("a table");
        session.batch_execute("INSERT INTO invoices VALUES (1)").await.expect("a row");
    }
}

async fn application() -> Registry {
    let registry = Registry::builder().bind("crm", tenants(NAMES)).build().expect("good settings");
    prepare(&registry).await;
    registry
}

async fn add(tenant: &Tenant, id: i32) -> Result<usize, Error> {
    diesel::insert_into(invoices::table).values(invoices::id.eq(id)).execute(tenant).await
}

async fn ids(tenant: &Tenant) -> Vec<i32> {
    invoices::table.select(invoices::id).order(invoices::id).load(tenant).await.expect("rows")
}

fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::Acquire(AcquireError::UnknownTenant { .. }))
}

#[tokio::test]
async fn isolated_tenants_commit_nothing_and_read_their_own_writes() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let (acme, globex) = (tenant(&registry, "acme"), tenant(&registry, "globex"));
    assert_eq!(ids(&acme).await, [1], "what was there");
    add(&acme, 2).await.expect("a row");
    let work = acme.transaction(async |work| {
        diesel::insert_into(invoices::table).values(invoices::id.eq(3)).execute(work).await?;
        Ok::<_, Error>(())
    });
    work.await.expect("committed, as far as the test can tell");
    let scoped = acme.try_scope(async {
        let mut work = UnitOfWork::current().await?;
        let row = invoices::id.eq(4);
        diesel::insert_into(invoices::table).values(row).execute(&mut *work).await?;
        Ok::<_, Error>(())
    });
    scoped.await.expect("committed, as far as the test can tell");
    let failed = acme.transaction(async |work| {
        diesel::insert_into(invoices::table).values(invoices::id.eq(5)).execute(work).await?;
        Err::<(), Error>(diesel::result::Error::RollbackTransaction.into())
    });
    failed.await.expect_err("rolled back");
    add(&globex, 6).await.expect("a row");
    let other = application.test_isolation().await.expect("a registry");
    add(&tenant(&other, "acme"), 7).await.expect("a row");
    assert_eq!(ids(&tenant(&other, "acme")).await, [1, 7]);
    assert_eq!(ids(&acme).await, [1, 2, 3, 4]);
    assert_eq!(ids(&globex).await, [1, 6]);
    registry.close().await;
    drop(registry);
    for name in NAMES {
        assert_eq!(ids(&tenant(&application, name)).await, [1], "nobody else ever sees it");
    }
}

#[tokio::test]
async fn isolated_tenants_do_not_wait_for_each_other() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let (acme, globex) = (tenant(&registry, "acme"), tenant(&registry, "globex"));
    let mut session = acme.session::<Crm>().await.expect("a session");
    add(&globex, 2).await.expect("a row");
    let inside = session.transaction(async |session| {
        add(&globex, 3).await.expect("a row");
        diesel::insert_into(invoices::table).values(invoices::id.eq(2)).execute(session).await
    });
    inside.await.expect("a row");
    drop(session);
    try_join(add(&acme, 3), add(&globex, 4)).await.expect("rows");
    assert_eq!((ids(&acme).await, ids(&globex).await), (vec![1, 2, 3], vec![1, 2, 3, 4]));
}

#[tokio::test]
async fn concurrent_first_uses_share_the_isolated_database() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let tasks = (2..26).map(|id| {
        let tenant = tenant(&registry, NAMES[id as usize % 2]);
        tokio::spawn(async move { add(&tenant, id).await })
    });
    for added in join_all(tasks).await {
        added.expect("no panic").expect("a row");
    }
    // The isolated database stays the same although its engine was evicted.
    if NAME == "sqlite" {
        registry.close_tenant("acme").await.expect("a good name");
    }
    for (name, parity) in [("acme", 0), ("globex", 1)] {
        let own = std::iter::once(1).chain((2..26).filter(|id| id % 2 == parity));
        assert_eq!(ids(&tenant(&registry, name)).await, own.collect::<Vec<_>>());
        assert_eq!(ids(&tenant(&application, name)).await, [1]);
    }
}

#[tokio::test]
async fn unknown_tenants_stay_unknown_in_isolation() {
    let application = application().await;
    let registry = application.test_isolation().await.expect("a registry");
    let stranger = tenant(&registry, "stranger");
    for _ in 0..2 {
        let error = add(&stranger, 1).await.unwrap_err();
        assert!(is_unknown(&error), "{error}");
        let mut work = stranger.begin();
        let error = work.session::<Crm>().await.unwrap_err();
        assert!(is_unknown(&error.into()));
    }
    assert!(is_unknown(&add(&tenant(&application, "stranger"), 1).await.unwrap_err()));
    let open = registry.status().on_demand.engines;
    assert!(open.iter().all(|engine| !engine.tenants.iter().any(|name| name == "stranger")));
}

/// A resolver that reads the tenants from a table of the isolated registry.
fn by_table(asked: &Arc<AtomicU32>) -> TenantResolver {
    let asked = Arc::clone(asked);
    TenantResolver::new(move |tenant: &Tenant| {
        asked.fetch_add(1, Ordering::Relaxed);
        let tenant = tenant.clone();
        async move {
            let url = customers::table.find(tenant.name().to_owned()).select(customers::url);
            let url: Vec<String> = url.load(tenant.registry()).await?;
            Ok::<_, Error>(url.into_iter().next().map(BindSettings::new))
        }
    })
}

#[tokio::test]
async fn tenants_found_by_a_resolver_are_isolated() {
    let asked = Arc::new(AtomicU32::new(0));
    let builder = Registry::builder().bind("default", database());
    let application = builder.tenants("crm", by_table(&asked)).build().expect("good settings");
    let create =
        "CREATE TABLE customers (name VARCHAR(80) PRIMARY KEY NOT NULL, url TEXT NOT NULL)";
    let mut session = application.session::<Main>().await.expect("a session");
    session.batch_execute(create).await.expect("a table");
    drop(session);
    let urls: BTreeMap<_, _> = {
        let template = tenants(NAMES);
        NAMES.into_iter().map(|name| (name, template.replace("{tenant}", name))).collect()
    };
    let row =
        |name: &str| (customers::name.eq(name.to_owned()), customers::url.eq(urls[name].clone()));
    for name in NAMES {
        let insert = diesel::insert_into(customers::table).values(row(name));
        insert.execute(&application).await.expect("a row");
    }
    prepare(&application).await;
    let registry = application.test_isolation().await.expect("a registry");
    let before = AtomicU32::load(&asked, Ordering::Relaxed);
    for name in NAMES {
        add(&tenant(&registry, name), 2).await.expect("a row");
        assert_eq!(ids(&tenant(&registry, name)).await, [1, 2]);
        assert_eq!(ids(&tenant(&application, name)).await, [1]);
    }
    assert_eq!(AtomicU32::load(&asked, Ordering::Relaxed), before + 2);
    // A tenant that only the test has inserted: the resolver reads the isolated table.
    let initech = tenant(&registry, "initech");
    assert!(is_unknown(&add(&initech, 1).await.unwrap_err()));
    let taken_in = (customers::name.eq("initech"), customers::url.eq(urls["acme"].clone()));
    let insert = diesel::insert_into(customers::table).values(taken_in);
    insert.execute(&registry).await.expect("a row");
    assert_eq!(ids(&initech).await, [1, 2], "the same database as the other's");
    assert!(is_unknown(&add(&tenant(&application, "initech"), 1).await.unwrap_err()));
}
