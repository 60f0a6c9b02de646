//! The methods that run a query.

use std::panic::Location;

use diesel::dsl::Limit;
use diesel::query_builder::{AsQuery, QueryFragment};
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::methods::LoadQuery;

use super::erased::ErasedQuery;
use super::execute::Execute;
use super::executor::{Executor, LenderBackend};
use super::routing::RouteMarker;
use super::rows::Rows;
use super::run::{self, Running};

/// The query `Q` as it goes to the connection of an executor.
type ErasedFor<'q, Q, E, B> = ErasedQuery<'q, LenderBackend<E, B>, <Q as AsQuery>::SqlType>;

/// Running queries: the methods of diesel-async's trait of that name, on more than connections.
///
/// The [module](super) says on what, and what is checked. `E` is the executor, and `B` and `Via` are for
/// the compiler to find: the bind of the query, and how it is known.
///
/// All futures are `Send`. Dropping one drops the statement with it, as with diesel-async: what an
/// executor of its own had acquired for it is returned, and closed if a statement was cut short.
pub trait RunQueryDsl<E, B: 'static, Via: RouteMarker>: Sized {
    /// Runs the command and returns the number of rows that it affected.
    ///
    /// SQLite gets many rows one after another, in a transaction: its `INSERT` does not know `DEFAULT`.
    ///
    /// # Errors
    ///
    /// Those of the executor: see the [module](super).
    #[track_caller]
    fn execute<'q, How>(self, on: E) -> Running<'q, usize, E::Error>
    where
        E: Executor<Self, B, Via> + 'q,
        Self: Execute<'q, E::Connection, How> + 'q,
    {
        run::execute::<E, B, _>(on, self.into_command(), Location::caller())
    }

    /// Runs the query and returns its rows.
    ///
    /// # Errors
    ///
    /// Those of the executor: see the [module](super).
    #[track_caller]
    fn load<'q, U>(self, on: E) -> Running<'q, Vec<U>, E::Error>
    where
        Self: AsQuery<SqlType: 'static>,
        Self::Query: QueryFragment<LenderBackend<E, B>> + Send + 'q,
        E: Executor<Self::Query, B, Via> + 'q,
        ErasedFor<'q, Self, E, B>: LoadQuery<'q, E::Connection, U>,
        U: Send + 'static,
    {
        run::load::<E, B, _, U>(on, ErasedQuery::new(self.as_query()), Location::caller())
    }

    /// Runs the query and returns its rows as they are asked for.
    ///
    /// The stream holds the executor's connection until it is dropped: on the registry that is a
    /// session, which others wait for.
    ///
    /// # Errors
    ///
    /// Those of the executor, from the future and from the stream: see the [module](super).
    #[track_caller]
    fn load_stream<'q, U>(self, on: E) -> Running<'q, Rows<'q, U, E::Error>, E::Error>
    where
        Self: AsQuery<SqlType: 'static>,
        Self::Query: QueryFragment<LenderBackend<E, B>> + Send + 'q,
        E: Executor<Self::Query, B, Via> + 'q,
        ErasedFor<'q, Self, E, B>: LoadQuery<'q, E::Connection, U>,
        U: Send + 'static,
    {
        run::stream::<E, B, _, U>(on, ErasedQuery::new(self.as_query()), Location::caller())
    }

    /// Runs the query and returns its first row.
    ///
    /// It loads no more than that row, but the database may still find all of them: see
    /// [`first`](Self::first).
    ///
    /// # Errors
    ///
    /// Those of the executor, and Diesel's `NotFound` if there is no row.
    #[track_caller]
    fn get_result<'q, U>(self, on: E) -> Running<'q, U, E::Error>
    where
        Self: AsQuery<SqlType: 'static>,
        Self::Query: QueryFragment<LenderBackend<E, B>> + Send + 'q,
        E: Executor<Self::Query, B, Via> + 'q,
        ErasedFor<'q, Self, E, B>: LoadQuery<'q, E::Connection, U>,
        U: Send + 'static,
    {
        run::first::<E, B, _, U>(on, ErasedQuery::new(self.as_query()), Location::caller())
    }

    /// Runs the command and returns the rows that it affected: [`load`](Self::load), under a name that
    /// reads better after `RETURNING`.
    ///
    /// # Errors
    ///
    /// Those of the executor: see the [module](super).
    #[track_caller]
    fn get_results<'q, U>(self, on: E) -> Running<'q, Vec<U>, E::Error>
    where
        Self: AsQuery<SqlType: 'static>,
        Self::Query: QueryFragment<LenderBackend<E, B>> + Send + 'q,
        E: Executor<Self::Query, B, Via> + 'q,
        ErasedFor<'q, Self, E, B>: LoadQuery<'q, E::Connection, U>,
        U: Send + 'static,
    {
        self.load(on)
    }

    /// Runs the query with `LIMIT 1` and returns that row.
    ///
    /// # Errors
    ///
    /// Those of the executor, and Diesel's `NotFound` if there is no row.
    #[track_caller]
    fn first<'q, U>(self, on: E) -> Running<'q, U, E::Error>
    where
        Self: LimitDsl<Output: AsQuery<SqlType: 'static>>,
        <Limit<Self> as AsQuery>::Query: QueryFragment<LenderBackend<E, B>> + Send + 'q,
        E: Executor<<Limit<Self> as AsQuery>::Query, B, Via> + 'q,
        ErasedFor<'q, Limit<Self>, E, B>: LoadQuery<'q, E::Connection, U>,
        U: Send + 'static,
    {
        RunQueryDsl::<E, B, Via>::get_result(LimitDsl::limit(self, 1), on)
    }
}

impl<Q, E, B: 'static, Via: RouteMarker> RunQueryDsl<E, B, Via> for Q {}
