//! What a query can be run on.

use std::future::{Future, Ready, ready};
use std::panic::Location;

use diesel::result::Error as DieselError;
use futures_util::future::BoxFuture;

use super::routing::{Checked, FindsBind, LocksNothing, Routed, ServedBy, TakesFrom, Way};
use crate::backend::Backend;
use crate::bind::{Bind, has_key};
use crate::engine::AcquireError;
use crate::error::Error;
use crate::query::QueryError;
use crate::registry::{Acquire, Registry, Tenant};
use crate::session::Session;
use crate::work::{UnitOfWork, WorkError};

pub(super) mod lease;
mod outside_transaction;

use lease::Lease;

/// The last argument of a query's method, for the query `Q`.
///
/// `B` is the bind of the query and `Via` is how that is known; both are for the compiler to find.
#[diagnostic::on_unimplemented(
    message = "a query cannot be run on `{Self}`",
    label = "expected `&registry`, `&tenant`, `&mut session`, `&mut work` or `&mut connection` as the last argument",
    note = "a `&mut` to a variable that is a `&mut` itself has one too many: write `session`, or `&mut *session`"
)]
pub trait Executor<Q, B, Via>: Lender<B> {}

/// What has a connection for queries of the bind `B`, or acquires one.
pub trait Lender<B>: Sized + Send {
    /// The connection type that queries are run with.
    type Connection: Backend;

    /// What has the connection while a query is run: that of a session of this bind, or of one by key.
    type Lease: Lease<Connection = Self::Connection> + Holds<B>;

    /// That on its way.
    type Leasing: Future<Output = Result<Self::Lease, Self::LeaseError>> + Send;

    /// Why there is no connection.
    type LeaseError: Send;

    /// What can go wrong: running a query, and acquiring a session where that is part of it.
    type Error: From<DieselError> + From<QueryError> + From<Self::LeaseError> + Send;

    /// Whether that says more than Diesel's, so that it is worth asking the server for more.
    const TELLS_MORE: bool;

    /// The key of the bind in which all tables of a query must be, if that is known.
    const KEY: Option<&'static str>;

    /// Whether the connection is there after the query, and with it the lock that one may have taken.
    const KEEPS_LOCKS: bool = true;

    /// The connection. `at` is where in the program it is asked for.
    fn lease(self, at: &'static Location<'static>) -> Self::Leasing;

    /// The same once more, for a query that has to be run again, if each of its connections is for one
    /// query.
    fn again(&self) -> Option<Self> {
        None
    }
}

/// Said of what has a connection to the database `B`, or one of which nothing is known: a [`Lender<B>`](Lender)
/// can lend no other.
pub trait Holds<B> {}

impl<S: Bind, B: ServedBy<S>> Holds<B> for Session<S> {}

impl<S: Bind, B: ServedBy<S>> Holds<B> for &mut Session<S> {}

impl<S: Bind, Q, B: Bind, Via> Executor<Q, B, Via> for &mut Session<S>
where
    Q: Routed<B, Via> + Checked<B, Via>,
    Via: TakesFrom<S, B>,
    B: ServedBy<S>,
{
}

impl<S: Bind, B: ServedBy<S>> Lender<B> for &mut Session<S> {
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

impl<Q, B: Bind, Via> Executor<Q, B, Via> for &Registry
where
    Q: Routed<B, Via> + Checked<B, Via> + LocksNothing<Via>,
    Via: FindsBind<Q, B>,
{
}

impl<'r, B: Bind> Lender<B> for &'r Registry {
    type Connection = B::Connection;
    type Lease = Session<B>;
    type Leasing = Acquire<'r, B>;
    type LeaseError = AcquireError;
    type Error = Error;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = Some(B::KEY);

    const KEEPS_LOCKS: bool = false;

    fn lease(self, at: &'static Location<'static>) -> Acquire<'r, B> {
        outside_transaction::look::<B>(self, at);
        self.session::<B>().for_query()
    }

    fn again(&self) -> Option<Self> {
        Some(*self)
    }
}

impl<Q, B: Bind, Via> Executor<Q, B, Via> for &Tenant
where
    Q: Routed<B, Via> + Checked<B, Via> + LocksNothing<Via>,
    Via: FindsBind<Q, B>,
{
}

impl<'t, B: Bind> Lender<B> for &'t Tenant {
    type Connection = B::Connection;
    type Lease = Session<B>;
    type Leasing = Acquire<'t, B>;
    type LeaseError = AcquireError;
    type Error = Error;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = Some(B::KEY);

    const KEEPS_LOCKS: bool = false;

    fn lease(self, at: &'static Location<'static>) -> Acquire<'t, B> {
        outside_transaction::look::<B>(self.registry(), at);
        self.session::<B>().for_query()
    }

    fn again(&self) -> Option<Self> {
        Some(*self)
    }
}

impl<Q, B: Bind, Via> Executor<Q, B, Via> for &mut UnitOfWork
where
    Q: Routed<B, Via> + Checked<B, Via>,
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

/// The key of a bind, unless it is that of a session by key: what is run there is not checked.
const fn known<B: Bind>() -> Option<&'static str> {
    if has_key::<B>() { Some(B::KEY) } else { None }
}

/// The bind of a connection, of which nothing is known.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
#[derive(Debug)]
pub struct Unchecked(());

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
impl Way for Unchecked {}

macro_rules! on_connections {
    ($($feature:literal $connection:ident;)*) => {$(
        #[cfg(feature = $feature)]
        impl<Q> Executor<Q, Unchecked, Unchecked> for &mut crate::backend::$connection {}

        #[cfg(feature = $feature)]
        impl Holds<Unchecked> for &mut crate::backend::$connection {}

        #[cfg(feature = $feature)]
        impl Lender<Unchecked> for &mut crate::backend::$connection {
            type Connection = crate::backend::$connection;
            type Lease = Self;
            type Leasing = Ready<Result<Self, DieselError>>;
            type LeaseError = DieselError;
            type Error = DieselError;

            const TELLS_MORE: bool = false;

            const KEY: Option<&'static str> = None;

            fn lease(self, _: &'static Location<'static>) -> Self::Leasing {
                ready(Ok(self))
            }
        }
    )*};
}

on_connections! {
    "postgres" Postgres;
    "mysql" Mysql;
    "sqlite" Sqlite;
}
