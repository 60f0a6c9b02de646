//! Pending migrations of tenants: cases that only one backend has.

use diesel::prelude::*;
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

/// The user of the bind owns nothing, and may not read the table of versions.
#[tokio::test]
async fn migrate_url_is_where_migrations_are_read_and_run() {
    let template = postgres().tenants(["acme"]);
    let user = format!("reads_invoices_{}", std::process::id());
    postgres().execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 'x'"));
    let (scheme, rest) = template.split_once("://").expect("a URL");
    let server = rest.rsplit_once('@').expect("a user").1;
    let as_user = BindSettings::new(format!("{scheme}://{user}:x@{server}").as_str())
        .when_pending(WhenPending::Migrate);
    let first = registry(as_user.clone().migrate_url(template.as_str()));
    let acme = first.tenant("acme").expect("a name");
    let count: i64 = invoices::table.count().get_result(&acme).await.expect("it was migrated");
    assert_eq!(count, 0);
    let again = registry(as_user.clone().migrate_url(template.as_str()));
    again.tenant("acme").expect("a name").session::<Crm>().await.expect("nothing is pending");

    // The table of versions is not readable: that is unknown, and so refused.
    let refused = registry(as_user);
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

    // The runtime of the test does not go on meanwhile, so the driver has not noticed the loss.
    postgres().execute_in(
        &url,
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    let globex = registry.tenant("globex").expect("a name");
    let count: i64 = invoices::table.count().get_result(&globex).await.expect("a session");
    assert_eq!(count, 0);
}
