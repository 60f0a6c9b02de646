//! Requests of tenants.

use std::path::Path;

use axum::Router;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::web::{ScopeLayer, SessionFor};
use registry_core::{
    BindDsl, BindSettings, Bound, CurrentWork, Error, Registry, RunQueryDsl, Scope, Tenant,
    TenantError, TenantResolver, UnitOfWork, bind_tables,
};

use super::{listening, request_by, sent_by};
use crate::support::log::captured_log;
use crate::support::steps::{Steps, step};
use crate::support::{eventually, fresh_folder, postgres};

mod schema {
    diesel::table! {
        invoices (id) {
            id -> Integer,
        }
    }
    diesel::table! {
        plans (id) {
            id -> Integer,
        }
    }
    diesel::table! {
        papers (id) {
            id -> Integer,
        }
    }
}

use schema::{invoices, papers, plans};

bind_tables!(db = "crm", backend = Postgres; schema::invoices);
bind_tables!(db = "shared", backend = Postgres; schema::plans);
bind_tables!(db = "files", backend = Sqlite; schema::papers);

const NAMES: [&str; 2] = ["acme", "globex"];

async fn bill(mut work: CurrentWork) -> Result<StatusCode, Error> {
    let next = invoices::table.select(diesel::dsl::max(invoices::id));
    let last: Option<i32> = next.get_result(&mut *work).await?;
    let row = invoices::id.eq(last.unwrap_or(0) + 1);
    diesel::insert_into(invoices::table).values(row).execute(&mut *work).await?;
    Ok(StatusCode::CREATED)
}

async fn bills(tenant: Tenant, mut session: SessionFor<invoices::table>) -> Result<String, Error> {
    let count: i64 = invoices::table.count().get_result(&mut *session).await?;
    Ok(format!("{}: {count}", tenant.name()))
}

async fn fails(work: CurrentWork) -> Result<StatusCode, Error> {
    bill(work).await?;
    Ok(StatusCode::CONFLICT)
}

/// A function that handlers call without a unit of work as its argument, on the bind that all tenants share.
async fn plan(scope: Scope) -> Result<String, Error> {
    let mut work = UnitOfWork::current().await?;
    diesel::insert_into(plans::table).default_values().execute(&mut *work).await?;
    let own: i64 = invoices::table.count().get_result(&mut *work).await?;
    let all: i64 = plans::table.count().get_result(&mut *work).await?;
    let tenant = scope.tenant().map(|tenant| tenant.name().to_owned());
    Ok(format!("{tenant:?}: {own} of its own, {all} of all"))
}

async fn papers(mut session: SessionFor<papers::table>) -> Result<String, Error> {
    let count: i64 = papers::table.count().get_result(&mut *session).await?;
    Ok(count.to_string())
}

async fn by_tenant(tenant: Tenant) -> Result<String, Error> {
    let count: i64 = papers::table.count().get_result(&tenant).await?;
    Ok(count.to_string())
}

async fn of_nobody(tenant: Option<Tenant>, scope: Scope) -> String {
    format!("{:?} {:?}", tenant.is_some(), scope.tenant().is_some())
}

fn routes() -> Router {
    Router::new()
        .route("/bills", get(bills).put(bill))
        .route("/fails", put(fails))
        .route("/plan", put(plan))
        .route("/papers", get(papers))
        .route("/by-tenant", get(by_tenant))
        .route("/whose", get(of_nobody))
}

fn name_in(parts: &Parts) -> Option<&str> {
    parts.headers.get("x-tenant")?.to_str().ok()
}

/// A layer that takes the tenant from the header `x-tenant`.
fn layer(registry: &Registry) -> ScopeLayer {
    let registry = registry.clone();
    ScopeLayer::per_tenant(move |parts| Some(registry.tenant(name_in(parts)?)))
}

async fn application(folder: &Path) -> Registry {
    let registry = Registry::builder()
        .bind("crm", postgres().tenants(NAMES))
        .bind("shared", postgres().database("shared"))
        .bind("files", format!("sqlite://{}/{{tenant}}.db", folder.display()))
        .build()
        .expect("good settings");
    for name in NAMES {
        let tenant = registry.tenant(name).expect("a good name");
        let mut session = tenant.session_for::<invoices::table>().await.expect("a session");
        let create = "CREATE TABLE invoices (id INTEGER PRIMARY KEY)";
        session.batch_execute(create).await.expect("a table");
        std::fs::File::create(folder.join(format!("{name}.db"))).expect("an empty file");
        let create = diesel::sql_query("CREATE TABLE papers (id INTEGER PRIMARY KEY)");
        create.bound_to::<papers::table>().execute(&tenant).await.expect("a table");
    }
    let create = diesel::sql_query("CREATE TABLE plans (id SERIAL PRIMARY KEY)");
    create.bound_to::<plans::table>().execute(&registry).await.expect("a table");
    registry
}

