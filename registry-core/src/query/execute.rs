//! Commands: statements that return the number of rows they affected.

use std::future::Future;

use diesel::QueryResult;
use diesel::query_builder::QueryFragment;
use diesel_async::AsyncConnectionCore;
use diesel_async::methods::ExecuteDsl;

use super::check::Check;
use super::erased::{ErasedQuery, RetryRule};
use super::executor::any::connection::AnyConnection;
use crate::backend::bind_variables::BindVariables;
use crate::sql;
use crate::telemetry::{QueryTags, Statement};

#[cfg(feature = "sqlite")]
mod batch_insert;
#[cfg(feature = "sqlite")]
pub(super) mod batch_upsert;
mod batches;
mod transaction;

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
    /// The text of its first statement, with the bound values if they are asked for.
    fn statement(&mut self, with_values: bool) -> Statement;

    /// Fails if one of the statements does not pass the check.
    fn check(&self, check: Check) -> QueryResult<()>;

    /// Makes the driver prepare the statements anew.
    fn bypass_cache(&mut self);

    /// Sends these tags with each of the statements.
    fn tag(&mut self, tags: &QueryTags);

    /// The number of bind variables of its largest statement, as far as splitting the rows can make it smaller.
    fn count_bind_variables(&self) -> usize;

    /// Whether a statement may write, on a database with one writer at a time.
    fn may_write(&self) -> bool {
        true
    }

    /// The command to be sent, and a function that returns it once more, if `may_retry` and if the rule allows that.
    fn split_for_retry(
        self,
        may_retry: bool,
    ) -> (Self, impl FnOnce(RetryRule) -> Option<Self> + Send);

    /// Sends the statements, and returns the number of rows that they affected.
    fn run(self, connection: &mut C) -> impl Future<Output = QueryResult<usize>> + Send;
}

/// The command is sent as a single statement.
#[derive(Debug)]
pub struct SingleStatement(());

impl<'q, C, Q> Execute<'q, C, SingleStatement> for Q
where
    C: AsyncConnectionCore<Backend: BindVariables + 'static>,
    Q: QueryFragment<C::Backend> + Send + 'q,
{
    type Command = ErasedQuery<'q, C::Backend, ()>;

    fn into_command(self) -> Self::Command {
        ErasedQuery::new(self)
    }
}

impl<C> Command<C> for ErasedQuery<'_, C::Backend, ()>
where
    C: AsyncConnectionCore<Backend: BindVariables + 'static>,
{
    fn statement(&mut self, with_values: bool) -> Statement {
        ErasedQuery::statement(self, with_values)
    }

    fn check(&self, check: Check) -> QueryResult<()> {
        check.check_query(self)
    }

    fn bypass_cache(&mut self) {
        ErasedQuery::bypass_cache(self);
    }

    fn tag(&mut self, tags: &QueryTags) {
        ErasedQuery::tag(self, tags);
    }

    fn count_bind_variables(&self) -> usize {
        sql::count_bind_variables(<C::Backend as BindVariables>::DIALECT, &self.sql())
    }

    fn may_write(&self) -> bool {
        ErasedQuery::may_write(self)
    }

    fn split_for_retry(
        self,
        may_retry: bool,
    ) -> (Self, impl FnOnce(RetryRule) -> Option<Self> + Send) {
        let (query, kept) = ErasedQuery::split_for_retry(self, may_retry);
        (query, |rule| kept.into_repeatable(rule))
    }

    async fn run(self, connection: &mut C) -> QueryResult<usize> {
        ExecuteDsl::execute(self, connection).await
    }
}

/// A connection on which a command can be sent as several statements in a transaction, unless it is shared with other
/// statements.
pub trait ExclusiveConnection: AsyncConnectionCore {
    /// The connection itself.
    type Opened: crate::backend::Backend<Backend = Self::Backend>;

    /// The connection itself.
    ///
    /// # Errors
    ///
    /// Other statements may be under way on it.
    fn exclusive(&mut self) -> QueryResult<&mut Self::Opened>;
}

impl<C: crate::backend::Backend> ExclusiveConnection for C {
    type Opened = C;

    fn exclusive(&mut self) -> QueryResult<&mut C> {
        Ok(self)
    }
}

impl<C: crate::backend::Backend> ExclusiveConnection for AnyConnection<'_, C> {
    type Opened = C;

    fn exclusive(&mut self) -> QueryResult<&mut C> {
        AnyConnection::exclusive(self)
    }
}

/// A connection to SQLite, on which some commands are sent as several statements.
#[cfg(feature = "sqlite")]
pub trait ConnectionToSqlite: ExclusiveConnection<Opened = crate::backend::Sqlite> {}

#[cfg(feature = "sqlite")]
impl<C: ExclusiveConnection<Opened = crate::backend::Sqlite>> ConnectionToSqlite for C {}

/// The command in a [`BoundTo`](super::BoundTo) is sent in the same way as without the `BoundTo`.
#[derive(Debug)]
pub struct InBoundTo<How>(std::marker::PhantomData<fn() -> How>);

/// The command of the query in a [`BoundTo`](super::BoundTo), whose SQL text is checked.
#[derive(Debug)]
pub struct OfBoundTo<Inner>(Inner);

impl<C: Send, Inner: Command<C>> Command<C> for OfBoundTo<Inner> {
    fn statement(&mut self, with_values: bool) -> Statement {
        self.0.statement(with_values)
    }

    fn check(&self, check: Check) -> QueryResult<()> {
        self.0.check(check.for_bound_to())
    }

    fn bypass_cache(&mut self) {
        self.0.bypass_cache();
    }

    fn tag(&mut self, tags: &QueryTags) {
        self.0.tag(tags);
    }

    fn count_bind_variables(&self) -> usize {
        self.0.count_bind_variables()
    }

    fn may_write(&self) -> bool {
        self.0.may_write()
    }

    fn split_for_retry(
        self,
        may_retry: bool,
    ) -> (Self, impl FnOnce(RetryRule) -> Option<Self> + Send) {
        let (command, again) = self.0.split_for_retry(may_retry);
        (Self(command), |rule| again(rule).map(Self))
    }

    async fn run(self, connection: &mut C) -> QueryResult<usize> {
        self.0.run(connection).await
    }
}
