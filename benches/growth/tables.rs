//! The tables of the guide, as Markdown.

use std::fmt::Write as _;

use crate::plan::{Backend, Part, TASKS};
use crate::records::{Record, value};
use crate::subjects;

/// The number of tasks in the table by binds.
const SOME_TASKS: u32 = 64;

/// All tables, with a line above each that says what it shows.
pub(crate) fn all(records: &[Record]) -> String {
    let mut all = vec![
        (
            "Microseconds per read with 64 tasks, by the number of databases:".to_owned(),
            by_binds(records, "read_ns", |ns| format!("{:.1}", ns / 1_000.0)),
        ),
        (
            "Nanoseconds per connection that is acquired and returned, also with 64 tasks:"
                .to_owned(),
            by_binds(records, "acquire_ns", |ns| thousands(ns.round())),
        ),
    ];
    for backend in Backend::ALL {
        let (name, binds) = (backend.name(), thousands(f64::from(largest(backend).binds)));
        let tasks =
            format!("{name}, {binds} databases: microseconds per read, by the number of tasks:");
        all.push((tasks, by_tasks(records, backend)));
        let sizes = format!("{name}, {binds} databases: what the process of a subject takes:");
        all.push((sizes, sizes_of(records, backend)));
    }
    let tables: Vec<_> = all.iter().map(|(head, table)| format!("{head}\n\n{table}")).collect();
    tables.join("\n")
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

fn by_tasks(records: &[Record], backend: Backend) -> String {
    let titles = TASKS.iter().map(|tasks| thousands(f64::from(*tasks)));
    table(titles, |subject| {
        let cell = |tasks: &u32| {
            let ns = value(records, largest(backend), subject, "read_ns", *tasks)?;
            Some(format!("{:.1}", ns / 1_000.0))
        };
        TASKS.iter().map(cell).collect()
    })
}

/// What a process takes with the most databases. What each pool and each connection takes is the difference to one
/// database, so that what is needed only once is left out.
fn sizes_of(records: &[Record], backend: Backend) -> String {
    let (most, one) = (largest(backend), Part { backend, binds: 1 });
    let titles = ["KiB per pool", "KiB per connection", "MiB in all", "threads", "connections"];
    table(titles.map(str::to_owned).into_iter(), |subject| {
        let of = |part: Part, measure: &str| value(records, part, subject, measure, 0);
        let pools = |part: Part| Some(of(part, "built_kib")? - of(part, "start_kib")?);
        let connections = |part: Part| Some(of(part, "open_kib")? - of(part, "built_kib")?);
        let per_pool = || {
            let all = pools(most)? - pools(one)?;
            // Below that, the size of the process says nothing: it changes by some hundred KiB from start to start.
            (all >= 1_024.0).then(|| all / f64::from(most.binds - one.binds))
        };
        let per_connection = || {
            let more = of(most, "connections")? - of(one, "connections")?;
            Some((connections(most)? - connections(one)?) / more)
        };
        vec![
            per_pool().map(|kib| format!("{kib:.1}")),
            per_connection().map(|kib| format!("{kib:.0}")),
            of(most, "loaded_kib").map(|kib| format!("{:.0}", kib / 1_024.0)),
            of(most, "threads").map(thousands),
            of(most, "connections").map(thousands),
        ]
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
