//! registry-core beside its peers, in one run:
//!
//! ```sh
//! cargo bench --manifest-path benches/Cargo.toml --bench peers                             # everything
//! cargo bench --manifest-path benches/Cargo.toml --bench peers -- row-1 --rounds 201       # one case, more rounds
//! cargo bench --manifest-path benches/Cargo.toml --bench peers -- --subjects ours,held     # some subjects
//! cargo bench --manifest-path benches/Cargo.toml --bench peers -- --profile my-read-1 ours 10
//! ```
//!
//! It starts PostgreSQL and MariaDB as the tests do, and prints a table. Every pool has 10 connections, every peer runs the
//! same query on the same rows, and each subject has a process of its own. In each round every subject of a case has its
//! turn, in an order that changes. The figures are medians over the turns, of the wall time divided by the operations done
//! in it: with 64 tasks they are a throughput, not a latency.

mod arguments;
mod case;
mod child;
mod latency;
mod mariadb;
mod measure;
mod peers;
mod places;
mod postgres;
mod process;
mod report;
mod route;
mod sqlite;
mod tenants;

/// The module that the tests start their servers with.
#[path = "../../tests/support"]
#[expect(dead_code, reason = "the tests use the rest of it")]
mod support {
    mod account;
    mod home;
    pub(crate) mod mariadb;
    pub(crate) mod pgbouncer;
    pub(crate) mod postgres;
    mod programs;
    pub(crate) mod server;
    mod server_url;
    mod watchdog;
}

use arguments::{Arguments, Mode};
use case::Case;
use places::Places;

fn main() {
    let Arguments { mode, cases: wanted, subjects, rounds } = arguments::parse();
    let cases: Vec<Case> = [
        postgres::cases(),
        vec![route::case()],
        tenants::cases(),
        sqlite::cases(),
        mariadb::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let find = |name: &str| {
        cases.iter().find(|case| case.name == name).unwrap_or_else(|| {
            let names: Vec<_> = cases.iter().map(|case| case.name).collect();
            panic!("no case {name}, but {}", names.join(", "))
        })
    };
    let mut places = Places::default();
    match mode {
        Mode::Child { case, subjects } => return child::serve(find(&case), &subjects),
        Mode::Profile { case, subject, length } => {
            let case = find(&case);
            let place = places.open(case.place);
            return child::profile(case, &subject, &place, length);
        }
        Mode::Measure => {}
    }
    for name in &wanted {
        find(name);
    }
    let is_wanted =
        |name: &str, wanted: &[String]| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let mut results = Vec::new();
    for case in cases.iter().filter(|case| is_wanted(case.name, &wanted)) {
        eprintln!("{} ..", case.name);
        results.push(measure::measure(
            case,
            |name| is_wanted(name, &subjects),
            rounds,
            &mut places,
        ));
    }
    results.retain(|result| !result.subjects.is_empty());
    report::print(&results);
    // Without some of its subjects, a case is not what its rows are compared with.
    if subjects.is_empty() {
        report::write(&results);
    }
}
