//! The results, and the CSV file that holds them.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::plan::{Backend, Part};

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) part: Part,
    pub(crate) subject: String,
    pub(crate) measure: String,
    /// 0 if the measure has no tasks.
    pub(crate) tasks: u32,
    pub(crate) value: f64,
    /// The day, as in `2026-01-31`.
    pub(crate) taken: String,
}

const HEAD: &str = "backend,binds,subject,measure,tasks,value,taken";

/// `target/benchmarks`, which is created if it does not exist.
pub(crate) fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/benchmarks");
    std::fs::create_dir_all(&folder).expect("a folder in target");
    folder.canonicalize().expect("it exists")
}

fn file() -> PathBuf {
    folder().join("growth.csv")
}

/// The results of earlier runs; none if there is no file, or if an earlier version has written other columns.
fn read() -> Vec<Record> {
    let Ok(text) = std::fs::read_to_string(file()) else { return Vec::new() };
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return Vec::new();
    }
    let parse = |line| parse(line).unwrap_or_else(|| panic!("no result of a run: {line}"));
    lines.map(parse).collect()
}

fn parse(line: &str) -> Option<Record> {
    let fields: Vec<_> = line.split(',').collect();
    let [backend, binds, subject, measure, tasks, value, taken] = fields[..] else { return None };
    let part = Part { backend: Backend::of_word(backend)?, binds: binds.parse().ok()? };
    let (subject, measure, taken) = (subject.to_owned(), measure.to_owned(), taken.to_owned());
    let (tasks, value) = (tasks.parse().ok()?, value.parse().ok()?);
    Some(Record { part, subject, measure, tasks, value, taken })
}

/// Writes the results, in place of earlier ones of the same parts. Returns what the file has now.
pub(crate) fn merge(new: Vec<Record>) -> Vec<Record> {
    let mut all = read();
    all.retain(|old| new.iter().all(|record| record.part != old.part));
    all.extend(new);
    // Stable: within a part, the order of the run.
    all.sort_by_key(|record| (record.part.backend.word() != "sqlite", record.part.binds));
    let mut csv = format!("{HEAD}\n");
    for Record { part, subject, measure, tasks, value, taken } in &all {
        let (backend, binds) = (part.backend.word(), part.binds);
        writeln!(csv, "{backend},{binds},{subject},{measure},{tasks},{value:.3},{taken}")
            .expect("a string takes all");
    }
    std::fs::write(file(), csv).expect("a file in target");
    println!("written to {}", file().display());
    all
}

/// The value of a measure.
pub(crate) fn value(
    records: &[Record],
    part: Part,
    subject: &str,
    measure: &str,
    tasks: u32,
) -> Option<f64> {
    let is_it = |record: &&Record| {
        record.part == part
            && record.subject == subject
            && record.measure == measure
            && record.tasks == tasks
    };
    records.iter().find(is_it).map(|record| record.value)
}
