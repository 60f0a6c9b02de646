//! Queries in the transaction of a unit of work.

use futures_util::future::BoxFuture;

use super::{Executor, Lender, QueryPlace};
use crate::bind::Bind;
use crate::error::Error;
use crate::query::routing::{AllTablesIn, FindsBind, Routed};
use crate::session::Session;
use crate::work::{UnitOfWork, WorkError};

impl<Q, B: Bind, Via> Executor<Q, B, Via> for &mut UnitOfWork
where
    Q: Routed<B, Via> + AllTablesIn<B, Via>,
    Via: FindsBind<Q, B>,
{
}

impl<'w, B: Bind> Lender<B> for &'w mut UnitOfWork {
    type Connection = B::Connection;
    type Lease = &'w mut Session<B>;
    type Leasing = BoxFuture<'w, Result<Self::Lease, WorkError>>;
    type LeaseError = WorkError;
    type Error = Error;
    type Again = Self;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = Some(B::KEY);

    fn lease(self, _: QueryPlace) -> (Self::Leasing, Option<Self>) {
        (Box::pin(self.session::<B>()), None)
    }
}
