//! The quickstart's airports and routes behind HTTP.
//!
//! ```sh
//! cargo run --example web --features axum
//! curl 'http://127.0.0.1:3000/airports?after=ATL&limit=2'
//! curl http://127.0.0.1:3000/airports/ATL
//! curl -X PUT http://127.0.0.1:3000/routes/ATL/XNA -H 'content-type: application/json' -d '{"flights": 12}'
//! curl http://127.0.0.1:3000/health
//! ```
//!
//! `PORT` says another port; `0` is any that is free. The first line that it prints is its address.

use std::error::Error as StdError;
use std::process::ExitCode;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use diesel::prelude::*;
use registry_core::web::{ScopeLayer, SessionFor};
use registry_core::{CurrentWork, Error, Registry, RunQueryDsl, binds};
use serde::{Deserialize, Serialize};

use flights::{airports, routes};

#[expect(dead_code, reason = "the quickstart's own reports")]
mod flights;

binds! {
    Main: Sqlite = "default";
    Analytics: Sqlite = "analytics";
}

const BUSIEST: i64 = 5;
const MOST: i64 = 100;

#[tokio::main]
async fn main() -> ExitCode {
    flights::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn StdError>> {
    let folder = flights::databases("web")?;
    let registry = Registry::builder()
        .bind("default", format!("sqlite://{}/main.db", folder.display()))
        .bind("analytics", format!("sqlite://{}/analytics.db", folder.display()))
        .build()?;
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    flights::prepare(&registry).await?;

    let app = Router::new()
        .route("/airports", get(list))
        .route("/airports/{iata}", get(airport))
        .route("/routes/{origin}/{destination}", put(add_route))
        // A unit of work for each request, committed if its response is a success.
        .layer(ScopeLayer::new(registry.clone()))
        .route("/health", get(health))
        .with_state(registry.clone());
    axum::serve(listener, app).with_graceful_shutdown(ended()).await?;
    registry.close().await;
    Ok(())
}

async fn ended() {
    // Without a signal handler it goes on until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[derive(Serialize, Queryable)]
struct Airport {
    iata: String,
    name: String,
    city: String,
    state: String,
}

#[derive(Deserialize)]
struct Page {
    after: Option<String>,
    limit: Option<i64>,
}

/// The airports by their codes, those after `after`, so that a page stays the same while others are added.
async fn list(
    Query(page): Query<Page>,
    mut session: SessionFor<airports::table>,
) -> Result<Json<Vec<Airport>>, Error> {
    let airports = airports::table
        .filter(airports::iata.gt(page.after.unwrap_or_default()))
        .order(airports::iata)
        .limit(page.limit.unwrap_or(20).clamp(1, MOST))
        .select((airports::iata, airports::name, airports::city, airports::state))
        .load(&mut *session)
        .await?;
    Ok(Json(airports))
}

#[derive(Serialize)]
struct AirportWithRoutes {
    airport: Airport,
    busiest_routes: Vec<Route>,
}

#[derive(Serialize, Queryable)]
struct Route {
    destination: String,
    flights: i32,
}

/// One airport, with its busiest routes from the other database.
async fn airport(
    Path(iata): Path<String>,
    mut work: CurrentWork,
) -> Result<Json<AirportWithRoutes>, Error> {
    let airport = airports::table
        .find(&iata)
        .select((airports::iata, airports::name, airports::city, airports::state))
        .first(&mut *work)
        .await?;
    let busiest_routes = routes::table
        .filter(routes::origin.eq(&iata))
        .order((routes::flights.desc(), routes::destination))
        .limit(BUSIEST)
        .select((routes::destination, routes::flights))
        .load(&mut *work)
        .await?;
    Ok(Json(AirportWithRoutes { airport, busiest_routes }))
}

#[derive(Deserialize)]
struct Flights {
    flights: i32,
}

/// Adds a route between two airports, or says how many flights it has.
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

/// Whether both databases answer, and how the engines are doing.
async fn health(State(registry): State<Registry>) -> Response {
    let report = registry.check(Duration::from_secs(1)).await;
    let status = if report.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{report}\n\n{}\n", registry.status())).into_response()
}
