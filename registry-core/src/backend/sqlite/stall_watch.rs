//! The stall watch looks at run queues whose jobs wait, and gives a queue another thread if its runner is occupied.
//!
//! It is needed for a job that is behind a long one if no other job arrives: a job that arrives looks for itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::run_queue::RunQueue;
use super::workers;

/// The time between two looks. With the time after which a job is long, the longest time that a short job waits for each long
/// one.
const PERIOD: Duration = Duration::from_micros(500);

static WATCHED: Mutex<Watched> = Mutex::new(Watched { queues: Vec::new(), is_running: false });

struct Watched {
    queues: Vec<Arc<RunQueue>>,
    /// Whether a thread watches.
    is_running: bool,
}

/// Watches a queue until no job is waiting in it.
pub(super) fn add(queue: Arc<RunQueue>) {
    let mut watched = lock();
    watched.queues.push(queue);
    if !std::mem::replace(&mut watched.is_running, true) {
        drop(watched);
        // Does not fail, because a thread exists as long as a connection is open.
        let _ = workers::start(Box::new(watch));
    }
}

fn watch() {
    loop {
        thread::sleep(PERIOD);
        let mut queues = std::mem::take(&mut lock().queues);
        queues.retain(|queue| queue.relieve_occupied_runner());
        let mut watched = lock();
        watched.queues.append(&mut queues);
        if watched.queues.is_empty() {
            watched.is_running = false;
            return;
        }
        drop(watched);
        if workers::has_waiting_duty() {
            // No thread could be started, so the queues may be waiting for this one. The watch goes on after that duty.
            let _ = workers::start(Box::new(watch));
            return;
        }
    }
}

fn lock() -> MutexGuard<'static, Watched> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}
