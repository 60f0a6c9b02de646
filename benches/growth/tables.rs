//! The tables of the guide, as Markdown.

use std::fmt::Write as _;

use crate::plan::{Backend, Part, TASKS};
use crate::records::{Record, value};
use crate::subjects;

/// The number of tasks in the table by binds.
const SOME_TASKS: u32 = 64;

/// All tables, with a line above each that says what it shows.
pub(crate) fn all(records: &[Record]) -> String {
    let reads = "Microseconds per read with 64 tasks, by the number of databases:";
    let tasks =
        "Microseconds per read by the number of tasks, with the most databases that were measured:";
    let acquires = "Nanoseconds per connection that is acquired and returned, with 64 tasks:";
    let sizes = "What the process of a subject takes, with the most databases:";
    let parts = [
        (reads, by_binds(records, "read_ns", |ns| format!("{:.1}", ns / 1_000.0))),
        (tasks, by_tasks(records)),
        (acquires, by_binds(records, "acquire_ns", |ns| thousands(ns.round()))),
        (sizes, sizes_of(records)),
    ];
    parts.map(|(head, table)| format!("{head}\n\n{table}")).join("\n")
}

/// A subject's name for people.
pub(crate) fn name(subject: &str) -> String {
    match subject {
        "registry-tenants" => "registry, tenants".to_owned(),
        tuned => match tuned.strip_suffix("-tuned") {
            Some(name) => format!("{name}, tuned"),
            None => tuned.to_owned(),
        },
    }
}

/// The subjects of both backends. Those that only one has come last.
fn subjects() -> Vec<&'static str> {
    let mut all = subjects::names(Backend::Postgres).to_vec();
    let sqlite = subjects::names(Backend::Sqlite).iter();
    let missing: Vec<_> = sqlite.filter(|name| !all.contains(name)).copied().collect();
    all.extend(missing);
    all
}

fn parts() -> Vec<Part> {
    let of =
        |backend: Backend| backend.binds().iter().map(move |binds| Part { backend, binds: *binds });
    Backend::ALL.into_iter().flat_map(of).collect()
}

/// The part of a backend that has the most binds.
pub(crate) fn largest(backend: Backend) -> Part {
    let binds = backend.binds().iter().max().expect("there are some");
    Part { backend, binds: *binds }
}

fn by_binds(records: &[Record], measure: &str, show: impl Fn(f64) -> String) -> String {
    let parts = parts();
    let titles = parts
        .iter()
        .map(|part| format!("{} {}", part.backend.name(), thousands(f64::from(part.binds))));
    table(titles, |subject| {
        let cell = |part: &Part| value(records, *part, subject, measure, SOME_TASKS).map(&show);
        parts.iter().map(cell).collect()
    })
}

fn by_tasks(records: &[Record]) -> String {
    let columns: Vec<_> = Backend::ALL
        .into_iter()
        .flat_map(|backend| TASKS.map(|tasks| (largest(backend), tasks)))
        .collect();
    let titles = columns
        .iter()
        .map(|(part, tasks)| format!("{} {}", part.backend.name(), thousands(f64::from(*tasks))));
    table(titles, |subject| {
        let cell = |(part, tasks): &(Part, u32)| {
            let ns = value(records, *part, subject, "read_ns", *tasks)?;
            Some(format!("{:.1}", ns / 1_000.0))
        };
        columns.iter().map(cell).collect()
    })
}

fn sizes_of(records: &[Record]) -> String {
    let mut titles = Vec::new();
    for backend in Backend::ALL {
        let (name, binds) = (backend.name(), thousands(f64::from(largest(backend).binds)));
        titles.push(format!("{name} {binds}: KiB per pool"));
        titles.push("KiB per connection".to_owned());
        titles.push("MiB in all".to_owned());
        titles.push("threads".to_owned());
        if backend == Backend::Postgres {
            titles.push("connections".to_owned());
        }
    }
    table(titles.into_iter(), |subject| {
        let of = |backend: Backend| {
            let part = largest(backend);
            let of = |measure: &str| value(records, part, subject, measure, 0);
            let grown =
                |from: &str, to: &str, by: f64| Some(format!("{:.1}", (of(to)? - of(from)?) / by));
            let binds = f64::from(part.binds);
            let mut cells = vec![
                grown("start_kib", "built_kib", binds),
                of("connections").and_then(|number| grown("built_kib", "open_kib", number)),
                of("loaded_kib").map(|kib| format!("{:.0}", kib / 1_024.0)),
                of("threads").map(thousands),
            ];
            if backend == Backend::Postgres {
                cells.push(of("connections").map(thousands));
            }
            cells
        };
        Backend::ALL.into_iter().flat_map(of).collect()
    })
}

/// A table with a row for each subject that has a value.
fn table(
    titles: impl Iterator<Item = String>,
    row: impl Fn(&str) -> Vec<Option<String>>,
) -> String {
    let titles: Vec<_> = titles.collect();
    let mut table = format!("| subject | {} |\n", titles.join(" | "));
    writeln!(table, "|---|{}", "---:|".repeat(titles.len())).expect("a string takes all");
    for subject in subjects() {
        let cells = row(subject);
        if cells.iter().any(Option::is_some) {
            let cells: Vec<_> = cells.into_iter().map(Option::unwrap_or_default).collect();
            let name = name(subject);
            writeln!(table, "| {name} | {} |", cells.join(" | ")).expect("a string takes all");
        }
    }
    table
}

fn thousands(value: f64) -> String {
    crate::chart::scale::thousands(value as u64)
}
