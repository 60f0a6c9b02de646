//! The threads that run SQLite's statements, for all connections of the process.
//!
//! They belong to no runtime, so a connection does not either. A thread is started when there is a duty and no idle thread,
//! and ends after [`IDLE_LIMIT`] without a duty. One thread stays while a connection is open, so that a job can be run even
//! if the process may not create more threads. Until a thread is free then, a duty waits: a job may wait for another one that
//! waits for SQLite's lock, for `busy_timeout` at the most.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a thread stays idle before it ends.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// What a thread does until it is idle again.
pub(super) type Duty = Box<dyn FnOnce() + Send>;

static WORKERS: Mutex<Workers> = Mutex::new(Workers {
    idle: Vec::new(),
    waiting: VecDeque::new(),
    count: 0,
    open_connections: 0,
});

struct Workers {
    /// The idle threads. The one that became idle last is at the end, and is used first: its stack is still in the cache.
    idle: Vec<Arc<Worker>>,
    /// Duties for which no thread could be started. A thread that has ended its duty takes the first one.
    waiting: VecDeque<Duty>,
    /// The number of threads that were started and have not ended, idle or not.
    count: usize,
    /// The number of open connections.
    open_connections: usize,
}

/// A thread, from the time it is first idle.
struct Worker {
    thread: Thread,
    /// The duty that is handed to the idle thread.
    next: Mutex<Option<Duty>>,
}

impl Worker {
    /// Gives a duty to this idle thread.
    fn hand_over(&self, duty: Duty) {
        *lock(&self.next) = Some(duty);
        self.thread.unpark();
    }
}

/// Runs `duty` on an idle thread, or on a new one.
///
/// # Errors
///
/// There is no thread, and none could be started. `duty` is not run.
pub(super) fn start(duty: Duty) -> io::Result<()> {
    let idle = workers().idle.pop();
    if let Some(worker) = idle {
        worker.hand_over(duty);
        return Ok(());
    }
    // The duty is shared with the new thread, because a thread that is not started takes its closure with it.
    let handed = Arc::new(Mutex::new(Some(duty)));
    let spawned = thread::Builder::new().name("sqlite".to_owned()).spawn({
        let handed = Arc::clone(&handed);
        move || {
            let duty = lock(&handed).take();
            work(duty);
        }
    });
    let mut workers = self::workers();
    let Err(error) = spawned else {
        workers.count += 1;
        return Ok(());
    };
    if workers.count == 0 {
        return Err(error);
    }
    let Some(duty) = lock(&handed).take() else { return Ok(()) };
    // A thread may have become idle meanwhile.
    match workers.idle.pop() {
        Some(worker) => {
            drop(workers);
            worker.hand_over(duty);
        }
        None => workers.waiting.push_back(duty),
    }
    Ok(())
}

/// Whether a duty waits for a thread, because none could be started.
pub(super) fn has_waiting_duty() -> bool {
    !workers().waiting.is_empty()
}

/// Counts an open connection until it is dropped.
pub(super) struct OpenConnection(());

impl OpenConnection {
    pub(super) fn new() -> Self {
        workers().open_connections += 1;
        Self(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        workers().open_connections -= 1;
    }
}

/// The life of a thread.
fn work(mut duty: Option<Duty>) {
    let worker = Arc::new(Worker { thread: thread::current(), next: Mutex::new(None) });
    loop {
        if let Some(duty) = duty.take() {
            // The panics of jobs are caught before they reach this place.
            let _ = catch_unwind(AssertUnwindSafe(duty));
        }
        {
            let mut workers = workers();
            duty = workers.waiting.pop_front();
            if duty.is_none() {
                workers.idle.push(Arc::clone(&worker));
            }
        }
        if duty.is_none() {
            duty = wait(&worker);
            if duty.is_none() {
                return;
            }
        }
    }
}

/// Waits for a duty. `None` if there was none for [`IDLE_LIMIT`].
fn wait(worker: &Arc<Worker>) -> Option<Duty> {
    let mut idle_since = Instant::now();
    loop {
        if let Some(duty) = lock(&worker.next).take() {
            return Some(duty);
        }
        let idle_for = idle_since.elapsed();
        if idle_for < IDLE_LIMIT {
            thread::park_timeout(IDLE_LIMIT - idle_for);
            continue;
        }
        let mut workers = workers();
        if workers.count == 1 && workers.open_connections > 0 {
            idle_since = Instant::now();
            continue;
        }
        // If this thread is not among the idle ones, a duty is about to be handed to it.
        if let Some(at) = workers.idle.iter().position(|idle| Arc::ptr_eq(idle, worker)) {
            workers.idle.remove(at);
            workers.count -= 1;
            return None;
        }
        drop(workers);
        thread::yield_now();
    }
}

fn workers() -> MutexGuard<'static, Workers> {
    lock(&WORKERS)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