async fn ask(address: &str, tenant: &str, method: &str, path: &str) -> (u16, String) {
    let answer = request_by(address, method, path, &format!("x-tenant: {tenant}\r\n")).await;
    (answer.status, answer.body)
}

fn answer(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

#[tokio::test]
async fn each_request_uses_the_databases_of_its_tenant() {
    let folder = fresh_folder();
    let registry = application(&folder).await;
    let address = listening(routes().layer(layer(&registry))).await;
    for (tenant, times) in [("acme", 2), ("globex", 3)] {
        for _ in 0..times {
            assert_eq!(ask(&address, tenant, "PUT", "/bills").await, answer(201, ""));
        }
        assert_eq!(ask(&address, tenant, "PUT", "/fails").await, answer(409, ""));
    }
    assert_eq!(ask(&address, "acme", "GET", "/bills").await, answer(200, "acme: 2"));
    assert_eq!(ask(&address, "globex", "GET", "/bills").await, answer(200, "globex: 3"));
    let told = "Some(\"acme\"): 2 of its own, 1 of all";
    assert_eq!(ask(&address, "acme", "PUT", "/plan").await, answer(200, told));
    let told = "Some(\"globex\"): 3 of its own, 2 of all";
    assert_eq!(ask(&address, "globex", "PUT", "/plan").await, answer(200, told));
    assert_eq!(ask(&address, "acme", "GET", "/papers").await, answer(200, "0"));
    assert_eq!(ask(&address, "acme", "GET", "/by-tenant").await, answer(200, "0"));
}

#[tokio::test]
async fn tenant_layer_can_leave_commits_to_handlers() {
    let folder = fresh_folder();
    let registry = application(&folder).await;
    let layer = layer(&registry).commit_on_success(false);
    let address = listening(routes().layer(layer)).await;
    assert_eq!(ask(&address, "acme", "PUT", "/bills").await, answer(201, ""));
    assert_eq!(ask(&address, "acme", "GET", "/bills").await, answer(200, "acme: 0"));
}

#[tokio::test]
async fn unknown_tenants_get_404_and_open_nothing() {
    let log = captured_log();
    let folder = fresh_folder();
    let registry = application(&folder).await;
    let address = listening(routes().layer(layer(&registry))).await;
    let long = "stranger".repeat(8);
    let paths = ["/bills", "/plan", "/papers", "/by-tenant"];
    let names =
        ["stranger", "Stranger.1", "../stranger", "stranger/..", "stranger-wal", &long, ".", ""];
    for (path, name) in paths.into_iter().flat_map(|path| names.map(|name| (path, name))) {
        let method = if path == "/plan" { "PUT" } else { "GET" };
        assert_eq!(ask(&address, name, method, path).await, answer(404, "Not Found"), "{name:?}");
    }
    // The longest valid name, which is too long for the name of its database.
    let longest = "x".repeat(63);
    assert_eq!(ask(&address, &longest, "GET", "/bills").await, answer(404, "Not Found"));
    assert_eq!(ask(&address, &longest, "PUT", "/bills").await, answer(404, "Not Found"));
    // A request without the header.
    let nobody = request_by(&address, "GET", "/bills", "").await;
    assert_eq!((nobody.status, nobody.body.as_str()), (404, "Not Found"));
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"))
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    files.sort();
    assert_eq!(files, ["acme.db", "globex.db"]);
    for line in log.lines_with("tranger") {
        assert!(!line.contains("ERROR") && !line.contains("WARN"), "{line}");
    }
    assert!(!log.lines_with("a request failed with 404 Not Found").is_empty());
}

#[tokio::test]
async fn unreachable_server_of_a_tenant_answers_503() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    drop(taken);
    let url = format!("postgres://app@127.0.0.1:{port}/{{tenant}}");
    let registry = Registry::builder().bind("crm", url).build().expect("good settings");
    let address = listening(routes().layer(layer(&registry))).await;
    for (method, path) in [("GET", "/bills"), ("PUT", "/bills")] {
        let answer = request_by(&address, method, path, "x-tenant: acme\r\n").await;
        assert_eq!(answer.status, 503);
        assert!(answer.head.contains("\r\nretry-after: 1"), "{}", answer.head);
    }
}

