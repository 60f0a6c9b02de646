//! The smallest program with settings of its own: reads a file and the environment, checks that every
//! database answers, and shows them.
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
    registry.verify().await?;
    println!("{}", registry.status());
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
