//! Queries in the transaction of a unit of work.

use std::panic::Location;

use futures_util::future::BoxFuture;

use super::{Executor, Lender};
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

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = Some(B::KEY);

    fn lease(self, _: &'static Location<'static>) -> Self::Leasing {
        Box::pin(self.session::<B>())
    }
}
