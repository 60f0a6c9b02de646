//! The ledger: what a run asks of it, and what it writes there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use registry_core::tenant::{TenantResolver, tenant_names};
use registry_core::{BindSettings, MigrateTenantsError, Registry};

use diesel::QueryableByName;
use diesel::migration::{Migration, MigrationSource};

use super::{
    Count, Crm, Diesel, Main, NAME, Outcomes, RUNS, SECOND, TAKEN, THIRD, break_tenant, database,
    databases, mend_tenant, names, registry, runs, tenants,
};
use crate::support::steps::{Step, Steps};
use crate::support::{causes, run_sql};

#[derive(QueryableByName, Debug, PartialEq)]
pub(super) struct Row {
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub(super) tenant: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub(super) state: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub(super) digest: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub(super) detail: String,
}

/// The rows of the ledger.
pub(super) async fn rows(registry: &Registry) -> diesel::QueryResult<Vec<Row>> {
    let mut session = registry.session::<Main>().await.expect("a session");
    let all = diesel::sql_query(
        "SELECT tenant, state, digest, detail FROM __registry_tenant_migrations \
         WHERE bind = 'crm' ORDER BY tenant",
    );
    diesel_async::RunQueryDsl::load(all, &mut session).await
}

async fn holders(registry: &Registry) -> i64 {
    let mut session = registry.session::<Main>().await.expect("a session");
    let count = diesel::sql_query("SELECT count(*) AS count FROM __registry_migration_leases");
    let count: Count =
        diesel_async::RunQueryDsl::get_result(count, &mut session).await.expect("a count");
    count.count
}

/// Removes the databases of all tenants, so that no connection to them can succeed.
async fn remove(registry: &Registry, count: usize) {
    for name in names(count) {
        registry.drop_tenant::<Crm>(&name, &name).await.expect("it is dropped");
    }
}

#[tokio::test]
async fn run_with_nothing_to_do_connects_to_no_tenant() {
    let template = databases(6);
    let registry = registry(&template);
    let run = |steps: &[Step]| {
        let all = tenant_names(names(6));
        registry.migrate_tenants::<Crm>(all, Steps(steps.to_vec())).ledger::<Main>()
    };
    let report = run(&[RUNS, SECOND]).await.expect("all are migrated");
    assert_eq!((report.applied, report.up_to_date), (6, 0));
    let kept = rows(&registry).await.expect("the ledger");
    assert_eq!(kept.iter().map(|row| row.tenant.clone()).collect::<Vec<_>>(), names(6));
    assert!(kept.iter().all(|row| row.state == "done" && row.digest == kept[0].digest));
    assert_eq!(holders(&registry).await, 0, "the lease was given back");

    // Another set of migrations is run everywhere.
    let outcomes = Outcomes::default();
    let report = run(&[RUNS, SECOND, THIRD]).on_outcome(outcomes.note()).await.expect("migrated");
    assert_eq!(report.applied, 6);
    assert!(outcomes.by_tenant().values().all(|result| result == "3_third"));
    assert_ne!(rows(&registry).await.expect("the ledger")[0].digest, kept[0].digest);

    remove(&registry, 6).await;
    let report = run(&[RUNS, SECOND, THIRD]).await.expect("nothing to do");
    assert_eq!((report.applied, report.up_to_date), (0, 6));
    // Whoever does not believe the ledger finds out.
    let error = run(&[RUNS, SECOND, THIRD]).recheck().keep_going().await.unwrap_err();
    assert_eq!(error.report().expect("a run").failed, 6);
    assert!(rows(&registry).await.expect("the ledger").iter().all(|row| row.state == "failed"));
    // A failed tenant is tried again by the next run.
    let error = run(&[RUNS, SECOND, THIRD]).keep_going().await.unwrap_err();
    assert_eq!(error.report().expect("a run").failed, 6);
}

#[tokio::test]
async fn resolver_is_not_asked_if_there_is_nothing_to_do() {
    let template = databases(4);
    let asked = Arc::new(AtomicU32::new(0));
    let resolver = TenantResolver::new({
        let asked = Arc::clone(&asked);
        move |tenant| {
            asked.fetch_add(1, Ordering::SeqCst);
            let url = template.replace("{tenant}", tenant.name());
            async move { Ok::<_, std::io::Error>(Some(BindSettings::new(url))) }
        }
    });
    let builder = Registry::builder().tenants("crm", resolver).bind("default", database());
    let registry = builder.build().expect("good settings");
    for (applied, asks) in [(4, 4), (0, 4)] {
        let report = registry
            .migrate_tenants::<Crm>(tenant_names(names(4)), Steps(vec![RUNS, SECOND]))
            .ledger::<Main>()
            .await
            .expect("all are migrated");
        assert_eq!((report.applied, report.tenants()), (applied, 4));
        assert_eq!(asked.load(Ordering::SeqCst), asks);
    }
}

