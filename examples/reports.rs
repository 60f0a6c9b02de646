//! The quickstart's report with routed queries alone: each query runs on the registry, which finds the database
//! of its tables, and no session is acquired by hand.
//!
//! ```sh
//! cargo run --example reports
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;

use diesel::dsl::sum;
use diesel::prelude::*;
use registry_core::{Registry, RunQueryDsl, binds};

use flights::model::{Airport, Route, airports, routes};
use flights::numbers::grouped;

mod flights {
    pub(crate) mod data;
    pub(crate) mod databases;
    pub(crate) mod exit;
    pub(crate) mod load;
    pub(crate) mod model;
    pub(crate) mod numbers;
}

binds! {
    Main: Sqlite = "default";
    Analytics: Sqlite = "analytics";
}

const TOP: i64 = 10;

#[tokio::main]
async fn main() -> ExitCode {
    flights::exit::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let folder = flights::databases::folder("reports")?;
    let registry = Registry::builder()
        .bind("default", format!("sqlite://{}/main.db", folder.display()))
        .bind("analytics", format!("sqlite://{}/analytics.db", folder.display()))
        .build()?;
    flights::load::load(&registry).await?;
    report(&registry).await?;
    registry.close().await;
    Ok(())
}

async fn report(registry: &Registry) -> Result<(), registry_core::Error> {
    let busiest: Vec<(String, String, i32)> = routes::table
        .order((routes::flights.desc(), routes::origin, routes::destination))
        .limit(TOP)
        .load(registry)
        .await?;
    let departures: Vec<(String, Option<i64>)> = routes::table
        .group_by(routes::origin)
        .select((routes::origin, sum(routes::flights)))
        .order((sum(routes::flights).desc(), routes::origin))
        .limit(TOP)
        .load(registry)
        .await?;
    let flights: Option<i64> =
        routes::table.select(sum(routes::flights)).get_result(registry).await?;
    // The names of the airports are in the other database. Two databases cannot be joined: this is a second query.
    let names: HashMap<String, (String, String)> = airports::table
        .select((airports::iata, (airports::name, airports::city)))
        .load(registry)
        .await?
        .into_iter()
        .collect();
    let name = |code: &str| match names.get(code) {
        Some((name, city)) => format!("{code} {name}, {city}"),
        None => code.to_owned(),
    };

    println!("default: {} airports", grouped(airports::table.count().get_result(registry).await?));
    println!("analytics: {} routes", grouped(routes::table.count().get_result(registry).await?));
    println!("\n{} flights in 2008", grouped(flights.unwrap_or(0)));
    println!("\nThe busiest routes:");
    for (origin, destination, flights) in &busiest {
        println!("{:>9}  {} -> {}", grouped((*flights).into()), name(origin), name(destination));
    }
    println!("\nThe airports with the most departures:");
    for (code, flights) in &departures {
        println!("{:>9}  {}", grouped(flights.unwrap_or(0)), name(code));
    }
    Ok(())
}
