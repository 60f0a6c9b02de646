//! Rounds of short turns, one subject after the other.

use crate::case::Case;
use crate::latency::Quantiles;
use crate::places::Places;
use crate::process::Process;
use crate::python::{self, Python};

/// The results of a case.
pub(crate) struct Results {
    pub(crate) case: &'static str,
    pub(crate) subjects: Vec<Measured>,
}

/// What was measured of a subject.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    /// The nanoseconds per operation of each turn.
    pub(crate) turns: Vec<f64>,
    pub(crate) failures: u64,
    pub(crate) locked: u64,
    /// Of single operations, if the case keeps them.
    pub(crate) latency: Option<Quantiles>,
}

/// The processes of a case's subjects, each with the names of those that it has.
pub(crate) type Processes = Vec<(Process, Vec<&'static str>)>;

/// Starts the processes of the subjects that are wanted.
pub(crate) fn start(
    case: &Case,
    is_wanted: impl Fn(&str) -> bool,
    python: Option<&Python>,
    places: &mut Places,
) -> Processes {
    let names = case.subjects.iter().map(|subject| subject.name);
    let names: Vec<_> = names.filter(|name| is_wanted(name)).collect();
    let groups: Vec<&[_]> = match names.len() {
        0 => Vec::new(),
        all if case.is_shared => names.chunks(all).collect(),
        _ => names.chunks(1).collect(),
    };
    let mut processes = Processes::new();
    for group in groups {
        let process = Process::of_subjects(case.name, group, &places.open(case.place));
        processes.push((process, group.to_vec()));
    }
    if let Some(python) = python.filter(|_| is_wanted(python::NAME))
        && let Some(operation) = python::operation(case.name)
    {
        let place = places.open(case.place);
        let process = python.process(operation, case.tasks, case.keeps_latencies, &place);
        processes.push((process, vec![python::NAME]));
    }
    processes
}

pub(crate) fn measure(case: &Case, mut processes: Processes, rounds: usize) -> Results {
    let mut subjects = Vec::new();
    // Of each subject, its process and its number there.
    let mut homes = Vec::new();
    for (process, (_, names)) in processes.iter().enumerate() {
        for (number, name) in names.iter().enumerate() {
            subjects.push(Measured::new(name));
            homes.push((process, number));
        }
    }
    for round in 0..(rounds * case.turns.in_two_rounds).div_ceil(2) {
        for at in order(round, subjects.len()) {
            let (process, subject) = homes[at];
            let turned = processes[process].0.turn(subject, case.turns.length);
            let measured = &mut subjects[at];
            measured.turns.push(turned.elapsed.as_nanos() as f64 / turned.operations as f64);
            measured.failures += turned.failures;
            measured.locked += turned.locked;
        }
    }
    if case.keeps_latencies {
        for (measured, (process, subject)) in subjects.iter_mut().zip(homes) {
            measured.latency = processes[process].0.latency(subject);
        }
    }
    Results { case: case.name, subjects }
}

impl Measured {
    fn new(name: &'static str) -> Self {
        Self { name, turns: Vec::new(), failures: 0, locked: 0, latency: None }
    }
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
