//! A program that administers its own databases: two SQLite files, and a file for each tenant.
//!
//! ```sh
//! cargo run --example manage --features cli -- --help
//! cargo run --example manage --features cli -- migrate
//! cargo run --example manage --features cli -- create airlines --tenant aloha
//! cargo run --example manage --features cli -- status --all-tenants
//! cargo run --example manage --features cli -- shell analytics
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use registry_core::cli::{DatabaseCommand, Databases};
use registry_core::{Error, Registry, Settings, binds};

binds! {
    Main: Sqlite = "default";
    Analytics: Sqlite = "analytics";
    Airlines: Sqlite = "airlines";
}

const MAIN: EmbeddedMigrations = embed_migrations!("examples/migrations/main");
const ANALYTICS: EmbeddedMigrations = embed_migrations!("examples/migrations/analytics");
const AIRLINES: EmbeddedMigrations = embed_migrations!("examples/migrations/airlines");

/// Administers the databases of airports, routes and airlines.
#[derive(Parser)]
struct Arguments {
    /// The file with the settings
    #[arg(long, global = true, value_name = "FILE", default_value = SETTINGS)]
    settings: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/manage.toml");

/// The commands of the program. Those on databases stand beside its own.
#[derive(Subcommand)]
enum Command {
    /// Print the number of binds in the settings
    Binds,
    #[command(flatten)]
    Database(DatabaseCommand),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { settings, command } = Arguments::parse();
    let registry = match registry(settings) {
        Ok(registry) => registry,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match command {
        Command::Binds => {
            println!("{}", registry.keys().count());
            ExitCode::SUCCESS
        }
        Command::Database(command) => databases(&registry).run(command).await,
    };
    registry.close().await;
    code
}

fn registry(settings: PathBuf) -> Result<Registry, Error> {
    Ok(Registry::from_settings(Settings::load(settings)?)?)
}

/// The databases, with what belongs into each.
fn databases(registry: &Registry) -> Databases {
    Databases::new(registry)
        .migrations::<Main>(MAIN)
        .migrations::<Analytics>(ANALYTICS)
        .migrations::<Airlines>(AIRLINES)
        .program::<Arguments>()
}
