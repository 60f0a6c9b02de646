//! The thread of a connection, its queue of jobs, and the delivery of answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;

use diesel::connection::{Connection, InstrumentationEvent};
use diesel::{ConnectionError, ConnectionResult, QueryResult, SqliteConnection};
use tokio::sync::oneshot;

use super::closing::{self, CloseLock, Closing};
use super::database::Database;
use super::handover::Handover;
use super::open_error::NotOpened;
use super::state::{JobGuard, State};
use crate::backend::observed::Observed;

/// A thread that owns a connection and runs jobs on it, one after another.
///
/// Dropping this lets the running job finish. The thread then closes the connection and ends.
pub(super) struct Thread {
    // Dropped first, so that the thread does not wait for a reader.
    reading: Reading,
    // Dropped before `_closing`, whose drop announces that the thread is about to end.
    jobs: Jobs,
    state: Arc<State>,
    _closing: Closing,
}

type Job = Box<dyn FnOnce(&mut Database) + Send>;

impl Thread {
    /// Starts a thread that opens the database. Dropping the future closes it again.
    pub(super) async fn open(url: &str, observed: Arc<Observed>) -> Result<Self, NotOpened> {
        let (jobs, received) = mpsc::channel();
        let (opened, is_open) = oneshot::channel();
        let state = Arc::new(State { observed, ..State::default() });
        let (_closing, running) = closing::new(url);
        let spawned = thread::Builder::new().name(thread_name(url)).spawn({
            let (url, state) = (url.to_owned(), Arc::clone(&state));
            move || {
                let _running = running;
                let _ended = ThreadEnd(Arc::clone(&state));
                serve(&url, opened, &received, state);
            }
        });
        let jobs = match spawned {
            Ok(handle) => Jobs { sender: Some(jobs), thread: handle.thread().clone() },
            Err(error) => return Err(NotOpened::NoThread(error)),
        };
        match is_open.await {
            Ok(Ok(())) => Ok(Self { reading: Reading(None), jobs, state, _closing }),
            Ok(Err(error)) => Err(NotOpened::Refused(error)),
            Err(_) => {
                let error = ConnectionError::BadConnection("opening it panicked".to_owned());
                Err(NotOpened::Refused(error))
            }
        }
    }

    /// Runs `work` after the jobs that were sent before, and waits for its result.
    ///
    /// Dropping the future does not wait. Work that has not begun is not run. Work that has begun runs to its end: only
    /// SQLite's C interface could interrupt it, which takes unsafe code.
    pub(super) async fn run<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Database) -> R + Send + 'static,
    ) -> QueryResult<R> {
        let run = self.answer(std::convert::identity, move |database, answer| {
            if !answer.is_given_up() {
                answer.result = Some(work(database));
            }
        });
        run.await
    }

    /// Like [`run`](Self::run), for work that continues after it has answered. `to` wraps the answer in the type that the
    /// work needs.
    pub(super) async fn answer<A: Send + 'static, R: Send + 'static>(
        &mut self,
        to: fn(Answer<R>) -> A,
        work: impl FnOnce(&mut Database, &mut A) + Send + 'static,
    ) -> QueryResult<R> {
        let (reply, result) = oneshot::channel();
        let pending = Some(JobGuard::new(&self.state));
        let mut to = to(Answer { pending, reply: Some(reply), result: None });
        self.send(move |database| {
            let done = catch_unwind(AssertUnwindSafe(|| work(database, &mut to)));
            if let Err(payload) = done {
                database.state.note_panic(&*payload);
            }
            // Dropped after the panic was noted: the caller, who gets no answer then, asks why. A result that nobody wants is
            // dropped here as well, and a panic in that ends the thread.
            drop(to);
        });
        result.await.map_err(|_| self.state.why_closed())
    }

    /// Runs `work` after the jobs that were sent before, without counting or answering it.
    pub(super) fn send(&mut self, work: impl FnOnce(&mut Database) + Send + 'static) {
        // With a reader that was leaked (`mem::forget`), the thread would wait for ever.
        self.reading = Reading(None);
        self.jobs.send(Box::new(work));
    }

    /// Stores the handover at which the thread waits for a reader, until the reader is gone or the next job is sent.
    pub(super) fn read(&mut self, handover: Option<&Arc<Handover>>) {
        self.reading = Reading(handover.cloned());
    }

    /// Whether a job is running or queued, though no caller waits for it.
    pub(super) fn is_busy(&self) -> bool {
        self.state.jobs.load(Ordering::Acquire) > 0
    }

    /// Whether the thread has ended, so that no job will ever run again.
    pub(super) fn has_ended(&self) -> bool {
        self.state.has_ended.load(Ordering::Acquire) || self.state.panic.get().is_some()
    }

    /// Whether a transaction was open when SQLite was last asked.
    pub(super) fn has_transaction(&self) -> bool {
        self.state.has_transaction.load(Ordering::Acquire)
    }
}

