//! The quickstart on two servers: airports on PostgreSQL, routes on MariaDB or MySQL. The URLs come from the
//! environment, the rest of the settings from `servers.toml`. The models and queries come from the quickstart.
//!
//! ```sh
//! export DATABASE_URL=postgres://app:secret@localhost/app
//! export ANALYTICS_DATABASE_URL=mysql://app:secret@localhost/analytics
//! cargo run --example servers --features postgres,mysql
//! ```

use std::error::Error;
use std::process::ExitCode;

use diesel::dsl::sum;
use diesel::prelude::*;
use registry_core::{Registry, RunQueryDsl, Settings, binds};

use flights::model::{Airport, Route, airports, routes};
use flights::numbers::grouped;
use flights::report::Report;

mod flights {
    pub(crate) mod data;
    pub(crate) mod exit;
    pub(crate) mod load;
    pub(crate) mod model;
    pub(crate) mod numbers;
    pub(crate) mod report;
}

binds! {
    Main: Postgres = "default";
    Analytics: Mysql = "analytics";
}

#[tokio::main]
async fn main() -> ExitCode {
    flights::exit::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::load(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/servers.toml"))?;
    let registry = Registry::from_settings(settings)?;
    flights::load::load(&registry).await?;

    let airports: i64 = airports::table.count().get_result(&registry).await?;
    let routes: i64 = routes::table.count().get_result(&registry).await?;
    let flights: Option<i64> =
        routes::table.select(sum(routes::flights)).get_result(&registry).await?;
    println!("default: {} airports", grouped(airports));
    println!("analytics: {} routes", grouped(routes));
    println!("\n{} flights in 2008\n", grouped(flights.unwrap_or(0)));
    println!("{}", Report::of(&registry).await?);

    println!("{}", registry.status().for_terminal());
    registry.close().await;
    Ok(())
}
