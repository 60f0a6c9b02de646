//! The jobs of one connection, and the database that they run on.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::database::Database;
use super::file::File;
use super::state::State;
use super::workers::OpenConnection;

pub(super) type Job = Box<dyn FnOnce(&mut Database) + Send>;

/// The jobs of one connection. They are run one after another, each by the thread that takes the connection out of its run
/// queue.
pub(super) struct Mailbox {
    file: Arc<File>,
    state: Arc<State>,
    content: Mutex<Content>,
}

struct Content {
    /// Jobs, and whether each of them may block.
    jobs: VecDeque<(Job, bool)>,
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
    pub(super) fn send(self: &Arc<Self>, job: Job, may_block: bool) {
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

    /// Runs the next job, or closes the database. If there is more to do, returns whether that may block.
    pub(super) fn run_next(&self) -> Option<bool> {
        let mut content = self.lock();
        let job = content.jobs.pop_front();
        let Some(mut database) = content.database.take() else {
            // The database is closed, and no job is taken any more.
            content.jobs.clear();
            return None;
        };
        drop(content);
        let is_closed = match job {
            Some((job, _)) => {
                if let Some(database) = &mut database.database
                    // A panic here comes from dropping an unwanted result.
                    && let Err(payload) = catch_unwind(AssertUnwindSafe(|| {
                        database.recycler.free();
                        job(database);
                    }))
                {
                    self.state.note_panic(&*payload);
                }
                self.state.panic.get().is_some()
            }
            None => true,
        };
        if is_closed {
            // Before the jobs are dropped, whose callers ask why they get no answer.
            self.state.note_ended();
            drop(database);
            let unwanted = std::mem::take(&mut self.lock().jobs);
            drop(unwanted);
            return None;
        }
        let mut content = self.lock();
        content.database = Some(database);
        let next = content.jobs.front().map(|(_, may_block)| *may_block);
        let next = next.or(content.is_closing.then_some(true));
        content.is_scheduled = next.is_some();
        next
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open database. It is closed while no other database with the same URL is being closed.
pub(super) struct OpenDatabase {
    /// `None` only while it is dropped.
    database: Option<Database>,
    file: Arc<File>,
    _counted: OpenConnection,
    /// Dropped last: it announces that the database is closed.
    _running: watch::Sender<()>,
}

impl OpenDatabase {
    pub(super) fn new(database: Database, file: &Arc<File>, running: watch::Sender<()>) -> Self {
        Self {
            database: Some(database),
            file: Arc::clone(file),
            _counted: OpenConnection::new(),
            _running: running,
        }
    }
}

impl Drop for OpenDatabase {
    fn drop(&mut self) {
        let _turn = self.file.close_turn();
        self.database = None;
    }
}
