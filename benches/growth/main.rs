//! How the cost of a query grows with the number of binds and of tasks, beside a `HashMap` of pools:
//!
//! ```sh
//! cargo bench --manifest-path benches/Cargo.toml --bench growth                               # all, in under five minutes
//! cargo bench --manifest-path benches/Cargo.toml --bench growth -- sqlite-1000                # one part, or a backend
//! cargo bench --manifest-path benches/Cargo.toml --bench growth -- --quick                    # in under one, only printed
//! cargo bench --manifest-path benches/Cargo.toml --bench growth -- --write-guide              # and the guide's tables
//! cargo bench --manifest-path benches/Cargo.toml --bench growth -- --no-run --write-guide     # of the last results
//! ```
//!
//! A part is a number of databases of one backend. Each subject has a pool of 2 connections for each of them, in a
//! process of its own, and all connections are open before the first turn. In each round every subject has its turn, in an
//! order that changes. A task takes one database after the other, so the operations are spread evenly. The figures are
//! medians over the rounds, of the wall time divided by the operations done in it.
//!
//! The results of a part replace its earlier ones in `target/benchmarks/growth.csv`, from which tables and pictures
//! are made.

mod arguments;
mod child;
mod children;
mod databases;
mod guide;
mod machine;
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

use arguments::Arguments;
use databases::Databases;
use plan::Backend;
use records::Record;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, backend, subject] = &arguments[..]
        && flag == "--subject"
    {
        let backend = Backend::of_word(backend).expect("the word of a backend");
        return child::serve(backend, subject);
    }
    let arguments = arguments::parse(&arguments);
    let measured = if arguments.runs_nothing { Vec::new() } else { run(&arguments) };
    if !arguments.is_quick {
        let all = records::merge(measured);
        guide::draw(&all);
        if arguments.writes_guide {
            guide::write_chapter(&all);
        }
    }
}

/// Measures the parts, and prints the results.
fn run(arguments: &Arguments) -> Vec<Record> {
    let parts = plan::parts(&arguments.parts);
    assert!(!parts.is_empty(), "no part is called {}", arguments.parts.join(" or "));
    let databases = Databases::for_parts(&parts);
    let (mut records, mut remarks) = (Vec::new(), Vec::new());
    for part in parts {
        let started = Instant::now();
        let (measured, said) = measure::part(part, &databases, arguments.turns);
        eprintln!("{part}: {:.0} s", started.elapsed().as_secs_f64());
        records.extend(measured);
        remarks.extend(said);
    }
    println!("{}", tables::all(&records));
    for remark in remarks {
        println!("{remark}");
    }
    records
}
