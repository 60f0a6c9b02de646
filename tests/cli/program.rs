//! A program with the commands of `registry_core::cli`, for the tests: on all backends, as far as its settings have them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use registry_core::cli::{DatabaseCommand, Databases};
use registry_core::tenant::tenant_names;
use registry_core::{Registry, Settings, binds};

binds! {
    PgNotes: Postgres = "pg";
    MariaNotes: Mysql = "maria";
    FileNotes: Sqlite = "file";
    PgTenants: Postgres = "pg_tenants";
    PgSchemas: Postgres = "pg_schemas";
    MariaTenants: Mysql = "maria_tenants";
    FileTenants: Sqlite = "file_tenants";
}

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/cli/migrations");

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    settings: PathBuf,
    /// The names of all tenants
    #[arg(long, value_delimiter = ',')]
    names: Vec<String>,
    #[command(subcommand)]
    command: DatabaseCommand,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { settings, names, command } = Arguments::parse();
    let settings = Settings::from_file(settings).expect("settings");
    let registry = Registry::from_settings(settings).expect("settings");
    let keys: Vec<&str> = registry.keys().collect();
    let mut databases = Databases::new(&registry).tenants(tenant_names(names));
    if keys.contains(&"pg") {
        databases = databases.migrations::<PgNotes>(MIGRATIONS).ledger::<PgNotes>();
    }
    if keys.contains(&"maria") {
        databases = databases.migrations::<MariaNotes>(MIGRATIONS).ledger::<MariaNotes>();
    }
    if keys.contains(&"file") {
        databases = databases.migrations::<FileNotes>(MIGRATIONS).ledger::<FileNotes>();
    }
    if keys.contains(&"pg_tenants") {
        databases = databases.migrations::<PgTenants>(MIGRATIONS);
    }
    if keys.contains(&"pg_schemas") {
        databases = databases.migrations::<PgSchemas>(MIGRATIONS);
    }
    if keys.contains(&"maria_tenants") {
        databases = databases.migrations::<MariaTenants>(MIGRATIONS);
    }
    if keys.contains(&"file_tenants") {
        databases = databases.migrations::<FileTenants>(MIGRATIONS);
    }
    let code = databases.run(command).await;
    registry.close().await;
    code
}
