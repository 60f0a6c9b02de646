//! Bounds for generic code: queries of any model, and executors of any kind.
//!
//! In a function that is generic over the query or the executor, the compiler cannot infer the bind and the route marker
//! that [`RunQueryDsl`](super::RunQueryDsl) needs. The traits of this file need neither: their implementations for all
//! types contain the bounds, and their methods run the query.

use std::panic::Location;

use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::query_builder::{AsQuery, QueryFragment};
use diesel::query_dsl::CompatibleType;
use diesel_async::AsyncConnectionCore;

use super::erased::ErasedQuery;
use super::executor::{ErrorOf, IntoExecutor, Lender, QueryCall};
use super::run::{self, Running};
use crate::bind::{Bind, Bound};

/// Diesel's backend of the bind `B`: the `DB` in Diesel's traits.
pub type DieselBackend<B> = <<B as Bind>::Connection as AsyncConnectionCore>::Backend;

/// An executor for queries of the bind `B`, as a bound for generic code.
///
/// `&Registry`, `&Tenant`, `&mut UnitOfWork`, `&mut Session<B>`, `&mut AnyExecutor<'_, B>`, and a value of the program
/// that names one of them ([`IntoExecutor`]). A session of another bind does not compile. The
/// error is that of the executor: Diesel's on a session.
///
/// The methods of [`QueryOf`] and [`CommandOf`] take it, those of [`RunQueryDsl`](super::RunQueryDsl) do not.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::query::{QueryOf, Runs};
/// use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables, binds};
///
/// diesel::table! { orders (id) { id -> Integer, } }
/// binds! { Shop: Sqlite = "default"; }
/// bind_tables!(Shop; orders);
///
/// async fn count<E: Runs<Shop>>(on: E) -> Result<i64, E::Error> {
///     orders::table.count().get_result_on(on).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<Shop>().execute(&registry).await?;
/// assert_eq!(count(&registry).await?, 0);
/// let mut session = registry.session::<Shop>().await?;
/// let on_session: QueryResult<i64> = count(&mut session).await;
/// assert_eq!(on_session, Ok(0));
/// # Ok(())
/// # }
/// ```
// The lender is an associated type, and not a supertrait: with supertraits that have associated types, the compiler does not
// resolve a bound such as `Runs<<Order as Bound>::Bind>`.
pub trait Runs<B: Bind>: Send {
    /// The error of a query: Diesel's on a session, and [`Error`](crate::Error) on others.
    type Error: From<diesel::result::Error> + Send;

    /// The executor.
    #[doc(hidden)]
    type Lender: Lender<B, Connection: AsyncConnectionCore<Backend = DieselBackend<B>>, Error = Self::Error>;

    /// The executor of the query at `place`.
    #[doc(hidden)]
    fn lender(self, place: &'static Location<'static>) -> Self::Lender;
}

impl<E, B: Bind> Runs<B> for E
where
    E: IntoExecutor + Send,
    E::Executor: Lender<B, Connection: AsyncConnectionCore<Backend = DieselBackend<B>>>,
{
    type Error = ErrorOf<E, B>;
    type Lender = E::Executor;

    fn lender(self, place: &'static Location<'static>) -> E::Executor {
        self.into_executor(QueryCall::of::<E, B>(place))
    }
}

/// A query of the bind `B` whose rows load into `U`, as a bound for generic code.
///
/// It is implemented for the tables and the queries of `B`, whose type [is bound](Bound) to it: selects, boxed or
/// not, and inserts, updates and deletes with a `RETURNING` clause. A query of another kind, such as a `UNION` or raw
/// SQL, is one after [`.bound_to::<Model>()`](crate::BindDsl::bound_to).
///
/// The checks are those of the [module](super), with one difference: a locking clause on `&registry` and `&tenant` is
/// refused when the query is run, since the compiler does not know whether the executor is one of them.
///
/// ```
/// use diesel::associations::HasTable;
/// use diesel::dsl::Find;
/// use diesel::prelude::*;
/// use diesel::query_dsl::methods;
/// use registry_core::query::QueryOf;
/// use registry_core::{BindDsl, Bound, OptionalExtension, Error, Registry, RunQueryDsl, bind, bind_tables};
///
/// diesel::table! { orders (id) { id -> Integer, } }
/// bind_tables!(db = "default", backend = Sqlite; orders);
///
/// #[bind(table)]
/// #[derive(Debug, PartialEq, Queryable, Identifiable, Insertable)]
/// #[diesel(table_name = orders)]
/// struct Order {
///     id: i32,
/// }
///
/// async fn find<M, Id>(registry: &Registry, id: Id) -> Result<Option<M>, Error>
/// where
///     M: Bound + HasTable<Table: methods::FindDsl<Id>>,
///     Find<M::Table, Id>: QueryOf<M::Bind, M>,
/// {
///     M::table().find(id).get_result_on(registry).await.optional()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<Order>().execute(&registry).await?;
/// diesel::insert_into(orders::table).values(&Order { id: 1 }).execute(&registry).await?;
/// assert_eq!(find::<Order, _>(&registry, 1).await?, Some(Order { id: 1 }));
/// assert_eq!(find::<Order, _>(&registry, 2).await?, None);
/// # Ok(())
/// # }
/// ```
pub trait QueryOf<B: Bind, U>: Sized {
    /// Runs the query and returns its rows, as [`load`](super::RunQueryDsl::load) does.
    ///
    /// # Errors
    ///
    /// Those of the executor.
    #[track_caller]
    fn load_on<'q, E: Runs<B> + 'q>(self, on: E) -> Running<'q, Vec<U>, E::Error>
    where
        Self: 'q;

