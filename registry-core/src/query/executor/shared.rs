//! Queries on a shared session or connection, several at once: on PostgreSQL they are sent as one pipeline.

use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;

use diesel::result::Error as DieselError;

use super::lease::Lease;
use super::session::checked_key;
use super::{ConnectsTo, Executor, Lender, QueryPlace};
use crate::backend::Pipelines;
use crate::bind::Bind;
use crate::engine::Checkout;
use crate::query::routing::{AllTablesIn, FindsBindOnSession, Routed, RunsOnSessionOf};
use crate::session::{ReadSession, Session};
use crate::settings::BindKey;

/// A shared reference to a connection, on which other statements may be under way. `S` is the bind of its session, or stands
/// in for it.
pub struct SharedConnection<'c, S, C: Pipelines> {
    connection: C::Shared<'c>,
    checkout: Option<&'c Checkout<C>>,
    key: Option<BindKey>,
    only_reads: bool,
    bind: PhantomData<fn() -> S>,
}

#[cfg(feature = "postgres")]
impl<'c, S, C: Pipelines> SharedConnection<'c, S, C> {
    pub(super) fn bare(connection: &'c C) -> Self {
        Self {
            connection: connection.share(),
            checkout: None,
            key: None,
            only_reads: false,
            bind: PhantomData,
        }
    }
}

impl<'c, S: Bind<Connection = C>, C: Pipelines> SharedConnection<'c, S, C> {
    fn of_session(session: &'c Session<S>) -> Self {
        let checkout = Session::checkout(session);
        Self {
            connection: checkout.connection().share(),
            checkout: Some(checkout),
            key: Some(session.bind_key()),
            only_reads: false,
            bind: PhantomData,
        }
    }

    pub(super) fn of_read_session(session: &'c ReadSession<S>) -> Self {
        Self { only_reads: true, ..Self::of_session(session.inner()) }
    }
}

impl<'c, S, C: Pipelines> Lease for SharedConnection<'c, S, C> {
    type Connection = C::Shared<'c>;
    type Opened = C;

    fn connection(&mut self) -> &mut C::Shared<'c> {
        &mut self.connection
    }

    fn checkout(&self) -> Option<&Checkout<C>> {
        self.checkout
    }

    fn exclusive_checkout(&mut self) -> Option<&mut Checkout<C>> {
        None
    }

    fn key(&self) -> Option<BindKey> {
        self.key
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn only_reads(&self) -> bool {
        self.only_reads
    }
}

impl<S, C: Pipelines> fmt::Debug for SharedConnection<'_, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedConnection").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<S, C, B> ConnectsTo<B> for SharedConnection<'_, S, C>
where
    S: Bind<Connection = C>,
    C: Pipelines,
    B: RunsOnSessionOf<S>,
{
}

impl<S: Bind<Connection: Pipelines>, Q, B: Bind, Via> Executor<Q, B, Via> for &Session<S>
where
    Q: Routed<B, Via> + AllTablesIn<B, Via>,
    Via: FindsBindOnSession<S, B>,
    B: RunsOnSessionOf<S>,
{
}

impl<'s, S, B> Lender<B> for &'s Session<S>
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
        (ready(Ok(SharedConnection::of_session(self))), None)
    }
}

/// As diesel-async has it for its connection: a variable that is a `&Session` need not be spelled in another way than one
/// that is a session.
impl<S: Bind<Connection: Pipelines>, Q, B: Bind, Via> Executor<Q, B, Via> for &mut &Session<S>
where
    Q: Routed<B, Via> + AllTablesIn<B, Via>,
    Via: FindsBindOnSession<S, B>,
    B: RunsOnSessionOf<S>,
{
}

impl<'s, S, B> Lender<B> for &mut &'s Session<S>
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
        (ready(Ok(SharedConnection::of_session(*self))), None)
    }
}
