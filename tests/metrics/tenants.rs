//! Metrics by tenant, which there are only if they are asked for, and recorders that are installed late.

use diesel::prelude::*;
use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};

use crate::exporter::{Exporter, with_exporter};
use crate::support::postgres;

diesel::table! {
    invoices (id) {
        id -> Integer,
    }
}
bind_tables!(db = "crm", backend = Postgres; invoices);

/// Counts the invoices of two tenants.
async fn count(builder: registry_core::RegistryBuilder) {
    let registry = builder.bind("crm", postgres().tenants(["acme", "globex"])).build();
    let registry = registry.expect("good settings");
    for name in ["acme", "globex"] {
        let tenant = registry.tenant(name).expect("a good name");
        let create = "CREATE TABLE invoices (id INTEGER PRIMARY KEY)";
        let created = diesel::sql_query(create).bound_to::<invoices::table>().execute(&tenant);
        created.await.expect("an empty database");
        let found = invoices::table.count().get_result::<i64>(&tenant).await;
        assert_eq!(found.expect("a table"), 0);
    }
}

fn counts(exporter: &Exporter) -> Vec<(String, f64)> {
    let samples = exporter.samples().into_iter().filter(|sample| {
        sample.name == "registry_query_duration_seconds_count"
            && sample.label("operation") == "SELECT"
            && sample.label("table") == "invoices"
    });
    let mut counts: Vec<_> =
        samples.map(|sample| (sample.label("tenant").to_owned(), sample.value)).collect();
    counts.sort_by(|one, other| one.0.cmp(&other.0));
    counts
}

#[test]
fn queries_of_tenants_are_told_apart_only_if_that_is_asked_for() {
    with_exporter(async |exporter| {
        count(Registry::builder()).await;
        assert_eq!(counts(exporter), [(String::new(), 2.0)]);
        let has_tenant = exporter.text().contains("acme");
        assert!(!has_tenant, "no other metric has the name of a tenant, either");
    });
    with_exporter(async |exporter| {
        count(Registry::builder().metrics_by_tenant(true)).await;
        assert_eq!(counts(exporter), [("acme".to_owned(), 1.0), ("globex".to_owned(), 1.0)]);
    });
}

#[test]
fn queries_go_to_a_recorder_that_is_installed_after_the_first_of_them() {
    with_exporter(async |exporter| {
        // As if there was none yet.
        let early = with_nothing(async || count(Registry::builder()).await);
        early.await;
        assert_eq!(counts(exporter), []);
        count(Registry::builder()).await;
        assert_eq!(counts(exporter), [(String::new(), 2.0)]);
    });
}

/// Runs a future whose metrics go nowhere.
async fn with_nothing<F: Future>(run: impl FnOnce() -> F) -> F::Output {
    let mut future = std::pin::pin!(run());
    std::future::poll_fn(|cx| {
        metrics::with_local_recorder(&metrics::NoopRecorder, || future.as_mut().poll(cx))
    })
    .await
}
