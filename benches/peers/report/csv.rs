//! The results as a file.

use std::fmt::Write as _;

use super::statistics::median;
use crate::measure::Results;

/// Writes every median to `target/benchmarks/peers.csv`.
pub(crate) fn write(results: &[Results]) {
    let mut csv =
        String::from("case,subject,median_ns,turns,failures,locked,op_median_ns,op_p99_ns\n");
    for result in results {
        for subject in &result.subjects {
            let latency = subject
                .latency
                .map_or(",".to_owned(), |latency| format!("{},{}", latency.median, latency.p99));
            let (case, name, median) = (result.case, subject.name, median(&subject.turns));
            let (turns, failures, locked) = (subject.turns.len(), subject.failures, subject.locked);
            writeln!(csv, "{case},{name},{median:.1},{turns},{failures},{locked},{latency}")
                .expect("a string takes all");
        }
    }
    let file = super::folder().join("peers.csv");
    std::fs::write(&file, csv).expect("a file in target");
    println!("\nwritten to {}", file.display());
}
