//! The turn of a subject: tasks that repeat an operation, for a while or a number of times.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::plan::{CONNECTIONS, Operation};
use crate::schema::id_of;
use crate::subjects::Subject;

/// How many binds connect at the same time.
const CONNECTING: usize = 16;

/// A subject in its runtime.
pub(crate) struct Running<S> {
    pub(crate) runtime: Handle,
    pub(crate) subject: S,
    pub(crate) binds: usize,
}

/// The operations of a turn, and how long they took together.
pub(crate) struct Done {
    pub(crate) operations: u64,
    pub(crate) took: Duration,
}

impl<S: Subject> Running<S> {
    /// Opens all connections of every pool, and reads a row on each.
    pub(crate) fn open(&self) {
        let next = Arc::new(AtomicUsize::new(0));
        let openers: Vec<_> = (0..CONNECTING)
            .map(|_| {
                let (subject, binds) = (self.subject.clone(), self.binds);
                let next = Arc::clone(&next);
                self.runtime.spawn(async move {
                    loop {
                        let bind = next.fetch_add(1, Ordering::Relaxed);
                        if bind >= binds {
                            break;
                        }
                        let mut held = Vec::new();
                        for _ in 0..CONNECTIONS {
                            held.push(subject.hold(bind).await);
                        }
                        drop(held);
                        let reads = (0..CONNECTIONS).map(|_| subject.read(bind, 1));
                        futures_util::future::join_all(reads).await;
                    }
                })
            })
            .collect();
        self.runtime.block_on(async {
            for opener in openers {
                opener.await.expect("every database can be opened");
            }
        });
    }

    /// A pass over all binds that is not measured, so that checks of connections which were idle during the turns of the
    /// others are not; then `tasks` tasks for this long.
    pub(crate) fn turn(&self, operation: Operation, tasks: usize, length: Duration) -> Done {
        let never = Arc::new(AtomicBool::new(false));
        self.run(operation, tasks.min(self.binds), Some(self.binds), &never, || ());
        let stop = Arc::new(AtomicBool::new(false));
        self.run(operation, tasks, None, &stop, || {
            // Measured on this thread, as the timer of the runtime is late if no task ever waits.
            std::thread::sleep(length);
            stop.store(true, Ordering::Relaxed);
        })
    }

    /// Runs the tasks until they are told to stop, or have done `limit` operations together. `meanwhile` runs on this
    /// thread.
    fn run(
        &self,
        operation: Operation,
        tasks: usize,
        limit: Option<usize>,
        stop: &Arc<AtomicBool>,
        meanwhile: impl FnOnce(),
    ) -> Done {
        let started = Instant::now();
        let tasks: Vec<_> = (0..tasks)
            .map(|task| {
                let each = limit.map(|limit| (limit - task).div_ceil(tasks) as u64);
                let stride = if limit.is_some() { tasks } else { 1 };
                let first = if limit.is_some() { task } else { task * self.binds / tasks };
                let binds = (first..).step_by(stride).map({
                    let binds = self.binds;
                    move |number| number % binds
                });
                let (subject, stop) = (self.subject.clone(), Arc::clone(stop));
                self.runtime.spawn(repeat(subject, operation, task as u64, binds, each, stop))
            })
            .collect();
        meanwhile();
        let operations = self.runtime.block_on(async {
            let mut operations = 0;
            for task in tasks {
                operations += task.await.expect("no operation fails");
            }
            operations
        });
        Done { operations, took: started.elapsed() }
    }
}

/// Repeats the operation on one bind after the other, and returns how often.
async fn repeat<S: Subject>(
    subject: S,
    operation: Operation,
    task: u64,
    binds: impl Iterator<Item = usize> + Send,
    limit: Option<u64>,
    stop: Arc<AtomicBool>,
) -> u64 {
    let mut done = 0_u64;
    for bind in binds {
        if limit == Some(done) || stop.load(Ordering::Relaxed) {
            break;
        }
        match operation {
            Operation::Read => subject.read(bind, id_of(done.wrapping_add(task << 32))).await,
            Operation::Acquire => subject.acquire(bind).await,
        }
        done += 1;
        // Work that never waits would otherwise keep the worker thread from all other tasks.
        if done.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    done
}
