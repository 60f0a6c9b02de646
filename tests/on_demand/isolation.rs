//! Isolated tests with SQLite databases, which are copied, and with tenants in schemas.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{
    AcquireError, BindDsl, BindSettings, Error, Registry, RunQueryDsl, Tenant, TenantResolver,
    bind_tables,
};

use crate::support::{fresh_folder, postgres};

mod schema {
    diesel::table! {
        papers (id) {
            id -> Integer,
        }
    }
    diesel::table! {
        notes (id) {
            id -> Integer,
        }
    }
    diesel::table! {
        invoices (id) {
            id -> Integer,
        }
    }
}

use schema::{invoices, notes, papers};

bind_tables!(db = "files", backend = Sqlite; schema::papers);
bind_tables!(db = "notes", backend = Sqlite; schema::notes);
bind_tables!(db = "crm", backend = Postgres; schema::invoices);

type Files = <papers::table as registry_core::Bound>::Bind;

const NAMES: [&str; 2] = ["acme", "globex"];

fn tenant(registry: &Registry, name: &str) -> Tenant {
    registry.tenant(name).expect("a good name")
}

async fn add(tenant: &Tenant, id: i32) -> Result<usize, Error> {
    diesel::insert_into(papers::table).values(papers::id.eq(id)).execute(tenant).await
}

async fn ids(tenant: &Tenant) -> Vec<i32> {
    papers::table.select(papers::id).order(papers::id).load(tenant).await.expect("rows")
}

async fn create(tenant: &Tenant) {
    let create = diesel::sql_query("CREATE TABLE papers (id INTEGER PRIMARY KEY NOT NULL)");
    create.bound_to::<papers::table>().execute(tenant).await.expect("a table");
    add(tenant, 1).await.expect("a row");
}

/// Creates a file for each tenant, and a registry whose engines are closed again.
async fn files(folder: &Path, parameters: &str) -> Registry {
    let url = format!("sqlite://{}/{{tenant}}.db{parameters}", folder.display());
    let registry = Registry::builder().bind("files", url).build().expect("good settings");
    for name in NAMES {
        std::fs::File::create(folder.join(format!("{name}.db"))).expect("an empty file");
        create(&tenant(&registry, name)).await;
        registry.close_tenant(name).await.expect("a good name");
    }
    registry
}

/// The contents of each file in a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file"));
    files
        .map(|file| {
            let name = file.file_name().into_string().expect("UTF-8");
            (name, std::fs::read(file.path()).expect("its bytes"))
        })
        .collect()
}

#[tokio::test]
async fn files_of_tenants_stay_unchanged_and_none_is_created() {
    for parameters in ["", "?mode=rw", "?mode=rwc"] {
        let folder = fresh_folder();
        let application = files(&folder, parameters).await;
        application.close().await;
        let before = contents(&folder);
        assert_eq!(before.keys().collect::<Vec<_>>(), ["acme.db", "globex.db"]);
        let url = format!("sqlite://{}/{{tenant}}.db{parameters}", folder.display());
        let application = Registry::builder().bind("files", url).build().expect("good settings");
        let registry = application.test_isolation().await.expect("a registry");
        for name in NAMES {
            add(&tenant(&registry, name), 2).await.expect("a row");
            assert_eq!(ids(&tenant(&registry, name)).await, [1, 2]);
        }
        for _ in 0..2 {
            let error = add(&tenant(&registry, "stranger"), 1).await.unwrap_err();
            assert!(
                matches!(error, Error::Acquire(AcquireError::UnknownTenant { .. })),
                "{parameters}: {error}"
            );
        }
        registry.close().await;
        drop(registry);
        assert!(application.status().on_demand.engines.is_empty());
        crate::support::eventually(|| contents(&folder).len() == before.len()).await;
        assert_eq!(contents(&folder), before, "{parameters}");
    }
}

/// Registries whose bind is read-only: one by its URL, one by an option.
fn read_only(url: &str) -> [Registry; 2] {
    let settings =
        [BindSettings::new(format!("{url}?mode=ro")), BindSettings::new(url).read_only(true)];
    settings.map(|bind| Registry::builder().bind("files", bind).build().expect("good settings"))
}

#[tokio::test]
async fn read_only_files_of_tenants_are_copied() {
    let folder = fresh_folder();
    files(&folder, "").await.close().await;
    let url = format!("sqlite://{}/{{tenant}}.db", folder.display());
    for application in read_only(&url) {
        let registry = application.test_isolation().await.expect("a registry");
        let acme = tenant(&registry, "acme");
        assert_eq!(ids(&acme).await, [1]);
        add(&acme, 2).await.expect_err("it is only read");
    }
}

/// A read-only bind is copied as the others are.
#[tokio::test]
async fn read_only_bind_is_copied() {
    let folder = fresh_folder();
    files(&folder, "").await.close().await;
    let url = format!("sqlite://{}/acme.db", folder.display());
    for application in read_only(&url) {
        let registry = application.test_isolation().await.expect("a registry");
        let ids: Vec<i32> = papers::table.select(papers::id).load(&registry).await.expect("rows");
        assert_eq!(ids, [1]);
    }
}

