//! Queries on a session of their bind.

use std::future::{Ready, ready};
use std::panic::Location;

use diesel::result::Error as DieselError;

use super::{ConnectsTo, Executor, Lender};
use crate::bind::{Bind, has_key};
use crate::query::routing::{AllTablesIn, FindsBindOnSession, Routed, RunsOnSessionOf};
use crate::session::Session;

impl<S: Bind, B: RunsOnSessionOf<S>> ConnectsTo<B> for Session<S> {}

impl<S: Bind, B: RunsOnSessionOf<S>> ConnectsTo<B> for &mut Session<S> {}

impl<S: Bind, Q, B: Bind, Via> Executor<Q, B, Via> for &mut Session<S>
where
    Q: Routed<B, Via> + AllTablesIn<B, Via>,
    Via: FindsBindOnSession<S, B>,
    B: RunsOnSessionOf<S>,
{
}

impl<S: Bind, B: RunsOnSessionOf<S>> Lender<B> for &mut Session<S> {
    type Connection = S::Connection;
    type Lease = Self;
    type Leasing = Ready<Result<Self::Lease, DieselError>>;
    type LeaseError = DieselError;
    type Error = DieselError;

    const TELLS_MORE: bool = false;

    const KEY: Option<&'static str> = known::<S>();

    fn lease(self, _: &'static Location<'static>) -> Self::Leasing {
        ready(Ok(self))
    }
}

/// The key of a bind, unless it is that of a session by key: what is run there is not checked.
const fn known<B: Bind>() -> Option<&'static str> {
    if has_key::<B>() { Some(B::KEY) } else { None }
}
