//! Airports in one database, the routes between them in another. The example that mounts this module
//! declares the binds `Main` and `Analytics`: nothing here knows which servers those are.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use registry_core::{Registry, bind, bind_tables};
use serde::Deserialize;

pub(crate) use self::data::Data;
use self::report::Report;
use super::{Analytics, Main};

mod data;
pub(crate) mod report;

const MAIN_MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/migrations/main");
pub(crate) const ANALYTICS_MIGRATIONS: EmbeddedMigrations =
    embed_migrations!("examples/migrations/analytics");

pub(crate) mod schema {
    diesel::table! {
        airports (iata) {
            iata -> Text,
            name -> Text,
            city -> Text,
            state -> Text,
            country -> Text,
            latitude -> Double,
            longitude -> Double,
        }
    }

    diesel::table! {
        routes (origin, destination) {
            origin -> Text,
            destination -> Text,
            flights -> Integer,
        }
    }
}

pub(crate) use schema::{airports, routes};

bind_tables!(super::Main; schema::airports);
bind_tables!(super::Analytics; schema::routes);

#[bind(super::Main)]
#[derive(Debug, Deserialize, Queryable, Selectable, Insertable)]
#[diesel(table_name = airports)]
pub(crate) struct Airport {
    pub(crate) iata: String,
    name: String,
    city: String,
    pub(crate) state: String,
    country: String,
    latitude: f64,
    longitude: f64,
}

#[bind(super::Analytics)]
#[derive(Debug, Deserialize, Queryable, Selectable, Insertable)]
#[diesel(table_name = routes)]
pub(crate) struct Route {
    pub(crate) origin: String,
    destination: String,
    #[serde(rename = "count")]
    flights: i32,
}

/// Migrates, loads the data and prints what they say.
pub(crate) async fn run(registry: &Registry) -> Result<(), Box<dyn Error>> {
    prepare(registry).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", Report::of(registry).await?)?;
    writeln!(out, "{}", registry.status())?;
    registry.close().await;
    Ok(())
}

/// Migrates and loads the data.
pub(crate) async fn prepare(registry: &Registry) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    // The whole of both files, before any database is touched.
    let data = Data::read(&files())?;

    writeln!(out, "{}", registry.migrate::<Main>(MAIN_MIGRATIONS).await?)?;
    writeln!(out, "{}", registry.migrate::<Analytics>(ANALYTICS_MIGRATIONS).await?)?;
    load(registry, &data).await
}

/// The folder of the two files.
pub(crate) fn files() -> PathBuf {
    std::env::args_os()
        .nth(1)
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data").into(), PathBuf::from)
}

/// The folder of an example's databases, which is there afterwards.
pub(crate) fn databases(example: &str) -> std::io::Result<PathBuf> {
    let folder = std::env::args_os().nth(2).map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).join(example),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Replaces what is there, or leaves it as it is.
async fn load(registry: &Registry, data: &Data) -> Result<(), Box<dyn Error>> {
    let mut main = registry.session_for::<Airport>().await?;
    let mut analytics = registry.session_for::<Route>().await?;

    // One transaction in the other: whatever is refused in either is rolled back in both.
    main.transaction(async |main| {
        diesel::delete(airports::table).execute(main).await?;
        for airport in &data.airports {
            diesel::insert_into(airports::table).values(airport).execute(main).await?;
        }
        analytics
            .transaction(async |analytics| {
                diesel::delete(routes::table).execute(analytics).await?;
                for route in &data.routes {
                    diesel::insert_into(routes::table).values(route).execute(analytics).await?;
                }
                QueryResult::Ok(())
            })
            .await
    })
    .await?;
    Ok(())
}

/// Failure, and what led to it on standard error, if there is an error.
pub(crate) fn exit_code(result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    ExitCode::FAILURE
}
