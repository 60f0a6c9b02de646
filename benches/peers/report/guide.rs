//! The measured part of the guide's chapter.

use std::fmt::Write as _;

use super::bars;
use super::machine;
use super::row::{Row, Rows};

const FILE: &str = "docs/guide/performance.md";
const BEGIN: &str = "<!-- measured: peers -->\n";
const END: &str = "<!-- end -->";

/// The tables, each with its heading and the cases that are its columns.
const TABLES: [(&str, &[&str]); 6] = [
    ("PostgreSQL", &["acquire-1", "acquire-64", "row-1", "row-64", "routed-1", "routed-64"]),
    ("PostgreSQL, readers", &["reader-1", "reader-64", "reader-slow-64"]),
    ("PostgreSQL, pipelines and poolers", &["pipeline-10", "pooled-1"]),
    ("MariaDB", &["my-read-1", "my-read-64", "my-write-64"]),
    ("SQLite", &["lite-read-1", "lite-read-64", "lite-write-1", "lite-write-64", "lite-mixed-64"]),
    ("Many binds and tenants", &["route", "tenant-10", "tenant-1000", "tenant-10000"]),
];

/// Replaces what is between the markers.
pub(crate) fn write(rows: &[Row]) {
    let file = super::root().join(FILE);
    let text = std::fs::read_to_string(&file).expect("the guide");
    let (before, rest) = text.split_once(BEGIN).expect("a marker in the guide");
    let (_, after) = rest.split_once(END).expect("a marker in the guide");
    let text = format!("{before}{BEGIN}\n{}\n{END}{after}", measured(rows));
    std::fs::write(&file, text).expect("the guide");
    println!("written to {}", file.display());
}

fn measured(rows: &[Row]) -> String {
    let mut days: Vec<&str> = rows.iter().map(|row| row.taken.as_str()).collect();
    days.sort_unstable();
    days.dedup();
    let mut text = format!("{} Measured on {}.\n", machine::describe(rows), days.join(" and "));
    for (heading, cases) in TABLES {
        write!(text, "\n**{heading}**, nanoseconds per operation:\n\n{}", table(rows, cases))
            .expect("a string takes all");
    }
    text += &latencies(rows);
    text += "\nThe limits that the results must keep:\n\n| case | measured | asked | |\n|---|---|---|---|\n";
    for judgement in bars::judge(rows) {
        let (case, word) = (judgement.case, judgement.word());
        writeln!(text, "| `{case}` | {} | {} | {word} |", judgement.found, judgement.asked)
            .expect("a string takes all");
    }
    let unsteady: Vec<_> = rows.unsteady().iter().map(|case| format!("`{case}`")).collect();
    if !unsteady.is_empty() {
        writeln!(
            text,
            "\nUnsteady, because the machine had other work, or the subject itself is: {}. Their ratios say little.",
            unsteady.join(", ")
        )
        .expect("a string takes all");
    }
    text
}

/// A row for each subject, and a column for each case.
fn table(rows: &[Row], cases: &[&str]) -> String {
    let mut subjects: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| cases.contains(&row.case.as_str())) {
        if !subjects.contains(&row.subject.as_str()) {
            subjects.push(&row.subject);
        }
    }
    let mut text = String::from("| subject |");
    for case in cases {
        write!(text, " `{case}` |").expect("a string takes all");
    }
    text += "\n|---|";
    text += &"---:|".repeat(cases.len());
    text += "\n";
    for subject in subjects {
        write!(text, "| `{subject}` |").expect("a string takes all");
        for case in cases {
            write!(text, " {} |", rows.row(case, subject).map_or(String::new(), cell))
                .expect("a string takes all");
        }
        text += "\n";
    }
    text
}

/// The times of single operations, where they were kept.
fn latencies(rows: &[Row]) -> String {
    let mut text = String::from(
        "\n**Single inserts**, nanoseconds from the call to its answer:\n\n\
         | case | subject | median | 99th percentile | ratio | longest |\n\
         |---|---|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let Some(latency) = row.latency else { continue };
        let [median, p99, longest] = latency.numbers().map(|ns| thousands(ns as f64));
        let (case, subject, ratio) = (&row.case, &row.subject, latency.ratio());
        writeln!(text, "| `{case}` | `{subject}` | {median} | {p99} | {ratio:.2} | {longest} |")
            .expect("a string takes all");
    }
    text
}

/// The median, and how often it failed.
fn cell(row: &Row) -> String {
    let mut text = thousands(row.median);
    if row.failures > 0 {
        write!(text, ", {} failures", row.failures).expect("a string takes all");
    }
    text
}

/// With commas.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
