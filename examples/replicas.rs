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

use streaming::servers::{Programs, Server};

mod flights {
    pub(crate) mod exit;
}

mod streaming {
    pub(crate) mod servers;
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
    let primary = Server::primary(programs)?;
    let replica = primary.replica(programs)?;
    println!("{} {}", primary.url(), replica.url());
    Ok(())
}
