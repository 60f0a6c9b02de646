//! The connection of a query on an `AnyExecutor`.

use std::fmt;

use diesel::QueryResult;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::result::Error;
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};

use super::shared::{BoxedQuery, SharedCheckout};
use crate::backend::Backend;
use crate::engine::Checkout;

/// The connection of a query on an [`AnyExecutor`](super::AnyExecutor).
pub struct AnyConnection<'a, C: Backend>(Held<'a, C>);

enum Held<'a, C: Backend> {
    /// Acquired for the query, and returned after it.
    Owned(Checkout<C>),
    /// The caller's.
    Borrowed(&'a mut Checkout<C>),
    /// The caller's, and other statements may be under way on it.
    Shared(&'a dyn SharedCheckout<C>),
}

impl<'a, C: Backend> AnyConnection<'a, C> {
    pub(super) fn owned(checkout: Checkout<C>) -> Self {
        Self(Held::Owned(checkout))
    }

    pub(super) fn borrowed(checkout: &'a mut Checkout<C>) -> Self {
        Self(Held::Borrowed(checkout))
    }

    pub(super) fn shared(checkout: &'a dyn SharedCheckout<C>) -> Self {
        Self(Held::Shared(checkout))
    }

    pub(super) fn is_owned(&self) -> bool {
        matches!(self.0, Held::Owned(_))
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self.0, Held::Shared(_))
    }

    pub(super) fn checkout(&self) -> &Checkout<C> {
        match &self.0 {
            Held::Owned(checkout) => checkout,
            Held::Borrowed(checkout) => checkout,
            Held::Shared(checkout) => checkout.checkout(),
        }
    }

    /// The connection itself. Fails if other statements may be under way on it.
    pub(in crate::query) fn exclusive(&mut self) -> QueryResult<&mut C> {
        const IS_SHARED: &str = "a command that is sent as several statements needs the session for itself, and the session \
             of this executor is shared with other queries: make the executor from `&mut session`";
        match self.exclusive_checkout() {
            Some(checkout) => Ok(checkout.connection_mut()),
            None => Err(Error::QueryBuilderError(IS_SHARED.into())),
        }
    }

    pub(super) fn exclusive_checkout(&mut self) -> Option<&mut Checkout<C>> {
        match &mut self.0 {
            Held::Owned(checkout) => Some(checkout),
            Held::Borrowed(checkout) => Some(checkout),
            Held::Shared(_) => None,
        }
    }
}

impl<C: Backend> SimpleAsyncConnection for AnyConnection<'_, C> {
    async fn batch_execute(&mut self, sql: &str) -> QueryResult<()> {
        match &mut self.0 {
            Held::Owned(checkout) => checkout.connection_mut().batch_execute(sql).await,
            Held::Borrowed(checkout) => checkout.connection_mut().batch_execute(sql).await,
            Held::Shared(checkout) => checkout.batch_execute(sql).await,
        }
    }
}

impl<C: Backend> AsyncConnectionCore for AnyConnection<'_, C> {
    type ExecuteFuture<'conn, 'query> = <C as AsyncConnectionCore>::ExecuteFuture<'conn, 'query>;
    type LoadFuture<'conn, 'query> = <C as AsyncConnectionCore>::LoadFuture<'conn, 'query>;
    type Stream<'conn, 'query> = <C as AsyncConnectionCore>::Stream<'conn, 'query>;
    type Row<'conn, 'query> = <C as AsyncConnectionCore>::Row<'conn, 'query>;
    type Backend = <C as AsyncConnectionCore>::Backend;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Self::Backend> + QueryId + 'query,
    {
        match &mut self.0 {
            Held::Owned(checkout) => checkout.connection_mut().load(source),
            Held::Borrowed(checkout) => checkout.connection_mut().load(source),
            Held::Shared(checkout) => checkout.load(BoxedQuery::new(source.as_query())),
        }
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Self::Backend> + QueryId + 'query,
    {
        match &mut self.0 {
            Held::Owned(checkout) => checkout.connection_mut().execute_returning_count(source),
            Held::Borrowed(checkout) => checkout.connection_mut().execute_returning_count(source),
            Held::Shared(checkout) => checkout.execute(BoxedQuery::new(source)),
        }
    }
}

impl<C: Backend> fmt::Debug for AnyConnection<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyConnection").finish_non_exhaustive()
    }
}
