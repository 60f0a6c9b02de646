//! How long the migrations of each tenant may take, and wait for locks; and a registry that refuses tenants with pending
//! migrations.

use std::time::Duration;

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::tenant::{TenantResult, tenant_names};
use registry_core::{MigrateTenantsError, MigrateTenantsReport, Registry};

use super::{
    Backend, Crm, NAME, Outcomes, RUNS, SECOND, builder, databases, names, registry, runs,
};
use crate::support::causes;
use crate::support::steps::Steps;

/// Runs [`SECOND`] for three tenants while another connection has a table of the second one locked.
async fn with_a_lock(
    table: &str,
    limit: impl FnOnce(registry_core::MigrateTenants<Crm>) -> registry_core::MigrateTenants<Crm>,
) -> (Registry, MigrateTenantsReport) {
    let template = databases(3);
    let registry = registry(&template);
    let all = || tenant_names(names(3));
    registry.migrate_tenants::<Crm>(all(), Steps(vec![RUNS])).await.expect("all are migrated");
    let url = template.replace("{tenant}", "t2");
    let url = url.trim_start_matches("sqlite://");
    let mut other = Backend::establish(url).await.expect("a connection");
    let lock = match NAME {
        "postgres" => format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"),
        "mysql" => format!("LOCK TABLES {table} WRITE"),
        _ => "PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE".to_owned(),
    };
    other.batch_execute(&lock).await.expect("a lock");
    let outcomes = Outcomes::default();
    let run = registry.migrate_tenants::<Crm>(all(), Steps(vec![RUNS, SECOND])).keep_going();
    let error = limit(run).on_outcome(outcomes.note()).await.expect_err("one has to wait");
    assert_eq!(outcomes.with("failed"), ["t2"]);
    let MigrateTenantsError::Tenants(report) = error else { panic!("{:?}", causes(&error)) };
    assert_eq!((report.applied, report.failed), (2, 1));
    drop(other);
    (registry, *report)
}

fn failure(report: &MigrateTenantsReport) -> String {
    let TenantResult::Failed(failure) = &report.failures[0].result else { panic!("{report:?}") };
    causes(failure).join(": ")
}

#[tokio::test]
async fn tenant_whose_migrations_take_too_long_fails_and_the_others_do_not() {
    let limit = Duration::from_secs(2);
    // The tables of versions can be locked as well.
    for table in ["runs", "__diesel_schema_migrations", "__registry_schema_migrations"] {
        let (registry, report) = with_a_lock(table, |run| run.limit_each(limit)).await;
        assert!(failure(&report).contains("time limit of 2s"), "{}", failure(&report));
        let report = registry
            .migrate_tenants::<Crm>(tenant_names(names(3)), Steps(vec![RUNS, SECOND]))
            .await
            .expect("all are migrated");
        assert_eq!((report.applied, report.up_to_date), (1, 2), "{table}");
        assert_eq!(runs(&registry, "t2", "1 = 1").await, 1, "{table}");
    }
}

#[tokio::test]
async fn tenant_whose_table_is_locked_is_tried_again_and_fails() {
    let limit = Duration::from_millis(200);
    let (_, report) = with_a_lock("runs", |run| run.lock_timeout(limit).lock_retries(1)).await;
    assert!(failure(&report).contains("tried 2 times"), "{}", failure(&report));
}

#[tokio::test]
async fn registry_that_refuses_tenants_with_pending_migrations_migrates_them() {
    let builder = builder(&databases(3)).migrations::<Crm>(Steps(vec![RUNS, SECOND]));
    let registry = builder.build().expect("good settings");
    let tenant = registry.tenant("t1").expect("a good name");
    tenant.session::<Crm>().await.expect_err("a migration is pending");
    let report = registry
        .migrate_tenants::<Crm>(tenant_names(names(3)), Steps(vec![RUNS, SECOND]))
        .await
        .expect("all are migrated");
    assert_eq!(report.applied, 3);
    assert_eq!(runs(&registry, "t1", "1 = 1").await, 1);
}
