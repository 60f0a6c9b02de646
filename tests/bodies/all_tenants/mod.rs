//! Migrations of all tenants, on each backend: the outcomes here, and when a run stops, its ledger, and other processes in
//! the submodules.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};

use diesel::connection::BoxableConnection;
use diesel::migration::{
    Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion, Result,
};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use futures_util::TryStreamExt;
use registry_core::tenant::{TenantOutcome, TenantResult, tenant_names};
use registry_core::{BindSettings, Registry, RegistryBuilder, RunQueryDsl, bind_tables};

use super::{Backend, NAME, database, tenants};
use crate::support::run_sql;
use crate::support::steps::{Step, Steps, step};

mod kept;
mod limits;
mod processes;
mod stops;

diesel::table! {
    invoices (id) {
        id -> Integer,
    }
}
diesel::table! {
    customers (id) {
        id -> Integer,
        name -> Text,
    }
}
bind_tables!(db = "crm", connection = super::Backend; invoices);
bind_tables!(db = "default", connection = super::Backend; customers);

type Crm = <invoices::table as registry_core::Bound>::Bind;
type Main = <customers::table as registry_core::Bound>::Bind;
type Diesel = <Backend as diesel_async::AsyncConnectionCore>::Backend;

/// The version of each migration that was run. It has no key: a migration that is run twice has two rows.
const RUNS: Step = step("1_runs", "CREATE TABLE IF NOT EXISTS runs (version INTEGER NOT NULL)");
const SECOND: Step = step("2_second", "INSERT INTO runs VALUES (2)");
const THIRD: Step = step("3_third", "INSERT INTO runs VALUES (3)");
/// Fails where the table exists, see [`break_tenant`].
const TAKEN: Step = step("4_taken", "CREATE TABLE taken (id INTEGER)");

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("t{number}")).collect()
}

/// Creates that many tenants, and the URL of the databases of all.
fn databases(count: usize) -> String {
    tenants(names(count).iter().map(String::as_str))
}

/// The builder of a registry with tenants at `template`, and an empty main database.
fn builder(template: &str) -> RegistryBuilder {
    let settings = BindSettings::new(template).acquire_timeout(std::time::Duration::from_secs(20));
    Registry::builder().bind("crm", settings).bind("default", database())
}

fn registry(template: &str) -> Registry {
    builder(template).build().expect("good settings")
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn sql(registry: &Registry, tenant: &str, sql: &str) {
    let tenant = registry.tenant(tenant).expect("a good name");
    let mut session = tenant.session::<Crm>().await.expect("a session");
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *session, sql).await.expect(sql);
}

/// How often each migration was run in a tenant's database, as `SELECT count(*)` with this condition says.
async fn runs(registry: &Registry, tenant: &str, condition: &str) -> i64 {
    let tenant = registry.tenant(tenant).expect("a good name");
    let mut session = tenant.session::<Crm>().await.expect("a session");
    let count = diesel::sql_query(format!("SELECT count(*) AS count FROM runs WHERE {condition}"));
    let count: Count =
        diesel_async::RunQueryDsl::get_result(count, &mut session).await.expect("a count");
    count.count
}

/// Makes [`TAKEN`] fail for a tenant.
async fn break_tenant(registry: &Registry, tenant: &str) {
    sql(registry, tenant, "CREATE TABLE taken (id INTEGER)").await;
}

async fn mend_tenant(registry: &Registry, tenant: &str) {
    sql(registry, tenant, "DROP TABLE taken").await;
}

/// The outcomes of a run, as they came.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<Vec<(String, String)>>>);

impl Outcomes {
    fn note(&self) -> impl FnMut(&TenantOutcome) + Send + 'static {
        let outcomes = Arc::clone(&self.0);
        move |outcome| {
            let result = match &outcome.result {
                TenantResult::Applied(names) => names.join(" "),
                TenantResult::UpToDate => "up to date".to_owned(),
                TenantResult::Failed(_) => "failed".to_owned(),
                TenantResult::NotReached => "not reached".to_owned(),
                TenantResult::Repeated => "repeated".to_owned(),
                other => panic!("{other:?}"),
            };
            outcomes.lock().expect("no panic").push((outcome.tenant.clone(), result));
        }
    }

    /// The result of each tenant. A tenant with two outcomes is an error.
    fn by_tenant(&self) -> BTreeMap<String, String> {
        let outcomes = self.0.lock().expect("no panic");
        let map: BTreeMap<_, _> = outcomes.iter().cloned().collect();
        assert_eq!(map.len(), outcomes.len(), "{outcomes:?}");
        map
    }

    fn with(&self, result: &str) -> Vec<String> {
        let outcomes = self.0.lock().expect("no panic");
        outcomes.iter().filter(|one| one.1 == result).map(|one| one.0.clone()).collect()
    }
}

/// A migration that waits until the test lets it end.
#[derive(Clone, Default)]
struct Gated(Arc<Gate>);

#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    running: usize,
    most: usize,
    started: usize,
    /// How many may still end.
    passes: usize,
}

impl Gated {
    fn running(&self) -> usize {
        self.0.state.lock().expect("no panic").running
    }

    fn started(&self) -> usize {
        self.0.state.lock().expect("no panic").started
    }

    /// How many have run at the same time.
    fn most(&self) -> usize {
        self.0.state.lock().expect("no panic").most
    }

