//! Queries on a registry or a tenant: a session is acquired for each, and returned after it.

use super::transaction_warning::warn_if_outside_transaction;
use super::{Executor, Lender, QueryPlace};
use crate::bind::Bind;
use crate::engine::AcquireError;
use crate::error::Error;
use crate::query::routing::{AllTablesIn, FindsBind, LocksNothing, Routed};
use crate::registry::{Acquire, Registry, Tenant};
use crate::session::Session;

impl<Q, B: Bind, Via> Executor<Q, B, Via> for &Registry
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + LocksNothing<Via>,
    Via: FindsBind<Q, B>,
{
}

impl<'r, B: Bind> Lender<B> for &'r Registry {
    type Connection = B::Connection;
    type Lease = Session<B>;
    type Leasing = Acquire<'r, B>;
    type LeaseError = AcquireError;
    type Error = Error;
    type Again = Self;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = Some(B::KEY);

    fn lease(self, at: QueryPlace) -> (Acquire<'r, B>, Option<Self>) {
        warn_if_outside_transaction::<B>(self, at.at);
        (self.session::<B>().for_query().for_write(at.write()), Some(self))
    }
}

impl<Q, B: Bind, Via> Executor<Q, B, Via> for &Tenant
where
    Q: Routed<B, Via> + AllTablesIn<B, Via> + LocksNothing<Via>,
    Via: FindsBind<Q, B>,
{
}

impl<'t, B: Bind> Lender<B> for &'t Tenant {
    type Connection = B::Connection;
    type Lease = Session<B>;
    type Leasing = Acquire<'t, B>;
    type LeaseError = AcquireError;
    type Error = Error;
    type Again = Self;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = Some(B::KEY);

    fn lease(self, at: QueryPlace) -> (Acquire<'t, B>, Option<Self>) {
        warn_if_outside_transaction::<B>(self.registry(), at.at);
        (self.session::<B>().for_query().for_write(at.write()), Some(self))
    }
}
