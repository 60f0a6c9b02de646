//! Pending migrations of tenants: cases that only one backend has.

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{AcquireError, BindSettings, Registry, RunQueryDsl, WhenPending, bind_tables};

use crate::support::steps::{Step, Steps, step};
use crate::support::{causes, postgres};

diesel::table! {
    invoices (id) {
        id -> Integer,
    }
}
bind_tables!(db = "crm", backend = Postgres; invoices);

type Crm = <invoices::table as registry_core::Bound>::Bind;

const CREATE: Step = step("1_invoices", "CREATE TABLE invoices (id INTEGER PRIMARY KEY)");
const GRANT: Step = step("2_grant", "GRANT SELECT ON invoices TO PUBLIC");

fn steps() -> Steps {
    Steps(vec![CREATE, GRANT])
}

fn registry(settings: BindSettings) -> Registry {
    let builder = Registry::builder().bind("crm", settings).migrations::<Crm>(steps());
    builder.build().expect("good settings")
}

/// The user of the bind may read its own tables only, and owns nothing.
#[tokio::test]
async fn migrate_url_is_where_migrations_are_read_and_run() {
    let template = postgres().tenants(["acme"]);
    let (database, user) = (template.replace("{tenant}", "acme"), "reads_invoices");
    postgres().execute_in(
        &database,
        &format!(
            "DO $$ BEGIN CREATE ROLE {user} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        ),
    );
    // The role is set by the connection, whatever the server thinks of passwords.
    let as_user = BindSettings::new(template.as_str()).on_connect([format!("SET ROLE {user}")]);
    let first = registry(BindSettings::new(template.as_str()).when_pending(WhenPending::Migrate));
    first.tenant("acme").expect("a name").session::<Crm>().await.expect("it may do everything");

    // The table of versions is not readable: that is unknown, and so refused.
    let refused = registry(as_user.clone());
    let error = refused.tenant("acme").expect("a name").session::<Crm>().await.unwrap_err();
    assert!(matches!(error, AcquireError::Migrations { .. }), "{error:?}");
    let causes = causes(&error);
    assert!(causes.iter().any(|cause| cause.contains("permission denied")), "{causes:?}");
}

/// As after a restart of the server: what the pool has kept is gone.
#[tokio::test]
async fn a_connection_that_was_lost_is_no_failure_of_the_next_tenant() {
    let url = postgres().database("test");
    for name in ["acme", "globex"] {
        postgres().execute_in(&url, &format!("CREATE SCHEMA tenant_{name}"));
    }
    let settings = BindSettings::new(url.as_str())
        .tenant_schema("tenant_{tenant}")
        .max_connections(1)
        .when_pending(WhenPending::Migrate);
    let registry = registry(settings);
    let acme = registry.tenant("acme").expect("a name");
    let count: i64 = invoices::table.count().get_result(&acme).await.expect("a session");
    assert_eq!(count, 0);

    let mut other = registry_core::Registry::builder().bind("crm", url.as_str());
    other = other.max_engines(1);
    let other = other.build().expect("good settings");
    let mut session = other.session::<Crm>().await.expect("a session");
    session
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await
        .expect("it may");
    let globex = registry.tenant("globex").expect("a name");
    let count: i64 = invoices::table.count().get_result(&globex).await.expect("a session");
    assert_eq!(count, 0);
}
