//! How the cost of a query grows with the number of binds and of tasks, beside a `HashMap` of pools:
//!
//! ```sh
//! cargo bench --manifest-path benches/Cargo.toml --bench growth                        # everything, in under five minutes
//! cargo bench --manifest-path benches/Cargo.toml --bench growth -- sqlite-1000         # one part; or `sqlite`, or `postgres`
//! cargo bench --manifest-path benches/Cargo.toml --bench growth -- --quick             # in under one, and only printed
//! cargo bench --manifest-path benches/Cargo.toml --bench growth -- --guide             # tables and pictures of the guide
//! ```
//!
//! A part is a number of databases of one backend. Each subject has a pool of 2 connections for each of them, in a
//! process of its own, and all connections are open before the first turn. In each round every subject has its turn, in an
//! order that changes. A task takes one database after the other, so the operations are spread evenly. The figures are
//! medians over the rounds, of the wall time divided by the operations done in it.
//!
//! The results of a part replace its earlier ones in `target/benchmarks/growth.csv`, from which tables and pictures
//! are made.

mod child;
mod children;
mod databases;
mod guide;
mod many_clients;
mod measure;
mod pictures;
mod plan;
mod process;
mod records;
mod schema;
mod subjects;
mod tables;
mod turn;

#[path = "../chart/mod.rs"]
mod chart;

/// The module that the tests start their servers with.
#[path = "../../tests/support"]
#[expect(dead_code, reason = "the tests use the rest of it")]
mod support {
    mod account;
    pub(crate) mod home;
    pub(crate) mod postgres;
    mod programs;
    pub(crate) mod server;
    pub(crate) mod server_url;
    mod watchdog;
}

use std::time::Instant;

use databases::Databases;
use plan::{Backend, Turns};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, backend, subject] = &arguments[..]
        && flag == "--subject"
    {
        let backend = Backend::of_word(backend).expect("the word of a backend");
        return child::serve(backend, subject);
    }
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--guide") {
        return guide::write_chapter(&records::read());
    }
    // Cargo adds arguments of its own.
    let wanted: Vec<_> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).cloned().collect();
    let turns = if has("--quick") { Turns::QUICK } else { Turns::FULL };
    let parts = plan::parts(&wanted);
    assert!(!parts.is_empty(), "no part is called {}", wanted.join(" or "));
    let databases = Databases::for_parts(&parts);
    let (mut records, mut remarks) = (Vec::new(), Vec::new());
    for part in parts {
        let started = Instant::now();
        let (measured, said) = measure::part(part, &databases, turns);
        eprintln!("{part}: {:.0} s", started.elapsed().as_secs_f64());
        records.extend(measured);
        remarks.extend(said);
    }
    for record in &records {
        println!(
            "{} {:<18}{:<12}{:>6}{:>14.1}",
            record.part, record.subject, record.measure, record.tasks, record.value
        );
    }
    for remark in remarks {
        println!("{remark}");
    }
    if !has("--quick") {
        guide::draw(&records::merge(records));
    }
}
