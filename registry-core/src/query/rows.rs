//! A stream of rows that owns the connection they come from.

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use diesel::result::Error as DieselError;
use diesel_async::methods::LoadQuery;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};

use super::erased::ErasedQuery;
use super::error::QueryError;
use super::executor::lease::{Lease, origin};
use super::executor::{Lender, LenderBackend};
use super::on_lease::{observe, run_again, tags};
use super::retry::{lease_for_retry, may_retry};
use crate::engine::OpenRows;

/// A stream of the rows of a query, made by [`RunQueryDsl::load_stream`](super::RunQueryDsl::load_stream).
///
/// The stream holds the connection until it is dropped. If the stream is dropped before its end, the statement is cancelled on the
/// server, and the connection is closed and not lent again, unless the remaining rows arrive at once.
///
/// `'q` is the lifetime of what the query and the executor borrow. It is `'static` if both are owned.
#[must_use = "rows are only read when the stream is polled"]
pub struct Rows<'q, U, E> {
    /// diesel-async's stream borrows the connection. This future owns both, and puts the rows into `slot` one by one.
    /// `None` after the end of the future.
    producer: Option<BoxFuture<'q, ()>>,
    slot: EventSlot<U, E>,
}

impl<'q, U: Send + 'static, X: From<QueryError> + Send + 'q> Rows<'q, U, X> {
    /// Runs `query` on the connection of `lease`. The stream holds the lease from then on.
    pub(super) async fn start<E, B, ST>(
        mut lease: E::Lease,
        mut query: ErasedQuery<'q, LenderBackend<E, B>, ST>,
        mut again: Option<E::Again>,
        at: &'static Location<'static>,
    ) -> Result<Self, X>
    where
        E: Lender<B, Error = X> + 'q,
        B: 'static,
        ST: 'static,
        ErasedQuery<'q, LenderBackend<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    {
        let slot = EventSlot::default();
        let sender = slot.clone();
        let producer = async move {
            let mut is_started = false;
            let mut observed = observe(&lease, at, |with_values| query.statement(with_values));
            if let Some(tags) = tags(&lease, &observed) {
                query.tag(&tags);
            }
            loop {
                if let Some(checkout) = lease.checkout() {
                    checkout.mark_for_rows();
                }
                if lease.bypasses_statement_cache() {
                    query.bypass_cache();
                }
                let (to_send, kept) = query.split_for_retry(may_retry::<E, B>(again.as_ref()));
                let mut open = OpenRows::new(lease.checkout());
                let database = origin(&lease);
                let error = match observed.run(to_send.internal_load(lease.connection())).await {
                    Ok(rows) => {
                        let mut rows = pin!(rows);
                        open.begin();
                        if !std::mem::replace(&mut is_started, true) {
                            sender.put(Event::Started).await;
                        }
                        let error = loop {
                            let row = match observed.run(rows.next()).await {
                                Some(Ok(row)) => {
                                    observed.note_row();
                                    Ok(row)
                                }
                                Some(Err(error @ DieselError::DatabaseError(..))) => break error,
                                Some(Err(error)) => {
                                    observed.note_error(&error);
                                    let database = database.clone();
                                    Err(QueryError::new(database, None, error).into())
                                }
                                None => {
                                    observed.end_of_rows();
                                    return open.end();
                                }
                            };
                            // The caller sees this row, so the query is not run again.
                            again = None;
                            sender.put(Event::Row(row)).await;
                        };
                        open.end();
                        error
                    }
                    Err(error) => error,
                };
                observed.note_error(&error);
                let repeatable = |rule| kept.into_repeatable(rule);
                match lease_for_retry::<E, B, _>(lease, error, repeatable, &mut again, at).await {
                    Ok(next) => (lease, query) = next,
                    Err(error) => {
                        observed.end();
                        return sender.put(Event::Row(Err(error))).await;
                    }
                }
                run_again(&lease, &mut observed);
            }
        };
        let mut rows = Self { producer: Some(Box::pin(producer)), slot };
        match poll_fn(|cx| rows.poll_event(cx)).await {
            Some(Event::Row(Err(error))) => Err(error),
            _ => Ok(rows),
        }
    }
}

enum Event<U, E> {
    /// The database has accepted the query.
    Started,
    Row(Result<U, E>),
}

impl<U, E> Rows<'_, U, E> {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event<U, E>>> {
        let Some(producer) = &mut self.producer else { return Poll::Ready(None) };
        let is_done = producer.as_mut().poll(cx).is_ready();
        let event = self.slot.take();
        if is_done {
            self.producer = None;
        }
        match event {
            Some(event) => Poll::Ready(Some(event)),
            None if is_done => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<U, E> Stream for Rows<'_, U, E> {
    type Item = Result<U, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<U, E>>> {
        self.poll_event(cx).map(|event| match event {
            Some(Event::Row(row)) => Some(row),
            Some(Event::Started) | None => None,
        })
    }
}

impl<U, E> fmt::Debug for Rows<'_, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rows")
    }
}

/// A slot for one event, from the producer to the stream that polls it.
struct EventSlot<U, E>(Arc<Mutex<Option<Event<U, E>>>>);

impl<U, E> EventSlot<U, E> {
    /// Puts an event into the slot, and returns control once to the stream, which takes it.
    async fn put(&self, event: Event<U, E>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
        let mut is_taken = false;
        // Pending without a waker: the stream takes the event right after this poll, and polls again for the next
        // one.
        poll_fn(|_| match std::mem::replace(&mut is_taken, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    fn take(&self) -> Option<Event<U, E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<U, E> Clone for EventSlot<U, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<U, E> Default for EventSlot<U, E> {
    fn default() -> Self {
        Self(Arc::default())
    }
}
