//! A subject's own process: it opens its pools, and then has a turn whenever it is told so.
//!
//! In one process, the pools would share the threads of a runtime, and the assignment of sockets to threads would decide
//! which of them is fast. Between two turns the process waits for its standard input, and its runtime has nothing to do.
//!
//! | a line of its input | its answer |
//! |---|---|
//! | the place of its database, once | `ready` |
//! | `turn`, the number of a subject, microseconds | operations, nanoseconds, failures, those that were "database is locked" |
//! | `latency`, the number of a subject | the median, the 99th percentile and the longest time of all turns so far, in nanoseconds, or `none` |
//!
//! It ends with the end of its input.

use std::io::Write;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::case::{Case, Opened};
use crate::latency::Latencies;

/// How long each subject runs before the first round, in which it opens its connections, prepares its statements and
/// fills the caches.
const WARM_UP: Duration = Duration::from_millis(200);

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Serves the subjects of `case` with these names until the input ends.
pub(crate) fn serve(case: &Case, names: &[String]) {
    let runtime = runtime();
    let mut lines = std::io::stdin().lines().map(|line| line.expect("text"));
    let Some(place) = lines.next() else { return };
    let mut subjects = Vec::new();
    for name in names {
        let subject = open(&runtime, case, name, &place);
        subject.turn(runtime.handle(), case, WARM_UP);
        subjects.push((subject, Latencies::default()));
    }
    answer("ready");
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        let subject = number(1).and_then(|at| subjects.get_mut(usize::try_from(at).ok()?));
        match (words.first(), subject, number(2)) {
            (Some(&"turn"), Some((subject, latencies)), Some(micros)) => {
                let length = Duration::from_micros(micros);
                let (tally, elapsed) = subject.turn(runtime.handle(), case, length);
                latencies.extend(tally.latencies);
                let (operations, failures) = (tally.operations, tally.failures);
                let (nanos, locked) = (elapsed.as_nanos(), tally.locked);
                answer(&format!("{operations} {nanos} {failures} {locked}"));
            }
            (Some(&"latency"), Some((_, latencies)), None) => match latencies.quantiles() {
                Some(quantiles) => {
                    let [median, p99, longest] = quantiles.numbers();
                    answer(&format!("{median} {p99} {longest}"));
                }
                None => answer("none"),
            },
            _ => panic!("no request: {line}"),
        }
    }
    // Not dropped: the process ends, and its connections with it.
    std::process::exit(0);
}

/// Runs one subject in the foreground, for a profiler.
pub(crate) fn profile(case: &Case, name: &str, place: &str, length: Duration) {
    let runtime = runtime();
    let subject = open(&runtime, case, name, place);
    let (mut tally, elapsed) = subject.turn(runtime.handle(), case, length);
    let each = elapsed.as_nanos() as f64 / tally.operations as f64;
    println!("{} {name}: {each:.0} ns for each of {} operations", case.name, tally.operations);
    if tally.failures > 0 {
        println!("{} failures, {} of them \"database is locked\"", tally.failures, tally.locked);
    }
    if let Some(quantiles) = tally.latencies.quantiles() {
        let [median, p99, longest] = quantiles.numbers();
        println!("median {median} ns, 99th percentile {p99} ns, longest {longest} ns");
    }
}

fn open(runtime: &Runtime, case: &Case, name: &str, place: &str) -> Opened {
    let subject = case.subjects.iter().find(|subject| subject.name == name);
    let subject = subject.unwrap_or_else(|| panic!("{} has no subject {name}", case.name));
    runtime.block_on(subject.open(place))
}

fn answer(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).expect("the parent reads it");
}
