//! A session that an `AnyExecutor` shares with other queries.

use diesel::QueryResult;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Untyped;
use diesel_async::AsyncConnectionCore;
#[cfg(feature = "postgres")]
use diesel_async::SimpleAsyncConnection;
use futures_util::future::BoxFuture;

use crate::backend::Backend;
use crate::engine::Checkout;

/// The Diesel backend of a connection type.
type Dialect<C> = <C as AsyncConnectionCore>::Backend;

/// A checkout whose connection can have several statements under way. Only PostgreSQL's implements it.
///
/// The connection type of an `AnyExecutor` is the same for all of its kinds. So the futures are those of an exclusive
/// connection, and the trait is object-safe.
pub trait SharedCheckout<C: Backend>: Sync {
    /// The checkout.
    fn checkout(&self) -> &Checkout<C>;

    /// Runs a query that returns rows.
    fn load<'conn, 'query>(
        &'conn self,
        query: BoxedQuery<'query, Dialect<C>>,
    ) -> <C as AsyncConnectionCore>::LoadFuture<'conn, 'query>;

    /// Runs a query that returns the number of affected rows.
    fn execute<'conn, 'query>(
        &'conn self,
        query: BoxedQuery<'query, Dialect<C>>,
    ) -> <C as AsyncConnectionCore>::ExecuteFuture<'conn, 'query>;

    /// Runs several statements.
    fn batch_execute<'conn>(&'conn self, sql: &'conn str) -> BoxFuture<'conn, QueryResult<()>>;
}

#[cfg(feature = "postgres")]
impl SharedCheckout<crate::backend::Postgres> for Checkout<crate::backend::Postgres> {
    fn checkout(&self) -> &Self {
        self
    }

    fn load<'conn, 'query>(
        &'conn self,
        query: BoxedQuery<'query, diesel::pg::Pg>,
    ) -> <crate::backend::Postgres as AsyncConnectionCore>::LoadFuture<'conn, 'query> {
        let mut shared = self.connection();
        AsyncConnectionCore::load(&mut shared, query)
    }

    fn execute<'conn, 'query>(
        &'conn self,
        query: BoxedQuery<'query, diesel::pg::Pg>,
    ) -> <crate::backend::Postgres as AsyncConnectionCore>::ExecuteFuture<'conn, 'query> {
        let mut shared = self.connection();
        AsyncConnectionCore::execute_returning_count(&mut shared, query)
    }

    fn batch_execute<'conn>(&'conn self, sql: &'conn str) -> BoxFuture<'conn, QueryResult<()>> {
        let mut shared = self.connection();
        Box::pin(async move { SimpleAsyncConnection::batch_execute(&mut shared, sql).await })
    }
}

/// A query of any type.
#[expect(missing_debug_implementations, reason = "never seen")]
pub struct BoxedQuery<'q, DB>(Box<dyn QueryFragment<DB> + 'q>);

impl<'q, DB: diesel::backend::Backend> BoxedQuery<'q, DB> {
    pub(super) fn new(query: impl QueryFragment<DB> + 'q) -> Self {
        Self(Box::new(query))
    }
}

impl<DB> Query for BoxedQuery<'_, DB> {
    type SqlType = Untyped;
}

/// Without a static id, Diesel looks its prepared statement up by the SQL.
impl<DB> QueryId for BoxedQuery<'_, DB> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB: diesel::backend::Backend> QueryFragment<DB> for BoxedQuery<'_, DB> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    // The `QueryFragment` of a box passes on `walk_ast` alone, but an `ErasedQuery` has implementations of its own.

    fn to_sql(&self, out: &mut DB::QueryBuilder, backend: &DB) -> QueryResult<()> {
        (*self.0).to_sql(out, backend)
    }

    fn collect_binds<'b>(
        &'b self,
        out: &mut DB::BindCollector<'b>,
        metadata_lookup: &mut DB::MetadataLookup,
        backend: &'b DB,
    ) -> QueryResult<()> {
        (*self.0).collect_binds(out, metadata_lookup, backend)
    }
}
