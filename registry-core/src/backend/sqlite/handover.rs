//! The handover of rows from the thread that runs a query to their reader, one batch at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use diesel::QueryResult;

use super::row::Row;
use super::state::{JobGuard, State};

/// Shared by the thread, which waits on the condition variable, and the reader, a future with a waker.
#[derive(Default)]
pub(super) struct Handover {
    slot: Mutex<BatchSlot>,
    /// Wakes the thread.
    changed: Condvar,
    /// A copy of the flag under the lock, which the thread reads after each row.
    is_given_up: AtomicBool,
}

/// Room for one batch.
#[derive(Default)]
struct BatchSlot {
    batch: Option<Vec<QueryResult<Row>>>,
    /// Whether the reader has read the first batch to its end. Many readers do not, because they want one row.
    is_wanted: bool,
    /// Whether the reader is gone.
    is_given_up: bool,
    end: End,
    reader: Option<Waker>,
}

#[derive(Default, Clone, Copy)]
pub(super) enum End {
    #[default]
    ToCome,
    /// All rows are handed over.
    Reached,
    /// The query has ended, by a panic, before all rows were handed over.
    Lost,
}

impl Handover {
    /// Makes the thread end the query, either at once if it waits for the reader, or at the next row.
    pub(super) fn give_up(&self) {
        let mut slot = self.lock();
        slot.is_given_up = true;
        self.is_given_up.store(true, Ordering::Relaxed);
        self.changed.notify_one();
        let unwanted = slot.batch.take();
        drop(slot);
        drop(unwanted);
    }

    fn lock(&self) -> MutexGuard<'_, BatchSlot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader's end.
pub(super) struct RowReader {
    pub(super) handover: Arc<Handover>,
    pub(super) state: Arc<State>,
}

impl RowReader {
    pub(super) fn poll_batch(&self, cx: &mut Context<'_>) -> Poll<Option<Vec<QueryResult<Row>>>> {
        let mut slot = self.handover.lock();
        slot.is_wanted = true;
        let batch = slot.batch.take();
        match (batch, slot.end) {
            (Some(batch), _) => {
                self.handover.changed.notify_one();
                Poll::Ready(Some(batch))
            }
            (None, End::ToCome) => {
                self.handover.changed.notify_one();
                if !slot.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                    slot.reader = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            (None, End::Reached) => Poll::Ready(None),
            (None, End::Lost) => {
                slot.end = End::Reached;
                Poll::Ready(Some(vec![Err(self.state.why_closed())]))
            }
        }
    }
}

impl Drop for RowReader {
    fn drop(&mut self) {
        self.handover.give_up();
    }
}

/// The thread's end. If it is dropped before all rows were handed over, the reader gets an error.
pub(super) struct RowSender(pub(super) Arc<Handover>);

impl RowSender {
    /// Waits until the reader wants another batch. `None` if the reader is gone.
    ///
    /// During the wait, the connection is not busy: the statement does not continue, and is reset before another statement
    /// runs. The lock orders the two sides: a reader that gives up either finds the connection busy, or sets the flag before
    /// the thread reads it, and the thread then ends the statement.
    pub(super) fn wait(&self, state: &Arc<State>) -> Option<JobGuard> {
        let mut slot = self.0.lock();
        loop {
            if slot.is_given_up {
                return None;
            }
            if slot.is_wanted && slot.batch.is_none() {
                return Some(JobGuard::new(state));
            }
            slot = self.0.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.0.is_given_up.load(Ordering::Relaxed)
    }

    pub(super) fn put(&self, batch: Option<Vec<QueryResult<Row>>>, end: End) {
        let mut slot = self.0.lock();
        if !slot.is_given_up {
            slot.batch = batch;
        }
        slot.end = end;
        let reader = slot.reader.take();
        drop(slot);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for RowSender {
    fn drop(&mut self) {
        let end = self.0.lock().end;
        if matches!(end, End::ToCome) {
            self.put(None, End::Lost);
        }
    }
}
