//! The printed table, the limits that the results must keep, and the files that a run writes.

mod bars;
mod csv;
mod guide;
mod machine;
mod row;
mod statistics;

use std::path::{Path, PathBuf};

pub(crate) use csv::{file, update};
pub(crate) use guide::write as write_guide;
pub(crate) use machine::today;
pub(crate) use row::Row;
use row::Rows;

/// `target/benchmarks` of the repository.
pub(crate) fn folder() -> PathBuf {
    let folder = root().join("target/benchmarks");
    std::fs::create_dir_all(&folder).expect("a folder in target");
    folder
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().expect("the folder of the sources")
}

/// Prints every median, the spread of its turns and its ratio to ours, and then the limits.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "{:<14}{:<22}{:>12}{:>12}{:>12}{:>8}",
        "case", "subject", "median ns", "1st quarter", "3rd quarter", "x ours"
    );
    for row in rows {
        let Row { case, subject, median, quartiles: [first, third], .. } = row;
        let ours = rows.median(case, "ours");
        let relative = ours.map_or(String::new(), |ours| format!("{:.2}", median / ours));
        print!("{case:<14}{subject:<22}{median:>12.1}{first:>12.1}{third:>12.1}{relative:>8}");
        if let Some(latency) = row.latency {
            let [median, p99, longest] = latency.numbers();
            print!("   p99 {p99} ns, {:.2} times the median of {median} ns", latency.ratio());
            print!(", longest {longest} ns");
        }
        if row.failures > 0 {
            print!("   {} failures, {} by \"database is locked\"", row.failures, row.locked);
        }
        println!();
    }
    println!();
    for judgement in bars::judge(rows) {
        let (case, word) = (judgement.case, judgement.word());
        println!("{case:<14}{}, {} asked: {word}", judgement.found, judgement.asked);
    }
    for case in rows.unsteady() {
        println!("{case:<14}unsteady: the machine has other work, and the ratios say little");
    }
    println!("\n{}", machine::describe(rows));
}
