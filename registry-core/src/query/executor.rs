//! Executors: the last argument of a query's method.
//!
//! A program names executors of its own with [`IntoExecutor`]. Those of this crate are lenders.
//!
//! # Adding an executor to this crate
//!
//! An executor is a value of the program, mostly a reference such as `&Registry` or `&mut Session<B>`. `executor/` has a file
//! for each kind. To add one, take these steps. The test at the end of this file is a complete example.
//!
//! 1. Add a file `executor/<name>.rs`, and its `mod` below.
//! 2. Implement [`Lender<B>`](Lender) for every bind `B` whose queries the executor can run. It lends a connection
//!    for the duration of one query:
//!    - `Lease` is the value that owns or borrows the connection. Take `Session<B>` if a session is acquired for the query; the drop
//!      of the lease returns it, and releases row locks. Take `&mut Session<B>` if the session outlives the query.
//!      Anything else has to implement [`Lease`] and [`ConnectsTo<B>`](ConnectsTo).
//!    - `Error` is the error type for the program: Diesel's error if acquiring cannot fail, else [`Error`](crate::Error).
//!      If the error type can carry more than Diesel's error, set `TELLS_MORE`.
//!    - `KEY` is `Some(B::KEY)`, so that the tables of the query are checked.
//!    - `lease` also returns the executor for a second try if each query gets a session of its own, and is in no transaction
//!      of the caller. Such a query is run again after some errors, see `retry.rs`.
//! 3. Implement [`Executor<Q, B, Via>`](Executor), which has no methods. Its bounds decide which queries compile:
//!
//!    | bound | for |
//!    |---|---|
//!    | `Q: Routed<B, Via> + AllTablesIn<B, Via>` | every executor that is checked |
//!    | `Via: FindsBind<Q, B>` | an executor of several binds, which has to find the bind from the query alone |
//!    | `Via: FindsBindOnSession<S, B>`, `B: RunsOnSessionOf<S>` | an executor of the one bind `S` |
//!    | `Q: LocksNothing<Via>` | an executor whose lease never outlives the query |
//!    | `Q: ReadsOnly<Via>` | an executor of a reader, whose lease has [`only_reads`](Lease::only_reads) |
//!
//! 4. Add it to the list in `executor/into_executor.rs`.
//! 5. Name it in the message of [`Executor`], in the table of executors in `query/mod.rs`, and in the test of all
//!    executors, `every_executor_refuses_foreign_tables_and_stays_usable` in `tests/bodies/same_names/`. Run the
//!    tests in `tests/ui`, because the compiler lists implementations in its messages.

use std::future::Future;
use std::panic::Location;

use diesel::backend::Backend;
use diesel::result::Error as DieselError;
use diesel_async::AsyncConnectionCore;

use super::erased::ErasedQuery;
use super::error::QueryError;
use super::execute::Command;
use super::routing::RouteMarker;
use crate::backend::bind_variables::BindVariables;
use crate::backend::driver::Driver;
use crate::engine::WriteRequest;

pub(super) mod any;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod connection;
mod into_executor;
pub(super) mod lease;
mod owned;
mod reader;
mod registry;
mod session;
mod shared;
mod transaction_warning;
mod unit_of_work;

pub use any::AnyExecutor;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(super) use connection::Unchecked;
pub(super) use into_executor::ConnectionOf;
pub use into_executor::{ErrorOf, IntoExecutor, QueryCall};
use lease::Lease;

/// An executor of the query `Q`: the last argument of its method.
///
/// `B` is the bind of the query, and `Via` is the part of the query that determines the bind. The compiler infers both.
/// The trait cannot be implemented outside of this crate: see [`IntoExecutor`]. Generic code requires
/// [`Runs<B>`](super::Runs), or takes an [`AnyExecutor`].
#[diagnostic::on_unimplemented(
    message = "a query cannot be run on `{Self}`",
    label = "expected `&registry`, `&tenant`, `&reader`, `&mut session`, `&mut work` or `&mut connection` as the last argument",
    note = "a `&mut` to a variable that is a `&mut` itself has one too many: write `session`, or `&mut *session`",
    note = "on PostgreSQL, `&session` and `&connection` run several queries at once"
)]
pub trait Executor<Q, B, Via: RouteMarker>: Lender<B> + IntoExecutor<Executor = Self> {}

/// Lends a connection for queries of the bind `B`: the connection of the lender, or an acquired one.
///
/// `&Registry`, `&Tenant`, `&mut UnitOfWork`, `&mut Session<B>` and `&mut AnyExecutor<'_, B>` are lenders of `B`, and on
/// PostgreSQL `&Session<B>`. So are `Registry`, `Tenant` and `Session<B>` by value. The trait cannot be implemented outside
/// of this crate. Those of readers are `&Reader`, `&mut ReadSession<B>`, and the same by value; a query that writes is refused
/// on them when it is run.
pub trait Lender<B>: Sized + Send {
    /// The type of the connection that queries are run on: the connection itself, or a shared reference to it.
    type Connection: AsyncConnectionCore<Backend: BindVariables + 'static>;

    /// The value that holds the connection during a query: a session of this bind, or a session by key.
    type Lease: Lease<Connection = Self::Connection> + ConnectsTo<B>;

    /// The future of the lease.
    type Leasing: Future<Output = Result<Self::Lease, Self::LeaseError>> + Send;

    /// The error of acquiring a connection.
    type LeaseError: Send;

    /// The error of a query, and of acquiring a session where that is part of running it.
    type Error: From<DieselError> + From<QueryError> + From<Self::LeaseError> + Send;

