//! A shop with two databases of its own, and one for each customer.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use futures_util::TryFutureExt;
use registry_core::cli::{DatabaseCommand, Databases};
use registry_core::tenant::TenantNames;
use registry_core::{Registry, RunQueryDsl, Settings, SettingsError, bind_tables, binds};

use schema::{customers, events, invoices};

mod schema {
    diesel::table! { customers (name) { name -> Text, } }
    diesel::table! { events (id) { id -> Integer, customer -> Text, what -> Text, } }
    diesel::table! { invoices (id) { id -> Integer, cents -> BigInt, } }
}

binds! {
    Main: Sqlite = "default";
    Analytics: Sqlite = "analytics";
    Crm: Sqlite = "crm";
}
bind_tables!(Main; customers);
bind_tables!(Analytics; events);
bind_tables!(Crm; invoices);

// The files of these folders become a part of the program. The folders are relative to that of Cargo.toml.
const MAIN: EmbeddedMigrations = embed_migrations!("migrations/main");
const ANALYTICS: EmbeddedMigrations = embed_migrations!("migrations/analytics");
const CRM: EmbeddedMigrations = embed_migrations!("migrations/crm");

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add a customer
    Add { customer: String },
    /// Bill a customer
    Bill { customer: String, cents: i64 },
    /// Administer the databases
    #[command(subcommand)]
    Manage(DatabaseCommand),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let registry = registry()?;
    match arguments.command {
        Command::Add { customer } => add(&registry, &customer).await?,
        Command::Bill { customer, cents } => bill(&registry, &customer, cents).await?,
        Command::Manage(command) => {
            let databases = Databases::new(&registry)
                .tenants(customer_names(&registry)) // for --all-tenants
                .ledger::<Main>()
                .program::<Arguments>(); // for completions
            return Ok(databases.run(command).await);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn registry() -> Result<Registry, SettingsError> {
    Registry::builder()
        .settings(Settings::load("settings.toml")?)
        .migrations::<Main>(MAIN)
        .migrations::<Analytics>(ANALYTICS)
        .migrations::<Crm>(CRM)
        .build()
}

/// The names of all tenants, as a stream. It is only read by commands that ask for all tenants.
fn customer_names(registry: &Registry) -> impl TenantNames + use<> {
    let names = customers::table.select(customers::name).order(customers::name);
    names.load_stream::<String>(registry.clone()).try_flatten_stream()
}

async fn add(registry: &Registry, customer: &str) -> anyhow::Result<()> {
    registry.tenant(customer)?; // refuses what cannot be the name of a tenant
    // In this order: a name without a database would be reported by `manage migrate --all-tenants`. The name may be there
    // already, from an `add` that came to no end.
    diesel::insert_or_ignore_into(customers::table)
        .values(customers::name.eq(customer))
        .execute(registry)
        .await?;
    registry.create_tenant::<Crm>(customer, CRM).await?;
    println!("added {customer}");
    Ok(())
}

async fn bill(registry: &Registry, customer: &str, cents: i64) -> anyhow::Result<()> {
    diesel::insert_into(invoices::table)
        .values(invoices::cents.eq(cents))
        .execute(&registry.tenant(customer)?)
        .await?;
    diesel::insert_into(events::table)
        .values((events::customer.eq(customer), events::what.eq("billed")))
        .execute(registry)
        .await?;
    println!("billed {customer}: {cents} cents");
    Ok(())
}
