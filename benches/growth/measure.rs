//! Measures a part: every subject has its turn in each round.

#[path = "../peers/report/statistics.rs"]
mod statistics;

use statistics::quantile;

use crate::children::SubjectProcess;
use crate::databases::Databases;
use crate::machine::today;
use crate::plan::{Operation, Part, TASKS, Turns};
use crate::records::Record;
use crate::subjects;

/// More than this share of a processor, taken by a subject that has no turn, is reported.
const IDLE_SHARE: f64 = 0.02;

/// The results of a part, and what is to be said of them.
pub(crate) fn part(part: Part, databases: &Databases, turns: Turns) -> (Vec<Record>, Vec<String>) {
    let (mut records, mut remarks) = (Vec::new(), Vec::new());
    let taken = today();
    let mut record = |subject: &str, measure: &str, tasks, value| {
        let (subject, measure) = (subject.to_owned(), measure.to_owned());
        records.push(Record { part, subject, measure, tasks, value, taken: taken.clone() });
    };
    let mut children = start(part, databases, &mut record);
    for tasks in TASKS {
        for operation in Operation::ALL {
            let length = turns.length(operation).as_micros();
            let line = format!("turn {} {tasks} {length}", operation.word());
            let can = |child: &&mut SubjectProcess| {
                operation == Operation::Read || subjects::has_pools(child.name)
            };
            let mut children: Vec<_> = children.iter_mut().filter(can).collect();
            let mut measured = vec![Vec::new(); children.len()];
            // The first round only warms up.
            for round in 0..=turns.rounds {
                for at in order(round, children.len()) {
                    let nanoseconds = children[at].turn(&line);
                    if round > 0 {
                        measured[at].push(nanoseconds);
                    }
                }
            }
            for (child, rounds) in children.iter().zip(&measured) {
                record(child.name, operation.measure(), tasks, quantile(rounds, 0.5));
            }
            let unsteady = measured.iter().filter(|rounds| is_unsteady(rounds)).count();
            if unsteady * 2 > children.len() {
                let word = operation.word();
                remarks.push(format!(
                    "{part}: {word}, {tasks} tasks: unsteady, the machine has other work"
                ));
            }
        }
    }
    for child in &mut children {
        let [resident_kib, _] = child.call("size");
        record(child.name, "loaded_kib", 0, resident_kib as f64);
        let share = child.idle_share();
        record(child.name, "idle_share", 0, share);
        if share > IDLE_SHARE {
            let percent = share * 100.0;
            remarks.push(format!(
                "{part}: {} takes {percent:.0} % of a processor while idle",
                child.name
            ));
        }
    }
    (records, remarks)
}

/// The subjects with all their connections, and their sizes.
fn start(
    part: Part,
    databases: &Databases,
    record: &mut impl FnMut(&str, &str, u32, f64),
) -> Vec<SubjectProcess> {
    let names = subjects::names(part.backend).iter();
    let mut children: Vec<_> =
        names.map(|name| SubjectProcess::start(part.backend, name)).collect();
    for child in &mut children {
        let urls = databases.urls(part, child.name);
        let [before, built, _] = child.call(&format!("build {} {}", urls.binds, urls.template));
        record(child.name, "start_kib", 0, before as f64);
        record(child.name, "built_kib", 0, built as f64);
    }
    for child in &mut children {
        let [open, threads] = child.call("open");
        record(child.name, "open_kib", 0, open as f64);
        record(child.name, "threads", 0, threads as f64);
        record(child.name, "connections", 0, databases.connections(part, child) as f64);
        child.rest();
    }
    children
}

/// The order of the subjects in a round. Each round begins with another subject and has other neighbours.
fn order(round: usize, subjects: usize) -> impl Iterator<Item = usize> {
    // Steps that visit all subjects before they return to the first.
    let steps: Vec<_> = (1..=subjects).filter(|step| gcd(*step, subjects) == 1).collect();
    let step = steps[round % steps.len()];
    (0..subjects).map(move |place| (round + place * step) % subjects)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Whether the middle half of the rounds is spread so widely that the median says little.
fn is_unsteady(rounds: &[f64]) -> bool {
    quantile(rounds, 0.75) - quantile(rounds, 0.25) > 0.25 * quantile(rounds, 0.5)
}
