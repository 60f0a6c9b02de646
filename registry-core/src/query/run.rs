//! Running a query on what an executor lends.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use diesel_async::RunQueryDsl;
use diesel_async::methods::LoadQuery;
use futures_util::future::BoxFuture;

use super::BackendOf;
use super::erased::Erased;
use super::execute::Command;
use super::executor::Lender;
use super::hidden::Check;
use super::routed::Way;
use super::rows::Rows;

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

pub(super) fn load<'q, E, B, Via, ST, U>(
    on: E,
    query: Erased<'q, BackendOf<E, B>, ST>,
    at: &'static Location<'static>,
) -> Running<'q, Vec<U>, E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    Via: Way,
    ST: 'static,
    Erased<'q, BackendOf<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let lease = on.lease(at);
    Running::new(async move {
        let mut connection = lease.await?;
        Check::of::<E, B, Via>().look_at(&query, type_name::<U>())?;
        Ok(RunQueryDsl::load(query, &mut *connection).await?)
    })
}

pub(super) fn first<'q, E, B, Via, ST, U>(
    on: E,
    query: Erased<'q, BackendOf<E, B>, ST>,
    at: &'static Location<'static>,
) -> Running<'q, U, E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    Via: Way,
    ST: 'static,
    Erased<'q, BackendOf<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let lease = on.lease(at);
    Running::new(async move {
        let mut connection = lease.await?;
        Check::of::<E, B, Via>().look_at(&query, type_name::<U>())?;
        Ok(RunQueryDsl::get_result(query, &mut *connection).await?)
    })
}

pub(super) fn stream<'q, E, B, Via, ST, U>(
    on: E,
    query: Erased<'q, BackendOf<E, B>, ST>,
    at: &'static Location<'static>,
) -> Running<'q, Rows<'q, U, E::Error>, E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    Via: Way,
    ST: 'static,
    Erased<'q, BackendOf<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let lease = on.lease(at);
    Running::new(async move {
        let connection = lease.await?;
        Check::of::<E, B, Via>().look_at(&query, type_name::<U>())?;
        Rows::of(connection, query).await
    })
}

pub(super) fn execute<'q, E, B, Via, T>(
    on: E,
    command: T,
    at: &'static Location<'static>,
) -> Running<'q, usize, E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    Via: Way,
    T: Command<E::Connection> + 'q,
{
    let lease = on.lease(at);
    Running::new(async move {
        let mut connection = lease.await?;
        Ok(command.run(Check::of::<E, B, Via>(), &mut connection).await?)
    })
}
