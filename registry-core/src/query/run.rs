//! Running a query on the connection that an executor lends: lease, check, send, and perhaps a second try.
//!
//! Each function repeats these steps, since each function sends its query in a different way.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::methods::LoadQuery;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::time::{Instant, timeout};

use super::check::Check;
use super::erased::ErasedQuery;
use super::execute::Command;
use super::executor::lease::Lease;
use super::executor::{Lender, LenderBackend, QueryPlace};
use super::on_lease::{load_on_lease, observe, run_again, tags};
use super::retry::{lease_for_retry, may_retry, query_error};
use super::rows::Rows;
use crate::engine::OpenRows;

/// The future of a method of [`RunQueryDsl`](super::RunQueryDsl).
///
/// The query runs while this is awaited. Dropping it cancels the query: a session that was acquired for it is
/// returned, and its connection is closed if a statement was in progress.
// It is a named type, in a box, so that the compiler reports a query that does not fit its executor once. With
// `impl Future` it reports the same error three times.
#[must_use = "a query is only run once this is awaited"]
pub struct Running<'q, T, E>(BoxFuture<'q, Result<T, E>>);

impl<'q, T, E> Running<'q, T, E> {
    pub(super) fn new(future: impl Future<Output = Result<T, E>> + Send + 'q) -> Self {
        Self(Box::pin(future))
    }
}

impl<T, E> Future for Running<'_, T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        self.0.as_mut().poll(cx)
    }
}

impl<T, E> fmt::Debug for Running<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

pub(super) fn load<'q, E, B, ST, U>(
    on: E,
    query: ErasedQuery<'q, LenderBackend<E, B>, ST>,
    at: &'static Location<'static>,
) -> Running<'q, Vec<U>, E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    ST: 'static,
    ErasedQuery<'q, LenderBackend<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let (lease, mut again) = on.lease(QueryPlace::of_query::<E, B, _>(at, &query));
    Running::new(async move {
        let mut lease = lease.await?;
        if let Err(error) = Check::for_lease::<E, B>(&lease).check_query(&query) {
            return Err(query_error::<E, B>(&mut lease, error).await.into());
        }
        let (_, rows) = load_on_lease::<E, B, ST, U>(lease, query, &mut again, at).await?;
        Ok(rows)
    })
}

pub(super) fn first<'q, E, B, ST, U>(
    on: E,
    mut query: ErasedQuery<'q, LenderBackend<E, B>, ST>,
    at: &'static Location<'static>,
) -> Running<'q, U, E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    ST: 'static,
    ErasedQuery<'q, LenderBackend<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let (lease, mut again) = on.lease(QueryPlace::of_query::<E, B, _>(at, &query));
    Running::new(async move {
        let mut lease = lease.await?;
        if let Err(error) = Check::for_lease::<E, B>(&lease).check_query(&query) {
            return Err(query_error::<E, B>(&mut lease, error).await.into());
        }
        let mut observed = observe(&lease, at, |with_values| query.statement(with_values));
        if let Some(tags) = tags(&lease, &observed) {
            query.tag(&tags);
        }
        loop {
            if lease.bypasses_statement_cache() {
                query.bypass_cache();
            }
            let (to_send, kept) = query.split_for_retry(may_retry::<E, B>(again.as_ref()));
            let error = match observed.run(first_row(to_send, &mut lease)).await {
                Ok(row) => {
                    observed.end_with(1);
                    return Ok(row);
                }
                Err(error) => error,
            };
            observed.note_error(&error);
            let repeatable = |rule| kept.into_repeatable(rule);
            (lease, query) =
                lease_for_retry::<E, B, _>(lease, error, repeatable, &mut again, at).await?;
            run_again(&lease, &mut observed);
        }
    })
}

pub(super) fn stream<'q, E, B, ST, U>(
    on: E,
    query: ErasedQuery<'q, LenderBackend<E, B>, ST>,
    at: &'static Location<'static>,
) -> Running<'q, Rows<'q, U, E::Error>, E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    ST: 'static,
    ErasedQuery<'q, LenderBackend<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let (lease, again) = on.lease(QueryPlace::of_query::<E, B, _>(at, &query));
    Running::new(async move {
        let mut lease = lease.await?;
        if let Err(error) = Check::for_lease::<E, B>(&lease).check_query(&query) {
            return Err(query_error::<E, B>(&mut lease, error).await.into());
        }
        Rows::start::<E, B, ST>(lease, query, again, at).await
    })
}

pub(super) fn execute<'q, E, B, T>(
    on: E,
    mut command: T,
    at: &'static Location<'static>,
) -> Running<'q, usize, E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    T: Command<E::Connection> + 'q,
{
    let (lease, mut again) = on.lease(QueryPlace::of_command::<E, B>(at, &command));
    Running::new(async move {
        let mut lease = lease.await?;
        if let Err(error) = command.check(Check::for_lease::<E, B>(&lease)) {
            return Err(query_error::<E, B>(&mut lease, error).await.into());
        }
        let mut observed = observe(&lease, at, |with_values| command.statement(with_values));
        if let Some(tags) = tags(&lease, &observed) {
            command.tag(&tags);
        }
        loop {
            if lease.bypasses_statement_cache() {
                command.bypass_cache();
            }
            let (to_send, repeatable) = command.split_for_retry(may_retry::<E, B>(again.as_ref()));
            let error = match observed.run(to_send.run(lease.connection())).await {
                Ok(affected) => {
                    observed.end_with(affected);
                    if let Some(checkout) = lease.checkout() {
                        checkout.note_rows_read();
                    }
                    return Ok(affected);
                }
                Err(error) => error,
            };
            observed.note_error(&error);
            (lease, command) =
                lease_for_retry::<E, B, _>(lease, error, repeatable, &mut again, at).await?;
            run_again(&lease, &mut observed);
        }
    })
}

/// The time limit for reading and discarding the rows after the first row, so that the connection can be reused. Opening
/// another connection takes about as long.
const DRAIN_LIMIT: Duration = Duration::from_millis(20);

/// The first row.
///
/// A connection with unread rows cannot run the next query. So this function reads the rest of the rows. If that takes
/// longer than [`DRAIN_LIMIT`], the connection is closed and not reused.
async fn first_row<'q, L, Q, U>(query: Q, lease: &mut L) -> QueryResult<U>
where
    L: Lease,
    Q: LoadQuery<'q, L::Connection, U> + Send + 'q,
    U: Send,
{
    let mut open = OpenRows::new(lease.checkout());
    let mut rows = pin!(query.internal_load(lease.connection()).await?);
    open.begin();
    let first = rows.next().await.unwrap_or(Err(DieselError::NotFound));
    if !open.are_tracked() || end_in_time(rows).await {
        open.end();
    }
    first
}

/// Whether the rows end within [`DRAIN_LIMIT`].
async fn end_in_time<S: Stream>(mut rows: Pin<&mut S>) -> bool {
    // The end of the rows mostly arrives together with a single row, and then no timer is needed.
    if let Some(None) = rows.next().now_or_never() {
        return true;
    }
    let started = Instant::now();
    let reading = async {
        while rows.next().await.is_some() {
            if started.elapsed() >= DRAIN_LIMIT {
                return false;
            }
        }
        true
    };
    timeout(DRAIN_LIMIT, reading).await.unwrap_or(false)
}
