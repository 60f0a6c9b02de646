//! The printed table, the limits that the results must keep, and the files.

mod bars;
mod csv;
mod statistics;

use std::path::{Path, PathBuf};

pub(crate) use csv::write;
use statistics::{is_unsteady, median, quantile};

use crate::measure::Results;

/// `target/benchmarks` of the repository.
pub(crate) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/benchmarks");
    std::fs::create_dir_all(&folder).expect("a folder in target");
    folder.canonicalize().expect("a folder in target")
}

/// Prints every median, the spread of its turns and its ratio to ours, and then the limits.
pub(crate) fn print(results: &[Results]) {
    println!(
        "{:<14}{:<22}{:>12}{:>12}{:>12}{:>8}",
        "case", "subject", "median ns", "1st quarter", "3rd quarter", "x ours"
    );
    for result in results {
        let ours = result.median("ours");
        for subject in &result.subjects {
            let median = median(&subject.turns);
            let [first, third] = [0.25, 0.75].map(|share| quantile(&subject.turns, share));
            let relative = ours.map_or(String::new(), |ours| format!("{:.2}", median / ours));
            let name = subject.name;
            print!("{:<14}{name:<22}{median:>12.1}{first:>12.1}", result.case);
            print!("{third:>12.1}{relative:>8}");
            if let Some(latency) = subject.latency {
                let ratio = latency.p99 as f64 / latency.median as f64;
                print!(
                    "   p99 {} ns, {ratio:.2} x the median of {} ns",
                    latency.p99, latency.median
                );
            }
            if subject.failures > 0 {
                print!("   {} failures", subject.failures);
                print!(", {} of them \"database is locked\"", subject.locked);
            }
            println!();
        }
    }
    println!();
    for judgement in bars::judge(results) {
        let word = if judgement.is_met { "met" } else { "missed" };
        println!("{:<14}{}, {} asked: {word}", judgement.case, judgement.found, judgement.asked);
    }
    let is_unsteady =
        |result: &&Results| result.subjects.iter().any(|subject| is_unsteady(&subject.turns));
    for result in results.iter().filter(is_unsteady) {
        println!(
            "{:<14}unsteady: the machine has other work, and the ratios say little",
            result.case
        );
    }
}