#[tokio::test]
async fn tenants_at_another_url_are_other_tenants() {
    let (here, there, main) = (databases(3), databases(3), database());
    for (template, applied) in [(&here, 3), (&there, 3), (&there, 0), (&here, 0)] {
        let builder = Registry::builder().bind("crm", template.as_str());
        let registry = builder.bind("default", main.as_str()).build().expect("good settings");
        let report = registry
            .migrate_tenants::<Crm>(tenant_names(names(3)), Steps(vec![RUNS, SECOND]))
            .ledger::<Main>()
            .await
            .expect("all are migrated");
        assert_eq!(report.applied, applied);
        assert_eq!(runs(&registry, "t1", "version = 2").await, 1);
    }
}

#[tokio::test]
async fn failed_tenant_is_kept_with_its_cause_and_tried_again() {
    let registry = registry(&databases(3));
    break_tenant(&registry, "t2").await;
    let run = || {
        let steps = Steps(vec![RUNS, SECOND, TAKEN]);
        let all = tenant_names(names(3));
        registry.migrate_tenants::<Crm>(all, steps).ledger::<Main>().keep_going()
    };
    let error = run().await.expect_err("one is broken");
    assert_eq!(error.report().expect("a run").applied, 2);
    let kept = rows(&registry).await.expect("the ledger");
    let states: Vec<_> = kept.iter().map(|row| &*row.state).collect();
    assert_eq!(states, ["done", "failed", "done"]);
    assert!(kept[1].detail.contains("`4_taken` failed, after 2 had been run"), "{kept:?}");
    assert!(kept[1].detail.contains("already exists"), "{kept:?}");
    mend_tenant(&registry, "t2").await;
    let report = run().await.expect("all are migrated");
    assert_eq!((report.applied, report.up_to_date), (1, 2));
    let kept = rows(&registry).await.expect("the ledger");
    assert!(kept.iter().all(|row| row.state == "done" && row.detail.is_empty()), "{kept:?}");
    for name in names(3) {
        assert_eq!(runs(&registry, &name, "1 = 1").await, 1, "{name}");
    }
}

#[tokio::test]
async fn ledger_that_cannot_be_used_stops_the_run_before_it_begins() {
    let template = databases(2);
    let main = match NAME {
        "sqlite" => "sqlite:///nowhere/at/all.db".to_owned(),
        _ => {
            let url = database();
            let (before, _) = url.rsplit_once('/').expect("a database");
            format!("{before}/nowhere")
        }
    };
    let builder = Registry::builder().bind("crm", template).bind("default", main);
    let registry = builder.build().expect("good settings");
    let outcomes = Outcomes::default();
    let error = registry
        .migrate_tenants::<Crm>(tenant_names(names(2)), Steps(vec![RUNS]))
        .ledger::<Main>()
        .on_outcome(outcomes.note())
        .await
        .unwrap_err();
    assert!(matches!(error, MigrateTenantsError::Ledger { .. }), "{error:?}");
    assert_eq!(
        causes(&error)[0],
        "bind `crm`: the ledger of its tenants, in bind `default`, cannot be used (tenants migrated: 0, up to date: 0, \
         failed: 0, not reached: 2)"
    );
    assert!(causes(&error).len() > 1, "{error:?}");
    assert_eq!(outcomes.with("not reached"), names(2));
}

#[tokio::test]
async fn names_that_differ_in_case_are_kept_apart() {
    let registry = registry(&tenants(["acme"]));
    for (applied, up_to_date) in [(1, 0), (0, 1)] {
        let error = registry
            .migrate_tenants::<Crm>(tenant_names(["acme", "Acme"]), Steps(vec![RUNS, SECOND]))
            .ledger::<Main>()
            .keep_going()
            .await
            .expect_err("there is no other one");
        let report = error.report().expect("a run");
        assert_eq!((report.applied, report.up_to_date, report.failed), (applied, up_to_date, 1));
        assert_eq!(report.failures[0].tenant, "Acme");
        assert_eq!(rows(&registry).await.expect("the ledger").len(), 2);
    }
}

#[tokio::test]
async fn missing_table_of_the_ledger_is_created_again() {
    let registry = registry(&databases(2));
    let run = || {
        let all = tenant_names(names(2));
        registry.migrate_tenants::<Crm>(all, Steps(vec![RUNS, SECOND])).ledger::<Main>()
    };
    assert_eq!(run().await.expect("all are migrated").applied, 2);
    for table in ["__registry_tenant_migrations", "__registry_migration_leases"] {
        for rechecks in [false, true] {
            run_sql::<Main>(&registry, &format!("DROP TABLE {table}")).await;
            let run = if rechecks { run().recheck() } else { run() };
            assert_eq!(run.await.expect("nothing to do").up_to_date, 2, "{table}");
            let recheck = run_again(&registry).await;
            assert_eq!(recheck, 2, "{table}");
        }
    }
    assert_eq!(rows(&registry).await.expect("the ledger").len(), 2);
}

