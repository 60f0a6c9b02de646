//! What is compared: cases, their subjects, and the work of one task.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;

use crate::latency::Latencies;
use crate::places::Place;

/// Subjects that do the same thing.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The number of tasks that work at the same time.
    pub(crate) tasks: u32,
    pub(crate) place: Place,
    pub(crate) turns: Turns,
    /// Whether the time that each operation took is kept too.
    pub(crate) keeps_latencies: bool,
    /// Whether the subjects share one process, because they compare ways to use one registry. All others have one each.
    pub(crate) is_shared: bool,
    pub(crate) subjects: Vec<Subject>,
}

/// How long a subject's turn is, and how many it has in two rounds.
#[derive(Clone, Copy)]
pub(crate) struct Turns {
    pub(crate) length: Duration,
    pub(crate) in_two_rounds: usize,
}

impl Turns {
    /// Short, so that other load on the machine affects every subject alike.
    const OF_ONE: Self = Self { length: Duration::from_millis(5), in_two_rounds: 8 };

    /// Long compared with the time in which the first and the last of the tasks have no others beside them.
    const OF_MANY: Self = Self { length: Duration::from_millis(20), in_two_rounds: 6 };

    const LONG: Self = Self { length: Duration::from_millis(250), in_two_rounds: 1 };
}

impl Case {
    pub(crate) fn new(
        name: &'static str,
        tasks: u32,
        place: Place,
        subjects: impl IntoIterator<Item = Subject>,
    ) -> Self {
        Self {
            name,
            tasks,
            place,
            turns: if tasks == 1 { Turns::OF_ONE } else { Turns::OF_MANY },
            keeps_latencies: false,
            is_shared: false,
            subjects: subjects.into_iter().collect(),
        }
    }

    /// For operations that may wait for each other for long: in a short turn, none would wait longer than the turn.
    pub(crate) fn with_long_turns(self) -> Self {
        Self { turns: Turns::LONG, ..self }
    }

    pub(crate) fn keeping_latencies(self) -> Self {
        Self { keeps_latencies: true, ..self }
    }
}

/// One of the compared subjects.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    open: Box<dyn Fn(String) -> BoxFuture<'static, Opened>>,
}

/// A subject in its process, with its pools.
pub(crate) struct Opened {
    spawn: Box<Spawn>,
}

/// Begins so many tasks of a turn.
type Spawn = dyn Fn(u32, &Arc<Turn>) -> Vec<JoinHandle<Tally>> + Send;

/// The work of one task, which is repeated.
pub(crate) trait Worker: Clone + Send + 'static {
    /// How many operations one call of `work` does.
    const OPERATIONS: u64 = 1;

    /// The most tasks that it can have.
    const TASKS: u32 = u32::MAX;

    /// `number` differs in each call of a turn.
    fn work(&mut self, number: u64) -> impl Future<Output = Outcome> + Send;
}

/// Peers have errors of many types, and what they say is counted.
pub(crate) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// `subject!("name", Finds, |place| ..)`: a subject with the worker `Finds` over what the expression opens at its place.
macro_rules! subject {
    ($name:literal, $worker:ident, |$place:ident| $open:expr) => {
        $crate::case::Subject::new($name, |$place: String| async move { $worker($open) })
    };
}
pub(crate) use subject;

impl Subject {
    /// `open` opens pools at a place (a URL, a path), and returns the worker that each task gets a clone of.
    pub(crate) fn new<W: Worker, F>(
        name: &'static str,
        open: impl Fn(String) -> F + Clone + 'static,
    ) -> Self
    where
        F: Future<Output = W> + Send + 'static,
    {
        let open = move |place| -> BoxFuture<'static, Opened> {
            let opening = open(place);
            Box::pin(async move { Opened::of(opening.await) })
        };
        Self { name, open: Box::new(open) }
    }

    pub(crate) async fn open(&self, place: &str) -> Opened {
        (self.open)(place.to_owned()).await
    }
}

/// A time in which the tasks of a subject work.
pub(crate) struct Turn {
    has_ended: AtomicBool,
    keeps_latencies: bool,
}

/// What tasks have done in a turn.
#[derive(Default)]
pub(crate) struct Tally {
    /// Those that ended within the turn. At its end some still wait, with fewer and fewer others beside them.
    pub(crate) operations: u64,
    pub(crate) failures: u64,
    /// The failures that were SQLite's "database is locked".
    pub(crate) locked: u64,
    pub(crate) latencies: Latencies,
}

impl Opened {
    fn of<W: Worker>(worker: W) -> Self {
        let spawn = move |tasks: u32, turn: &Arc<Turn>| {
            let tasks = 0..tasks.min(W::TASKS);
            let spawn =
                |task| tokio::spawn(work(worker.clone(), u64::from(task), Arc::clone(turn)));
            tasks.map(spawn).collect()
        };
        Self { spawn: Box::new(spawn) }
    }

    /// Lets the tasks work for `length`, and waits until the last of them has ended. Returns what they have done, and how
    /// long the turn was.
    pub(crate) fn turn(
        &self,
        runtime: &tokio::runtime::Handle,
        case: &Case,
        length: Duration,
    ) -> (Tally, Duration) {
        let keeps_latencies = case.keeps_latencies;
        let turn = Arc::new(Turn { has_ended: AtomicBool::new(false), keeps_latencies });
        // Tasks are spawned in the runtime, and run on its threads alone.
        let _entered = runtime.enter();
        let started = Instant::now();
        let tasks = (self.spawn)(case.tasks, &turn);
        // Measured on this thread, as the timer of the runtime is late if no task ever waits.
        std::thread::sleep(length);
        turn.has_ended.store(true, Ordering::Relaxed);
        let elapsed = started.elapsed();
        let mut tally = Tally::default();
        let tallies = runtime.block_on(futures_util::future::join_all(tasks));
        for task in tallies {
            let task = task.expect("no worker panics");
            tally.operations += task.operations;
            tally.failures += task.failures;
            tally.locked += task.locked;
            tally.latencies.extend(task.latencies);
        }
        (tally, elapsed)
    }
}

/// Works until the turn has ended.
async fn work<W: Worker>(mut worker: W, task: u64, turn: Arc<Turn>) -> Tally {
    let mut tally = Tally::default();
    let mut calls = 0_u64;
    let mut has_ended = turn.has_ended.load(Ordering::Relaxed);
    while !has_ended {
        let started = turn.keeps_latencies.then(Instant::now);
        let outcome = worker.work(calls.wrapping_add(task << 32)).await;
        has_ended = turn.has_ended.load(Ordering::Relaxed);
        match outcome {
            Ok(()) if has_ended => {}
            Ok(()) => tally.operations += W::OPERATIONS,
            Err(error) => {
                tally.failures += 1;
                tally.locked += u64::from(is_locked(&*error));
                // Something that fails at once would otherwise never let another task run.
                tokio::task::yield_now().await;
            }
        }
        if let Some(started) = started {
            tally.latencies.add(started.elapsed());
        }
        calls += 1;
        // Work that never waits would otherwise keep the worker thread from all other tasks.
        if calls.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    tally
}

fn is_locked(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| Error::source(*error))
        .any(|error| error.to_string().contains("database is locked"))
}
