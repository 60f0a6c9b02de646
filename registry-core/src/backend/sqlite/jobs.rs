//! The jobs of a connection, as the connection sees them, and the delivery of answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::{Connection, InstrumentationEvent};
use diesel::{ConnectionError, ConnectionResult, QueryResult, SqliteConnection};
use tokio::sync::oneshot;

use super::closing::{self, Closing};
use super::column_names::ColumnNames;
use super::database::Database;
use super::file::File;
use super::handover::Handover;
use super::mailbox::{Job, Mailbox, OpenDatabase};
use super::open_error::NotOpened;
use super::state::{JobGuard, State};
use super::workers;
use crate::backend::observed::Observed;

/// A database whose jobs are run one after another, on the threads of [`workers`].
///
/// Dropping this lets the jobs that were sent finish. The database is closed after them.
pub(super) struct Jobs {
    // Dropped first, so that no thread waits for a reader.
    reading: Reading,
    // Dropped before `_closing`, whose drop announces that the database is about to be closed.
    mailbox: ClosedOnDrop,
    state: Arc<State>,
    _closing: Closing,
}

/// Whether a job may block its thread, or keeps it for long: then other jobs are run by another thread at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Mostly short, such as a query that only reads.
    Short,
    /// May wait for a lock, for the disk or for the program.
    MayBlock,
}

impl Jobs {
    /// Opens the database. Dropping the future closes it again.
    pub(super) async fn open(url: &str, observed: Arc<Observed>) -> Result<Self, NotOpened> {
        let (opened, is_open) = oneshot::channel();
        let state = Arc::new(State { observed, ..State::default() });
        let (_closing, running) = closing::new(url);
        let opening = {
            let (url, state) = (url.to_owned(), Arc::clone(&state));
            move || {
                let file = File::of(&url);
                let mailbox = open(&url, &state, &file).map(|database| {
                    let database = OpenDatabase::new(database, running);
                    ClosedOnDrop(Arc::new(Mailbox::new(database, state, file)))
                });
                // If the caller is gone, the mailbox is dropped, and the database closed.
                let _ = opened.send(mailbox);
            }
        };
        workers::start(Box::new(opening)).map_err(NotOpened::NoThread)?;
        match is_open.await {
            Ok(Ok(mailbox)) => Ok(Self { reading: Reading(None), mailbox, state, _closing }),
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
        length: Length,
        work: impl FnOnce(&mut Database) -> R + Send + 'static,
    ) -> QueryResult<R> {
        let run = self.answer(length, std::convert::identity, move |database, answer| {
            if !answer.is_given_up() {
                let result = work(database);
                answer.finish(result);
            }
        });
        run.await
    }

    /// Like [`run`](Self::run), for work that continues after it has answered. `to` wraps the answer in the type that the
    /// work needs.
    pub(super) async fn answer<A: Send + 'static, R: Send + 'static>(
        &mut self,
        length: Length,
        to: fn(Answer<R>) -> A,
        work: impl FnOnce(&mut Database, &mut A) + Send + 'static,
    ) -> QueryResult<R> {
        let (reply, result) = oneshot::channel();
        let pending = Some(JobGuard::new(&self.state));
        let answer = to(Answer { pending, reply: Some(reply), result: None });
        self.send_job(length, Box::new(AnsweredJob { work: Some(work), answer }));
        result.await.map_err(|_| self.state.why_closed())
    }

    /// Runs `work` after the jobs that were sent before, without counting or answering it.
    pub(super) fn send(
        &mut self,
        length: Length,
        work: impl FnOnce(&mut Database) + Send + 'static,
    ) {
        let work = |database: &mut Database, (): &mut ()| work(database);
        self.send_job(length, Box::new(AnsweredJob { work: Some(work), answer: () }));
    }

    fn send_job(&mut self, length: Length, job: Box<dyn Job>) {
        // With a reader that was leaked (`mem::forget`), the thread would wait for ever.
        self.reading = Reading(None);
        self.mailbox.0.send(job, length == Length::MayBlock);
    }

    /// Stores the handover at which the thread waits for a reader, until the reader is gone or the next job is sent.
    pub(super) fn read(&mut self, handover: Option<&Arc<Handover>>) {
        self.reading = Reading(handover.cloned());
    }

    /// Whether a job is running or queued, though no caller waits for it.
    pub(super) fn is_busy(&self) -> bool {
        self.state.jobs.load(Ordering::Acquire) > 0
    }

    /// Whether the database is closed, or about to be closed after a panic, so that no job will ever run again.
    pub(super) fn has_ended(&self) -> bool {
        self.state.has_ended() || self.state.panic.get().is_some()
    }

    /// Whether a transaction was open when SQLite was last asked.
    pub(super) fn has_transaction(&self) -> bool {
        self.state.has_transaction.load(Ordering::Acquire)
    }
}

/// Closes the database when it is dropped, after the jobs that were sent.
struct ClosedOnDrop(Arc<Mailbox>);

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        self.0.close();
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

/// Work, and the answer to it, which is sent when this is dropped.
struct AnsweredJob<W, A> {
    /// `None` once the work was begun.
    work: Option<W>,
    answer: A,
}

impl<W: FnOnce(&mut Database, &mut A) + Send, A: Send> Job for AnsweredJob<W, A> {
    fn run(&mut self, database: &mut Database) {
        let Some(work) = self.work.take() else { return };
        let run = catch_unwind(AssertUnwindSafe(|| work(database, &mut self.answer)));
        // Before the answer is dropped: the caller, who gets none then, asks why.
        if let Err(payload) = run {
            database.state.note_panic(&*payload);
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

    /// Sends the answer at once, for work that goes on.
    pub(super) fn send(&mut self, result: R) {
        self.finish(result);
        self.hand_over();
    }

    /// Sets the answer, which is sent when this is dropped.
    pub(super) fn finish(&mut self, result: R) {
        // Before the caller gets the answer, because a connection with completed work is not busy.
        self.pending = None;
        self.result = Some(result);
    }

    fn hand_over(&mut self) {
        if let (Some(result), Some(reply)) = (self.result.take(), self.reply.take()) {
            // Fails if no caller waits any more.
            let _ = reply.send(result);
        }
    }
}

impl<R> Drop for Answer<R> {
    fn drop(&mut self) {
        self.hand_over();
    }
}

fn open(url: &str, state: &Arc<State>, file: &Arc<File>) -> ConnectionResult<Database> {
    let mut connection = SqliteConnection::establish(url)?;
    let has_cached = Arc::new(AtomicBool::new(false));
    connection.set_instrumentation({
        let has_cached = Arc::clone(&has_cached);
        move |event: InstrumentationEvent<'_>| {
            if matches!(event, InstrumentationEvent::CacheQuery { .. }) {
                has_cached.store(true, Ordering::Relaxed);
            }
        }
    });
    Ok(Database {
        connection,
        state: Arc::clone(state),
        has_cached,
        recycler: Arc::default(),
        column_names: ColumnNames::default(),
        file: Arc::clone(file),
    })
}
