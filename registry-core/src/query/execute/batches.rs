//! Statements on many rows in several parts, in one transaction.

use diesel::query_builder::InsertStatement;
use diesel::{Insertable, QueryResult, Table};

use super::transaction::CommandTransaction;
use super::{Command, ExclusiveConnection, Execute, InBoundTo, OfBoundTo};
use crate::backend::bind_variables::BindVariables;
use crate::query::batched::{Batched, InsertBatched};
use crate::query::bound_to::BoundTo;
use crate::query::check::Check;
use crate::query::erased::RetryRule;
use crate::telemetry::{QueryTags, Statement};

/// Each part is sent in the way `How`.
#[derive(Debug)]
pub struct InParts<How>(std::marker::PhantomData<fn() -> How>);

impl<'q, 'r: 'q, C, R, Q, How> Execute<'q, C, InParts<How>> for Batched<'r, R, Q>
where
    C: ExclusiveConnection<Backend: BindVariables>,
    Q: Execute<'q, C, How>,
{
    type Command = Parts<Q::Command>;

    fn into_command(self) -> Self::Command {
        let limit = <C::Backend as BindVariables>::LIMIT;
        let count = |part: &Q::Command| Command::<C>::count_bind_variables(part);
        Parts(self.split(limit, Q::into_command, count))
    }
}

impl<'q, 'r: 'q, C, T, R, How> Execute<'q, C, InParts<How>> for InsertBatched<'r, T, R>
where
    C: ExclusiveConnection<Backend: BindVariables>,
    T: Table + Copy + 'r,
    &'r [R]: Insertable<T>,
    InsertStatement<T, <&'r [R] as Insertable<T>>::Values>: Execute<'q, C, How>,
{
    type Command = Parts<
        <InsertStatement<T, <&'r [R] as Insertable<T>>::Values> as Execute<'q, C, How>>::Command,
    >;

    fn into_command(self) -> Self::Command {
        self.into_batched().into_command()
    }
}

impl<'q, C, Q, B, How> Execute<'q, C, InBoundTo<InParts<How>>> for BoundTo<Q, B>
where
    C: ExclusiveConnection<Backend: BindVariables>,
    Q: Execute<'q, C, InParts<How>>,
{
    type Command = OfBoundTo<Q::Command>;

    fn into_command(self) -> Self::Command {
        OfBoundTo(self.into_query().into_command())
    }
}

/// The parts of a statement, as commands.
#[derive(Debug)]
pub struct Parts<Part>(Vec<Part>);

impl<C, Part> Command<C> for Parts<Part>
where
    C: ExclusiveConnection,
    Part: Command<C>,
{
    fn statement(&mut self, with_values: bool) -> Statement {
        self.0.first_mut().map(|part| part.statement(with_values)).unwrap_or_default()
    }

    fn check(&self, check: Check) -> QueryResult<()> {
        self.0.iter().try_for_each(|part| part.check(check))
    }

    fn bypass_cache(&mut self) {
        self.0.iter_mut().for_each(Command::<C>::bypass_cache);
    }

    fn tag(&mut self, tags: &QueryTags) {
        self.0.iter_mut().for_each(|part| part.tag(tags));
    }

    fn count_bind_variables(&self) -> usize {
        self.0.iter().map(Command::<C>::count_bind_variables).max().unwrap_or_default()
    }

    fn split_for_retry(
        mut self,
        may_retry: bool,
    ) -> (Self, impl FnOnce(RetryRule) -> Option<Self> + Send) {
        // Several parts are in a transaction, and are not repeated.
        let only_part = if self.0.len() == 1 { self.0.pop() } else { None };
        let again = only_part.map(|part| {
            let (part, again) = part.split_for_retry(may_retry);
            self.0.push(part);
            again
        });
        (self, |rule| again.and_then(|again| again(rule)).map(|part| Self(vec![part])))
    }

    async fn run(mut self, connection: &mut C) -> QueryResult<usize> {
        if self.0.len() <= 1 {
            return match self.0.pop() {
                Some(part) => part.run(connection).await,
                None => Ok(0),
            };
        }
        let transaction = CommandTransaction::begin(connection).await?;
        let parts = async {
            let mut affected = 0;
            for part in self.0 {
                affected += part.run(transaction.connection).await?;
            }
            Ok(affected)
        };
        let affected = parts.await;
        transaction.end(affected).await
    }
}
