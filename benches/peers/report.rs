//! The printed table, the CSV file, and the limits that the results must keep.

use std::fmt::Write as _;
use std::path::Path;

use crate::measure::Results;

/// A limit that a case must keep.
enum Bar {
    /// The most nanoseconds of a subject.
    Within(&'static str, f64),
    /// The most that our time may be, as a multiple of a peer's.
    Over(&'static str, f64),
    /// The most nanoseconds that we may take more than a peer.
    More(&'static str, f64),
    /// The least that our throughput must be, as a multiple of a peer's.
    Speed(&'static str, f64),
}

const BARS: [(&str, Bar); 19] = [
    ("acquire-1", Bar::Over("bb8-bare", 1.4)),
    ("acquire-64", Bar::Over("bb8-bare", 1.4)),
    ("row-1", Bar::Over("held", 1.05)),
    ("row-1", Bar::Speed("bb8-default", 1.5)),
    ("row-1", Bar::Speed("deadpool-default", 1.5)),
    ("row-64", Bar::Speed("bb8-tuned", 0.97)),
    ("row-64", Bar::Speed("bb8-default", 1.6)),
    ("row-64", Bar::Speed("deadpool-default", 1.6)),
    ("row-64", Bar::Speed("sqlx-default", 1.6)),
    ("routed-1", Bar::Over("ours-session", 1.05)),
    ("routed-64", Bar::Over("ours-session", 1.05)),
    ("pooled-1", Bar::Over("session-mode", 1.15)),
    ("pooled-1", Bar::Over("session-unnamed", 1.15)),
    ("route", Bar::Within("ours-1-bind", 20.0)),
    ("route", Bar::Within("ours-10-binds", 20.0)),
    ("route", Bar::Within("ours-1000-binds", 20.0)),
    ("tenant-10", Bar::More("named", 150.0)),
    ("tenant-1000", Bar::More("named", 150.0)),
    ("tenant-10000", Bar::More("named", 150.0)),
];

impl Results {
    fn median(&self, subject: &str) -> Option<f64> {
        let (_, rounds) = self.subjects.iter().find(|(name, _)| *name == subject)?;
        Some(median(rounds))
    }
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which the given share of the values lies.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() - 1) as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// Whether the middle half of the rounds is spread so widely that the median says little.
fn is_unsteady(rounds: &[f64]) -> bool {
    quantile(rounds, 0.75) - quantile(rounds, 0.25) > 0.25 * median(rounds)
}

/// Prints every median, the spread of its rounds and its ratio to ours, and then the limits.
pub(crate) fn print(results: &[Results]) {
    println!(
        "{:<14}{:<18}{:>12}{:>12}{:>12}{:>8}",
        "case", "subject", "median ns", "1st quarter", "3rd quarter", "x ours"
    );
    for result in results {
        let ours = result.median("ours");
        for (subject, rounds) in &result.subjects {
            let median = median(rounds);
            let (first, third) = (quantile(rounds, 0.25), quantile(rounds, 0.75));
            let relative = ours.map_or(String::new(), |ours| format!("{:.2}", median / ours));
            println!(
                "{:<14}{subject:<18}{median:>12.1}{first:>12.1}{third:>12.1}{relative:>8}",
                result.case
            );
        }
    }
    println!();
    for (case, bar) in &BARS {
        if let Some(result) = results.iter().find(|result| result.case == *case)
            && let Some(line) = judge(result, bar)
        {
            println!("{case:<12}{line}");
        }
    }
    let is_unsteady = |result: &&Results| result.subjects.iter().any(|(_, ns)| is_unsteady(ns));
    for result in results.iter().filter(is_unsteady) {
        println!(
            "{:<12}unsteady: the machine has other work, and the ratios say little",
            result.case
        );
    }
}

fn judge(result: &Results, bar: &Bar) -> Option<String> {
    let word = |is_met: bool| if is_met { "met" } else { "missed" };
    Some(match *bar {
        Bar::Within(subject, limit) => {
            let ns = result.median(subject)?;
            format!("{subject} takes {ns:.1} ns, at most {limit} asked: {}", word(ns <= limit))
        }
        Bar::Over(peer, limit) => {
            let ratio = result.median("ours")? / result.median(peer)?;
            let word = word(ratio <= limit);
            format!("ours takes {ratio:.3} times as long as {peer}, at most {limit} asked: {word}")
        }
        Bar::More(peer, limit) => {
            let more = result.median("ours")? - result.median(peer)?;
            let word = word(more <= limit);
            format!("ours takes {more:.1} ns more than {peer}, at most {limit} asked: {word}")
        }
        Bar::Speed(peer, limit) => {
            let ratio = result.median(peer)? / result.median("ours")?;
            let word = word(ratio >= limit);
            format!("ours is {ratio:.3} times as fast as {peer}, at least {limit} asked: {word}")
        }
    })
}

/// Writes every median to `target/benchmarks/peers.csv`.
pub(crate) fn write(results: &[Results]) {
    let mut csv = String::from("case,subject,median_ns,rounds\n");
    for result in results {
        for (subject, rounds) in &result.subjects {
            let (case, median, rounds) = (result.case, median(rounds), rounds.len());
            writeln!(csv, "{case},{subject},{median:.1},{rounds}").expect("a string takes all");
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/benchmarks");
    std::fs::create_dir_all(&folder).expect("a folder in target");
    let file = folder.join("peers.csv");
    std::fs::write(&file, csv).expect("a file in target");
    println!("\nwritten to {}", file.canonicalize().unwrap_or(file).display());
}
