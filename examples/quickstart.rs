//! Flights of the year 2008, in two SQLite files under `target/quickstart/`.
//!
//! ```sh
//! cargo run --example quickstart
//! cargo run --example quickstart -- DATA DATABASES   # the folders to read from and to write to
//! ```

use std::error::Error;
use std::process::ExitCode;

use registry_core::{Registry, binds};

mod flights;

binds! {
    Main: Sqlite = "default";
    Analytics: Sqlite = "analytics";
}

#[tokio::main]
async fn main() -> ExitCode {
    flights::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let databases = flights::databases("quickstart")?;
    let registry = Registry::builder()
        .bind("default", format!("sqlite://{}/main.db", databases.display()))
        .bind("analytics", format!("sqlite://{}/analytics.db", databases.display()))
        .build()?;
    flights::run(&registry).await
}