#[tokio::test]
async fn tenant_with_pending_migrations_answers_503_until_they_were_run() {
    let log = captured_log();
    let steps =
        || Steps(vec![step("1_bills_of_503", "CREATE TABLE invoices (id INTEGER PRIMARY KEY)")]);
    let registry = Registry::builder()
        .bind("crm", postgres().tenants(NAMES))
        .migrations::<<invoices::table as Bound>::Bind>(steps())
        .build()
        .expect("good settings");
    let address = listening(routes().layer(layer(&registry))).await;
    for (method, path) in [("GET", "/bills"), ("PUT", "/bills"), ("PUT", "/fails")] {
        let answer = request_by(&address, method, path, "x-tenant: acme\r\n").await;
        assert_eq!((answer.status, answer.body.as_str()), (503, "Service Unavailable"), "{path}");
        assert!(answer.head.contains("\r\nretry-after: 1"), "{}", answer.head);
    }
    let lines = log.lines_with("1_bills_of_503");
    for part in ["WARN", "a request failed with 503", "bind=crm", "tenant=\"acme\""] {
        assert!(lines.iter().all(|line| line.contains(part)), "{part}: {lines:?}");
    }
    assert_eq!(lines.len(), 3, "{lines:?}");
    let acme = registry.tenant("acme").expect("a good name");
    acme.migrate::<<invoices::table as Bound>::Bind>(steps()).await.expect("they run");
    assert_eq!(ask(&address, "acme", "PUT", "/bills").await.0, 201);
    assert_eq!(ask(&address, "acme", "GET", "/bills").await, answer(200, "acme: 1"));
    assert_eq!(ask(&address, "globex", "GET", "/bills").await.0, 503);
}

/// A resolver that fails for one name, knows one, and no other.
fn resolver(acme: String) -> TenantResolver {
    TenantResolver::new(move |tenant: &Tenant| {
        let (name, acme) = (tenant.name().to_owned(), acme.clone());
        async move {
            match &*name {
                "acme" => Ok(Some(BindSettings::new(acme))),
                "broken" => Err("the table of tenants is gone"),
                _ => Ok(None),
            }
        }
    })
}

#[tokio::test]
async fn failing_resolver_is_an_error_and_an_unknown_tenant_is_not() {
    let builder = Registry::builder().tenants("crm", resolver(postgres().database("acme")));
    let registry = builder.build().expect("good settings");
    let acme = registry.tenant("acme").expect("a good name");
    let mut session = acme.session_for::<invoices::table>().await.expect("a session");
    let create = "CREATE TABLE invoices (id INTEGER PRIMARY KEY)";
    session.batch_execute(create).await.expect("a table");
    drop(session);
    let address = listening(routes().layer(layer(&registry))).await;
    assert_eq!(ask(&address, "acme", "PUT", "/bills").await, answer(201, ""));
    for (name, status, body) in
        [("unheard-of", 404, "Not Found"), ("broken", 500, "Internal Server Error")]
    {
        assert_eq!(ask(&address, name, "GET", "/bills").await, answer(status, body));
        assert_eq!(ask(&address, name, "PUT", "/bills").await, answer(status, body));
    }
}

/// A tenant without a schema is unknown too.
#[tokio::test]
async fn tenants_in_schemas_are_served() {
    let url = postgres().database("schemas");
    let plain = Registry::builder().bind("crm", url.as_str()).build().expect("good settings");
    let mut session = plain.session_for::<invoices::table>().await.expect("a session");
    let create = "CREATE SCHEMA t_acme; CREATE TABLE t_acme.invoices (id INTEGER PRIMARY KEY)";
    session.batch_execute(create).await.expect("a schema");
    let settings = BindSettings::new(url).tenant_schema("t_{tenant}");
    let registry = Registry::builder().bind("crm", settings).build().expect("good settings");
    let address = listening(routes().layer(layer(&registry))).await;
    assert_eq!(ask(&address, "acme", "PUT", "/bills").await, answer(201, ""));
    assert_eq!(ask(&address, "acme", "GET", "/bills").await, answer(200, "acme: 1"));
    assert_eq!(ask(&address, "globex", "PUT", "/bills").await, answer(404, "Not Found"));
    assert_eq!(ask(&address, "globex", "GET", "/bills").await, answer(404, "Not Found"));
}

/// An error type of the program.
struct Refused;

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        StatusCode::FORBIDDEN.into_response()
    }
}

