//! registry-core beside its peers, in one run:
//!
//! ```sh
//! cargo bench --manifest-path benches/Cargo.toml --bench peers                             # everything
//! cargo bench --manifest-path benches/Cargo.toml --bench peers -- row-1 --rounds 201       # one case, more rounds
//! cargo bench --manifest-path benches/Cargo.toml --bench peers -- --subjects ours,held     # some subjects
//! cargo bench --manifest-path benches/Cargo.toml --bench peers -- --python                 # Flask-SQLAlchemy too
//! cargo bench --manifest-path benches/Cargo.toml --bench peers -- --write-guide            # and the guide's tables
//! cargo bench --manifest-path benches/Cargo.toml --bench peers -- --profile my-read-1 ours 10   # one, for a profiler
//! ```
//!
//! It starts PostgreSQL and MariaDB as the tests do, and prints a table. Every pool has 10 connections, every peer runs the
//! same query on the same rows, and each subject has a process of its own. In each round every subject of a case has its
//! turn, in an order that changes. The figures are medians over the turns, of the length of a turn divided by the
//! operations that ended in it: with 64 tasks they are a throughput, not a latency.

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
mod python;
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

/// The module by which the example of replicas starts its servers.
#[path = "../../examples/streaming/servers.rs"]
mod streaming;

use arguments::{Arguments, Mode};
use case::Case;
use places::Places;
use python::Python;
use report::Row;

fn main() {
    let Arguments { mode, cases: wanted, subjects, rounds, has_python, writes_guide } =
        arguments::parse();
    let all = cases();
    let find = |name: &str| {
        all.iter().find(|case| case.name == name).unwrap_or_else(|| {
            let names: Vec<_> = all.iter().map(|case| case.name).collect();
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
    let mut cases: Vec<&Case> = wanted.iter().map(|name| find(name)).collect();
    if cases.is_empty() {
        cases.extend(&all);
    }
    let is_wanted =
        |name: &str| subjects.is_empty() || subjects.iter().any(|subject| subject == name);
    let known =
        |name: &str| cases.iter().flat_map(|case| &case.subjects).any(|one| one.name == name);
    for subject in &subjects {
        assert!(
            known(subject) || has_python && subject == python::NAME,
            "no subject {subject} in these cases"
        );
    }
    let python = has_python.then(Python::install);
    let today = report::today();
    let mut rows = Vec::new();
    for case in cases {
        eprintln!("{} ..", case.name);
        let processes = measure::start(case, is_wanted, python.as_ref(), &mut places);
        if processes.is_empty() {
            continue;
        }
        places.check(case.place);
        let results = measure::measure(case, processes, rounds);
        rows.extend(Row::of(&results, &places.database(case.place), &today));
    }
    report::print(&rows);
    // Without some of its subjects, a case is not what its rows are compared with.
    if subjects.is_empty() {
        let names: Vec<_> = all.iter().map(|case| case.name).collect();
        let rows = report::update(&rows, &names);
        println!("written to {}", report::file().display());
        if writes_guide {
            report::write_guide(&rows);
        }
    }
}

fn cases() -> Vec<Case> {
    let mut cases = postgres::cases();
    cases.push(route::case());
    cases.extend(tenants::cases());
    cases.extend(sqlite::cases());
    cases.extend(mariadb::cases());
    cases
}
