//! Commands: statements that return the number of rows they affected.

use std::future::Future;

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::QueryFragment;
use diesel_async::AsyncConnectionCore;
use diesel_async::methods::ExecuteDsl;

use super::check::Check;
use super::erased::ErasedQuery;
#[cfg(feature = "sqlite")]
use super::executor::any::connection::AnyConnection;
#[cfg(feature = "sqlite")]
use crate::backend::Sqlite;

#[cfg(feature = "sqlite")]
mod batch_insert;
#[cfg(feature = "sqlite")]
pub(super) mod batch_upsert;

/// A query that can be run with [`execute`](super::RunQueryDsl::execute) on connections of type `C`.
///
/// `How` is the way of sending it: as a single statement, or as several. The compiler infers it.
pub trait Execute<'q, C, How>: Sized {
    /// The statements that are sent.
    type Command: Command<C> + 'q;

    /// Turns the query into statements.
    fn into_command(self) -> Self::Command;
}

/// One or several statements for connections of type `C`, with their types erased.
pub trait Command<C>: Sized + Send {
    /// Fails if one of the statements does not pass the check.
    fn check(&self, check: Check) -> QueryResult<()>;

    /// Makes the driver prepare the statements anew.
    fn bypass_cache(&mut self);

    /// The command to be sent, and a function that returns it once more, if `may_retry` and if it can be run twice.
    fn split_for_retry(self, may_retry: bool) -> (Self, impl FnOnce() -> Option<Self> + Send);

    /// Sends the statements, and returns the number of rows that they affected.
    fn run(self, connection: &mut C) -> impl Future<Output = QueryResult<usize>> + Send;
}

/// The command is sent as a single statement.
#[derive(Debug)]
pub struct SingleStatement(());

impl<'q, C, Q> Execute<'q, C, SingleStatement> for Q
where
    C: AsyncConnectionCore<Backend: Backend<QueryBuilder: Default> + Default + 'static>,
    Q: QueryFragment<C::Backend> + Send + 'q,
{
    type Command = ErasedQuery<'q, C::Backend, ()>;

    fn into_command(self) -> Self::Command {
        ErasedQuery::new(self)
    }
}

impl<C> Command<C> for ErasedQuery<'_, C::Backend, ()>
where
    C: AsyncConnectionCore<Backend: Backend<QueryBuilder: Default> + Default + 'static>,
{
    fn check(&self, check: Check) -> QueryResult<()> {
        check.check_query(self)
    }

    fn bypass_cache(&mut self) {
        ErasedQuery::bypass_cache(self);
    }

    fn split_for_retry(self, may_retry: bool) -> (Self, impl FnOnce() -> Option<Self> + Send) {
        let (query, kept) = ErasedQuery::split_for_retry(self, may_retry);
        (query, || kept.into_repeatable())
    }

    async fn run(self, connection: &mut C) -> QueryResult<usize> {
        ExecuteDsl::execute(self, connection).await
    }
}

/// A connection to SQLite, on which some commands are sent as several statements.
#[cfg(feature = "sqlite")]
pub trait ConnectionToSqlite: AsyncConnectionCore<Backend = diesel::sqlite::Sqlite> {
    /// The connection itself.
    fn sqlite(&mut self) -> &mut Sqlite;
}

#[cfg(feature = "sqlite")]
impl ConnectionToSqlite for Sqlite {
    fn sqlite(&mut self) -> &mut Sqlite {
        self
    }
}

#[cfg(feature = "sqlite")]
impl ConnectionToSqlite for AnyConnection<'_, Sqlite> {
    fn sqlite(&mut self) -> &mut Sqlite {
        self.exclusive()
    }
}

/// The command in a [`BoundTo`](super::BoundTo) is sent in the same way as without the `BoundTo`.
#[cfg(feature = "sqlite")]
#[derive(Debug)]
pub struct InBoundTo<How>(std::marker::PhantomData<fn() -> How>);
