//! The jobs of one connection, and the database that they run on.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::database::Database;
use super::file::File;
use super::state::State;
use super::workers::OpenConnection;

/// Work on the database. Dropping it sends its answer.
pub(super) trait Job: Send {
    /// Does the work. Called once.
    fn run(&mut self, database: &mut Database);
}

/// What [`Mailbox::run_next`] leaves to do.
#[derive(Default)]
pub(super) struct Ran {
    /// The job, if its answer may be kept back for a moment.
    pub(super) done: Option<Box<dyn Job>>,
    /// Whether the connection's next job may block. `None` if there is none.
    pub(super) next: Option<bool>,
}

/// The jobs of one connection. They are run one after another, each by the thread that takes the connection out of its run
/// queue.
pub(super) struct Mailbox {
    file: Arc<File>,
    state: Arc<State>,
    content: Mutex<Content>,
}

struct Content {
    /// Jobs, and whether each of them may block.
    jobs: VecDeque<(Box<dyn Job>, bool)>,
    /// `None` while a job runs, and once the database is closed.
    database: Option<OpenDatabase>,
    /// Whether the connection is in the run queue, or a job runs.
    is_scheduled: bool,
    /// Whether the database is closed after the last job.
    is_closing: bool,
}

impl Mailbox {
    pub(super) fn new(database: OpenDatabase, state: Arc<State>, file: Arc<File>) -> Self {
        let content = Mutex::new(Content {
            jobs: VecDeque::new(),
            database: Some(database),
            is_scheduled: false,
            is_closing: false,
        });
        Self { file, state, content }
    }

    /// Queues a job. If the database is closed, the job is dropped, and with it the sender of the answer.
    pub(super) fn send(self: &Arc<Self>, job: Box<dyn Job>, may_block: bool) {
        let mut content = self.lock();
        if self.state.has_ended() {
            drop(content);
            return drop(job);
        }
        content.jobs.push_back((job, may_block));
        self.schedule(content, may_block);
    }

    /// Closes the database after the jobs that were sent.
    pub(super) fn close(self: &Arc<Self>) {
        let mut content = self.lock();
        content.is_closing = true;
        self.schedule(content, true);
    }

    fn schedule(self: &Arc<Self>, mut content: MutexGuard<'_, Content>, may_block: bool) {
        if !std::mem::replace(&mut content.is_scheduled, true) {
            drop(content);
            self.file.run_queue.push(Arc::clone(self), may_block);
        }
    }

    /// Runs the next job, or closes the database.
    pub(super) fn run_next(&self) -> Ran {
        let mut content = self.lock();
        let job = content.jobs.pop_front();
        let Some(mut open) = content.database.take() else {
            // The database is closed, and no job is taken any more.
            return Ran::default();
        };
        drop(content);
        let done = match (job, &mut open.database) {
            (Some((job, may_block)), Some(database)) => self.run(job, may_block, database),
            _ => {
                self.state.note_ended();
                None
            }
        };
        if self.state.panic.get().is_some() || self.state.has_ended() {
            // Before the other jobs are dropped, whose callers ask why they get no answer.
            self.state.note_ended();
            // Diesel panics if SQLite refuses to close the database, as it does if a statement was leaked.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(open)));
            let unwanted = std::mem::take(&mut self.lock().jobs);
            drop(unwanted);
            return Ran { done, next: None };
        }
        let mut content = self.lock();
        content.database = Some(open);
        let next = content.jobs.front().map(|(_, may_block)| *may_block);
        let next = next.or(content.is_closing.then_some(true));
        content.is_scheduled = next.is_some();
        Ran { done, next }
    }

    /// Runs a job. Returns it if its answer may be kept back: the answer of a query that only reads has no code of the
    /// program, which would have to be run here.
    fn run(
        &self,
        mut job: Box<dyn Job>,
        may_block: bool,
        database: &mut Database,
    ) -> Option<Box<dyn Job>> {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            database.recycler.free();
            job.run(database);
            match may_block {
                // A panic here comes from dropping an unwanted result.
                true => {
                    drop(job);
                    None
                }
                false => Some(job),
            }
        }));
        ran.unwrap_or_else(|payload| {
            self.state.note_panic(&*payload);
            None
        })
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open database. It is closed while no other database with the same URL is being set up or closed.
pub(super) struct OpenDatabase {
    /// `None` only while it is dropped.
    database: Option<Database>,
    _counted: OpenConnection,
    /// Dropped last: it announces that the database is closed.
    _running: watch::Sender<()>,
}

impl OpenDatabase {
    pub(super) fn new(database: Database, running: watch::Sender<()>) -> Self {
        Self { database: Some(database), _counted: OpenConnection::new(), _running: running }
    }
}

impl Drop for OpenDatabase {
    fn drop(&mut self) {
        let Some(database) = self.database.take() else { return };
        let file = Arc::clone(&database.file);
        let _turn = file.exclusive_turn();
        drop(database);
    }
}
