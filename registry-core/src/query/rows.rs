//! A stream of rows that owns what they come from.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::ops::DerefMut;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::AsyncConnection;
use diesel_async::methods::LoadQuery;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};

/// The rows of a query as they are asked for: see
/// [`RunQueryDsl::load_stream`](super::RunQueryDsl::load_stream).
///
/// It has the connection until it is dropped.
#[must_use = "rows only come when they are asked for"]
pub struct Rows<'q, U, E> {
    /// diesel-async's own stream borrows its connection. Both live in this future, which hands the rows
    /// out one by one.
    run: Option<BoxFuture<'q, ()>>,
    place: Place<U>,
    error: PhantomData<fn() -> E>,
}

impl<'q, U: Send + 'static, E: From<DieselError>> Rows<'q, U, E> {
    /// Runs `query` on the connection of `lease`, and has that from then on.
    pub(super) async fn of<L, C, Q>(mut lease: L, query: Q) -> Result<Self, E>
    where
        L: DerefMut<Target = C> + Send + 'q,
        C: AsyncConnection,
        Q: LoadQuery<'q, C, U> + Send + 'q,
    {
        let place = Place::default();
        let filled = place.clone();
        let run = async move {
            let mut rows = match query.internal_load(&mut *lease).await {
                Ok(rows) => std::pin::pin!(rows),
                Err(error) => return filled.put(Event::Row(Err(error))).await,
            };
            filled.put(Event::Begun).await;
            while let Some(row) = rows.next().await {
                filled.put(Event::Row(row)).await;
            }
        };
        let mut rows = Self { run: Some(Box::pin(run)), place, error: PhantomData };
        match poll_fn(|cx| rows.poll_event(cx)).await {
            Some(Event::Row(Err(error))) => Err(error.into()),
            _ => Ok(rows),
        }
    }
}

enum Event<U> {
    /// The query was sent, and nothing was wrong with it.
    Begun,
    Row(QueryResult<U>),
}

impl<U, E> Rows<'_, U, E> {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event<U>>> {
        let Some(run) = &mut self.run else { return Poll::Ready(None) };
        let is_done = run.as_mut().poll(cx).is_ready();
        let event = self.place.take();
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

impl<U, E: From<DieselError>> Stream for Rows<'_, U, E> {
    type Item = Result<U, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<U, E>>> {
        self.poll_event(cx).map(|event| match event {
            Some(Event::Row(row)) => Some(row.map_err(E::from)),
            Some(Event::Begun) | None => None,
        })
    }
}

impl<U, E> fmt::Debug for Rows<'_, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rows")
    }
}

/// Room for one event.
struct Place<U>(Arc<Mutex<Option<Event<U>>>>);

impl<U> Place<U> {
    /// Puts an event here, and lets whoever polls take it.
    async fn put(&self, event: Event<U>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
        let mut is_taken = false;
        // Whoever takes it polls again when it wants another: nobody needs to be woken.
        poll_fn(|_| match std::mem::replace(&mut is_taken, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    fn take(&self) -> Option<Event<U>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<U> Clone for Place<U> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<U> Default for Place<U> {
    fn default() -> Self {
        Self(Arc::default())
    }
}