#[tokio::test]
async fn in_memory_databases_of_tenants_are_copied() {
    let resolver = TenantResolver::new(|tenant: &Tenant| {
        let options = if tenant.name() == "acme" { 3 } else { 4 };
        let settings =
            BindSettings::new("sqlite::memory:").check_timeout(Duration::from_secs(options));
        async move { Ok::<_, std::convert::Infallible>(Some(settings)) }
    });
    let application =
        Registry::builder().tenants("files", resolver).build().expect("good settings");
    for name in NAMES {
        create(&tenant(&application, name)).await;
    }
    add(&tenant(&application, "globex"), 7).await.expect("a row");
    let registry = application.test_isolation().await.expect("a registry");
    assert_eq!(ids(&tenant(&registry, "acme")).await, [1]);
    add(&tenant(&registry, "globex"), 8).await.expect("a row");
    assert_eq!(ids(&tenant(&registry, "globex")).await, [1, 7, 8]);
    assert_eq!(ids(&tenant(&application, "globex")).await, [1, 7]);
}

/// Two binds with one file in the application share one copy in the test.
#[tokio::test]
async fn binds_sharing_a_file_share_its_copy() {
    let folder = fresh_folder();
    let url = format!("sqlite://{}/both.db", folder.display());
    let shared = url.clone();
    let resolver = TenantResolver::new(move |_: &Tenant| {
        let settings = BindSettings::new(shared.as_str());
        async move { Ok::<_, std::convert::Infallible>(Some(settings)) }
    });
    let builder = Registry::builder().bind("notes", url).tenants("files", resolver);
    let application = builder.build().expect("good settings");
    let create_notes = diesel::sql_query("CREATE TABLE notes (id INTEGER PRIMARY KEY)");
    create_notes.bound_to::<notes::table>().execute(&application).await.expect("a table");
    create(&tenant(&application, "acme")).await;
    let registry = application.test_isolation().await.expect("a registry");
    add(&tenant(&registry, "acme"), 2).await.expect("a row");
    assert_eq!(ids(&tenant(&registry, "globex")).await, [1, 2]);
    // On a session, whose raw SQL is not checked: the table is bound to the tenants' bind.
    let mut from_bind = registry.session_for::<notes::table>().await.expect("a session");
    let insert = diesel::sql_query("INSERT INTO papers VALUES (3)");
    insert.execute(&mut from_bind).await.expect("the same tables");
    drop(from_bind);
    assert_eq!(ids(&tenant(&registry, "acme")).await, [1, 2, 3]);
    assert_eq!(ids(&tenant(&application, "acme")).await, [1]);
}

#[tokio::test]
async fn file_that_is_not_a_database_is_an_error_and_not_an_unknown_tenant() {
    let folder = fresh_folder();
    std::fs::write(folder.join("acme.db"), [7; 4096]).expect("a file");
    let url = format!("sqlite://{}/{{tenant}}.db", folder.display());
    let application = Registry::builder().bind("files", url).build().expect("good settings");
    let registry = application.test_isolation().await.expect("a registry");
    let error = tenant(&registry, "acme").session::<Files>().await.unwrap_err();
    assert!(!matches!(error, AcquireError::UnknownTenant { .. }), "{error}");
    let causes = crate::support::causes(&error);
    assert!(causes.iter().any(|cause| cause.contains("not a database")), "{causes:?}");
}

/// All schemas share the one isolated connection of the bind.
#[tokio::test]
async fn isolated_schemas_of_tenants_take_turns_on_one_connection() {
    let url = postgres().database("schemas");
    let plain = Registry::builder().bind("crm", url.as_str()).build().expect("good settings");
    let mut session = plain.session_for::<invoices::table>().await.expect("a session");
    for name in NAMES {
        let create = format!(
            "CREATE SCHEMA t_{name}; CREATE TABLE t_{name}.invoices (id INTEGER PRIMARY KEY)"
        );
        session.batch_execute(&create).await.expect("a schema");
    }
    let settings = BindSettings::new(url).tenant_schema("t_{tenant}").max_connections(4);
    let application = Registry::builder().bind("crm", settings).build().expect("good settings");
    let registry = application.test_isolation().await.expect("a registry");
    let tasks = (0..24).map(|id| {
        let tenant = tenant(&registry, NAMES[id as usize % 2]);
        async move {
            let insert = diesel::insert_into(invoices::table).values(invoices::id.eq(id));
            insert.execute(&tenant).await
        }
    });
    for added in futures_util::future::join_all(tasks).await {
        added.expect("a row");
    }
    for (name, parity) in [("acme", 0), ("globex", 1)] {
        // A failure in one tenant's schema does not affect the other tenant, nor its search path.
        let own = tenant(&registry, name);
        let again = diesel::insert_into(invoices::table).values(invoices::id.eq(parity));
        again.execute(&own).await.expect_err("it is there");
        let ids: Vec<i32> = invoices::table
            .select(invoices::id)
            .order(invoices::id)
            .load(&own)
            .await
            .expect("rows");
        assert_eq!(ids, (0..24).filter(|id| id % 2 == parity).collect::<Vec<_>>(), "{name}");
        let count = invoices::table.count().get_result::<i64>(&tenant(&application, name)).await;
        assert_eq!(count.expect("a count"), 0);
    }
    let stranger = tenant(&registry, "stranger");
    let error = stranger.session_for::<invoices::table>().await.unwrap_err();
    assert!(matches!(error, AcquireError::UnknownTenant { .. }), "{error}");
    let acme = tenant(&registry, "acme");
    for polls in 0..100 {
        let mut acquire = acme.session_for::<invoices::table>();
        for _ in 0..polls {
            if futures_util::poll!(&mut acquire).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let count = invoices::table.count().get_result::<i64>(&acme).await;
    assert_eq!(count.expect("nothing was lost"), 12);
    let _session = acme.session_for::<invoices::table>().await.expect("a session");
    let error = tenant(&registry, "globex").session_for::<invoices::table>().await.unwrap_err();
    assert!(matches!(error, AcquireError::Isolated { .. }), "{error}");
}
