//! The run queue of a database file: the connections that have a job, and the thread that runs the next one.
//!
//! SQLite's connections to one file share locks in the process, so two threads do not read the file faster than one:
//! they wait for each other, and waiting and waking cost more than a point read takes. So short jobs are run one after
//! another by one thread, the *runner*. It goes on as long as there are jobs, and hands answers over a few at a time, because
//! an answer wakes a thread of the program's runtime.
//!
//! No short job waits for the end of a long one, and neither does its answer: answers are handed over before a job that may
//! block, because the process may have no other thread. Another thread becomes the runner
//!
//! - when a job arrives, and the runner's job may block or has run for [`LONG`];
//! - when the runner begins a job that may block, and other jobs are waiting;
//! - at the next look of the [`stall watch`](super::stall_watch), if the runner's job turned out to be long after the
//!   last job had arrived.
//!
//! A thread that is no longer the runner ends its job and becomes idle. The next runner may find another long job, so each
//! long job that is ahead in the queue delays a short one by about [`LONG`].

use std::collections::VecDeque;
use std::hint;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::mailbox::{Job, Mailbox};
use super::{stall_watch, workers};

/// A job that has run for this time is long. A point read takes about a hundredth of it, and a thread that the operating
/// system has paused for another one mostly runs again within it.
const LONG: Duration = Duration::from_micros(500);

/// How many answers are handed over at once.
const ANSWERS: usize = 4;

/// How long the runner waits for the next job before it becomes idle, if the last job came within this time as well. Waking
/// an idle thread takes about as long.
const SPIN: Duration = Duration::from_micros(30);

/// The run queue of one file.
#[derive(Default)]
pub(super) struct RunQueue {
    state: Mutex<State>,
    /// Whether a job has arrived since the runner began to spin.
    has_arrived: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The connections whose next job waits, first come, first served.
    ready: VecDeque<Ready>,
    /// Jobs that were run, and whose answers were not handed over yet.
    done: Vec<Box<dyn Job>>,
    /// The thread that takes the next job. `None` if no job is waiting.
    runner: Option<Runner>,
    /// The number of the last runner.
    last_runner: u64,
    /// When the last job had ended, and no other one was waiting.
    idle_since: Option<Instant>,
    /// Whether the last job came within [`SPIN`] after the one before it had ended.
    comes_soon: bool,
    /// Whether the stall watch looks at this queue.
    is_watched: bool,
}

impl State {
    fn has_runner(&self, number: u64) -> bool {
        self.runner.as_ref().is_some_and(|runner| runner.number == number)
    }
}

/// A connection whose next job waits.
struct Ready {
    mailbox: Arc<Mailbox>,
    may_block: bool,
}

struct Runner {
    number: u64,
    activity: Activity,
}

enum Activity {
    /// It looks for the next job.
    Spins,
    /// It runs a job.
    Runs { since: Instant, may_block: bool },
}

impl Runner {
    /// Whether its job takes long, or may do so, so that another thread has to run the next one.
    fn is_occupied(&self) -> bool {
        match self.activity {
            Activity::Spins => false,
            Activity::Runs { since, may_block } => may_block || since.elapsed() >= LONG,
        }
    }
}

impl RunQueue {
    /// Queues a connection with a job.
    pub(super) fn push(self: &Arc<Self>, mailbox: Arc<Mailbox>, may_block: bool) {
        let mut state = self.lock();
        state.ready.push_back(Ready { mailbox, may_block });
        if state.runner.is_none() {
            let idle_for = state.idle_since.map(|since| since.elapsed());
            state.comes_soon = idle_for.is_some_and(|idle_for| idle_for < SPIN);
        }
        self.see_to_runner(state);
    }

    /// Sees to it that a thread takes the jobs that wait.
    fn see_to_runner(self: &Arc<Self>, state: MutexGuard<'_, State>) {
        match &state.runner {
            Some(Runner { activity: Activity::Spins, .. }) => {
                self.has_arrived.store(true, Ordering::Relaxed);
            }
            Some(runner) if !runner.is_occupied() => self.watch(state),
            _ => self.replace_runner(state),
        }
    }

    /// Makes another thread the runner if the runner is occupied. False if nothing waits for the runner: then the queue need
    /// not be watched any more.
    pub(super) fn relieve_occupied_runner(self: &Arc<Self>) -> bool {
        let mut state = self.lock();
        if state.ready.is_empty() && state.done.is_empty() {
            state.is_watched = false;
            return false;
        }
        if state.runner.as_ref().is_none_or(Runner::is_occupied) {
            self.replace_runner(state);
        }
        true
    }

    /// Lets the stall watch look at this queue.
    fn watch(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let was_watched = std::mem::replace(&mut state.is_watched, true);
        drop(state);
        if !was_watched {
            stall_watch::add(Arc::clone(self));
        }
    }

    /// Makes another thread the runner.
    fn replace_runner(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.last_runner += 1;
        let number = state.last_runner;
        state.runner = Some(Runner { number, activity: Activity::Spins });
        drop(state);
        let queue = Arc::clone(self);
        // Does not fail, because a thread exists as long as a connection is open.
        let _ = workers::start(Box::new(move || queue.run_jobs(number)));
    }

    /// Runs jobs for as long as there are any, and the current thread is the runner.
    fn run_jobs(self: &Arc<Self>, number: u64) {
        let mut state = self.lock();
        // Answers that are behind the job of the last runner.
        state = self.hand_over(state);
        let mut has_spun = false;
        loop {
            if state.done.len() >= ANSWERS
                || state.ready.front().is_none_or(|ready| ready.may_block)
            {
                state = self.hand_over(state);
            }
            if !state.has_runner(number) {
                drop(self.hand_over(state));
                return;
            }
            let Some(Ready { mailbox, may_block }) = state.ready.pop_front() else {
                if !has_spun {
                    state.idle_since = Some(Instant::now());
                }
                if !has_spun && state.comes_soon {
                    has_spun = true;
                    state = self.spin(state, number);
                    continue;
                }
                state.runner = None;
                return;
            };
            has_spun = false;
            let activity = Activity::Runs { since: Instant::now(), may_block };
            state.runner = Some(Runner { number, activity });
            let has_followers = !state.ready.is_empty() || !state.done.is_empty();
            match has_followers {
                true if may_block => self.replace_runner(state),
                true => self.watch(state),
                false => drop(state),
            }
            let ran = mailbox.run_next();
            state = self.lock();
            state.done.extend(ran.done);
            state.ready.extend(ran.next.map(|may_block| Ready { mailbox, may_block }));
            if !state.has_runner(number) && !state.ready.is_empty() {
                // The runner that has replaced this thread may be idle, or occupied by a job that waits for this connection.
                self.see_to_runner(state);
                state = self.lock();
            }
        }
    }

    /// Hands the answers over that were kept back.
    fn hand_over<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.done.is_empty() {
            return state;
        }
        let done = std::mem::take(&mut state.done);
        drop(state);
        // Dropping a job sends its answer.
        drop(done);
        self.lock()
    }

    /// Waits for the next job for up to [`SPIN`].
    fn spin<'a>(&'a self, mut state: MutexGuard<'a, State>, number: u64) -> MutexGuard<'a, State> {
        state.runner = Some(Runner { number, activity: Activity::Spins });
        self.has_arrived.store(false, Ordering::Relaxed);
        drop(state);
        let since = Instant::now();
        while !self.has_arrived.load(Ordering::Relaxed) && since.elapsed() < SPIN {
            for _ in 0..16 {
                hint::spin_loop();
            }
            thread::yield_now();
        }
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
