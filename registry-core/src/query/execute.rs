//! Commands, which return a number of rows.

use std::future::Future;

use diesel::QueryResult;
use diesel::query_builder::QueryFragment;
use diesel_async::AsyncConnectionCore;
use diesel_async::methods::ExecuteDsl;

use super::check::Check;
use super::erased::Erased;
use crate::backend::Backend;

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

    /// The command, and a way to have it once more, if `is_kept` and it can be run twice.
    fn lent(self, is_kept: bool) -> (Self, impl FnOnce() -> Option<Self> + Send);

    /// Runs it.
    fn run(self, connection: &mut C) -> impl Future<Output = QueryResult<usize>> + Send;
}

/// How a command is run: as one statement.
#[derive(Debug)]
pub struct AsOne(());

impl<'q, C, Q> Execute<'q, C, AsOne> for Q
where
    C: Backend,
    Q: QueryFragment<<C as AsyncConnectionCore>::Backend> + Send + 'q,
{
    type Command = Erased<'q, <C as AsyncConnectionCore>::Backend, ()>;

    fn into_command(self) -> Self::Command {
        Erased::new(self)
    }
}

impl<C: Backend> Command<C> for Erased<'_, <C as AsyncConnectionCore>::Backend, ()> {
    fn pass(&self, check: Check) -> QueryResult<()> {
        check.look_at(self)
    }

    fn lent(self, is_kept: bool) -> (Self, impl FnOnce() -> Option<Self> + Send) {
        let (query, home) = Erased::lent(self, is_kept);
        (query, || home.into_repeatable())
    }

    async fn run(self, connection: &mut C) -> QueryResult<usize> {
        ExecuteDsl::execute(self, connection).await
    }
}

/// How a command that was told where it belongs is run: as it would be without that.
#[cfg(feature = "sqlite")]
#[derive(Debug)]
pub struct ByWord<How>(std::marker::PhantomData<fn() -> How>);

#[cfg(feature = "sqlite")]
mod upsert;

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::query_builder::{BatchInsert, InsertStatement, ValuesClause};
    use diesel::sqlite::Sqlite as Dialect;
    use diesel::{QueryResult, Table};
    use diesel_async::AsyncConnection;
    use diesel_async::methods::ExecuteDsl;

    use super::{ByWord, Check, Command, Erased, Execute, QueryFragment};
    use crate::backend::Sqlite;
    use crate::query::bound_to::BoundTo;

    /// How a command is run: as one statement for each row, all or none of them.
    #[derive(Debug)]
    pub struct RowByRow(());

    // Diesel does the same for its own connection to SQLite.
    impl<'q, V, T, Id, Op, const STATIC: bool> Execute<'q, Sqlite, RowByRow>
        for InsertStatement<T, BatchInsert<Vec<ValuesClause<V, T>>, T, Id, STATIC>, Op>
    where
        T: Table + Copy,
        Op: Copy,
        InsertStatement<T, ValuesClause<V, T>, Op>: QueryFragment<Dialect> + Send + 'q,
    {
        type Command = Vec<Erased<'q, Dialect, ()>>;

        fn into_command(self) -> Self::Command {
            let (target, operator, returning) = (self.target, self.operator, self.returning);
            let statement = |row| InsertStatement::new(target, row, operator, returning);
            self.records.values.into_iter().map(|row| Erased::new(statement(row))).collect()
        }
    }

    impl<'q, Q, B> Execute<'q, Sqlite, ByWord<RowByRow>> for BoundTo<Q, B>
    where
        Q: Execute<'q, Sqlite, RowByRow>,
    {
        type Command = Q::Command;

        fn into_command(self) -> Self::Command {
            self.into_query().into_command()
        }
    }

    impl Command<Sqlite> for Vec<Erased<'_, Dialect, ()>> {
        fn pass(&self, check: Check) -> QueryResult<()> {
            self.iter().try_for_each(|row| check.look_at(row))
        }

        fn lent(self, _: bool) -> (Self, impl FnOnce() -> Option<Self> + Send) {
            (self, || None)
        }

        async fn run(self, connection: &mut Sqlite) -> QueryResult<usize> {
            connection
                .transaction(async |connection| {
                    let mut affected = 0;
                    for row in self {
                        affected += ExecuteDsl::execute(row, connection).await?;
                    }
                    Ok(affected)
                })
                .await
        }
    }
}
