//! Rounds of short turns, one subject after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

/// The length of a turn of many tasks. It is short, so that other load on the machine affects every subject alike, and
/// long compared with the time in which the last of the tasks finish.
const TURN: Duration = Duration::from_millis(20);

/// A single task has turns shorter by this factor, and more of them by the same factor.
const TURNS_OF_ONE: u32 = 4;

/// Many tasks have more turns, as the assignment of connections to threads is random and persists for a while.
const TURNS_OF_MANY: u32 = 3;

/// How long each subject runs before the first round, in which it opens its connections, prepares its statements and
/// fills the caches.
const WARM_UP: Duration = Duration::from_millis(300);

/// A row of the table: subjects that do the same thing.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) tasks: u32,
    pub(crate) subjects: Vec<Subject>,
}

/// One of the compared subjects.
pub(crate) struct Subject {
    name: &'static str,
    start: Box<dyn Fn(Arc<AtomicBool>) -> BoxFuture<'static, u64>>,
}

/// The work of one task, which is repeated.
pub(crate) trait Worker: Send + 'static {
    /// How many operations one call of `work` does.
    const OPERATIONS: u64 = 1;

    /// `number` differs in each call.
    fn work(&mut self, number: u64) -> impl Future<Output = ()> + Send;
}

impl Subject {
    /// A subject of `tasks` tasks, each with its own worker.
    pub(crate) fn new<W: Worker>(
        name: &'static str,
        tasks: u32,
        worker: impl Fn() -> W + 'static,
    ) -> Self {
        let start = move |stop: Arc<AtomicBool>| -> BoxFuture<'static, u64> {
            let tasks: Vec<_> = (0..tasks)
                .map(|task| tokio::spawn(work(worker(), u64::from(task), Arc::clone(&stop))))
                .collect();
            Box::pin(async move {
                let mut operations = 0;
                for task in tasks {
                    operations += task.await.expect("no worker panics");
                }
                operations
            })
        };
        Self { name, start: Box::new(start) }
    }
}

/// Works until it is told to stop, and returns the number of operations.
async fn work<W: Worker>(mut worker: W, task: u64, stop: Arc<AtomicBool>) -> u64 {
    let mut calls = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        worker.work(calls.wrapping_add(task << 32)).await;
        calls += 1;
        // Work that never waits would otherwise keep the worker thread from all other tasks.
        if calls.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    calls * W::OPERATIONS
}

/// The results of a case.
pub(crate) struct Results {
    pub(crate) case: &'static str,
    /// Each subject with the nanoseconds per operation of each round.
    pub(crate) subjects: Vec<(&'static str, Vec<f64>)>,
}

pub(crate) fn measure(runtime: &Handle, case: Case, rounds: usize) -> Results {
    let Case { name, tasks, subjects } = case;
    let (turns, length) = match tasks {
        1 => (TURNS_OF_ONE, TURN / TURNS_OF_ONE),
        _ => (TURNS_OF_MANY, TURN),
    };
    let rounds = rounds * turns as usize;
    for subject in &subjects {
        turn(runtime, subject, WARM_UP);
    }
    let mut measured: Vec<_> =
        subjects.iter().map(|subject| (subject.name, Vec::with_capacity(rounds))).collect();
    for round in 0..rounds {
        for at in order(round, subjects.len()) {
            measured[at].1.push(turn(runtime, &subjects[at], length));
        }
    }
    Results { case: name, subjects: measured }
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

/// The nanoseconds per operation of one turn.
fn turn(runtime: &Handle, subject: &Subject, length: Duration) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    // Tasks are spawned in the runtime, and run on its threads alone.
    let _entered = runtime.enter();
    let started = Instant::now();
    let tasks = (subject.start)(Arc::clone(&stop));
    // Measured on this thread, as the timer of the runtime is late if no task ever waits.
    std::thread::sleep(length);
    stop.store(true, Ordering::Relaxed);
    let operations = runtime.block_on(tasks);
    started.elapsed().as_nanos() as f64 / operations as f64
}
