//! The quickstart's airports and routes behind HTTP.
//!
//! ```sh
//! cargo run --example web --features axum
//! curl -i 'http://127.0.0.1:3000/airports?per_page=2' # with a link to the next page
//! curl http://127.0.0.1:3000/airports/ATL
//! curl -X PUT http://127.0.0.1:3000/routes/ATL/XNA -H 'content-type: application/json' -d '{"flights": 12}'
//! curl http://127.0.0.1:3000/health
//! ```
//!
//! The variable `PORT` sets another port; `0` takes any free one. The first line of the output is the address.
//!
//! Ctrl-C or SIGTERM ends it: it accepts no more connections, finishes the requests in flight within 5 s, and closes its
//! databases. A second signal ends it at once.

use std::error::Error as StdError;
use std::future::IntoFuture;
use std::process::ExitCode;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use diesel::prelude::*;
use registry_core::query::paginate::{Cursor, PageRequest, PaginateDsl};
use registry_core::web::{HandlerError, Or404Dsl, PageLinks, ScopeLayer, SessionFor};
use registry_core::{CurrentWork, Error, Registry, RunQueryDsl, binds};
use serde::{Deserialize, Serialize};

use flights::model::{Airport, Route, airports, routes};
use flights::shutdown::Shutdown;

mod flights {
    pub(crate) mod data;
    pub(crate) mod databases;
    pub(crate) mod exit;
    pub(crate) mod load;
    pub(crate) mod model;
    pub(crate) mod shutdown;
}

binds! {
    Main: Sqlite = "default";
    Analytics: Sqlite = "analytics";
}

const BUSIEST_ROUTES: i64 = 5;

#[tokio::main]
async fn main() -> ExitCode {
    flights::exit::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn StdError>> {
    let shutdown = Shutdown::listen()?;
    let folder = flights::databases::folder("web")?;
    let registry = Registry::builder()
        .bind("default", format!("sqlite://{}/main.db", folder.display()))
        .bind("analytics", format!("sqlite://{}/analytics.db", folder.display()))
        .build()?;
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    tokio::select! {
        loaded = flights::load::load(&registry) => loaded?,
        // Nothing of it is committed yet. The server below ends as soon as it begins.
        () = shutdown.clone().asked() => {}
    }

    let app = Router::new()
        .route("/airports", get(list))
        .route("/airports/{iata}", get(airport))
        .route("/routes/{origin}/{destination}", put(add_route))
        // Each request of the routes above has a unit of work, which is committed if the response is a success.
        .layer(ScopeLayer::new(registry.clone()))
        .route("/health", get(health))
        .with_state(registry.clone());
    let server = axum::serve(listener, app).with_graceful_shutdown(shutdown.clone().asked());
    Ok(shutdown.drain(server.into_future(), &registry).await?)
}

#[derive(Serialize, Queryable)]
struct AirportJson {
    iata: String,
    name: String,
    city: String,
    state: String,
}

/// A page of airports in the order of their codes. Pages begin after a code instead of at an offset, so that a page
/// stays the same while airports are added.
async fn list(
    page: PageRequest,
    after: Option<Cursor<String>>,
    uri: Uri,
    mut session: SessionFor<airports::table>,
) -> Result<impl IntoResponse, Error> {
    let airports = airports::table
        .select((airports::iata, airports::name, airports::city, airports::state))
        .keyset(airports::iata.asc())
        .after(after)
        .per_page(page.per_page())
        .load(&mut *session, |airport: &AirportJson| airport.iata.clone())
        .await?;
    Ok((PageLinks::new(&airports, &uri), Json(airports)))
}

#[derive(Serialize)]
struct AirportWithRoutes {
    airport: AirportJson,
    busiest_routes: Vec<RouteJson>,
}

#[derive(Serialize, Queryable)]
struct RouteJson {
    destination: String,
    flights: i32,
}

/// One airport with its busiest routes, which are in the other database. The unit of work has one transaction in each.
async fn airport(
    Path(iata): Path<String>,
    mut work: CurrentWork,
) -> Result<Json<AirportWithRoutes>, HandlerError> {
    let airport = airports::table
        .select((airports::iata, airports::name, airports::city, airports::state))
        .get_or_404(&iata, &mut *work)
        .await?;
    let busiest_routes = routes::table
        .filter(routes::origin.eq(&iata))
        .order((routes::flights.desc(), routes::destination))
        .limit(BUSIEST_ROUTES)
        .select((routes::destination, routes::flights))
        .load(&mut *work)
        .await?;
    Ok(Json(AirportWithRoutes { airport, busiest_routes }))
}

#[derive(Deserialize)]
struct Flights {
    flights: i32,
}

/// Adds a route between two airports, or updates its number of flights.
async fn add_route(
    Path((origin, destination)): Path<(String, String)>,
    mut work: CurrentWork,
    Json(Flights { flights }): Json<Flights>,
) -> Result<Response, Error> {
    let known: i64 = airports::table
        .filter(airports::iata.eq_any([&origin, &destination]))
        .count()
        .get_result(&mut *work)
        .await?;
    if known < 2 || flights < 1 {
        let message = "a route is between two airports that are there, and has flights";
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, message).into_response());
    }
    diesel::insert_into(routes::table)
        .values((
            routes::origin.eq(&origin),
            routes::destination.eq(&destination),
            routes::flights.eq(flights),
        ))
        .on_conflict((routes::origin, routes::destination))
        .do_update()
        .set(routes::flights.eq(flights))
        .execute(&mut *work)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whether both databases answer. Anybody can ask, so the reasons of those that do not are for the log alone.
async fn health(State(registry): State<Registry>) -> Response {
    let report = registry.check(Duration::from_secs(1)).await;
    if report.is_ok() {
        return Json(report.public()).into_response();
    }
    eprintln!("{report}");
    (StatusCode::SERVICE_UNAVAILABLE, Json(report.public())).into_response()
}
