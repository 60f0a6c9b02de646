//! registry-core beside its peers, in one run:
//!
//! ```sh
//! cargo bench -p registry-benches --bench peers                         # everything
//! cargo bench -p registry-benches --bench peers -- row-1 --rounds 201   # one case, more rounds
//! ```
//!
//! It starts a PostgreSQL server as the tests do and prints a table. If all cases are run, it writes the
//! same figures to `target/benchmarks/peers.csv`. Every pool has 10 connections, every peer runs the
//! same query on the same rows, and in each round every subject of a case has its turn, in an order
//! that changes. The figures are medians over the rounds, of the wall time divided by the operations
//! done in it: with 64 tasks they are a throughput, not a latency.

mod cases;
mod database;
mod measure;
mod peers;
mod pooled;
mod report;
mod route;
mod tenants;

/// The module that the tests start their servers with.
#[path = "../../tests/support"]
#[expect(dead_code, reason = "the tests use the rest of it")]
mod support {
    mod account;
    mod home;
    pub(crate) mod pgbouncer;
    pub(crate) mod postgres;
    mod programs;
    pub(crate) mod server;
    mod server_url;
    mod watchdog;
}

use support::postgres::Postgres;
use support::server::Server;

/// The connections of each pool.
const CONNECTIONS: u32 = 10;

/// How often each subject of a case has its turn, unless `--rounds` says otherwise: for each of these, a
/// single task has four short turns, and many tasks have three.
const ROUNDS: usize = 51;

fn main() {
    let (wanted, rounds) = arguments();
    let server = Server::obtain(&Postgres);
    let url = server.database("peers");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let handle = runtime.handle();
    handle.block_on(database::fill(&url));
    let mut results = Vec::new();
    let mut all = handle.block_on(cases::all(&url));
    all.extend(handle.block_on(tenants::all(&wanted)));
    let pooled = pooled::case(&server, &url, &wanted);
    let (pooled, _poolers) = pooled.unzip();
    all.extend(pooled);
    for case in all {
        if wanted.is_empty() || wanted.iter().any(|name| name == case.name) {
            eprintln!("{} ..", case.name);
            results.push(measure::measure(handle, case, rounds));
        }
    }
    report::print(&results);
    if wanted.is_empty() {
        report::write(&results);
    }
}

/// The cases that are named, and the number of rounds. Cargo adds arguments of its own.
fn arguments() -> (Vec<String>, usize) {
    let (mut wanted, mut rounds) = (Vec::new(), ROUNDS);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--rounds" {
            let number = arguments.next().and_then(|number| number.parse().ok());
            rounds = number.filter(|number| *number > 0).expect("--rounds takes a number");
        } else if !argument.starts_with('-') {
            wanted.push(argument);
        }
    }
    (wanted, rounds)
}
