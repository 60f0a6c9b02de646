//! A database per tenant: the routes of each state in a SQLite file of its own, four thousand requests spread
//! over all of them, and at most eight engines (so at most eight files) open at once.
//!
//! ```sh
//! cargo run --example tenants
//! ```

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::process::ExitCode;

use diesel::dsl::sum;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use registry_core::{BindSettings, CreateTenantError, Registry, RunQueryDsl, Tenant, binds};

use flights::data::Data;
use flights::model::{Airport, Route, routes};
use flights::numbers::grouped;

mod flights {
    pub(crate) mod data;
    pub(crate) mod databases;
    pub(crate) mod exit;
    pub(crate) mod model;
    pub(crate) mod numbers;
}

binds! {
    Main: Sqlite = "default";
    Analytics: Sqlite = "analytics";
}

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/migrations/analytics");

const TASKS: usize = 16;
const REQUESTS: usize = 4_000;
const TOP: usize = 10;

#[tokio::main]
async fn main() -> ExitCode {
    flights::exit::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let folder = flights::databases::folder("tenants")?;
    // `{tenant}` stands for the name of the tenant: each one has a file, and an engine while it is in use.
    let states = format!("sqlite://{}/{{tenant}}.db", folder.display());
    let registry = Registry::builder()
        .bind("analytics", BindSettings::new(states).max_connections(2))
        .max_engines(8)
        .build()?;

    let by_state = routes_by_state()?;
    for (state, routes) in &by_state {
        match registry.create_tenant::<Analytics>(state, MIGRATIONS).await {
            // An earlier run has created it.
            Ok(_) | Err(CreateTenantError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        load_routes(&registry.tenant(state)?, routes).await?;
    }
    let states: Vec<Tenant> =
        by_state.keys().map(|state| registry.tenant(state)).collect::<Result<_, _>>()?;
    println!("{} states, a file each, in {}", states.len(), folder.display());

    let departures = serve(&states).await?;
    println!("\n{} requests for the flights that left a state:", grouped(REQUESTS as i64));
    let mut busiest: Vec<_> = departures.iter().collect();
    busiest.sort_by_key(|(state, flights)| (-**flights, (*state).clone()));
    for (state, flights) in &busiest[..TOP.min(busiest.len())] {
        println!("{:>9}  {state}", grouped(**flights));
    }
    println!("{:>9}  all states", grouped(departures.values().sum()));

    println!("\n{}", registry.status().for_terminal());
    registry.close().await;
    Ok(())
}

/// The routes by the state of the airport that they begin at. In the data, airports outside of the states have the
/// state `NA`.
fn routes_by_state() -> Result<BTreeMap<String, Vec<Route>>, Box<dyn Error>> {
    let Data { airports, routes } = Data::read()?;
    let airports = airports.into_iter().map(|airport| (airport.iata, airport.state));
    let states: HashMap<String, String> = airports.collect();
    let mut by_state: BTreeMap<String, Vec<Route>> = BTreeMap::new();
    for route in routes {
        let state = states.get(&route.origin).map_or("NA", String::as_str);
        by_state.entry(state.to_owned()).or_default().push(route);
    }
    Ok(by_state)
}

/// Brings the database of a tenant up to date and replaces its routes.
async fn load_routes(tenant: &Tenant, routes: &[Route]) -> Result<(), Box<dyn Error>> {
    tenant.migrate::<Analytics>(MIGRATIONS).await?;
    let mut session = tenant.session::<Analytics>().await?;
    session
        .transaction(async |session| {
            diesel::delete(routes::table).execute(&mut *session).await?;
            for route in routes {
                diesel::insert_into(routes::table).values(route).execute(&mut *session).await?;
            }
            QueryResult::Ok(())
        })
        .await?;
    Ok(())
}

/// Asks for the flights of one state after another, in several tasks, each of which goes through the states in
/// another order.
async fn serve(states: &[Tenant]) -> Result<BTreeMap<String, i64>, Box<dyn Error>> {
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let states = states.to_vec();
            tokio::spawn(async move {
                let mut seen = BTreeMap::new();
                for request in 0..REQUESTS / TASKS {
                    let tenant = &states[(task + request * (task + 1)) % states.len()];
                    let flights: Option<i64> =
                        routes::table.select(sum(routes::flights)).get_result(tenant).await?;
                    seen.insert(tenant.name().to_owned(), flights.unwrap_or(0));
                }
                Ok::<_, registry_core::Error>(seen)
            })
        })
        .collect();
    let mut departures = BTreeMap::new();
    for task in tasks {
        departures.extend(task.await??);
    }
    Ok(departures)
}
