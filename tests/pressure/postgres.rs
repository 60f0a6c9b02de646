//! One PostgreSQL server, whose own count of connections is watched.

use std::sync::Arc;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use registry_core::{
    BindSettings, Error, Registry, RunQueryDsl, Tenant, TenantResolver, bind_tables,
};

use super::load::{self, Load, Outcome, bounds, is_full, name};
use crate::support::{Server, eventually, mortal_postgres};

diesel::table! {
    residents (name) {
        name -> Text,
    }
}
bind_tables!(db = "crm", backend = Postgres; residents);

/// The number of tenants, and of databases that they share.
fn size() -> (usize, usize) {
    if is_full() { (2_000, 200) } else { (200, 20) }
}

fn length() -> Duration {
    Duration::from_secs(if is_full() { 30 } else { 3 })
}

/// Creates the databases with their tenants, and returns the URL with `{tenant}` in it.
fn prepare(server: &Server) -> String {
    let (tenants, databases) = size();
    let names: Vec<String> = (0..databases).map(|number| number.to_string()).collect();
    let template = server.tenants(names.iter().map(String::as_str));
    for (number, database) in names.iter().enumerate() {
        let residents: Vec<String> = (number..tenants)
            .step_by(databases)
            .map(|tenant| format!("('{}')", name(tenant)))
            .collect();
        server.execute_in(
            &template.replace("{tenant}", database),
            &format!(
                "CREATE TABLE residents (name TEXT PRIMARY KEY); INSERT INTO residents VALUES {}",
                residents.join(", ")
            ),
        );
    }
    template
}

/// A registry in which each tenant has an engine of its own, as its name is part of the URL.
fn registry(template: String) -> Registry {
    let ((_, databases), (max_engines, max_connections)) = (size(), bounds());
    let resolver = TenantResolver::new(move |tenant: &Tenant| {
        let number: usize = tenant.name()["tenant-".len()..].parse().expect("a number");
        let url = template.replace("{tenant}", &(number % databases).to_string());
        let url = format!("{url}?application_name={}", tenant.name());
        async move { Ok::<_, Error>(BindSettings::new(url).max_connections(max_connections)) }
    });
    let builder = Registry::builder().tenants("crm", resolver).max_engines(max_engines);
    builder.build().expect("good settings")
}

/// Asserts that the row and the connection belong to the tenant.
async fn request(tenant: Tenant) -> Result<(), Error> {
    let own = sql::<Text>("current_setting('application_name')");
    let (row, connection): (String, String) = residents::table
        .filter(residents::name.eq(tenant.name().to_owned()))
        .select((residents::name, own))
        .first(&tenant)
        .await?;
    assert_eq!((row.as_str(), connection.as_str()), (tenant.name(), tenant.name()));
    Ok(())
}

/// The highest number of connections that the server itself has counted during a run.
async fn watch(url: String, outcome: Arc<Outcome>) -> i64 {
    let mut most = 0;
    let mut connection = None;
    while !outcome.is_over() {
        if connection.is_none() {
            connection = AsyncPgConnection::establish(&url).await.ok();
        }
        if let Some(open) = &mut connection {
            match count(open).await {
                Ok(count) => most = most.max(count),
                Err(_) => connection = None,
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    most
}

async fn count(connection: &mut AsyncPgConnection) -> QueryResult<i64> {
    let count = sql::<BigInt>(
        "count(*) FROM pg_stat_activity \
         WHERE backend_type = 'client backend' AND application_name <> 'watch'",
    );
    diesel_async::RunQueryDsl::get_result(diesel::select(count), connection).await
}

async fn under_load(
    server: &Server,
    drops: bool,
    allows: fn(&Error) -> bool,
    meanwhile: impl AsyncFn(&Outcome),
) {
    let registry = registry(prepare(server));
    let outcome = Arc::new(Outcome::default());
    let watch_url = format!("{}?application_name=watch", server.url());
    let watching = tokio::spawn(watch(watch_url.clone(), Arc::clone(&outcome)));
    let load = Load { tenants: size().0, length: length(), drops };
    outcome.need(true);
    let meanwhile = async {
        meanwhile(&outcome).await;
        outcome.need(false);
    };
    tokio::join!(load::run(load, &registry, &outcome, request, allows), meanwhile);
    let most = watching.await.expect("no panic");
    println!("{outcome:?}, at most {most} connections\n{}", summary(&registry));
    assert!(most > 0, "it was watched");
    let (max_engines, max_connections) = bounds();
    assert!(most <= i64::from(max_engines * max_connections), "the server had {most} connections");
    load::has_settled(&registry).await;
    let mut connection = AsyncPgConnection::establish(&watch_url).await.expect("a connection");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while count(&mut connection).await.expect("a number") > 0 {
        assert!(std::time::Instant::now() < deadline, "connections are left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn summary(registry: &Registry) -> String {
    let status = registry.status().on_demand;
    format!(
        "{} engines, {} hits, {} misses, {} evictions",
        status.engines.len(),
        status.hits,
        status.misses,
        status.evictions
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tenant_reads_its_row_within_the_connection_limit() {
    let server = mortal_postgres().await;
    under_load(&server, false, |_| false, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_requests_keep_rows_and_connection_limit() {
    let server = mortal_postgres().await;
    under_load(&server, true, |_| false, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_restarts_keep_rows_and_connection_limit() {
    let server = mortal_postgres().await;
    // Errors of a server that is down, is shutting down or is starting up.
    let allows = |error: &Error| match error {
        Error::Acquire(error) => error.is_transient(),
        Error::Query(_) => true,
        _ => false,
    };
    under_load(&server, true, allows, async |outcome| {
        tokio::time::sleep(length() / 3).await;
        tokio::task::block_in_place(|| {
            server.kill9();
            server.start();
        });
        // Requests are served again, by engines that were open before.
        let (served, failed) = (outcome.served(), outcome.failed());
        assert!(failed > 0, "it was noticed");
        eventually(|| outcome.served() > served + 100).await;
    })
    .await;
}