    /// Runs the query and returns its first row, as [`get_result`](super::RunQueryDsl::get_result) does: without a
    /// `LIMIT`.
    ///
    /// # Errors
    ///
    /// Those of the executor, and Diesel's `NotFound` if there is no row.
    #[track_caller]
    fn get_result_on<'q, E: Runs<B> + 'q>(self, on: E) -> Running<'q, U, E::Error>
    where
        Self: 'q;
}

#[diagnostic::do_not_recommend]
impl<Q, B: Bind, U> QueryOf<B, U> for Q
where
    Q: AsQuery<Query: Bound<Bind = B> + QueryFragment<DieselBackend<B>> + Send>,
    Q::SqlType: CompatibleType<U, DieselBackend<B>, SqlType: 'static> + 'static,
    U: FromSqlRow<<Q::SqlType as CompatibleType<U, DieselBackend<B>>>::SqlType, DieselBackend<B>>
        + Send
        + 'static,
    DieselBackend<B>: QueryMetadata<Q::SqlType> + 'static,
{
    fn load_on<'q, E: Runs<B> + 'q>(self, on: E) -> Running<'q, Vec<U>, E::Error>
    where
        Q: 'q,
    {
        let at = Location::caller();
        run::load::<E::Lender, B, _, U>(on.lender(at), ErasedQuery::new(self.as_query()), at)
    }

    fn get_result_on<'q, E: Runs<B> + 'q>(self, on: E) -> Running<'q, U, E::Error>
    where
        Q: 'q,
    {
        let at = Location::caller();
        run::first::<E::Lender, B, _, U>(on.lender(at), ErasedQuery::new(self.as_query()), at)
    }
}

/// A command of the bind `B`, as a bound for generic code: an insert, an update or a delete.
///
/// It is implemented for the queries of `B`, whose type [is bound](Bound) to it. An insert of many rows is one only where
/// it is a single statement, and so not on SQLite.
///
/// ```
/// use diesel::associations::HasTable;
/// use diesel::dsl::{Find, delete};
/// use diesel::prelude::*;
/// use diesel::query_builder::IntoUpdateTarget;
/// use diesel::query_dsl::methods;
/// use registry_core::query::{CommandOf, Runs};
/// use registry_core::{BindDsl, Bound, Error, Registry, RunQueryDsl, bind, bind_tables};
///
/// diesel::table! { orders (id) { id -> Integer, } }
/// bind_tables!(db = "default", backend = Sqlite; orders);
///
/// #[bind(table)]
/// #[derive(Queryable, Identifiable)]
/// #[diesel(table_name = orders)]
/// struct Order {
///     id: i32,
/// }
///
/// async fn remove<M, Id, E>(on: E, id: Id) -> Result<bool, E::Error>
/// where
///     M: Bound + HasTable<Table: methods::FindDsl<Id, Output: IntoUpdateTarget>>,
///     delete<Find<M::Table, Id>>: CommandOf<M::Bind>,
///     E: Runs<M::Bind>,
/// {
///     Ok(delete(M::table().find(id)).execute_on(on).await? == 1)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<Order>().execute(&registry).await?;
/// assert!(!remove::<Order, _, _>(&registry, 1).await?);
/// # Ok(())
/// # }
/// ```
pub trait CommandOf<B: Bind>: Sized {
    /// Runs the command and returns the number of rows that it affected, as
    /// [`execute`](super::RunQueryDsl::execute) does.
    ///
    /// # Errors
    ///
    /// Those of the executor.
    #[track_caller]
    fn execute_on<'q, E: Runs<B> + 'q>(self, on: E) -> Running<'q, usize, E::Error>
    where
        Self: 'q;
}

#[diagnostic::do_not_recommend]
impl<Q, B: Bind> CommandOf<B> for Q
where
    Q: Bound<Bind = B> + QueryFragment<DieselBackend<B>> + Send,
    DieselBackend<B>: 'static,
{
    fn execute_on<'q, E: Runs<B> + 'q>(self, on: E) -> Running<'q, usize, E::Error>
    where
        Q: 'q,
    {
        let at = Location::caller();
        let command = ErasedQuery::<DieselBackend<B>, ()>::new(self);
        run::execute::<E::Lender, B, _>(on.lender(at), command, at)
    }
}
