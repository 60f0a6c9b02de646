//! A program that administers its own databases: a list of airlines, statistics, and the bookings of each airline in a
//! SQLite file of its own.
//!
//! ```sh
//! alias manage='cargo run --quiet --example manage --features cli --'
//! manage migrate
//! manage add-airline aloha
//! manage status --all-tenants
//! manage shell bookings --tenant aloha
//! manage help
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use futures_util::TryFutureExt;
use registry_core::cli::{DatabaseCommand, Databases};
use registry_core::tenant::TenantNames;
use registry_core::{Registry, RunQueryDsl, Settings, bind_tables, binds};

mod flights {
    pub(crate) mod exit;
}

binds! {
    Main: Sqlite = "default";
    Analytics: Sqlite = "analytics";
    Bookings: Sqlite = "bookings";
}

diesel::table! {
    /// The airlines, which are the tenants.
    airlines (name) {
        /// The name, which is the name of the tenant too.
        name -> Text,
    }
}
bind_tables!(Main; airlines);

const MAIN: EmbeddedMigrations = embed_migrations!("examples/migrations/manage/main");
const ANALYTICS: EmbeddedMigrations = embed_migrations!("examples/migrations/analytics");
const BOOKINGS: EmbeddedMigrations = embed_migrations!("examples/migrations/manage/bookings");

const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/manage.toml");

/// Administers the databases of airlines.
#[derive(Parser)]
struct Arguments {
    /// The file with the settings
    #[arg(long, global = true, value_name = "FILE", default_value = SETTINGS, hide_default_value = true)]
    settings: PathBuf,
    #[command(subcommand)]
    command: Command,
}

/// The program's own commands, and beside them those on databases.
#[derive(Subcommand)]
enum Command {
    /// Add an airline, with a database for its bookings
    AddAirline { name: String },
    #[command(flatten)]
    Database(DatabaseCommand),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => flights::exit::exit_code(Err(error)),
    }
}

async fn run(Arguments { settings, command }: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let registry = Registry::from_settings(Settings::load(settings)?)?;
    let code = match command {
        Command::AddAirline { name } => {
            add_airline(&registry, &name).await?;
            ExitCode::SUCCESS
        }
        Command::Database(command) => databases(&registry).run(command).await,
    };
    registry.close().await;
    Ok(code)
}

/// The databases, and what belongs into each.
fn databases(registry: &Registry) -> Databases {
    Databases::new(registry)
        .migrations::<Main>(MAIN)
        .migrations::<Analytics>(ANALYTICS)
        .migrations::<Bookings>(BOOKINGS)
        .tenants(names_of_airlines(registry.clone()))
        .ledger::<Main>()
        .program::<Arguments>()
}

async fn add_airline(registry: &Registry, name: &str) -> Result<(), Box<dyn Error>> {
    registry.tenant(name)?; // refuses what cannot be the name of a tenant
    // An airline without a database would be reported by `migrate --all-tenants`. The name may be there already, from an
    // attempt that came to no end.
    diesel::insert_or_ignore_into(airlines::table)
        .values(airlines::name.eq(name.to_owned()))
        .execute(registry)
        .await?;
    registry.create_tenant::<Bookings>(name, BOOKINGS).await?;
    println!("added {name}");
    Ok(())
}

/// The query runs when the first name is asked for, after the table was made.
fn names_of_airlines(registry: Registry) -> impl TenantNames + use<> {
    let names = airlines::table.select(airlines::name).order(airlines::name);
    names.load_stream::<String>(registry).try_flatten_stream()
}