    /// The lender for a second try. The same type, unless it cannot be copied.
    type Again: Lender<
            B,
            Connection = Self::Connection,
            Lease = Self::Lease,
            LeaseError = Self::LeaseError,
            Error = Self::Error,
        >;

    /// Whether [`Error`](Self::Error) can carry more than Diesel's error, so that asking the server for details is worth
    /// the time.
    const TELLS_MORE: bool;

    /// The key of the bind that all tables of a query must belong to. `None` if nothing is checked at run time: on a
    /// session by key, and on a bare connection.
    const KEY: Option<&'static str>;

    /// Lends a connection. Also returns the lender for a second try, which runs the query on another connection: `None` if
    /// the connection is the caller's.
    fn lease(self, at: QueryPlace) -> (Self::Leasing, Option<Self::Again>);
}

/// The place in the program that runs a query, and whether the query may write.
///
/// Other crates cannot name this type, so they can neither implement [`Lender`] nor take a connection from one.
#[derive(Debug, Clone, Copy)]
pub struct QueryPlace {
    pub(super) at: &'static Location<'static>,
    /// Whether the query may write. Only known where that matters, and true elsewhere.
    may_write: bool,
}

impl QueryPlace {
    pub(super) fn of_read(at: &'static Location<'static>) -> Self {
        Self { at, may_write: false }
    }

    pub(super) fn of_write(at: &'static Location<'static>) -> Self {
        Self { at, may_write: true }
    }

    /// The place of `query`.
    pub(super) fn of_query<E: Lender<B>, B, ST>(
        at: &'static Location<'static>,
        query: &ErasedQuery<'_, LenderBackend<E, B>, ST>,
    ) -> Self
    where
        LenderBackend<E, B>: Backend<QueryBuilder: Default> + Default,
    {
        Self { at, may_write: !OpenedBy::<E, B>::HAS_ONE_WRITER || query.may_write() }
    }

    /// The place of `command`.
    pub(super) fn of_command<E: Lender<B>, B>(
        at: &'static Location<'static>,
        command: &impl Command<E::Connection>,
    ) -> Self {
        Self { at, may_write: !OpenedBy::<E, B>::HAS_ONE_WRITER || command.may_write() }
    }

    /// What the query asks of a database with one writer at a time.
    fn write(self) -> Option<WriteRequest> {
        self.may_write.then_some(WriteRequest { unit: None, place: self.at })
    }
}

/// A lease whose connection is to the database of the bind `B`, or to one that is known only at run time.
///
/// As a bound of [`Lender::Lease`], it guarantees to generic code that a `Lender<B>` lends no other connection.
pub trait ConnectsTo<B> {}

/// The Diesel backend of an executor's connection.
pub(crate) type LenderBackend<E, B> =
    <<E as Lender<B>>::Connection as AsyncConnectionCore>::Backend;

/// The type of the connection that the engine of an executor has opened.
pub(super) type OpenedBy<E, B> = <<E as Lender<B>>::Lease as Lease>::Opened;

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use diesel::prelude::*;

    use super::{Executor, IntoExecutor, Lender, QueryCall, QueryPlace};
    use crate::bind::Bind;
    use crate::query::RunQueryDsl;
    use crate::query::routing::{AllTablesIn, FindsBind, LocksNothing, Routed};
    use crate::registry::Acquire;
    use crate::{AcquireError, Error, Registry, Session};

    diesel::table! { words (id) { id -> Integer, } }

    impl crate::Bound for words::table {
        type Bind = crate::Db<crate::Sqlite, crate::Name<'w', 'o', 'r', 'd', 's'>>;
    }

    /// An executor that counts the queries it runs on a registry.
    struct CountingRegistry {
        registry: Registry,
        queries: AtomicUsize,
    }

    impl<'r, B: Bind> Lender<B> for &'r CountingRegistry {
        type Connection = B::Connection;
        type Lease = Session<B>;
        type Leasing = Acquire<'r, B>;
        type LeaseError = AcquireError;
        type Error = Error;
        type Again = Self;

        const TELLS_MORE: bool = true;

        const KEY: Option<&'static str> = Some(B::KEY);

        fn lease(self, _: QueryPlace) -> (Acquire<'r, B>, Option<Self>) {
            self.queries.fetch_add(1, Ordering::Relaxed);
            (self.registry.session::<B>().for_query(), Some(self))
        }
    }

    impl<Q, B: Bind, Via> Executor<Q, B, Via> for &CountingRegistry
    where
        Q: Routed<B, Via> + AllTablesIn<B, Via> + LocksNothing<Via>,
        Via: FindsBind<Q, B>,
    {
    }

    impl IntoExecutor for &CountingRegistry {
        type Executor = Self;

        fn into_executor(self, _: QueryCall) -> Self {
            self
        }
    }

    #[tokio::test]
    async fn an_executor_needs_nothing_but_these_two_traits() -> Result<(), Error> {
        let registry = Registry::builder().bind("words", "sqlite::memory:").build()?;
        let counting = CountingRegistry { registry, queries: AtomicUsize::new(0) };
        let create = diesel::sql_query("CREATE TABLE words (id INTEGER PRIMARY KEY)");
        crate::BindDsl::bound_to::<words::table>(create).execute(&counting).await?;
        assert_eq!(words::table.count().get_result::<i64>(&counting).await?, 0);
        assert_eq!(counting.queries.into_inner(), 2);
        Ok(())
    }
}
