//! Makes the databases of the quickstart for the examples beside it.

use std::error::Error;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use registry_core::{Registry, RunQueryDsl};

use super::data::Data;
use super::model::{airports, routes};
use crate::{Analytics, Main};

const MAIN_MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/migrations/main");
const ANALYTICS_MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/migrations/analytics");

/// Migrates both databases and replaces what is in them.
pub(crate) async fn load(registry: &Registry) -> Result<(), Box<dyn Error>> {
    // Both files are read to their ends before any database is touched.
    let data = Data::read()?;
    println!("{}", registry.migrate::<Main>(MAIN_MIGRATIONS).await?);
    println!("{}", registry.migrate::<Analytics>(ANALYTICS_MIGRATIONS).await?);
    // A unit of work: one transaction in each database. The quickstart does the same with two sessions.
    registry
        .transaction(async |work| {
            diesel::delete(airports::table).execute(&mut *work).await?;
            for airport in &data.airports {
                diesel::insert_into(airports::table).values(airport).execute(&mut *work).await?;
            }
            diesel::delete(routes::table).execute(&mut *work).await?;
            for route in &data.routes {
                diesel::insert_into(routes::table).values(route).execute(&mut *work).await?;
            }
            Ok::<_, registry_core::Error>(())
        })
        .await?;
    Ok(())
}
