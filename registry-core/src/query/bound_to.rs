//! Queries whose bind is named with `.bound_to::<Model>()`.

use std::fmt;
use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AsQuery, AstPass, Query, QueryFragment, QueryId};

use crate::bind::Bound;

mod dsl;

/// Names the bind of a query whose type does not determine the bind.
pub trait BindDsl: Sized {
    /// This query, bound to the database of the model, table or bind `M`.
    ///
    /// The query can be of any type: raw SQL, a query type of the program or of another crate, or a query on tables
    /// that cannot be bound (see [`bind_foreign!`](crate::bind_foreign)). `.filter(..)`, `.limit(..)`, `.first(..)` and
    /// other methods work after it, if they work on the query itself.
    ///
    /// The compiler does not check its tables. They are checked when the query is run, in its type and in its SQL, also
    /// in the text of `sql_query` and `sql`: if a table belongs to another bind, the query fails with
    /// [`HiddenTable`](super::HiddenTable), and nothing is sent. What counts as a table in SQL text is in the
    /// [module](super#tables-in-sql-text).
    ///
    /// ```
    /// use diesel::sql_types::Text;
    /// use registry_core::{BindDsl, Registry, RunQueryDsl, binds};
    ///
    /// binds! { Files: Sqlite = "files"; }
    ///
    /// # #[derive(diesel::QueryableByName)]
    /// # struct Version { #[diesel(sql_type = Text)] version: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("files", "sqlite::memory:").build()?;
    /// let query = diesel::sql_query("SELECT sqlite_version() AS version").bound_to::<Files>();
    /// let row: Version = query.get_result(&registry).await?;
    /// assert!(row.version.starts_with('3'));
    /// # Ok(())
    /// # }
    /// ```
    fn bound_to<M: Bound>(self) -> BoundTo<Self, M::Bind> {
        BoundTo { query: self, bind: PhantomData }
    }

    /// This query, bound to the database of the model, table or bind `M`, with the claim of the program that it only reads.
    ///
    /// It is as [`bound_to`](Self::bound_to), and runs on readers ([`Reader`](crate::Reader), [`ReadSession`](crate::ReadSession))
    /// as well. They take no other query whose type does not show that it only reads, such as raw SQL.
    ///
    /// The compiler believes the claim, and the server does not: it refuses a statement that writes. A statement of Diesel's
    /// that writes, and a locking clause of Diesel's, are refused before anything is sent.
    ///
    /// ```
    /// use diesel::sql_types::Text;
    /// use registry_core::{BindDsl, Registry, RunQueryDsl, binds};
    ///
    /// binds! { Files: Sqlite = "files"; }
    ///
    /// # #[derive(diesel::QueryableByName)]
    /// # struct Version { #[diesel(sql_type = Text)] version: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("files", "sqlite::memory:").build()?;
    /// let query = diesel::sql_query("SELECT sqlite_version() AS version").reads::<Files>();
    /// let row: Version = query.get_result(&registry.reader()).await?;
    /// assert!(row.version.starts_with('3'));
    /// # Ok(())
    /// # }
    /// ```
    fn reads<M: Bound>(self) -> BoundTo<Self, M::Bind, OnlyReads> {
        BoundTo { query: self, bind: PhantomData }
    }
}

impl<Q> BindDsl for Q {}

/// Nothing is claimed of the query: it may write.
#[derive(Debug)]
pub enum MayWrite {}

/// The program claims that the query only reads, with [`BindDsl::reads`].
#[derive(Debug)]
pub enum OnlyReads {}

/// A query for the bind `B`, made by [`BindDsl::bound_to`] and [`BindDsl::reads`].
///
/// `Claim` is what the program claims of it.
#[must_use = "a query does nothing until it is run"]
pub struct BoundTo<Q, B, Claim = MayWrite> {
    query: Q,
    bind: PhantomData<fn() -> (B, Claim)>,
}

impl<Q, B, Claim> BoundTo<Q, B, Claim> {
    pub(super) fn into_query(self) -> Q {
        self.query
    }

    fn map<R>(self, change: impl FnOnce(Q) -> R) -> BoundTo<R, B, Claim> {
        BoundTo { query: change(self.query), bind: PhantomData }
    }
}

impl<Q: Clone, B, Claim> Clone for BoundTo<Q, B, Claim> {
    fn clone(&self) -> Self {
        Self { query: self.query.clone(), bind: PhantomData }
    }
}

impl<Q: fmt::Debug, B> fmt::Debug for BoundTo<Q, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.query.fmt(f)
    }
}

impl<Q: AsQuery, B, Claim> AsQuery for BoundTo<Q, B, Claim> {
    type SqlType = Q::SqlType;
    type Query = BoundToQuery<Q::Query, B, Claim>;

    fn as_query(self) -> Self::Query {
        BoundToQuery { query: self.query.as_query(), bind: PhantomData }
    }
}

impl<Q: QueryId, B, Claim> QueryId for BoundTo<Q, B, Claim> {
    type QueryId = Q::QueryId;

    const HAS_STATIC_QUERY_ID: bool = Q::HAS_STATIC_QUERY_ID;
}

impl<DB: Backend, Q: QueryFragment<DB>, B, Claim> QueryFragment<DB> for BoundTo<Q, B, Claim> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(out)
    }
}

/// A [`BoundTo`] after its conversion into a query. The content of a `BoundTo` may be no query yet, such as a table.
#[derive(Debug)]
pub struct BoundToQuery<Q, B, Claim = MayWrite> {
    query: Q,
    bind: PhantomData<fn() -> (B, Claim)>,
}

impl<Q: Query, B, Claim> Query for BoundToQuery<Q, B, Claim> {
    type SqlType = Q::SqlType;
}

impl<Q: QueryId, B, Claim> QueryId for BoundToQuery<Q, B, Claim> {
    type QueryId = Q::QueryId;

    const HAS_STATIC_QUERY_ID: bool = Q::HAS_STATIC_QUERY_ID;
}

impl<DB: Backend, Q: QueryFragment<DB>, B, Claim> QueryFragment<DB> for BoundToQuery<Q, B, Claim> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(out)
    }
}