#[tokio::test]
async fn tenant_of_a_request_can_be_chosen_in_many_ways() {
    let folder = fresh_folder();
    let registry = application(&folder).await;
    let acme = registry.tenant("acme").expect("a good name");
    let of = registry.clone();
    let by_error = move |parts: &Parts| -> Result<Tenant, TenantError> {
        of.tenant(name_in(parts).unwrap_or_default())
    };
    let of = registry.clone();
    let by_any_error = move |parts: &Parts| -> Result<Tenant, Error> {
        Ok(of.tenant(name_in(parts).unwrap_or_default())?)
    };
    let of = registry.clone();
    let by_status = move |parts: &Parts| match name_in(parts) {
        Some("acme") => of.tenant("acme").map_err(|_| StatusCode::IM_A_TEAPOT),
        _ => Err(StatusCode::UNAUTHORIZED),
    };
    let of = registry.clone();
    let by_own = move |parts: &Parts| match name_in(parts) {
        Some(name) => Ok(of.tenant(name).ok()),
        None => Err(Refused),
    };
    let of = registry.clone();
    let by_both = move |parts: &Parts| -> Result<Result<Tenant, TenantError>, Refused> {
        Ok(of.tenant(name_in(parts).ok_or(Refused)?))
    };
    let of = registry.clone();
    let later = move |parts: &Parts| {
        let (name, of) = (name_in(parts).map(str::to_owned), of.clone());
        async move {
            tokio::task::yield_now().await;
            name.map(|name| of.tenant(&name))
        }
    };
    for (layer, stranger, nobody) in [
        (ScopeLayer::per_tenant_async(later), 404, 404),
        (ScopeLayer::per_tenant(move |_| acme.clone()), 200, 200),
        (ScopeLayer::per_tenant(by_error), 404, 404),
        (ScopeLayer::per_tenant(by_any_error), 404, 404),
        (ScopeLayer::per_tenant(by_status), 401, 401),
        (ScopeLayer::per_tenant(by_own), 404, 403),
        (ScopeLayer::per_tenant(by_both), 404, 403),
    ] {
        let address = listening(routes().layer(layer)).await;
        assert_eq!(ask(&address, "acme", "GET", "/bills").await, answer(200, "acme: 0"));
        assert_eq!(ask(&address, "/etc", "GET", "/bills").await.0, stranger);
        assert_eq!(request_by(&address, "GET", "/bills", "").await.status, nobody);
    }
}

#[tokio::test]
async fn innermost_scope_applies() {
    let folder = fresh_folder();
    let registry = application(&folder).await;
    let plain = ScopeLayer::new(registry.clone());
    let inner = listening(routes().layer(layer(&registry)).layer(plain.clone())).await;
    assert_eq!(ask(&inner, "acme", "PUT", "/bills").await, answer(201, ""));
    assert_eq!(ask(&inner, "acme", "GET", "/bills").await, answer(200, "acme: 1"));
    assert_eq!(ask(&inner, "acme", "GET", "/whose").await, answer(200, "true true"));
    let outer = listening(routes().layer(plain).layer(layer(&registry))).await;
    assert_eq!(ask(&outer, "acme", "GET", "/whose").await, answer(200, "false false"));
    // A mistake of the program instead of one of the client.
    for path in ["/bills", "/papers", "/by-tenant"] {
        let told = answer(500, "Internal Server Error");
        assert_eq!(ask(&outer, "acme", "GET", path).await, told, "{path}");
    }
}

#[tokio::test]
async fn tenants_can_be_tested_in_isolation() {
    let folder = fresh_folder();
    let application = application(&folder).await;
    let registry = application.test_isolation().await.expect("a registry");
    let address = listening(routes().layer(layer(&registry))).await;
    // The concurrent requests take turns on the isolated connection.
    let requests = NAMES.into_iter().cycle().take(12).map(|name| {
        let (address, head) = (address.clone(), format!("x-tenant: {name}\r\n"));
        tokio::spawn(async move { request_by(&address, "PUT", "/bills", &head).await.status })
    });
    for status in futures_util::future::join_all(requests).await {
        assert_eq!(status.expect("no panic"), 201);
    }
    for name in NAMES {
        let told = format!("{name}: 6");
        assert_eq!(ask(&address, name, "GET", "/bills").await, answer(200, &told));
        let tenant = application.tenant(name).expect("a good name");
        let count: i64 = invoices::table.count().get_result(&tenant).await.expect("a count");
        assert_eq!(count, 0);
    }
    assert_eq!(ask(&address, "stranger", "GET", "/bills").await, answer(404, "Not Found"));
}

#[tokio::test]
async fn disconnected_client_leaves_nothing_open() {
    let folder = fresh_folder();
    let registry = application(&folder).await;
    let acme = registry.tenant("acme").expect("a good name");
    let mut locked = acme.begin();
    let lock = diesel::sql_query("LOCK TABLE invoices").bound_to::<invoices::table>();
    lock.execute(&mut locked).await.expect("locked");
    let address = listening(routes().layer(layer(&registry))).await;
    let stream = sent_by(&address, "PUT", "/bills", "x-tenant: acme\r\n").await;
    let lent = || {
        let engines = registry.status().on_demand.engines;
        engines.iter().map(|one| one.engine.in_use).sum::<u32>()
    };
    let before = lent();
    eventually(|| lent() > before).await;
    drop(stream);
    eventually(|| lent() == before).await;
    locked.rollback().await.expect("unlocked");
    assert_eq!(ask(&address, "acme", "GET", "/bills").await, answer(200, "acme: 0"));
}
