//! A stream of rows that owns what they come from.

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
use super::retry::{may_retry, prepare_retry};
use crate::engine::OpenRows;

/// The rows of a query as they are asked for: see
/// [`RunQueryDsl::load_stream`](super::RunQueryDsl::load_stream).
///
/// It has the connection until it is dropped. If that is before its end, the connection is not split_for_retry again
/// unless the rest arrives at once, and the statement is cancelled on the server.
#[must_use = "rows only come when they are asked for"]
pub struct Rows<'q, U, E> {
    /// diesel-async's own stream borrows its connection. Both live in this future, which hands the rows
    /// out one by one.
    run: Option<BoxFuture<'q, ()>>,
    slot: EventSlot<U, E>,
}

impl<'q, U: Send + 'static, X: From<QueryError> + Send + 'q> Rows<'q, U, X> {
    /// Runs `query` on the connection of `lease`, and has that from then on.
    pub(super) async fn of<E, B, ST>(
        mut lease: E::Lease,
        mut query: ErasedQuery<'q, LenderBackend<E, B>, ST>,
        mut again: Option<E>,
        at: &'static Location<'static>,
    ) -> Result<Self, X>
    where
        E: Lender<B, Error = X> + 'q,
        B: 'static,
        ST: 'static,
        ErasedQuery<'q, LenderBackend<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    {
        let slot = EventSlot::default();
        let filled = slot.clone();
        let run = async move {
            loop {
                if let Some(checkout) = lease.checkout() {
                    checkout.mark_for_rows();
                }
                let (sent, retry_query) = query.split_for_retry(may_retry::<E, B>(again.as_ref()));
                let mut open = OpenRows::of(lease.checkout());
                let database = origin(&mut lease);
                let error = match sent.internal_load(lease.connection()).await {
                    Ok(rows) => {
                        let mut rows = pin!(rows);
                        open.begin();
                        filled.put(Event::Started).await;
                        let error = loop {
                            let row = match rows.next().await {
                                Some(Ok(row)) => Ok(row),
                                Some(Err(error @ DieselError::DatabaseError(..))) => break error,
                                Some(Err(error)) => {
                                    let database = database.clone();
                                    Err(QueryError::new(database, None, error).into())
                                }
                                None => return open.end(),
                            };
                            filled.put(Event::Row(row)).await;
                        };
                        open.end();
                        // Rows may have been handed out.
                        again = None;
                        error
                    }
                    Err(error) => error,
                };
                let kept = || retry_query.into_query_if_repeatable();
                match prepare_retry::<E, B, _>(lease, error, kept, &mut again, at).await {
                    Ok(next) => (lease, query) = next,
                    Err(error) => return filled.put(Event::Row(Err(error))).await,
                }
            }
        };
        let mut rows = Self { run: Some(Box::pin(run)), slot };
        match poll_fn(|cx| rows.poll_event(cx)).await {
            Some(Event::Row(Err(error))) => Err(error),
            _ => Ok(rows),
        }
    }
}

enum Event<U, E> {
    /// The query was sent, and nothing was wrong with it.
    Started,
    Row(Result<U, E>),
}

impl<U, E> Rows<'_, U, E> {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event<U, E>>> {
        let Some(run) = &mut self.run else { return Poll::Ready(None) };
        let is_done = run.as_mut().poll(cx).is_ready();
        let event = self.slot.take();
        if is_done {
            self.run = None;
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

/// Room for one event.
struct EventSlot<U, E>(Arc<Mutex<Option<Event<U, E>>>>);

impl<U, E> EventSlot<U, E> {
    /// Puts an event here, and lets whoever polls take it.
    async fn put(&self, event: Event<U, E>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
        let mut is_taken = false;
        // Whoever takes it polls again when it wants another: nobody needs to be woken.
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
