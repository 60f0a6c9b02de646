//! Rounds of short turns, one subject after the other.

use crate::case::Case;
use crate::latency::Quantiles;
use crate::places::Places;
use crate::process::Process;

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

/// Measures a case, or those of its subjects that are `wanted`.
pub(crate) fn measure(
    case: &Case,
    wanted: impl Fn(&str) -> bool,
    rounds: usize,
    places: &mut Places,
) -> Results {
    let names: Vec<_> =
        case.subjects.iter().map(|subject| subject.name).filter(|name| wanted(name)).collect();
    // Each subject with its process and its number there.
    let mut processes = Vec::new();
    let mut homes = Vec::new();
    if case.is_shared {
        processes.push(Process::of_subjects(case.name, &names, &places.open(case.place)));
        homes.extend((0..names.len()).map(|subject| (0, subject)));
    } else {
        for (process, name) in names.iter().enumerate() {
            processes.push(Process::of_subjects(case.name, &[name], &places.open(case.place)));
            homes.push((process, 0));
        }
    }
    places.check(case.place);
    let mut subjects: Vec<_> = names
        .iter()
        .map(|name| Measured { name, turns: Vec::new(), failures: 0, locked: 0, latency: None })
        .collect();
    for round in 0..rounds * case.turns.per_round {
        for at in order(round, subjects.len()) {
            let (process, subject) = homes[at];
            let turned = processes[process].turn(subject, case.turns.length);
            let measured = &mut subjects[at];
            measured.turns.push(turned.elapsed.as_nanos() as f64 / turned.operations as f64);
            measured.failures += turned.failures;
            measured.locked += turned.locked;
        }
    }
    if case.keeps_latencies {
        for (measured, (process, subject)) in subjects.iter_mut().zip(homes) {
            measured.latency = processes[process].latency(subject);
        }
    }
    Results { case: case.name, subjects }
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
