//! Where the thread of a connection hands rows over to their reader.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use diesel::QueryResult;

use super::row_batch::Row;
use super::thread::{Pending, State};

/// Where the thread and the reader meet.
#[derive(Default)]
pub(super) struct Handover {
    place: Mutex<Place>,
    /// Wakes the thread.
    changed: Condvar,
    /// That of the place, for a look at each row.
    is_given_up: AtomicBool,
}

/// Room for one batch.
#[derive(Default)]
struct Place {
    batch: Option<Vec<QueryResult<Row>>>,
    /// Whether the reader has come to the end of the first batch. Many do not: they want one row.
    is_wanted: bool,
    /// Whether nobody reads any more.
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
    /// The thread ended in between.
    Lost,
}

impl Handover {
    /// Has the thread end the query. It waits here or looks at the next row.
    pub(super) fn give_up(&self) {
        let mut place = self.lock();
        place.is_given_up = true;
        self.is_given_up.store(true, Ordering::Relaxed);
        self.changed.notify_one();
        let unwanted = place.batch.take();
        drop(place);
        drop(unwanted);
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader's end.
pub(super) struct Reader {
    pub(super) handover: Arc<Handover>,
    pub(super) state: Arc<State>,
}

impl Reader {
    pub(super) fn poll_batch(&self, cx: &mut Context<'_>) -> Poll<Option<Vec<QueryResult<Row>>>> {
        let mut place = self.handover.lock();
        place.is_wanted = true;
        let batch = place.batch.take();
        match (batch, place.end) {
            (Some(batch), _) => {
                self.handover.changed.notify_one();
                Poll::Ready(Some(batch))
            }
            (None, End::ToCome) => {
                self.handover.changed.notify_one();
                if !place.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                    place.reader = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            (None, End::Reached) => Poll::Ready(None),
            (None, End::Lost) => {
                place.end = End::Reached;
                Poll::Ready(Some(vec![Err(self.state.why_closed())]))
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.handover.give_up();
    }
}

/// The thread's end. Dropped before all rows were handed over, it tells the reader so.
pub(super) struct Feed(pub(super) Arc<Handover>);

impl Feed {
    /// Waits until the reader wants another batch. `None` if there is no reader any more.
    ///
    /// While it waits, the connection is not busy: the statement is reset before anything else is run,
    /// and does not go on meanwhile. The lock orders that: a reader who has given up either finds the
    /// connection busy, or keeps it from going on.
    pub(super) fn wait(&self, state: &Arc<State>) -> Option<Pending> {
        let mut place = self.0.lock();
        loop {
            if place.is_given_up {
                return None;
            }
            if place.is_wanted && place.batch.is_none() {
                return Some(Pending::new(state));
            }
            place = self.0.changed.wait(place).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.0.is_given_up.load(Ordering::Relaxed)
    }

    pub(super) fn put(&self, batch: Option<Vec<QueryResult<Row>>>, end: End) {
        let mut place = self.0.lock();
        if !place.is_given_up {
            place.batch = batch;
        }
        place.end = end;
        let reader = place.reader.take();
        drop(place);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let end = self.0.lock().end;
        if matches!(end, End::ToCome) {
            self.put(None, End::Lost);
        }
    }
}
