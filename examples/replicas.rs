//! Reads from a replica, with and without a token.
//!
//! ```sh
//! cargo run --example replicas --features postgres
//! ```
//!
//! It starts a PostgreSQL server and a streaming replica of it in a temporary folder, and ends them. If PostgreSQL is not
//! installed, it says so and does nothing.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use registry_core::{
    BindSettings, Reader, Registry, RunQueryDsl, Token, WhenBehind, bind_tables, binds,
};

use schema::notes;
use streaming::servers::{Programs, Server};

mod flights {
    pub(crate) mod exit;
}

mod streaming {
    pub(crate) mod servers;
}

binds! {
    Main: Postgres = "default";
}
bind_tables!(Main; schema::notes);

mod schema {
    diesel::table! {
        notes (id) {
            id -> Integer,
            text -> Text,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match Programs::find() {
        Ok(programs) => flights::exit::exit_code(run(&programs).await),
        Err(missing) => {
            println!("{missing}");
            ExitCode::SUCCESS
        }
    }
}

async fn run(programs: &Programs) -> Result<(), Box<dyn Error>> {
    println!("starting PostgreSQL and a replica of it");
    let primary = Server::primary(programs)?;
    let replica = primary.replica(programs)?;

    // The probes tell how far behind the replica is. Here they ask often, so that the figures below are young.
    let bind = BindSettings::new(primary.url())
        .replica(replica.url())
        .probe_interval(Duration::from_millis(50));
    let registry = Registry::builder().bind("default", bind).build()?;
    let mut session = registry.session::<Main>().await?;
    session.batch_execute("CREATE TABLE notes (id SERIAL PRIMARY KEY, text TEXT NOT NULL)").await?;
    drop(session);

    let token = write(&registry, "the first").await?;
    // A reader may wait until a replica has caught up. The default is to read from the primary at once.
    let waits = registry.reader().when_behind(WhenBehind::Wait);
    let waits = waits.wait_for_replica(Duration::from_secs(10));
    show("after the token of the first note", &waits.clone().after(&token)).await?;

    // Whatever the primary commits from now on, the replica does not show.
    run_on(&replica, "SELECT pg_wal_replay_pause()").await?;
    let token = write(&registry, "the second").await?;
    show("without a token", &registry.reader()).await?;
    show("after the token of the second note", &registry.reader().after(&token)).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    println!("\n{}\n", registry.status().for_terminal());

    run_on(&replica, "SELECT pg_wal_replay_resume()").await?;
    show("after the token, when the replica goes on", &waits.after(&token)).await?;
    println!("\n{}", registry.status().for_terminal());
    registry.close().await;
    Ok(())
}

/// Writes a note, and returns where the commit is in the primary's log.
async fn write(registry: &Registry, text: &str) -> Result<Token, Box<dyn Error>> {
    let mut work = registry.begin();
    diesel::insert_into(notes::table).values(notes::text.eq(text)).execute(&mut work).await?;
    let token = work.commit().await?.token();
    println!("wrote {text:?}, token {token}");
    Ok(token)
}

/// Reads all notes on one session, and prints which server they come from.
async fn show(how: &str, reader: &Reader) -> Result<(), Box<dyn Error>> {
    let mut session = reader.session_for::<notes::table>().await?;
    let notes = notes::table.select(notes::text).order(notes::id);
    let notes: Vec<String> = notes.load(&mut session).await?;
    println!("{how}: {notes:?} from the {}", session.role());
    Ok(())
}

/// Runs a statement of an administrator's.
async fn run_on(server: &Server, sql: &str) -> Result<(), Box<dyn Error>> {
    let mut connection = AsyncPgConnection::establish(&server.url()).await?;
    Ok(connection.batch_execute(sql).await?)
}