/// The queue of a thread, which sleeps when there are no jobs.
///
/// The channel's own blocking receive spins first. With more connections than processors, spinning takes time from the
/// threads that have work.
struct Jobs {
    /// `None` only while it is dropped.
    sender: Option<mpsc::Sender<Job>>,
    thread: thread::Thread,
}

impl Jobs {
    fn send(&self, job: Job) {
        if let Some(sender) = &self.sender {
            // If the thread has ended, the job is dropped, and with it the sender of the answer.
            let _ = sender.send(job);
            self.thread.unpark();
        }
    }

    /// Waits for the next job, in the thread itself. `None` when there will be none.
    fn next(jobs: &mpsc::Receiver<Job>) -> Option<Job> {
        loop {
            match jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Empty) => thread::park(),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.sender = None;
        self.thread.unpark();
    }
}

/// Ends the reading of rows when it is dropped.
struct Reading(Option<Arc<Handover>>);

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(handover) = &self.0 {
            handover.give_up();
        }
    }
}

/// Delivers an answer to the future that has sent the job.
pub(super) struct Answer<R> {
    pending: Option<JobGuard>,
    reply: Option<oneshot::Sender<R>>,
    /// The answer, which is sent when the job is done.
    result: Option<R>,
}

impl<R> Answer<R> {
    /// Whether no caller waits for the answer.
    pub(super) fn is_given_up(&self) -> bool {
        self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    pub(super) fn send(&mut self, result: R) {
        // Before the caller gets the answer, because a connection with completed work is not busy.
        self.pending = None;
        if let Some(reply) = self.reply.take() {
            // Fails if no caller waits any more.
            let _ = reply.send(result);
        }
    }
}

impl<R> Drop for Answer<R> {
    fn drop(&mut self) {
        if let Some(result) = self.result.take() {
            self.send(result);
        }
    }
}

/// Records on drop that the thread has ended, normally or by a panic.
struct ThreadEnd(Arc<State>);

impl Drop for ThreadEnd {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
    }
}

fn serve(
    url: &str,
    opened: oneshot::Sender<ConnectionResult<()>>,
    jobs: &mpsc::Receiver<Job>,
    state: Arc<State>,
) {
    let close_lock = CloseLock::of(url);
    let mut connection = match SqliteConnection::establish(url) {
        Ok(connection) => connection,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    let has_cached = Arc::new(AtomicBool::new(false));
    connection.set_instrumentation({
        let has_cached = Arc::clone(&has_cached);
        move |event: InstrumentationEvent<'_>| {
            if matches!(event, InstrumentationEvent::CacheQuery { .. }) {
                has_cached.store(true, Ordering::Relaxed);
            }
        }
    });
    let database = Database { connection, state, has_cached };
    let mut open = OpenDatabase { database: Some(database), close_lock };
    if opened.send(Ok(())).is_err() {
        return;
    }
    while let (Some(job), Some(database)) = (Jobs::next(jobs), &mut open.database) {
        // A panic here, from dropping an unwanted result, ends the thread.
        job(database);
        if database.state.panic.get().is_some() {
            return;
        }
    }
}

/// An open database. However its thread ends, the database is closed while no other database with the same URL is being
/// closed.
struct OpenDatabase {
    /// `None` only while it is dropped.
    database: Option<Database>,
    close_lock: CloseLock,
}

impl Drop for OpenDatabase {
    fn drop(&mut self) {
        let _turn = self.close_lock.take();
        self.database = None;
    }
}

/// The name that `top` and the like show. Linux keeps 15 bytes of it.
fn thread_name(url: &str) -> String {
    let path = url.split('?').next().unwrap_or_default();
    let file = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = file.chars().filter(is_plain).collect();
    format!("sqlite {name}")
}