async fn run_again(registry: &Registry) -> u64 {
    let all = tenant_names(names(2));
    let run = registry.migrate_tenants::<Crm>(all, Steps(vec![RUNS, SECOND])).ledger::<Main>();
    run.recheck().await.expect("nothing to do").up_to_date
}

/// A source that lists all of its migrations once, and from then on only the first one.
struct Shrinking(AtomicU32);

impl MigrationSource<Diesel> for Shrinking {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<Diesel>>>> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Steps(vec![RUNS, SECOND]).migrations(),
            _ => Steps(vec![RUNS]).migrations(),
        }
    }
}

#[tokio::test]
async fn migrations_that_change_during_a_run_are_not_noted_as_run() {
    let registry = registry(&databases(2));
    let all = || tenant_names(names(2));
    let shrinking = Shrinking(AtomicU32::new(0));
    let run = registry.migrate_tenants::<Crm>(all(), shrinking).ledger::<Main>().keep_going();
    let error = run.await.expect_err("the migrations have changed");
    assert_eq!(error.report().expect("a report").failed, 2);
    assert!(error.to_string().contains("the source lists other migrations"), "{error}");
    let run = registry.migrate_tenants::<Crm>(all(), Steps(vec![RUNS, SECOND])).ledger::<Main>();
    assert_eq!(run.await.expect("all are migrated").applied, 2);
    for name in names(2) {
        assert_eq!(runs(&registry, &name, "1 = 1").await, 1, "{name}");
    }
}

#[tokio::test]
async fn tenants_in_another_schema_are_not_taken_for_migrated() {
    if NAME != "postgres" {
        return;
    }
    let (template, main) = (databases(1), database());
    let other = "CREATE SCHEMA other; CREATE SCHEMA third";
    super::sql(&registry(&template), "t1", other).await;
    let by_url = format!(
        "{template}{}options=-csearch_path%3Dthird",
        match template.contains('?') {
            true => "&",
            false => "?",
        }
    );
    for settings in [
        BindSettings::new(template.as_str()),
        BindSettings::new(template.as_str()).on_connect(["SET search_path = other"]),
        BindSettings::new(by_url.as_str()),
    ] {
        let builder = Registry::builder().bind("crm", settings).bind("default", main.as_str());
        let registry = builder.build().expect("good settings");
        for (applied, up_to_date) in [(1, 0), (0, 1)] {
            let all = tenant_names(names(1));
            let run = registry.migrate_tenants::<Crm>(all, Steps(vec![RUNS])).ledger::<Main>();
            let report = run.await.expect("it is migrated");
            assert_eq!((report.applied, report.up_to_date), (applied, up_to_date));
        }
    }
}

#[cfg(feature = "cli")]
#[derive(clap::Parser)]
struct Manage {
    #[command(subcommand)]
    command: registry_core::cli::DatabaseCommand,
}

/// A tenant is reverted after its migrations were committed, and before they are noted.
#[cfg(feature = "cli")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenant_that_is_reverted_during_a_run_is_not_noted_as_migrated() {
    use clap::Parser;
    use registry_core::cli::Databases;

    let builder = super::builder(&databases(2)).migrations::<Crm>(Steps(vec![RUNS, SECOND]));
    let registry = builder.build().expect("good settings");
    let run = || {
        let all = tenant_names(names(2));
        registry.migrate_tenants::<Crm>(all, Steps(vec![RUNS, SECOND])).ledger::<Main>().jobs(1)
    };
    let (reverted, is_reverted) = std::sync::mpsc::channel();
    let (other, runtime) = (registry.clone(), tokio::runtime::Handle::current());
    let mut first = Some(reverted);
    let reverting = Arc::new(std::sync::Mutex::new(None));
    let thread = Arc::clone(&reverting);
    let report = run()
        .on_outcome(move |_| {
            let Some(reverted) = first.take() else { return };
            let (other, runtime) = (other.clone(), runtime.clone());
            let revert = std::thread::spawn(move || {
                runtime.block_on(async {
                    let revert = ["manage", "revert", "--bind", "crm", "--tenant", "t1"];
                    let command = Manage::parse_from(revert).command;
                    Databases::new(&other).ledger::<Main>().run(command).await;
                    let _ = reverted.send(());
                });
            });
            *thread.lock().expect("no panic") = Some(revert);
            // It waits for the end of the run. Without that, it would be done by now.
            let waited = is_reverted.recv_timeout(std::time::Duration::from_secs(2));
            waited.expect_err("the run has the lease");
        })
        .await
        .expect("all are migrated");
    assert_eq!(report.applied, 2);
    let reverting = reverting.lock().expect("no panic").take().expect("it was begun");
    tokio::task::spawn_blocking(|| reverting.join()).await.expect("no panic").expect("no panic");
    let report = run().await.expect("all are migrated");
    assert_eq!((report.applied, report.up_to_date), (1, 1));
}
