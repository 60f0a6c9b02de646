//! Settings from a file and the environment: loads `settings.toml`, lets variables override it, checks that every
//! database answers, and prints the status of each.
//!
//! ```sh
//! cargo run --example settings
//! ANALYTICS_DATABASE_URL=sqlite::memory: cargo run --example settings
//! ```

use std::process::ExitCode;

use registry_core::{Error, Registry, Settings};

async fn run() -> Result<(), Error> {
    let settings = Settings::load(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/settings.toml"))?;
    let registry = Registry::from_settings(settings)?;
    // Optional: connects to every database now, instead of on the first query.
    registry.verify().await?;
    println!("{}", registry.status().for_terminal());
    registry.close().await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
