//! Makes the databases of the quickstart for the examples beside it.

use std::error::Error;

use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use registry_core::{Registry, RunQueryDsl};

use super::data::Data;
use super::model::{Airport, Route, airports, routes};
use crate::{Analytics, Main};

const MAIN_MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/migrations/main");
const ANALYTICS_MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/migrations/analytics");

/// Migrates both databases and replaces what is in them.
pub(crate) async fn load(registry: &Registry) -> Result<(), Box<dyn Error>> {
    // Both files are read to their ends before any database is touched.
    let data = Data::read()?;
    println!("{}", registry.migrate::<Main>(MAIN_MIGRATIONS).await?);
    println!("{}", registry.migrate::<Analytics>(ANALYTICS_MIGRATIONS).await?);
    replace(registry, &data).await?;
    Ok(())
}

/// As in the quickstart: one transaction inside the other, so that an error in either one rolls both back.
async fn replace(registry: &Registry, data: &Data) -> Result<(), registry_core::Error> {
    let mut main = registry.session_for::<Airport>().await?;
    let mut analytics = registry.session_for::<Route>().await?;
    main.transaction(async |main| {
        diesel::delete(airports::table).execute(&mut *main).await?;
        for airport in &data.airports {
            diesel::insert_into(airports::table).values(airport).execute(&mut *main).await?;
        }
        analytics
            .transaction(async |analytics| {
                diesel::delete(routes::table).execute(&mut *analytics).await?;
                for route in &data.routes {
                    diesel::insert_into(routes::table)
                        .values(route)
                        .execute(&mut *analytics)
                        .await?;
                }
                QueryResult::Ok(())
            })
            .await
    })
    .await?;
    Ok(())
}
