//! Queries on a session of their bind, and on a session by key.

use std::future::{Ready, ready};

use diesel::result::Error as DieselError;

use super::{ConnectsTo, Executor, Lender, QueryPlace};
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
    type Again = Self;

    const TELLS_MORE: bool = false;

    const KEY: Option<&'static str> = checked_key::<S>();

    fn lease(self, _: QueryPlace) -> (Self::Leasing, Option<Self>) {
        (ready(Ok(self)), None)
    }
}

/// The key of the bind whose tables the check of a query admits. A session by key ([`ByKey`](crate::ByKey)) has the empty key, as
/// its bind is known only at run time, and its queries are not checked.
pub(super) const fn checked_key<B: Bind>() -> Option<&'static str> {
    if has_key::<B>() { Some(B::KEY) } else { None }
}
