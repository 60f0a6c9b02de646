//! The quickstart on two servers: airports on PostgreSQL, routes on MariaDB or MySQL.
//!
//! ```sh
//! export DATABASE_URL=postgres://app:secret@localhost/app
//! export ANALYTICS_DATABASE_URL=mysql://app:secret@localhost/analytics
//! cargo run --example servers --features postgres,mysql
//! ```

use std::error::Error;
use std::process::ExitCode;

use registry_core::{Registry, Settings, binds};

#[expect(dead_code, reason = "the databases are elsewhere")]
mod flights;

binds! {
    Main: Postgres = "default";
    Analytics: Mysql = "analytics";
}

#[tokio::main]
async fn main() -> ExitCode {
    flights::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::load(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/servers.toml"))?;
    let registry = Registry::from_settings(settings)?;
    flights::run(&registry).await
}
