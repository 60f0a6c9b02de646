//! Two databases in one program: airports in one SQLite file, the flights between them in another.
//!
//! ```sh
//! cargo run --example quickstart
//! cargo run --example quickstart -- DATA DATABASES   # the folders to read from and to write to
//! ```
//!
//! From top to bottom: the databases as types, tables and models bound to them, settings, migrations, sessions
//! with transactions, and queries that find their own database.

use std::error::Error;
use std::process::ExitCode;

use diesel::dsl::sum;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use registry_core::{Registry, RunQueryDsl, bind, bind_tables, binds};
use serde::Deserialize;

use flights::data::Data;
use flights::numbers::grouped;
use flights::report::Report;

/// Reading files, formatting numbers and the like: `examples/flights/*.rs`.
mod flights {
    pub(crate) mod data;
    pub(crate) mod databases;
    pub(crate) mod exit;
    pub(crate) mod numbers;
    pub(crate) mod report;
}

// Each database is a type: its backend, and its key in the settings. The usual key is `default`.
binds! {
    Main: Sqlite = "default";
    Analytics: Sqlite = "analytics";
}

mod schema {
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

use schema::{airports, routes};

// A query goes to the database of its table. A join of tables in two databases does not compile.
bind_tables!(Main; schema::airports);
bind_tables!(Analytics; schema::routes);

// Models are bound too, to the database of their table: a model bound to another database does not compile.
#[bind(Main)]
#[derive(Debug, Deserialize, Queryable, Selectable, Insertable)]
#[diesel(table_name = airports)]
struct Airport {
    iata: String,
    name: String,
    city: String,
    state: String,
    country: String,
    latitude: f64,
    longitude: f64,
}

#[bind(Analytics)]
#[derive(Debug, Deserialize, Queryable, Selectable, Insertable)]
#[diesel(table_name = routes)]
struct Route {
    origin: String,
    destination: String,
    #[serde(rename = "count")]
    flights: i32,
}

const MAIN_MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/migrations/main");
const ANALYTICS_MIGRATIONS: EmbeddedMigrations = embed_migrations!("examples/migrations/analytics");

#[tokio::main]
async fn main() -> ExitCode {
    flights::exit::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    // Both files are read to their ends before any database is touched.
    let data = Data::read()?;

    // Where each database is. `examples/settings.rs` reads this from a file and the environment instead.
    let folder = flights::databases::folder("quickstart")?;
    let registry = Registry::builder()
        .bind("default", format!("sqlite://{}/main.db", folder.display()))
        .bind("analytics", format!("sqlite://{}/analytics.db", folder.display()))
        .build()?;

    // Nothing has been opened so far: the first connection is made here.
    println!("{}", registry.migrate::<Main>(MAIN_MIGRATIONS).await?);
    println!("{}", registry.migrate::<Analytics>(ANALYTICS_MIGRATIONS).await?);
    load(&registry, &data).await?;

    // A query on the registry acquires a session of its own database, runs there, and returns it.
    let airports: i64 = airports::table.count().get_result(&registry).await?;
    let routes: i64 = routes::table.count().get_result(&registry).await?;
    let flights: Option<i64> =
        routes::table.select(sum(routes::flights)).get_result(&registry).await?;
    println!("default: {} airports", grouped(airports));
    println!("analytics: {} routes", grouped(routes));
    println!("\n{} flights in 2008\n", grouped(flights.unwrap_or(0)));
    println!("{}", Report::of(&registry).await?);

    println!("{}", registry.status().for_terminal());
    registry.close().await;
    Ok(())
}

/// Replaces the rows in both databases.
async fn load(registry: &Registry, data: &Data) -> Result<(), registry_core::Error> {
    // A session is one connection, for as long as the value lives.
    let mut main = registry.session_for::<Airport>().await?;
    let mut analytics = registry.session_for::<Route>().await?;

    // One transaction inside the other: an error in either one rolls both back. `Registry::transaction` does this
    // for any number of databases, and reports a commit that fails after another has succeeded.
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
