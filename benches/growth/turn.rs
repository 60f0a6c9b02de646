//! The turn of a subject: tasks that repeat an operation, for a while or a number of times.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::runtime::Handle;

use crate::plan::{CONNECTIONS, Operation};
use crate::schema::id_of;
use crate::subjects::Subject;

/// How many binds are visited at the same time.
const VISITORS: usize = 16;

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
        self.visit(true);
    }

    /// `tasks` tasks for this long. Before that, every connection is lent once, which is not measured: so what a pool does with
    /// connections that were idle during the turns of the others is not either.
    pub(crate) fn turn(&self, operation: Operation, tasks: usize, length: Duration) -> Done {
        self.visit(false);
        let stop = Arc::new(AtomicBool::new(false));
        self.run(operation, tasks, &stop, || {
            // Measured on this thread, as the timer of the runtime is late if no task ever waits.
            std::thread::sleep(length);
            stop.store(true, Ordering::Relaxed);
        })
    }

    /// Lends every connection once: all those of a pool at the same time, and several pools at the same time.
    fn visit(&self, and_reads: bool) {
        let next = Arc::new(AtomicUsize::new(0));
        let visitor = || {
            let (subject, binds, next) = (self.subject.clone(), self.binds, Arc::clone(&next));
            self.runtime.spawn(async move {
                loop {
                    let bind = next.fetch_add(1, Ordering::Relaxed);
                    if bind >= binds {
                        break;
                    }
                    let all = (0..CONNECTIONS).map(|_| subject.hold(bind));
                    drop(join_all(all).await);
                    if and_reads {
                        join_all((0..CONNECTIONS).map(|_| subject.read(bind, 1))).await;
                    }
                }
            })
        };
        let visitors: Vec<_> = (0..VISITORS).map(|_| visitor()).collect();
        self.runtime.block_on(async {
            for visitor in visitors {
                visitor.await.expect("every database can be opened");
            }
        });
    }

    /// Runs the tasks until they are told to stop. `meanwhile` runs on this thread.
    fn run(
        &self,
        operation: Operation,
        tasks: usize,
        stop: &Arc<AtomicBool>,
        meanwhile: impl FnOnce(),
    ) -> Done {
        let started = Instant::now();
        let tasks: Vec<_> = (0..tasks)
            .map(|task| {
                let (subject, stop) = (self.subject.clone(), Arc::clone(stop));
                // Each task begins at another bind.
                let binds = (0..self.binds).cycle().skip(task * self.binds / tasks);
                self.runtime.spawn(repeat(subject, operation, task as u64, binds, stop))
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
    stop: Arc<AtomicBool>,
) -> u64 {
    let mut done = 0_u64;
    for bind in binds {
        if stop.load(Ordering::Relaxed) {
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
