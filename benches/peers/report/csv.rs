//! `target/benchmarks/peers.csv`, which keeps the last results of each case.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::row::Row;
use crate::latency::Quantiles;

const HEAD: &str = "case,subject,median_ns,first_quartile_ns,third_quartile_ns,turns,failures,locked,\
                    operation_median_ns,operation_p99_ns,operation_longest_ns,database,taken";

/// Writes these rows in place of all earlier rows of their cases, and returns all that the file then has, in the order of
/// the cases. Cases that there are no more are left out.
pub(crate) fn update(rows: &[Row], cases: &[&str]) -> Vec<Row> {
    let mut all = read();
    all.retain(|row| cases.contains(&&*row.case) && rows.iter().all(|new| new.case != row.case));
    all.extend_from_slice(rows);
    all.sort_by_key(|row| cases.iter().position(|case| *case == row.case));
    let mut csv = format!("{HEAD}\n");
    for row in &all {
        let Row { case, subject, median, quartiles: [first, third], turns, .. } = row;
        let Row { failures, locked, database, taken, .. } = row;
        let latency = row.latency.map_or(",,".to_owned(), |latency| {
            latency.numbers().map(|number| number.to_string()).join(",")
        });
        writeln!(
            csv,
            "{case},{subject},{median:.1},{first:.1},{third:.1},{turns},{failures},{locked},{latency},{database},{taken}"
        )
        .expect("a string takes all");
    }
    std::fs::write(file(), csv).expect("a file in target");
    all
}

pub(crate) fn file() -> PathBuf {
    super::folder().join("peers.csv")
}

/// What an earlier run has written; nothing, if that was an earlier version with other columns.
fn read() -> Vec<Row> {
    let text = std::fs::read_to_string(file()).unwrap_or_default();
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return Vec::new();
    }
    let parse =
        |line| parse(line).unwrap_or_else(|| panic!("{}: no result: {line}", file().display()));
    lines.map(parse).collect()
}

fn parse(line: &str) -> Option<Row> {
    let mut cells = line.split(',');
    let mut next = || cells.next();
    Some(Row {
        case: next()?.to_owned(),
        subject: next()?.to_owned(),
        median: next()?.parse().ok()?,
        quartiles: [next()?.parse().ok()?, next()?.parse().ok()?],
        turns: next()?.parse().ok()?,
        failures: next()?.parse().ok()?,
        locked: next()?.parse().ok()?,
        latency: Quantiles::parse(&[next()?, next()?, next()?].join(","), ','),
        database: next()?.to_owned(),
        taken: next()?.to_owned(),
    })
}
