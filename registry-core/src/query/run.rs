//! Running a query on what an executor lends.

use std::any::type_name;
use std::future::Future;
use std::panic::Location;

use diesel_async::RunQueryDsl;
use diesel_async::methods::LoadQuery;
use futures_util::Stream;

use super::BackendOf;
use super::erased::Erased;
use super::execute::Command;
use super::executor::Lender;
use super::hidden::Check;
use super::routed::Way;
use super::rows;

pub(super) fn load<'q, E: Lender<B>, B, Via: Way, ST: 'static, U>(
    on: E,
    query: Erased<'q, BackendOf<E, B>, ST>,
    at: &'static Location<'static>,
) -> impl Future<Output = Result<Vec<U>, E::Error>> + Send + use<'q, E, B, Via, ST, U>
where
    Erased<'q, BackendOf<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let lease = on.lease(at);
    async move {
        let mut connection = lease.await?;
        Check::of::<E, B, Via>().look_at(&query, type_name::<U>())?;
        Ok(RunQueryDsl::load(query, &mut *connection).await?)
    }
}

pub(super) fn first<'q, E: Lender<B>, B, Via: Way, ST: 'static, U>(
    on: E,
    query: Erased<'q, BackendOf<E, B>, ST>,
    at: &'static Location<'static>,
) -> impl Future<Output = Result<U, E::Error>> + Send + use<'q, E, B, Via, ST, U>
where
    Erased<'q, BackendOf<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let lease = on.lease(at);
    async move {
        let mut connection = lease.await?;
        Check::of::<E, B, Via>().look_at(&query, type_name::<U>())?;
        Ok(RunQueryDsl::get_result(query, &mut *connection).await?)
    }
}

pub(super) fn stream<'q, E: Lender<B>, B, Via: Way, ST: 'static, U>(
    on: E,
    query: Erased<'q, BackendOf<E, B>, ST>,
    at: &'static Location<'static>,
) -> impl Future<
    Output = Result<
        impl Stream<Item = Result<U, E::Error>> + Send + Unpin + use<'q, E, B, Via, ST, U>,
        E::Error,
    >,
> + Send
+ use<'q, E, B, Via, ST, U>
where
    Erased<'q, BackendOf<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let lease = on.lease(at);
    async move {
        let connection = lease.await?;
        Check::of::<E, B, Via>().look_at(&query, type_name::<U>())?;
        rows::stream(connection, query).await
    }
}

pub(super) fn execute<'q, E: Lender<B>, B, Via: Way, T: Command<E::Connection> + 'q>(
    on: E,
    command: T,
    at: &'static Location<'static>,
) -> impl Future<Output = Result<usize, E::Error>> + Send + use<'q, E, B, Via, T> {
    let lease = on.lease(at);
    async move {
        let mut connection = lease.await?;
        Ok(command.run(Check::of::<E, B, Via>(), &mut connection).await?)
    }
}
