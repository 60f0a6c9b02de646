//! Commands, which return a number of rows.

use std::future::Future;

use diesel::QueryResult;
use diesel::query_builder::QueryFragment;
use diesel_async::AsyncConnectionCore;
use diesel_async::methods::ExecuteDsl;

use super::check::Check;
use super::erased::ErasedQuery;
use crate::backend::Backend;

#[cfg(feature = "sqlite")]
mod batch_insert;
#[cfg(feature = "sqlite")]
mod batch_upsert;

/// A command that can be run with connections of type `C`.
///
/// `How` is for the compiler to find.
pub trait Execute<'q, C, How>: Sized {
    /// What is run.
    type Command: Command<C> + 'q;

    /// As a thing to be run.
    fn into_command(self) -> Self::Command;
}

/// Something to be run with connections of type `C`.
pub trait Command<C>: Sized + Send {
    /// Fails if `check` finds what is not to be sent.
    fn pass(&self, check: Check) -> QueryResult<()>;

    /// The command, and a way to have it once more, if `may_retry` and it can be run twice.
    fn split_for_retry(self, may_retry: bool) -> (Self, impl FnOnce() -> Option<Self> + Send);

    /// Runs it.
    fn run(self, connection: &mut C) -> impl Future<Output = QueryResult<usize>> + Send;
}

/// How a command is run: as one statement.
#[derive(Debug)]
pub struct SingleStatement(());

impl<'q, C, Q> Execute<'q, C, SingleStatement> for Q
where
    C: Backend,
    Q: QueryFragment<<C as AsyncConnectionCore>::Backend> + Send + 'q,
{
    type Command = ErasedQuery<'q, <C as AsyncConnectionCore>::Backend, ()>;

    fn into_command(self) -> Self::Command {
        ErasedQuery::new(self)
    }
}

impl<C: Backend> Command<C> for ErasedQuery<'_, <C as AsyncConnectionCore>::Backend, ()> {
    fn pass(&self, check: Check) -> QueryResult<()> {
        check.look_at(self)
    }

    fn split_for_retry(self, may_retry: bool) -> (Self, impl FnOnce() -> Option<Self> + Send) {
        let (query, retry_query) = ErasedQuery::split_for_retry(self, may_retry);
        (query, || retry_query.into_query_if_repeatable())
    }

    async fn run(self, connection: &mut C) -> QueryResult<usize> {
        ExecuteDsl::execute(self, connection).await
    }
}

/// How a command that was told where it belongs is run: as it would be without that.
#[cfg(feature = "sqlite")]
#[derive(Debug)]
pub struct InBoundTo<How>(std::marker::PhantomData<fn() -> How>);
