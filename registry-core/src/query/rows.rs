//! A stream of rows that owns what they come from.

use std::future::{Future, poll_fn};
use std::ops::DerefMut;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::AsyncConnection;
use diesel_async::methods::LoadQuery;
use futures_util::{Stream, StreamExt};

/// Runs `query` on the connection of `lease`. The stream that comes of it has the lease.
///
/// diesel-async's own stream borrows its connection. Both live in a future here, which hands the rows out
/// one by one.
pub(super) async fn stream<'q, L, C, Q, U, E>(
    mut lease: L,
    query: Q,
) -> Result<impl Stream<Item = Result<U, E>> + Send + Unpin + use<'q, L, C, Q, U, E>, E>
where
    L: DerefMut<Target = C> + Send,
    C: AsyncConnection,
    Q: LoadQuery<'q, C, U> + Send + 'q,
    U: Send,
    E: From<DieselError>,
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
    let mut rows = Rows { run: Some(Box::pin(run)), place };
    match poll_fn(|cx| rows.poll_event(cx)).await {
        Some(Event::Row(Err(error))) => Err(error.into()),
        _ => Ok(rows.map(|row| row.map_err(E::from))),
    }
}

/// The future that has a query, and the place where it puts what comes of it.
struct Rows<F, U> {
    run: Option<Pin<Box<F>>>,
    place: Place<U>,
}

enum Event<U> {
    /// The query was sent, and nothing was wrong with it.
    Begun,
    Row(QueryResult<U>),
}

impl<F: Future<Output = ()>, U> Rows<F, U> {
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

impl<F: Future<Output = ()>, U> Stream for Rows<F, U> {
    type Item = QueryResult<U>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<QueryResult<U>>> {
        self.poll_event(cx).map(|event| match event {
            Some(Event::Row(row)) => Some(row),
            Some(Event::Begun) | None => None,
        })
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
