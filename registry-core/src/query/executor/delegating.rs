//! Executors of a program's own, which hand each query to another executor.

use std::panic::Location;

use diesel_async::AsyncConnectionCore;

use super::{Executor, Lender, QueryPlace};
use crate::query::routing::RouteMarker;

/// An executor of the program's own, which hands each query to another executor: to count queries, to log them, or to
/// choose where they run.
///
/// Implement it for the type that is the last argument of a query's method, mostly a reference. The implementation
/// determines the executor of each query and nothing else. So the queries that compile, the checks at run time, the
/// error, the second try after a stale plan and the fate of row locks are those of the [`Target`](Self::Target). A
/// query cannot get to a database that its target would not send it to.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use diesel::prelude::*;
/// use registry_core::query::{DelegatedQuery, DelegatingExecutor};
/// use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
///
/// diesel::table! { users (id) { id -> Integer, } }
/// diesel::table! { events (id) { id -> Integer, } }
/// bind_tables!(db = "default", backend = Sqlite; users);
/// bind_tables!(db = "analytics", backend = Sqlite; events);
///
/// /// Counts the queries of each database.
/// struct Counting {
///     registry: Registry,
///     default: AtomicUsize,
///     others: AtomicUsize,
/// }
///
/// impl<'r> DelegatingExecutor for &'r Counting {
///     type Target = &'r Registry;
///
///     fn target(self, query: DelegatedQuery) -> &'r Registry {
///         let counter = if query.key() == Some("default") { &self.default } else { &self.others };
///         counter.fetch_add(1, Ordering::Relaxed);
///         &self.registry
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder()
///     .bind("default", "sqlite::memory:")
///     .bind("analytics", "sqlite::memory:")
///     .build()?;
/// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// let counting = Counting { registry, default: AtomicUsize::new(0), others: AtomicUsize::new(0) };
///
/// diesel::insert_into(users::table).values(users::id.eq(1)).execute(&counting).await?;
/// let users: i64 = users::table.count().get_result(&counting).await?;
/// let events: Vec<i32> = events::table.select(events::id).load(&counting).await?;
/// assert_eq!((users, events), (1, vec![]));
/// assert_eq!((counting.default.into_inner(), counting.others.into_inner()), (2, 1));
/// # Ok(())
/// # }
/// ```
// Everything that matters for safety comes from the target. The trait has no type parameter: with one, another crate could
// implement it for `&Registry` and a bind of its own.
#[diagnostic::on_unimplemented(
    message = "a query cannot be run on `{Self}`",
    label = "expected `&registry`, `&tenant`, `&mut session`, `&mut work` or `&mut connection` as the last argument",
    note = "a `&mut` to a variable that is a `&mut` itself has one too many: write `session`, or `&mut *session`"
)]
pub trait DelegatingExecutor: Sized + Send {
    /// The executor that runs the queries, such as `&Registry`, `&mut Session<B>` or [`AnyExecutor`](crate::AnyExecutor).
    type Target;

    /// The executor for this query. It is called once for each query, when the query's method is called, and so before its
    /// future is awaited.
    fn target(self, query: DelegatedQuery) -> Self::Target;
}

/// What a [`DelegatingExecutor`] is told of a query.
#[derive(Debug, Clone, Copy)]
pub struct DelegatedQuery {
    key: Option<&'static str>,
    place: &'static Location<'static>,
}

impl DelegatedQuery {
    /// The key of the query's bind. `None` if it is known only at run time, as on a session by key, or not at all, as on a
    /// bare connection.
    #[must_use]
    pub fn key(&self) -> Option<&'static str> {
        self.key
    }

    /// The place in the program that runs the query.
    #[must_use]
    pub fn place(&self) -> &'static Location<'static> {
        self.place
    }
}

impl<D, Q, B, Via: RouteMarker> Executor<Q, B, Via> for D
where
    D: DelegatingExecutor,
    D::Target: Executor<Q, B, Via, Connection: AsyncConnectionCore<Backend: 'static>>,
{
}

impl<D, B> Lender<B> for D
where
    D: DelegatingExecutor,
    D::Target: Lender<B, Connection: AsyncConnectionCore<Backend: 'static>>,
{
    type Connection = <D::Target as Lender<B>>::Connection;
    type Lease = <D::Target as Lender<B>>::Lease;
    type Leasing = <D::Target as Lender<B>>::Leasing;
    type LeaseError = <D::Target as Lender<B>>::LeaseError;
    type Error = <D::Target as Lender<B>>::Error;
    type Again = <D::Target as Lender<B>>::Again;

    const TELLS_MORE: bool = <D::Target as Lender<B>>::TELLS_MORE;

    const KEY: Option<&'static str> = <D::Target as Lender<B>>::KEY;

    fn lease(self, at: QueryPlace) -> (Self::Leasing, Option<Self::Again>) {
        self.target(DelegatedQuery { key: Self::KEY, place: at.0 }).lease(at)
    }
}
