//! Queries that only read: on a reader, and on a session of one.

use std::future::{Ready, ready};

use diesel::result::Error as DieselError;
use futures_util::future::BoxFuture;

use super::session::checked_key;
use super::shared::SharedConnection;
use super::{ConnectsTo, Executor, Lender, QueryPlace};
use crate::backend::Pipelines;
use crate::bind::Bind;
use crate::engine::AcquireError;
use crate::error::Error;
use crate::query::routing::{
    AllTablesIn, FindsBind, FindsBindOnSession, ReadsOnly, Routed, RunsOnSessionOf,
};
use crate::registry::{AcquireRead, Reader};
use crate::session::ReadSession;

impl<Q, B: Bind, Via> Executor<Q, B, Via> for &Reader
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + ReadsOnly<Via>,
    Via: FindsBind<Q, B>,
{
}

impl<'r, B: Bind> Lender<B> for &'r Reader {
    type Connection = B::Connection;
    type Lease = ReadSession<B>;
    type Leasing = AcquireRead<'r, B>;
    type LeaseError = AcquireError;
    type Error = Error;
    type Again = Self;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = Some(B::KEY);

    fn lease(self, _: QueryPlace) -> (AcquireRead<'r, B>, Option<Self>) {
        (self.session::<B>().for_query(), Some(self))
    }
}

impl<Q, B: Bind, Via> Executor<Q, B, Via> for Reader
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + ReadsOnly<Via>,
    Via: FindsBind<Q, B>,
{
}

impl<B: Bind> Lender<B> for Reader {
    type Connection = B::Connection;
    type Lease = ReadSession<B>;
    type Leasing = BoxFuture<'static, Result<ReadSession<B>, AcquireError>>;
    type LeaseError = AcquireError;
    type Error = Error;
    type Again = Self;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = Some(B::KEY);

    fn lease(self, _: QueryPlace) -> (Self::Leasing, Option<Self>) {
        let again = self.clone();
        (Box::pin(async move { self.session::<B>().for_query().await }), Some(again))
    }
}

impl<S: Bind, B: RunsOnSessionOf<S>> ConnectsTo<B> for ReadSession<S> {}

impl<S: Bind, B: RunsOnSessionOf<S>> ConnectsTo<B> for &mut ReadSession<S> {}

impl<S: Bind, Q, B: Bind, Via> Executor<Q, B, Via> for &mut ReadSession<S>
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + ReadsOnly<Via>,
    Via: FindsBindOnSession<S, B>,
    B: RunsOnSessionOf<S>,
{
}

impl<S: Bind, B: RunsOnSessionOf<S>> Lender<B> for &mut ReadSession<S> {
    type Connection = S::Connection;
    type Lease = Self;
    type Leasing = Ready<Result<Self::Lease, DieselError>>;
    type LeaseError = DieselError;
    type Error = DieselError;
    type Again = Self;

    const TELLS_MORE: bool = false;

    const KEY: Option<&'static str> = checked_key::<S>();

    fn lease(self, _: QueryPlace) -> (Self::Leasing, Option<Self>) {
        (ready(Ok(self)), None)
    }
}

impl<S: Bind<Connection: Pipelines>, Q, B: Bind, Via> Executor<Q, B, Via> for &ReadSession<S>
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + ReadsOnly<Via>,
    Via: FindsBindOnSession<S, B>,
    B: RunsOnSessionOf<S>,
{
}

impl<'s, S, B> Lender<B> for &'s ReadSession<S>
where
    S: Bind<Connection: Pipelines>,
    B: RunsOnSessionOf<S>,
{
    type Connection = <S::Connection as Pipelines>::Shared<'s>;
    type Lease = SharedConnection<'s, S, S::Connection>;
    type Leasing = Ready<Result<Self::Lease, DieselError>>;
    type LeaseError = DieselError;
    type Error = DieselError;
    type Again = Self;

    const TELLS_MORE: bool = false;

    const KEY: Option<&'static str> = checked_key::<S>();

    fn lease(self, _: QueryPlace) -> (Self::Leasing, Option<Self>) {
        (ready(Ok(SharedConnection::of_read_session(self))), None)
    }
}

/// As `&mut &session`.
impl<S: Bind<Connection: Pipelines>, Q, B: Bind, Via> Executor<Q, B, Via> for &mut &ReadSession<S>
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + ReadsOnly<Via>,
    Via: FindsBindOnSession<S, B>,
    B: RunsOnSessionOf<S>,
{
}

impl<'s, S, B> Lender<B> for &mut &'s ReadSession<S>
where
    S: Bind<Connection: Pipelines>,
    B: RunsOnSessionOf<S>,
{
    type Connection = <S::Connection as Pipelines>::Shared<'s>;
    type Lease = SharedConnection<'s, S, S::Connection>;
    type Leasing = Ready<Result<Self::Lease, DieselError>>;
    type LeaseError = DieselError;
    type Error = DieselError;
    type Again = Self;

    const TELLS_MORE: bool = false;

    const KEY: Option<&'static str> = checked_key::<S>();

    fn lease(self, _: QueryPlace) -> (Self::Leasing, Option<Self>) {
        (ready(Ok(SharedConnection::of_read_session(*self))), None)
    }
}

/// The session is returned at the end of the query.
impl<S: Bind, Q, B: Bind, Via> Executor<Q, B, Via> for ReadSession<S>
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + ReadsOnly<Via>,
    Via: FindsBindOnSession<S, B>,
    B: RunsOnSessionOf<S>,
{
}

impl<S: Bind, B: RunsOnSessionOf<S>> Lender<B> for ReadSession<S> {
    type Connection = S::Connection;
    type Lease = Self;
    type Leasing = Ready<Result<Self::Lease, DieselError>>;
    type LeaseError = DieselError;
    type Error = DieselError;
    type Again = Self;

    const TELLS_MORE: bool = false;

    const KEY: Option<&'static str> = checked_key::<S>();

    fn lease(self, _: QueryPlace) -> (Self::Leasing, Option<Self>) {
        (ready(Ok(self)), None)
    }
}
