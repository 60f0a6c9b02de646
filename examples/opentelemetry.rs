//! Traces and metrics of the databases, sent to an OpenTelemetry collector: a program of which each query is a span, with
//! the names that OpenTelemetry's semantic conventions give.
//!
//! ```sh
//! cargo run --example opentelemetry --features metrics
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 cargo run --example opentelemetry --features metrics
//! ```
//!
//! Without the variable, the collector is the one at `http://localhost:4318`. It is spoken to by OTLP over HTTP, without
//! TLS. `examples/telemetry/` has the parts that another program can take as they are.

use std::error::Error;
use std::process::ExitCode;

use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::UniqueViolation;
use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables, binds};
use tracing::Instrument;

use telemetry::Telemetry;

mod flights {
    pub(crate) mod exit;
}
mod telemetry;

binds! {
    Main: Sqlite = "default";
    Analytics: Sqlite = "analytics";
}

mod schema {
    diesel::table! {
        people (id) {
            id -> Integer,
            mail -> Text,
        }
    }

    diesel::table! {
        visits (id) {
            id -> Integer,
            person -> Integer,
        }
    }
}

use schema::{people, visits};

bind_tables!(Main; schema::people);
bind_tables!(Analytics; schema::visits);

fn main() -> ExitCode {
    flights::exit::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let telemetry = Telemetry::install("registry-example", runtime.handle())?;
    let done = runtime.block_on(import().instrument(tracing::info_span!("import")));
    // What was not sent yet is sent now, also of a program that has failed.
    telemetry.shutdown()?;
    Ok(done?)
}

/// Some people and their visits. The addresses reach neither the log nor the collector.
async fn import() -> Result<(), registry_core::Error> {
    let registry = Registry::builder()
        .bind("default", "sqlite::memory:")
        .bind("analytics", "sqlite::memory:")
        .build()?;
    diesel::sql_query("CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT NOT NULL UNIQUE)")
        .bound_to::<Main>()
        .execute(&registry)
        .await?;
    diesel::sql_query("CREATE TABLE visits (id INTEGER PRIMARY KEY, person INTEGER NOT NULL)")
        .bound_to::<Analytics>()
        .execute(&registry)
        .await?;

    let ada = (people::id.eq(1), people::mail.eq("ada@example.org"));
    diesel::insert_into(people::table).values(ada).execute(&registry).await?;
    let known: Vec<(i32, String)> =
        people::table.filter(people::mail.eq("ada@example.org")).load(&registry).await?;

    // A query that fails is a span with the status `ERROR`.
    match diesel::insert_into(people::table).values(ada).execute(&registry).await {
        Err(error) if error.database_kind() == Some(&UniqueViolation) => {
            tracing::info!(known = known.len(), "one person was known before");
        }
        other => drop(other?),
    }

    // A value that is written into a statement does not leave the program either.
    diesel::sql_query("UPDATE people SET mail = 'ada.lovelace@example.org' WHERE id = 1")
        .bound_to::<Main>()
        .execute(&registry)
        .await?;

    registry
        .transaction(async |work| {
            let grace = (people::id.eq(2), people::mail.eq("grace@example.org"));
            diesel::insert_into(people::table).values(grace).execute(&mut *work).await?;
            diesel::insert_into(visits::table).values(visits::person.eq(2)).execute(work).await?;
            Ok::<_, registry_core::Error>(())
        })
        .await?;
    registry.close().await;
    Ok(())
}
