//! A schema per tenant, in one PostgreSQL database.

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{
    AcquireError, BindSettings, Registry, RunQueryDsl, Session, SettingsError, Tenant, bind_tables,
};

use crate::support::{fresh_folder, postgres};

diesel::table! {
    invoices (id) {
        id -> Integer,
        tenant -> Text,
    }
}
bind_tables!(db = "crm", backend = Postgres; invoices);

type Crm = <invoices::table as registry_core::Bound>::Bind;

const NAMES: [&str; 3] = ["acme", "globex", "Odd.Name-7"];

/// A registry; with one connection, each borrower gets the connection that the last one used.
async fn registry(max_connections: u32) -> Registry {
    let url = postgres().database("test");
    let settings = BindSettings::new(url.as_str())
        .tenant_schema("tenant_{tenant}")
        .max_connections(max_connections);
    let registry = Registry::builder().bind("crm", settings).build().expect("good settings");
    let plain = Registry::builder().bind("crm", url).build().expect("good settings");
    let mut session = plain.session::<Crm>().await.expect("a session");
    for name in NAMES {
        let schema = format!("\"tenant_{name}\"");
        session
            .batch_execute(&format!(
                "CREATE SCHEMA {schema}; \
                 CREATE TABLE {schema}.invoices (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL); \
                 INSERT INTO {schema}.invoices VALUES (1, '{name}')"
            ))
            .await
            .expect("a schema");
    }
    registry
}

fn tenant(registry: &Registry, name: &str) -> Tenant {
    registry.tenant(name).expect("a good name")
}

async fn whose(tenant: &Tenant) -> String {
    invoices::table.select(invoices::tenant).first(tenant).await.expect("a row")
}

async fn session(registry: &Registry, name: &str) -> Session<Crm> {
    tenant(registry, name).session_for::<invoices::table>().await.expect("a session")
}

#[tokio::test]
async fn tenants_in_schemas_share_an_engine_and_read_their_own_rows() {
    let registry = registry(1).await;
    for name in NAMES.iter().cycle().take(12) {
        assert_eq!(whose(&tenant(&registry, name)).await, *name);
    }
    let engine = registry.engine("crm").expect("one for all");
    assert_eq!((engine.status().idle, registry.status().on_demand.engines.len()), (1, 0));
}

/// Whichever statements a borrower has run on the connection.
#[tokio::test]
async fn schema_of_a_borrower_does_not_reach_the_next() {
    let registry = registry(1).await;
    let leave: [&str; 8] = [
        "SET search_path = tenant_globex",
        "SELECT set_config('search_path', 'tenant_globex', false)",
        // The texts of these do not show that they change the search path.
        "DO $$ BEGIN PERFORM set_config('search_path', 'tenant_globex', false); END $$",
        "CREATE FUNCTION leave() RETURNS text LANGUAGE sql AS \
         $$ SELECT set_config('search_path', 'tenant_globex', false) $$; SELECT leave()",
        "BEGIN; SET search_path = tenant_globex",
        "BEGIN; SET LOCAL search_path = tenant_globex",
        "RESET search_path",
        "RESET ALL",
    ];
    for statement in leave {
        let mut session = session(&registry, "acme").await;
        session.batch_execute(statement).await.expect(statement);
        drop(session);
        assert_eq!(whose(&tenant(&registry, "acme")).await, "acme", "after {statement}");
        assert_eq!(whose(&tenant(&registry, "globex")).await, "globex", "after {statement}");
    }
}

#[tokio::test]
async fn prepared_statements_follow_the_schema() {
    let registry = registry(1).await;
    // The same statement, which is prepared once on the only connection.
    for _ in 0..10 {
        for name in ["acme", "globex"] {
            let mut session = session(&registry, name).await;
            let seen: Vec<String> = invoices::table
                .filter(invoices::id.eq(1))
                .select(invoices::tenant)
                .load(&mut session)
                .await
                .expect("rows");
            assert_eq!(seen, [name]);
        }
    }
}

#[tokio::test]
async fn transaction_and_rollback_stay_in_the_schema() {
    let registry = registry(1).await;
    let mut session = session(&registry, "acme").await;
    let rolled_back = session
        .transaction(async |session| {
            let row = (invoices::id.eq(2), invoices::tenant.eq("acme"));
            diesel::insert_into(invoices::table).values(row).execute(&mut *session).await?;
            Err::<(), _>(diesel::result::Error::RollbackTransaction)
        })
        .await;
    assert!(rolled_back.is_err());
    let count: i64 = invoices::table.count().get_result(&mut session).await.expect("a row");
    assert_eq!(count, 1, "still in the schema, and rolled back");
}

#[tokio::test]
async fn concurrent_tasks_of_tenants_stay_apart() {
    let registry = registry(4).await;
    let tasks: Vec<_> = (0..16)
        .map(|at| {
            let tenant = tenant(&registry, NAMES[at % NAMES.len()]);
            tokio::spawn(async move {
                for _ in 0..50 {
                    assert_eq!(whose(&tenant).await, tenant.name());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("its own rows");
    }
}

#[tokio::test]
async fn unknown_tenant_gets_no_schema_and_leaves_no_trace() {
    let registry = registry(1).await;
    for _ in 0..3 {
        let stranger = tenant(&registry, "stranger");
        let error = stranger.session_for::<invoices::table>().await.unwrap_err();
        assert!(matches!(error, AcquireError::UnknownTenant { source: None, .. }), "{error}");
        assert_eq!(whose(&tenant(&registry, "acme")).await, "acme");
    }
    let error = registry.session_for::<invoices::table>().await.unwrap_err();
    assert!(matches!(error, AcquireError::NoTenant { .. }), "{error}");
}

#[tokio::test]
async fn migrations_run_in_the_tenants_schema() {
    let registry = registry(1).await;
    let folder = fresh_folder();
    let up = folder.join("2026-01-01-000000_notes");
    std::fs::create_dir(&up).expect("a folder");
    std::fs::write(up.join("up.sql"), "CREATE TABLE notes (id INTEGER)").expect("a file");
    let migrations =
        || diesel_migrations::FileBasedMigrations::from_path(&folder).expect("migrations");
    for name in NAMES {
        let tenant = tenant(&registry, name);
        let report = tenant.migrate::<Crm>(migrations()).await.expect("migrated");
        assert_eq!(report.applied.len(), 1, "once for each tenant");
        let mut session = session(&registry, name).await;
        session.batch_execute("SELECT * FROM notes").await.expect("a table");
    }
    assert!(tenant(&registry, "stranger").migrate::<Crm>(migrations()).await.is_err());
}

fn problem(settings: BindSettings) -> String {
    let error: SettingsError = Registry::builder().bind("crm", settings).build().unwrap_err();
    error.to_string()
}

#[test]
fn tenant_schema_requires_postgresql_and_the_tenants_name() {
    assert_eq!(
        problem(BindSettings::new("sqlite:///app.db").tenant_schema("{tenant}")),
        "bind(\"crm\").tenant_schema: SQLite has no schemas in a database: only PostgreSQL has"
    );
    assert_eq!(
        problem(BindSettings::new("postgres://h/db").tenant_schema("public")),
        "bind(\"crm\").tenant_schema: the schema of a tenant has `{tenant}` in it"
    );
    assert!(
        problem(BindSettings::new("postgres://h/{tenant}").tenant_schema("{tenant}"))
            .ends_with("and this a schema: one will do")
    );
}
