//! The transfer of rows from the thread that runs a query to their reader.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::vec;

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::row::IntoOwnedRow as _;
use futures_util::Stream;

use super::database::Database;
use super::handover::{End, Handover, RowReader, RowSender};
use super::jobs::Answer;
use super::row::Row;
use super::row_batch::Batch;
use super::state::JobGuard;
use super::statement::Statement;
use super::transaction_effects;

/// The rows of a query, in the order in which SQLite finds them.
///
/// The thread that runs the query reads as many rows as are asked for. Once the reader has reached its second batch, the
/// thread reads one batch ahead. Dropping this ends the query at once: the statement is reset before the connection runs
/// another one.
pub struct Rows<'conn> {
    batch: vec::IntoIter<QueryResult<Row>>,
    /// `None` if nothing follows the batch.
    rest: Option<RowReader>,
    /// Borrows the connection, which runs one statement at a time: the next statement would end this one.
    connection: PhantomData<&'conn mut ()>,
}

/// The beginning of a result.
pub(super) struct Loaded {
    rows: Vec<QueryResult<Row>>,
    rest: Option<RowReader>,
}

impl Loaded {
    /// Where the thread waits for the reader, if there are more rows.
    pub(super) fn handover(&self) -> Option<&Arc<Handover>> {
        self.rest.as_ref().map(|rest| &rest.handover)
    }
}

impl From<Loaded> for Rows<'_> {
    fn from(Loaded { rows, rest }: Loaded) -> Self {
        Self { batch: rows.into_iter(), rest, connection: PhantomData }
    }
}

impl Stream for Rows<'_> {
    type Item = QueryResult<Row>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<QueryResult<Row>>> {
        loop {
            if let Some(row) = self.batch.next() {
                return Poll::Ready(Some(row));
            }
            let Some(rest) = &self.rest else { return Poll::Ready(None) };
            match ready!(rest.poll_batch(cx)) {
                Some(batch) => self.batch = batch.into_iter(),
                None => self.rest = None,
            }
        }
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

/// The destination of the rows of a query: the first batch is the answer to the job, the other batches go by handover.
pub(super) struct Output {
    answer: Answer<(QueryResult<Loaded>, bool)>,
    sender: Option<RowSender>,
    /// The connection is busy for as long as this is held.
    pending: Option<JobGuard>,
}

impl Output {
    pub(super) fn new(answer: Answer<(QueryResult<Loaded>, bool)>) -> Self {
        Self { answer, sender: None, pending: None }
    }

    fn is_given_up(&self) -> bool {
        match &self.sender {
            Some(sender) => sender.is_given_up(),
            None => self.answer.is_given_up(),
        }
    }
}

/// Runs a query, and sends its rows to `output` until the reader is gone or the rows end.
pub(super) fn load(database: &mut Database, statement: &Statement, output: &mut Output) {
    if output.is_given_up() {
        return;
    }
    let mut batch = Batch::new(&database.recycler);
    let outcome = read(database, statement, output, &mut batch);
    // The statement has been reset. One with rows can end a transaction only by failing, or if it is known to.
    if statement.effects != transaction_effects::TransactionEffects::None || outcome.is_err() {
        database.note_transaction_after(outcome.is_err());
    }
    // Before the end is reported to the reader, because a connection with a completed statement is not busy.
    output.pending = None;
    match &output.sender {
        Some(sender) => {
            batch.rows.extend(outcome.err().map(Err));
            sender.put(Some(batch.rows), End::Reached);
        }
        // An error in the first batch is the query's error. SQLite may report a broken constraint of a statement with
        // `RETURNING`, such as a foreign key, after the rows of that statement.
        None => {
            let loaded = outcome.map(|()| Loaded { rows: batch.rows, rest: None });
            output.answer.finish((loaded, database.has_cached()));
        }
    }
}

/// Reads rows, and leaves the rows that were not handed over in `batch`.
fn read(
    database: &mut Database,
    statement: &Statement,
    output: &mut Output,
    batch: &mut Batch,
) -> QueryResult<()> {
    database.check_transaction_stands()?;
    let Database { connection, state, has_cached, column_names, .. } = database;
    let known = statement.has_fixed_names.then(|| column_names.find(&statement.sql)).flatten();
    let mut is_to_be_remembered = statement.has_fixed_names && known.is_none();
    let mut names = known.unwrap_or_default();
    for row in connection.load(&statement.query)? {
        batch.push(row?.into_owned(&mut names));
        if std::mem::take(&mut is_to_be_remembered) {
            column_names.remember(&statement.sql, &names);
        }
        if !statement.only_reads {
            continue;
        }
        if output.is_given_up() {
            return Ok(());
        }
        if !batch.is_full() {
            continue;
        }
        let rows = batch.take();
        match &output.sender {
            Some(sender) => sender.put(Some(rows), End::ToCome),
            None => {
                let handover = Arc::new(Handover::default());
                output.sender = Some(RowSender(Arc::clone(&handover)));
                let rest = Some(RowReader { handover, state: Arc::clone(state) });
                let has_cached = has_cached.swap(false, Ordering::Relaxed);
                output.answer.send((Ok(Loaded { rows, rest }), has_cached));
            }
        }
        output.pending = None;
        let Some(sender) = &output.sender else { return Ok(()) };
        match sender.wait(state) {
            Some(pending) => output.pending = Some(pending),
            None => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use futures_util::future::FutureExt;

    use super::*;

    fn pair() -> (RowSender, Rows<'static>) {
        let handover = Arc::new(Handover::default());
        let rest = Some(RowReader { handover: Arc::clone(&handover), state: Arc::default() });
        (RowSender(handover), Rows { batch: Vec::new().into_iter(), rest, connection: PhantomData })
    }

    #[test]
    fn a_thread_that_ends_in_between_is_an_error_and_not_the_end_of_the_rows() {
        let (sender, mut rows) = pair();
        assert!(rows.next().now_or_never().is_none(), "it waits");
        drop(sender);
        let lost = rows.next().now_or_never().expect("at once");
        assert!(matches!(lost, Some(Err(diesel::result::Error::DatabaseError(_, _)))));
        assert!(rows.next().now_or_never().expect("at once").is_none());
    }

    #[test]
    fn the_thread_waits_for_no_reader_who_has_gone() {
        let (sender, rows) = pair();
        let state = Arc::default();
        let waiting = std::thread::spawn(move || sender.wait(&state).is_none());
        drop(rows);
        assert!(waiting.join().expect("no panic"));
    }
}
