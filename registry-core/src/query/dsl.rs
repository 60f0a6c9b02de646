//! The methods that run a query.

use std::panic::Location;

use diesel::dsl::Limit;
use diesel::query_builder::{AsQuery, QueryFragment};
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::methods::LoadQuery;

use super::erased::ErasedQuery;
use super::execute::Execute;
use super::executor::{ConnectionOf, ErrorOf, Executor, IntoExecutor, LenderBackend, QueryCall};
use super::routing::RouteMarker;
use super::rows::Rows;
use super::run::{self, Running};

/// The query `Q` with its type erased, for the connection of an executor.
type ErasedFor<'q, Q, E, B> = ErasedQuery<'q, BackendOf<E, B>, <Q as AsQuery>::SqlType>;

/// The Diesel backend of queries on `E`.
type BackendOf<E, B> = LenderBackend<<E as IntoExecutor>::Executor, B>;

/// Runs queries: the methods of diesel-async's trait of the same name, for all executors.
///
/// The [module](super) describes the executors and the checks. `E` is the executor. The compiler infers `B`, the bind of
/// the query, and `Via`, the part of the query that determines the bind.
///
/// On `&registry` and `&tenant` each method waits for a session first, up to `acquire_timeout` (30 seconds by
/// default). All futures are `Send`. Dropping one cancels the query: a session that was acquired for it is returned,
/// and its connection is closed if a statement was in progress. The statement may or may not take
/// effect then.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
///
/// diesel::table! { events (id) { id -> Integer, what -> Text, } }
/// bind_tables!(db = "analytics", backend = Sqlite; events);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
/// diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
///
/// let rows = [events::what.eq("sign-up"), events::what.eq("log-in")];
/// let inserted = diesel::insert_into(events::table).values(&rows).execute(&registry).await?;
/// assert_eq!(inserted, 2);
///
/// let what = events::table.select(events::what).order(events::id);
/// assert_eq!(what.load::<String>(&registry).await?, ["sign-up", "log-in"]);
/// assert_eq!(what.first::<String>(&registry).await?, "sign-up");
///
/// let mut session = registry.session_for::<events::table>().await?;
/// let count: i64 = events::table.count().get_result(&mut session).await?;
/// assert_eq!(count, 2);
/// # Ok(())
/// # }
/// ```
pub trait RunQueryDsl<E, B: 'static, Via: RouteMarker>: Sized {
    /// Runs the command and returns the number of rows that it affected.
    ///
    /// An insert of many rows is sent to SQLite row by row, in a transaction, because SQLite has no `DEFAULT` in a
    /// list of values.
    ///
    /// # Errors
    ///
    /// Those of the [executor](super): Diesel's error on a session or a connection; on others
    /// [`Error`](crate::Error), which also says why no session could be acquired.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, what -> Text, } }
    /// # bind_tables!(db = "analytics", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// # let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let event = events::what.eq("sign-up");
    /// let inserted = diesel::insert_into(events::table).values(event).execute(&registry).await?;
    /// assert_eq!(inserted, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    fn execute<'q, How>(self, on: E) -> Running<'q, usize, ErrorOf<E, B>>
    where
        E: IntoExecutor<Executor: Executor<Self, B, Via> + 'q>,
        Self: Execute<'q, ConnectionOf<E, B>, How> + 'q,
    {
        let at = Location::caller();
        let on = on.into_executor(QueryCall::of::<E, B>(at));
        run::execute::<E::Executor, B, _>(on, self.into_command(), at)
    }

    /// Runs the query and returns its rows.
    ///
    /// # Errors
    ///
    /// Those of the [executor](super): Diesel's error on a session or a connection; on others
    /// [`Error`](crate::Error), which also says why no session could be acquired.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, what -> Text, } }
    /// # bind_tables!(db = "analytics", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// # let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// # diesel::insert_into(events::table).values(events::what.eq("sign-up")).execute(&registry).await?;
    /// let what: Vec<String> = events::table.select(events::what).load(&registry).await?;
    /// assert_eq!(what, ["sign-up"]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    fn load<'q, U>(self, on: E) -> Running<'q, Vec<U>, ErrorOf<E, B>>
    where
        Self: AsQuery<SqlType: 'static>,
        Self::Query: QueryFragment<BackendOf<E, B>> + Send + 'q,
        E: IntoExecutor<Executor: Executor<Self::Query, B, Via> + 'q>,
        ErasedFor<'q, Self, E, B>: LoadQuery<'q, ConnectionOf<E, B>, U>,
        U: Send + 'static,
    {
        let at = Location::caller();
        let on = on.into_executor(QueryCall::of::<E, B>(at));
        run::load::<E::Executor, B, _, U>(on, ErasedQuery::new(self.as_query()), at)
    }

    /// Runs the query and returns a stream of its rows.
    ///
    /// The future waits until the database has accepted the query, and the stream waits for each row. The stream
    /// holds the connection until it is dropped. On `&registry` this is a connection of the pool, for which other callers
    /// may wait.
    ///
    /// On a registry, a tenant or a session that is passed by value, the stream borrows nothing. It is `'static` if the
    /// query is, and can be the body of a response.
    ///
    /// # Errors
    ///
    /// Those of the [executor](super), from the future and from the stream.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
    /// use futures_util::TryStreamExt;
    /// # diesel::table! { events (id) { id -> Integer, what -> Text, } }
    /// # bind_tables!(db = "analytics", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// # let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let mut rows = events::table.select(events::what).load_stream::<String>(&registry).await?;
    /// while let Some(what) = rows.try_next().await? {
    ///     println!("{what}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    fn load_stream<'q, U>(self, on: E) -> Running<'q, Rows<'q, U, ErrorOf<E, B>>, ErrorOf<E, B>>
    where
        Self: AsQuery<SqlType: 'static>,
        Self::Query: QueryFragment<BackendOf<E, B>> + Send + 'q,
        E: IntoExecutor<Executor: Executor<Self::Query, B, Via> + 'q>,
        ErasedFor<'q, Self, E, B>: LoadQuery<'q, ConnectionOf<E, B>, U>,
        U: Send + 'static,
    {
        let at = Location::caller();
        let on = on.into_executor(QueryCall::of::<E, B>(at));
        run::stream::<E::Executor, B, _, U>(on, ErasedQuery::new(self.as_query()), at)
    }

    /// Runs the query and returns its first row.
    ///
    /// Other rows are not loaded, but the database may compute them all. [`first`](Self::first) adds a `LIMIT 1`.
    ///
    /// # Errors
    ///
    /// Those of the [executor](super), and Diesel's `NotFound` if there is no row. See
    /// [`OptionalExtension`](super::OptionalExtension).
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, what -> Text, } }
    /// # bind_tables!(db = "analytics", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// # let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let count: i64 = events::table.count().get_result(&registry).await?;
    /// assert_eq!(count, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    fn get_result<'q, U>(self, on: E) -> Running<'q, U, ErrorOf<E, B>>
    where
        Self: AsQuery<SqlType: 'static>,
        Self::Query: QueryFragment<BackendOf<E, B>> + Send + 'q,
        E: IntoExecutor<Executor: Executor<Self::Query, B, Via> + 'q>,
        ErasedFor<'q, Self, E, B>: LoadQuery<'q, ConnectionOf<E, B>, U>,
        U: Send + 'static,
    {
        let at = Location::caller();
        let on = on.into_executor(QueryCall::of::<E, B>(at));
        run::first::<E::Executor, B, _, U>(on, ErasedQuery::new(self.as_query()), at)
    }

    /// Runs the command and returns the rows of its `RETURNING` clause. It is the same as [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// Those of the [executor](super): Diesel's error on a session or a connection; on others
    /// [`Error`](crate::Error), which also says why no session could be acquired.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, what -> Text, } }
    /// # bind_tables!(db = "analytics", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// # let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// # diesel::insert_into(events::table).values(events::what.eq("sign-up")).execute(&registry).await?;
    /// let deleted = diesel::delete(events::table).returning(events::what);
    /// assert_eq!(deleted.get_results::<String>(&registry).await?, ["sign-up"]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    fn get_results<'q, U>(self, on: E) -> Running<'q, Vec<U>, ErrorOf<E, B>>
    where
        Self: AsQuery<SqlType: 'static>,
        Self::Query: QueryFragment<BackendOf<E, B>> + Send + 'q,
        E: IntoExecutor<Executor: Executor<Self::Query, B, Via> + 'q>,
        ErasedFor<'q, Self, E, B>: LoadQuery<'q, ConnectionOf<E, B>, U>,
        U: Send + 'static,
    {
        self.load(on)
    }

    /// Runs the query with `LIMIT 1` and returns that row.
    ///
    /// # Errors
    ///
    /// Those of the [executor](super), and Diesel's `NotFound` if there is no row. See
    /// [`OptionalExtension`](super::OptionalExtension).
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, what -> Text, } }
    /// # bind_tables!(db = "analytics", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// # let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// # diesel::insert_into(events::table).values(events::what.eq("sign-up")).execute(&registry).await?;
    /// let newest = events::table.order(events::id.desc()).select(events::what);
    /// assert_eq!(newest.first::<String>(&registry).await?, "sign-up");
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    fn first<'q, U>(self, on: E) -> Running<'q, U, ErrorOf<E, B>>
    where
        Self: LimitDsl<Output: AsQuery<SqlType: 'static>>,
        <Limit<Self> as AsQuery>::Query: QueryFragment<BackendOf<E, B>> + Send + 'q,
        E: IntoExecutor<Executor: Executor<<Limit<Self> as AsQuery>::Query, B, Via> + 'q>,
        ErasedFor<'q, Limit<Self>, E, B>: LoadQuery<'q, ConnectionOf<E, B>, U>,
        U: Send + 'static,
    {
        RunQueryDsl::<E, B, Via>::get_result(LimitDsl::limit(self, 1), on)
    }
}

impl<Q, E, B: 'static, Via: RouteMarker> RunQueryDsl<E, B, Via> for Q {}
