//! The last argument of a query's method: an executor, or a value of the program that names one.

use std::panic::Location;

use super::{AnyExecutor, Lender};
use crate::backend::Pipelines;
use crate::bind::Bind;
use crate::registry::{Reader, Registry, Tenant};
use crate::session::{ReadSession, Session};
use crate::work::UnitOfWork;

/// The last argument of a query's method: an executor, or a value of the program that names one for each query.
///
/// Implement it for a type of your own, mostly a reference, to count queries, to log them, or to choose where they run. The
/// implementation names the executor of a query and does nothing else. So the queries that compile, the checks at run
/// time, the error, the second try after a stale plan and the fate of row locks are those of the
/// [`Executor`](Self::Executor). A query cannot get to a database to which that executor would not send it.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use diesel::prelude::*;
/// use registry_core::query::{QueryCall, IntoExecutor};
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
/// impl<'r> IntoExecutor for &'r Counting {
///     type Executor = &'r Registry;
///
///     fn into_executor(self, call: QueryCall) -> &'r Registry {
///         let counter = if call.key() == Some("default") { &self.default } else { &self.others };
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
// Everything that matters for safety comes from the executor. It is a trait of its own, and not an implementation of `Executor`
// for all types that have it: the compiler explains why a query does not fit an executor only if one implementation alone is
// possible.
#[diagnostic::on_unimplemented(
    message = "a query cannot be run on `{Self}`",
    label = "expected `&registry`, `&tenant`, `&reader`, `&mut session`, `&mut work` or `&mut connection` as the last argument",
    note = "a `&mut` to a variable that is a `&mut` itself has one too many: write `session`, or `&mut *session`",
    note = "on PostgreSQL, `&session` and `&connection` run several queries at once"
)]
pub trait IntoExecutor: Sized {
    /// The executor that runs the queries, such as `&Registry`, `&mut Session<B>` or [`AnyExecutor`].
    type Executor;

    /// The executor for this query. It is called once for each query, when the query's method is called, and so before its
    /// future is awaited.
    fn into_executor(self, call: QueryCall) -> Self::Executor;
}

/// What an [`IntoExecutor`] is told of a query.
#[derive(Debug, Clone, Copy)]
pub struct QueryCall {
    key: Option<&'static str>,
    place: &'static Location<'static>,
}

impl QueryCall {
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

impl QueryCall {
    /// The call of a query of the bind `B` at `place`, on `E`.
    pub(in crate::query) fn of<E: IntoExecutor<Executor: Lender<B>>, B>(
        place: &'static Location<'static>,
    ) -> Self {
        Self { key: <E::Executor as Lender<B>>::KEY, place }
    }
}

/// The error of a query of the bind `B` on `E`, the last argument of a query's method.
pub type ErrorOf<E, B> = <<E as IntoExecutor>::Executor as Lender<B>>::Error;

/// The connection type of queries of the bind `B` on `E`.
pub(in crate::query) type ConnectionOf<E, B> =
    <<E as IntoExecutor>::Executor as Lender<B>>::Connection;

/// Implements [`IntoExecutor`] for executors.
macro_rules! is_executor {
    ($($(#[$cfg:meta])? [$($generics:tt)*] $executor:ty;)*) => {$(
        $(#[$cfg])?
        impl<$($generics)*> IntoExecutor for $executor {
            type Executor = Self;

            fn into_executor(self, _: QueryCall) -> Self {
                self
            }
        }
    )*};
}

is_executor! {
    [] &Registry;
    [] &Tenant;
    [] Registry;
    [] Tenant;
    [B: Bind] Session<B>;
    [] &mut UnitOfWork;
    [B: Bind] &mut Session<B>;
    [] &Reader;
    [] Reader;
    [B: Bind] ReadSession<B>;
    [B: Bind] &mut ReadSession<B>;
    [B: Bind<Connection: Pipelines>] &ReadSession<B>;
    [B: Bind<Connection: Pipelines>] &mut &ReadSession<B>;
    [B: Bind<Connection: Pipelines>] &Session<B>;
    [B: Bind<Connection: Pipelines>] &mut &Session<B>;
    [B: Bind] AnyExecutor<'_, B>;
    [B: Bind] &mut AnyExecutor<'_, B>;
    #[cfg(feature = "postgres")] [] &mut crate::backend::Postgres;
    #[cfg(feature = "postgres")] [] &crate::backend::Postgres;
    #[cfg(feature = "postgres")] [] &mut &crate::backend::Postgres;
    #[cfg(feature = "mysql")] [] &mut crate::backend::Mysql;
    #[cfg(feature = "sqlite")] [] &mut crate::backend::Sqlite;
}
