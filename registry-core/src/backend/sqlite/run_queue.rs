//! The run queue of a database file: the connections that have a job, and the thread that runs the next one.
//!
//! SQLite's connections to one file share locks in the process, so two threads do not read the file faster than one:
//! they wait for each other, and waiting and waking cost more than a point read takes. So short jobs are run one after
//! another by one thread, the *runner*. The runner does not sleep as long as there are jobs.
//!
//! No short job waits for a long one. Another thread becomes the runner
//!
//! - when a job arrives, and the runner's job may block or has run for [`LONG`];
//! - when the runner begins a job that may block, and other jobs are waiting;
//! - at the next look of the [`stall watch`](super::stall_watch), if the runner's job turned out to be long after the
//!   last job had arrived.
//!
//! A thread that is no longer the runner ends its job and becomes idle.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::mailbox::Mailbox;
use super::{stall_watch, workers};

/// A job that has run for this time is long. Waking another thread takes about a tenth of it.
const LONG: Duration = Duration::from_micros(50);

/// The run queue of one file.
#[derive(Default)]
pub(super) struct RunQueue {
    state: Mutex<State>,
    /// The length of `ready`, for the spinning runner.
    len: std::sync::atomic::AtomicUsize,
}

#[derive(Default)]
struct State {
    /// The connections whose next job waits, first come, first served.
    ready: VecDeque<Ready>,
    /// The thread that takes the next job. `None` if no job is waiting.
    runner: Option<Runner>,
    /// The number of the last runner.
    last_runner: u64,
    /// Whether the stall watch looks at this queue.
    is_watched: bool,
}

struct Ready {
    mailbox: Arc<Mailbox>,
    may_block: bool,
}

struct Runner {
    number: u64,
    /// When its job began.
    since: Instant,
    /// Whether its job may block.
    may_block: bool,
    spins: bool,
}

impl Runner {
    /// Whether its job may take long, so that another thread has to run the next one.
    fn is_occupied(&self) -> bool {
        !self.spins && (self.may_block || self.since.elapsed() >= LONG)
    }
}

impl RunQueue {
    /// Queues a connection with a job.
    pub(super) fn push(self: &Arc<Self>, mailbox: Arc<Mailbox>, may_block: bool) {
        let mut state = self.lock();
        state.ready.push_back(Ready { mailbox, may_block });
        self.len.store(state.ready.len(), std::sync::atomic::Ordering::Relaxed);
        match &state.runner {
            Some(runner) if runner.spins => {}
            Some(runner) if !runner.is_occupied() => {
                let was_watched = std::mem::replace(&mut state.is_watched, true);
                drop(state);
                if !was_watched {
                    stall_watch::add(Arc::clone(self));
                }
            }
            _ => self.replace_runner(state),
        }
    }

    /// Makes another thread the runner if the runner is occupied. False if no job is waiting: then the queue need not be
    /// watched any more.
    pub(super) fn relieve_occupied_runner(self: &Arc<Self>) -> bool {
        let mut state = self.lock();
        if state.ready.is_empty() {
            state.is_watched = false;
            return false;
        }
        if state.runner.as_ref().is_none_or(Runner::is_occupied) {
            self.replace_runner(state);
        }
        true
    }

    /// Makes another thread the runner.
    fn replace_runner(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.last_runner += 1;
        let number = state.last_runner;
        state.runner = Some(Runner { number, since: Instant::now(), may_block: false, spins: false });
        drop(state);
        let queue = Arc::clone(self);
        // Does not fail, because a thread exists as long as a connection is open.
        let _ = workers::start(Box::new(move || queue.run_jobs(number)));
    }

    fn flush() {
        for f in DEFERRED.take() {
            f();
        }
    }

    /// Runs jobs for as long as there are any, and the current thread is the runner.
    fn run_jobs(self: &Arc<Self>, number: u64) {
        let mut unfinished = None;
        let mut spun = false;
        loop {
            let mut state = self.lock();
            state.ready.extend(unfinished.take());
            let is_runner = state.runner.as_ref().is_some_and(|runner| runner.number == number);
            if !is_runner || state.ready.is_empty() || DEFERRED.with_borrow(Vec::len) >= *BATCH {
                drop(state);
                Self::flush();
                state = self.lock();
            }
            let is_runner = state.runner.as_ref().is_some_and(|runner| runner.number == number);
            if !is_runner {
                // There is another one, unless it has found nothing to do before this thread has queued a connection again.
                if state.runner.is_none() && !state.ready.is_empty() {
                    self.replace_runner(state);
                }
                return;
            }
            let Some(Ready { mailbox, may_block }) = state.ready.pop_front() else {
                if spun {
                    state.runner = None;
                    return;
                }
                self.len.store(0, std::sync::atomic::Ordering::Relaxed);
                if let Some(r) = &mut state.runner {
                    r.spins = true;
                }
                drop(state);
                spun = true;
                for i in 0..*SPINS {
                    if self.len.load(std::sync::atomic::Ordering::Relaxed) != 0 {
                        break;
                    }
                    if i < 6 { for _ in 0..(1 << i) { std::hint::spin_loop(); } } else { std::thread::yield_now(); }
                }
                continue;
            };
            spun = false;
            state.runner = Some(Runner { number, since: Instant::now(), may_block, spins: false });
            if may_block && !state.ready.is_empty() {
                self.replace_runner(state);
            } else {
                drop(state);
            }
            unfinished = mailbox.run_next().map(|may_block| Ready { mailbox, may_block });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static BATCH: std::sync::LazyLock<usize> = std::sync::LazyLock::new(|| std::env::var("BATCH").map_or(4, |n| n.parse().unwrap()));
static SPINS: std::sync::LazyLock<usize> = std::sync::LazyLock::new(|| std::env::var("SPINS").map_or(10, |n| n.parse().unwrap()));
thread_local! {
    static DEFERRED: std::cell::RefCell<Vec<Box<dyn FnOnce()>>> = const { std::cell::RefCell::new(Vec::new()) };
}
pub(super) fn defer(f: Box<dyn FnOnce()>) {
    DEFERRED.with_borrow_mut(|d| d.push(f));
}
