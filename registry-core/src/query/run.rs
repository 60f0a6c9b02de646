//! Running a query on what an executor lends.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::RunQueryDsl;
use diesel_async::methods::LoadQuery;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::time::{Instant, timeout};

use super::check::Check;
use super::erased::ErasedQuery;
use super::execute::Command;
use super::executor::lease::Lease;
use super::executor::{Lender, LenderBackend};
use super::retry::{failed, may_retry, prepare_retry};
use super::rows::Rows;
use crate::engine::OpenRows;

/// A query that runs: the future of a method of [`RunQueryDsl`](super::RunQueryDsl).
///
/// Dropping it drops the statement with it. A session that it had acquired is returned, and its
/// connection closed if the statement was cut short.
///
/// It is a type, and in a box, so that a query that does not fit its executor is one error of the
/// compiler and not three.
#[must_use = "a query is only run once this is awaited"]
pub struct Running<'q, T, E>(BoxFuture<'q, Result<T, E>>);

impl<'q, T, E> Running<'q, T, E> {
    fn new(future: impl Future<Output = Result<T, E>> + Send + 'q) -> Self {
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
    mut query: ErasedQuery<'q, LenderBackend<E, B>, ST>,
    at: &'static Location<'static>,
) -> Running<'q, Vec<U>, E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    ST: 'static,
    ErasedQuery<'q, LenderBackend<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let (mut again, lease) = (on.again(), on.lease(at));
    Running::new(async move {
        let mut lease = lease.await?;
        if let Err(error) = Check::of::<E, B>().look_at(&query) {
            return Err(failed::<E, B>(&mut lease, error).await.into());
        }
        loop {
            let (sent, retry_query) = query.split_for_retry(may_retry::<E, B>(again.as_ref()));
            let error = match RunQueryDsl::load(sent, lease.connection()).await {
                Ok(rows) => {
                    if let Some(checkout) = lease.checkout() {
                        checkout.rows_are_read();
                    }
                    return Ok(rows);
                }
                Err(error) => error,
            };
            let kept = || retry_query.into_query_if_repeatable();
            (lease, query) = prepare_retry::<E, B, _>(lease, error, kept, &mut again, at).await?;
        }
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
    let (mut again, lease) = (on.again(), on.lease(at));
    Running::new(async move {
        let mut lease = lease.await?;
        if let Err(error) = Check::of::<E, B>().look_at(&query) {
            return Err(failed::<E, B>(&mut lease, error).await.into());
        }
        loop {
            let (sent, retry_query) = query.split_for_retry(may_retry::<E, B>(again.as_ref()));
            let error = match first_row(sent, &mut lease).await {
                Ok(row) => return Ok(row),
                Err(error) => error,
            };
            let kept = || retry_query.into_query_if_repeatable();
            (lease, query) = prepare_retry::<E, B, _>(lease, error, kept, &mut again, at).await?;
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
    let (again, lease) = (on.again(), on.lease(at));
    Running::new(async move {
        let mut lease = lease.await?;
        if let Err(error) = Check::of::<E, B>().look_at(&query) {
            return Err(failed::<E, B>(&mut lease, error).await.into());
        }
        Rows::of::<E, B, ST>(lease, query, again, at).await
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
    let (mut again, lease) = (on.again(), on.lease(at));
    Running::new(async move {
        let mut lease = lease.await?;
        if let Err(error) = command.pass(Check::of::<E, B>()) {
            return Err(failed::<E, B>(&mut lease, error).await.into());
        }
        loop {
            let (sent, kept) = command.split_for_retry(may_retry::<E, B>(again.as_ref()));
            let error = match sent.run(lease.connection()).await {
                Ok(affected) => {
                    if let Some(checkout) = lease.checkout() {
                        checkout.rows_are_read();
                    }
                    return Ok(affected);
                }
                Err(error) => error,
            };
            (lease, command) = prepare_retry::<E, B, _>(lease, error, kept, &mut again, at).await?;
        }
    })
}

/// For how long rows are read that nobody wants, so that the connection can be split_for_retry again: another one
/// takes about as long to open.
const GRACE: Duration = Duration::from_millis(20);

/// The first row. If more are to come, and do not come at once, the connection is not split_for_retry again.
async fn first_row<'q, L, Q, U>(query: Q, lease: &mut L) -> QueryResult<U>
where
    L: Lease,
    Q: LoadQuery<'q, L::Connection, U> + Send + 'q,
    U: Send,
{
    let mut open = OpenRows::of(lease.checkout());
    let mut rows = pin!(query.internal_load(lease.connection()).await?);
    open.begin();
    let first = rows.next().await.unwrap_or(Err(DieselError::NotFound));
    if !open.matter() || are_over(rows).await {
        open.end();
    }
    first
}

async fn are_over<S: Stream>(mut rows: Pin<&mut S>) -> bool {
    // The end of a single row mostly arrives with it.
    if let Some(None) = rows.next().now_or_never() {
        return true;
    }
    let started = Instant::now();
    let reading = async {
        while rows.next().await.is_some() {
            if started.elapsed() >= GRACE {
                return false;
            }
        }
        true
    };
    timeout(GRACE, reading).await.unwrap_or(false)
}
