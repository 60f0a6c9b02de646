//! Commands, which return a number of rows.

use std::future::Future;

use diesel::QueryResult;
use diesel::query_builder::QueryFragment;
use diesel_async::AsyncConnectionCore;
use diesel_async::methods::ExecuteDsl;

use crate::backend::Backend;

/// A command that can be run with connections of type `C`.
///
/// `How` is for the compiler to find.
pub trait Execute<C, How>: Sized {
    /// Its SQL, as far as it has any without being run.
    fn sql(&self) -> String;

    /// Runs it.
    fn run<'c>(self, connection: &'c mut C) -> impl Future<Output = QueryResult<usize>> + Send
    where
        Self: 'c;
}

/// How a command is run: as one statement.
#[derive(Debug)]
pub struct AsOne(());

impl<C, Q> Execute<C, AsOne> for Q
where
    C: Backend,
    Q: ExecuteDsl<C> + QueryFragment<<C as AsyncConnectionCore>::Backend>,
{
    fn sql(&self) -> String {
        C::sql(self)
    }

    fn run<'c>(self, connection: &'c mut C) -> impl Future<Output = QueryResult<usize>> + Send
    where
        Self: 'c,
    {
        ExecuteDsl::execute(self, connection)
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::future::Future;

    use diesel::query_builder::{BatchInsert, InsertStatement, ValuesClause};
    use diesel::{QueryResult, Table};
    use diesel_async::AsyncConnection;
    use diesel_async::methods::ExecuteDsl;

    use super::Execute;
    use crate::backend::Sqlite;

    /// How a command is run: as one statement for each row, all or none of them.
    #[derive(Debug)]
    pub struct RowByRow(());

    // Diesel does the same for its own connection to SQLite.
    impl<V, T, Id, Op, const STATIC: bool> Execute<Sqlite, RowByRow>
        for InsertStatement<T, BatchInsert<Vec<ValuesClause<V, T>>, T, Id, STATIC>, Op>
    where
        T: Table + Copy + Send,
        Op: Copy + Send,
        V: Send,
        Id: Send,
        T::FromClause: Send,
        InsertStatement<T, ValuesClause<V, T>, Op>: ExecuteDsl<Sqlite> + Send,
    {
        fn sql(&self) -> String {
            // Values, and no query.
            String::new()
        }

        fn run<'c>(
            self,
            connection: &'c mut Sqlite,
        ) -> impl Future<Output = QueryResult<usize>> + Send
        where
            Self: 'c,
        {
            let (target, operator) = (self.target, self.operator);
            let rows = self.records.values.into_iter();
            let rows: Vec<_> = rows
                .map(|row| InsertStatement::new(target, row, operator, self.returning))
                .collect();
            async move {
                connection
                    .transaction(async |connection| {
                        let mut affected = 0;
                        for row in rows {
                            affected += ExecuteDsl::execute(row, connection).await?;
                        }
                        Ok(affected)
                    })
                    .await
            }
        }
    }
}
