//! Queries on a registry, a tenant or a session that is passed by value.
//!
//! Nothing is borrowed, so the future and the stream of rows can be `'static`: a stream can be the body of a response.

use std::future::{Ready, ready};

use diesel::result::Error as DieselError;
use futures_util::future::BoxFuture;

use super::session::checked_key;
use super::transaction_warning::warn_if_outside_transaction;
use super::{Executor, Lender, QueryPlace};
use crate::bind::Bind;
use crate::engine::AcquireError;
use crate::error::Error;
use crate::query::routing::{AllTablesIn, FindsBind, FindsBindOnSession, LocksNothing};
use crate::query::routing::{Routed, RunsOnSessionOf};
use crate::registry::{Registry, Tenant};
use crate::session::Session;

impl<Q, B: Bind, Via> Executor<Q, B, Via> for Registry
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + LocksNothing<Via>,
    Via: FindsBind<Q, B>,
{
}

impl<B: Bind> Lender<B> for Registry {
    type Connection = B::Connection;
    type Lease = Session<B>;
    type Leasing = BoxFuture<'static, Result<Session<B>, AcquireError>>;
    type LeaseError = AcquireError;
    type Error = Error;
    type Again = Self;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = Some(B::KEY);

    fn lease(self, at: QueryPlace) -> (Self::Leasing, Option<Self>) {
        warn_if_outside_transaction::<B>(&self, at.at);
        let again = self.clone();
        (
            Box::pin(async move { self.session::<B>().for_query().for_write(at.write()).await }),
            Some(again),
        )
    }
}

impl<Q, B: Bind, Via> Executor<Q, B, Via> for Tenant
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + LocksNothing<Via>,
    Via: FindsBind<Q, B>,
{
}

impl<B: Bind> Lender<B> for Tenant {
    type Connection = B::Connection;
    type Lease = Session<B>;
    type Leasing = BoxFuture<'static, Result<Session<B>, AcquireError>>;
    type LeaseError = AcquireError;
    type Error = Error;
    type Again = Self;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = Some(B::KEY);

    fn lease(self, at: QueryPlace) -> (Self::Leasing, Option<Self>) {
        warn_if_outside_transaction::<B>(self.registry(), at.at);
        let again = self.clone();
        (
            Box::pin(async move { self.session::<B>().for_query().for_write(at.write()).await }),
            Some(again),
        )
    }
}

/// The session is returned at the end of the query, and a row lock is released with it.
impl<S: Bind, Q, B: Bind, Via> Executor<Q, B, Via> for Session<S>
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + LocksNothing<Via>,
    Via: FindsBindOnSession<S, B>,
    B: RunsOnSessionOf<S>,
{
}

impl<S: Bind, B: RunsOnSessionOf<S>> Lender<B> for Session<S> {
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
