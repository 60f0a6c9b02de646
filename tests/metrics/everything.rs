//! A run in which every metric occurs, and what the exporter for Prometheus shows of it.

use std::sync::OnceLock;
use std::time::Duration;

use diesel::prelude::*;
use registry_core::{
    BindSettings, Error, Registry, Role, RunQueryDsl, WhenBehind, bind_tables, binds,
};

use crate::exporter::{Exporter, with_exporter};
use crate::list;
use crate::retried;
use crate::support::replicas::Cluster;
use crate::support::{eventually, postgres, run_sql};

diesel::table! {
    orders (id) {
        id -> Integer,
    }
}
bind_tables!(db = "shop", backend = Postgres; orders);

type Shop = <orders::table as registry_core::Bound>::Bind;

binds! {
    Crm: Postgres = "crm";
    Gone: Postgres = "gone";
}

/// What the exporter shows after the run.
pub(crate) fn rendered() -> &'static str {
    static RENDERED: OnceLock<String> = OnceLock::new();
    RENDERED.get_or_init(|| with_exporter(run))
}

async fn run(exporter: &Exporter) -> String {
    let cluster = Cluster::postgres(1);
    let url = cluster.database("test");
    cluster.execute_in(&url, "CREATE TABLE orders (id INTEGER PRIMARY KEY)");
    cluster.wait_until_caught_up();
    let shop = BindSettings::new(url.as_str())
        .max_connections(2)
        .probe_interval(Duration::from_millis(20))
        .replica(cluster.node(1).at(&url).as_str());
    let gone = BindSettings::new(postgres().database("gone").as_str()).on_connect(["NO SQL"]);
    let registry = Registry::builder()
        .bind("shop", shop)
        .bind("gone", gone)
        .bind("crm", postgres().tenants(["acme", "globex"]))
        .max_engines(1)
        .build()
        .expect("good settings");
    queries(&registry).await.expect("they succeed");
    replica(&registry).await.expect("it answers");
    connections(&registry).await;
    for tenant in ["acme", "globex", "globex"] {
        let tenant = registry.tenant(tenant).expect("a good name");
        drop(tenant.session::<Crm>().await.expect("a session"));
    }
    retried::query_with_a_stale_plan().await;
    let lag = || exporter.value("registry_replica_lag_seconds", &[]) > 0.0;
    eventually(lag).await;
    exporter.text()
}

async fn queries(registry: &Registry) -> Result<(), Error> {
    let mut work = registry.begin();
    diesel::insert_into(orders::table).values(orders::id.eq(1)).execute(&mut work).await?;
    work.commit().await?;
    let again = diesel::insert_into(orders::table).values(orders::id.eq(1));
    again.execute(registry).await.expect_err("it is there");
    Ok(())
}

async fn replica(registry: &Registry) -> Result<(), Error> {
    // Nothing is known of it before the first read.
    let patient = registry.reader().when_behind(WhenBehind::Wait);
    let found = orders::table.count().get_result::<i64>(&patient).await?;
    assert_eq!(found, 1);
    while registry.reader().session::<Shop>().await?.role() != Role::Replica {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn connections(registry: &Registry) {
    run_sql::<Shop>(registry, "SELECT 1").await;
    registry.session::<Gone>().await.expect_err("it cannot be set up");
    let one = registry.session::<Shop>().await.expect("a session");
    let _two = registry.session::<Shop>().await.expect("a session");
    let late = registry.session::<Shop>().within(Duration::from_millis(5)).await;
    late.expect_err("both are in use");
    one.into_inner().expect("it can be taken");
}

#[test]
fn every_metric_occurs_with_its_help_and_no_other_does() {
    let text = rendered();
    let of_kind = |kind: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
        let mut lines: Vec<&str> = lines.collect();
        lines.sort_unstable();
        lines
    };
    let expected = |line: fn(&list::Described) -> String| {
        let mut lines: Vec<String> = list::metrics().iter().map(line).collect();
        lines.sort_unstable();
        lines
    };
    let helps = expected(|metric| format!("{} {}", metric.name, metric.help));
    assert_eq!(of_kind("# HELP "), helps);
    let kinds = expected(|metric| format!("{} {}", metric.name, metric.kind));
    assert_eq!(of_kind("# TYPE "), kinds);
}

#[test]
fn names_say_kinds_and_units() {
    for metric in list::metrics() {
        let name = &metric.name;
        assert_eq!(metric.kind == "counter", name.ends_with("_total"), "{name}");
        assert_eq!(metric.unit == "seconds", name.ends_with("_seconds"), "{name}");
        assert!(metric.help.ends_with('.'), "{name}: {}", metric.help);
    }
}
