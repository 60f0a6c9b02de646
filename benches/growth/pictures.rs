//! The pictures, drawn from the CSV files.

use crate::chart::bars::{Bar, Bars, Group};
use crate::chart::lines::{Chart, Panel, Row, Series};
use crate::chart::style::{Hue, Look};
use crate::plan::{Backend, Part, TASKS};
use crate::records::{Record, value};
use crate::subjects;
use crate::tables::name;

/// How a subject is drawn: peers with their defaults are dashed.
fn look(subject: &str) -> Look {
    let plain = subject.strip_suffix("-tuned");
    let hue = match plain.unwrap_or(subject) {
        "registry" | "ours" => Hue::Blue,
        "registry-tenants" => Hue::LightBlue,
        "bb8" => Hue::Orange,
        "deadpool" => Hue::Green,
        "sqlx" => Hue::Purple,
        name if name.starts_with("ours") => Hue::LightBlue,
        name if name.starts_with("tokio-rusqlite") => Hue::Brown,
        _ => Hue::Grey,
    };
    let is_peer = !matches!(hue, Hue::Blue | Hue::LightBlue | Hue::Brown | Hue::Grey);
    Look { hue, is_dashed: is_peer && plain.is_none() }
}

fn legend() -> Vec<(String, Look)> {
    // SQLite has all of them.
    subjects::names(Backend::Sqlite).iter().map(|subject| (name(subject), look(subject))).collect()
}

/// The lines of a measure over the numbers of binds.
fn panel(backend: Backend, title: String, point: impl Fn(Part, &str) -> Option<f64>) -> Panel {
    let series = subjects::names(backend).iter().map(|subject| {
        let points = backend.binds().iter().filter_map(|binds| {
            let y = point(Part { backend, binds: *binds }, subject)?;
            Some((f64::from(*binds), y))
        });
        Series { look: look(subject), points: points.collect() }
    });
    Panel { title, series: series.collect() }
}

/// Reads, by binds and tasks.
pub(crate) fn reads(records: &[Record]) -> String {
    let row = |backend: Backend| {
        let panel = |tasks: u32| {
            let word = if tasks == 1 { "task" } else { "tasks" };
            let tasks_text = crate::chart::scale::thousands(u64::from(tasks));
            let title = format!("{}, {tasks_text} {word}", backend.name());
            panel(backend, title, |part, subject| {
                Some(value(records, part, subject, "read_ns", tasks)? / 1_000.0)
            })
        };
        Row {
            x_axis: "databases".to_owned(),
            y_axis: "time per read in µs".to_owned(),
            panels: TASKS.into_iter().map(panel).collect(),
        }
    };
    let chart = Chart {
        title: "Time per point read, by the number of databases and of tasks",
        description: "Lines of the time per read in microseconds over 1 to 1,000 databases, one panel for each number of tasks. \
                      The figures are in growth.csv.",
        legend: legend(),
        rows: Backend::ALL.map(row).into(),
    };
    chart.draw()
}

/// Memory and threads, by binds.
pub(crate) fn sizes(records: &[Record]) -> String {
    let panel = |backend: Backend, title: &str, measure: &'static str, unit: f64| {
        let title = format!("{}: {title}", backend.name());
        panel(backend, title, move |part, subject| {
            Some(value(records, part, subject, measure, 0)? / unit)
        })
    };
    let row = |y_axis: &str, panels: Vec<Panel>| Row {
        x_axis: "databases".to_owned(),
        y_axis: y_axis.to_owned(),
        panels,
    };
    let memory =
        |backend| panel(backend, "resident memory, all connections open", "open_kib", 1_024.0);
    let threads = |backend| panel(backend, "threads", "threads", 1.0);
    let chart = Chart {
        title: "Memory and threads of the process, by the number of databases",
        description: "Lines of the resident memory in MiB and of the number of threads over 1 to 1,000 databases. \
                      The figures are in growth.csv.",
        legend: legend(),
        rows: vec![
            row("resident memory in MiB", Backend::ALL.map(memory).into()),
            row("threads", Backend::ALL.map(threads).into()),
        ],
    };
    chart.draw()
}

/// The results of the `peers` bench, if it has left any.
pub(crate) fn peers() -> Option<String> {
    let csv = std::fs::read_to_string(crate::records::folder().join("peers.csv")).ok()?;
    let mut lines = csv.lines();
    let head: Vec<_> = lines.next()?.split(',').collect();
    let column = |name: &str| head.iter().position(|column| *column == name);
    let (case, subject, median) = (column("case")?, column("subject")?, column("median_ns")?);
    let mut groups: Vec<Group> = Vec::new();
    for line in lines {
        let fields: Vec<_> = line.split(',').collect();
        let ns: f64 = fields.get(median)?.parse().ok()?;
        let name = *fields.get(subject)?;
        let bar = Bar { name: name.to_owned(), look: look(peer(name)), value: ns / 1_000.0 };
        match groups.last_mut() {
            Some(group) if group.title == fields[case] => group.bars.push(bar),
            _ => groups.push(Group { title: fields[case].to_owned(), bars: vec![bar] }),
        }
    }
    // What is only compared with ourselves is no picture of peers.
    groups
        .retain(|group| group.bars.len() > 4 && group.bars.iter().all(|bar| bar.value.is_finite()));
    let bars = Bars {
        title: "Time per operation beside the peers",
        description: "Bars of the time per operation in microseconds, one group for each case. The figures are in peers.csv.",
        axis: "µs per operation; shorter is faster",
        groups,
    };
    (!bars.groups.is_empty()).then(|| bars.draw())
}

/// A name of the other bench, as this one has it: there, defaults are named.
fn peer(name: &str) -> &str {
    name.strip_suffix("-default").unwrap_or(name)
}
