//! What a query can be run on.

use std::future::Future;
use std::panic::Location;

use diesel::result::Error as DieselError;
use diesel_async::AsyncConnectionCore;

use super::error::QueryError;
use crate::backend::Backend;

mod connection;
pub(super) mod lease;
mod outside_transaction;
mod registry;
mod session;
mod unit_of_work;

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
    type Lease: Lease<Connection = Self::Connection> + ConnectsTo<B>;

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
pub trait ConnectsTo<B> {}

/// The Diesel backend of an executor's connection.
pub(super) type LenderBackend<E, B> =
    <<E as Lender<B>>::Connection as AsyncConnectionCore>::Backend;