    /// Lets that many of those that wait, or that will, come to their end.
    fn release(&self, count: usize) {
        self.0.state.lock().expect("no panic").passes += count;
        self.0.changed.notify_all();
    }

    async fn until_running(&self, count: usize) {
        crate::support::eventually(|| self.running() == count).await;
    }
}

impl MigrationSource<Diesel> for Gated {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<Diesel>>>> {
        Ok(vec![Box::new(self.clone())])
    }
}

impl Migration<Diesel> for Gated {
    fn run(&self, _: &mut dyn BoxableConnection<Diesel>) -> Result<()> {
        let mut state = self.0.state.lock().expect("no panic");
        state.running += 1;
        state.started += 1;
        state.most = state.most.max(state.running);
        while state.passes == 0 {
            let limit = std::time::Duration::from_secs(30);
            let (next, waited) = self.0.changed.wait_timeout(state, limit).expect("no panic");
            assert!(!waited.timed_out(), "the gate stays closed");
            state = next;
        }
        state.passes -= 1;
        state.running -= 1;
        Ok(())
    }

    fn revert(&self, _: &mut dyn BoxableConnection<Diesel>) -> Result<()> {
        Ok(())
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl MigrationMetadata for Gated {
    fn run_in_transaction(&self) -> bool {
        true
    }
}

impl MigrationName for Gated {
    fn version(&self) -> MigrationVersion<'_> {
        "1".into()
    }
}

impl fmt::Display for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1_gated")
    }
}

#[tokio::test]
async fn each_tenant_of_a_query_is_migrated_and_reported() {
    let registry = registry(&databases(5));
    let created =
        "CREATE TABLE customers (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(40) NOT NULL)";
    run_sql::<Main>(&registry, created).await;
    for (id, name) in names(5).into_iter().enumerate() {
        run_sql::<Main>(&registry, &format!("INSERT INTO customers VALUES ({id}, '{name}')")).await;
    }
    let from_query = || {
        let all = customers::table.order(customers::id).select(customers::name);
        let registry = registry.clone();
        futures_util::stream::once(async move { all.load_stream::<String>(registry).await })
            .try_flatten()
    };
    sql(&registry, "t4", "CREATE TABLE other (id INTEGER)").await;
    let outcomes = Outcomes::default();
    let report = registry
        .migrate_tenants::<Crm>(from_query(), Steps(vec![RUNS, SECOND]))
        .on_outcome(outcomes.note())
        .await
        .expect("all are migrated");
    assert_eq!((report.key.as_str(), report.applied, report.up_to_date), ("crm", 5, 0));
    assert_eq!((report.tenants(), report.is_complete()), (5, true));
    assert_eq!(
        report.to_string(),
        "bind `crm`: tenants migrated: 5, up to date: 0, failed: 0, not reached: 0"
    );
    assert!(outcomes.by_tenant().values().all(|result| result == "1_runs 2_second"));
    assert_eq!(outcomes.by_tenant().into_keys().collect::<Vec<_>>(), names(5));

    registry
        .tenant("t2")
        .expect("a good name")
        .migrate::<Crm>(Steps(vec![RUNS, SECOND, THIRD]))
        .await
        .expect("it is migrated");
    let report = registry
        .migrate_tenants::<Crm>(from_query(), Steps(vec![RUNS, SECOND, THIRD]))
        .await
        .expect("all are migrated");
    assert_eq!((report.applied, report.up_to_date), (4, 1));
    for name in names(5) {
        assert_eq!(runs(&registry, &name, "1 = 1").await, 2, "{name}");
    }
}

#[tokio::test]
async fn no_more_tenants_are_migrated_at_once_than_jobs_and_engines() {
    // The number of jobs, of engines, and what is the lower one.
    for (jobs, engines, most) in [(3, 64, 3), (100, 2, 2)] {
        let template = databases(7);
        let registry = builder(&template).max_engines(engines).build().expect("good settings");
        let gated = Gated::default();
        let run = registry.migrate_tenants::<Crm>(tenant_names(names(7)), gated.clone()).jobs(jobs);
        let run = tokio::spawn(run.into_future());
        for left in (0..7).rev() {
            gated.until_running(most.min(left + 1)).await;
            assert_eq!(registry.status().on_demand.waiting, 0, "none waits for an engine");
            gated.release(1);
            crate::support::eventually(|| {
                gated.running() < most.min(left + 1) || gated.started() > 7 - left
            })
            .await;
        }
        let report = run.await.expect("no panic").expect("all are migrated");
        assert_eq!((report.applied, gated.most()), (7, most));
    }
}

#[tokio::test]
async fn binds_without_tenants_and_migrations_that_cannot_be_run_are_refused_at_once() {
    let registry = registry(&databases(1));
    let all = || tenant_names(names(1));
    let error = registry.migrate_tenants::<Main>(all(), Steps(vec![RUNS])).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "bind `default` has no database or schema for each tenant: use `migrate`"
    );
    assert!(error.report().is_none());
    let twice = Steps(vec![RUNS, step("1_again", "SELECT 1")]);
    let error = registry.migrate_tenants::<Crm>(all(), twice).await.unwrap_err();
    assert!(error.to_string().contains("1_again"), "{error}");
    let error = registry
        .migrate_tenants::<Crm>(all(), Steps(vec![RUNS]))
        .ledger::<Crm>()
        .await
        .unwrap_err();
    assert!(crate::support::causes(&error).join(": ").contains("tenant"), "{error:?}");
    let _ = NAME;
}
