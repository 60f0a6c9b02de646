//! Inserts of many rows for SQLite, with one statement for each row.
//!
//! SQLite has no `DEFAULT` in a list of values. So Diesel cannot write one `INSERT` for rows that leave out different
//! columns, and its own connection to SQLite sends one statement for each row as well.

use diesel::query_builder::{BatchInsert, InsertStatement, QueryFragment, ValuesClause};
use diesel::sqlite::Sqlite as Dialect;
use diesel::{QueryResult, Table};
use diesel_async::methods::ExecuteDsl;

use super::transaction::CommandTransaction;
use super::{Command, ConnectionToSqlite, Execute, InBoundTo, OfBoundTo};
use crate::query::bound_to::BoundTo;
use crate::query::check::Check;
use crate::query::erased::{ErasedQuery, RetryRule};
use crate::sql;
use crate::telemetry::{QueryTags, Statement};

/// The command is sent as one statement for each row, in a transaction.
#[derive(Debug)]
pub struct StatementPerRow(());

impl<'q, C, V, T, Id, Op, const STATIC: bool> Execute<'q, C, StatementPerRow>
    for InsertStatement<T, BatchInsert<Vec<ValuesClause<V, T>>, T, Id, STATIC>, Op>
where
    C: ConnectionToSqlite,
    T: Table + Copy,
    Op: Copy,
    InsertStatement<T, ValuesClause<V, T>, Op>: QueryFragment<Dialect> + Send + 'q,
{
    type Command = Vec<ErasedQuery<'q, Dialect, ()>>;

    fn into_command(self) -> Self::Command {
        let (target, operator, returning) = (self.target, self.operator, self.returning);
        let statement = |row| InsertStatement::new(target, row, operator, returning);
        self.records.values.into_iter().map(|row| ErasedQuery::new(statement(row))).collect()
    }
}

impl<'q, C, Q, B> Execute<'q, C, InBoundTo<StatementPerRow>> for BoundTo<Q, B>
where
    C: ConnectionToSqlite,
    Q: Execute<'q, C, StatementPerRow>,
{
    type Command = OfBoundTo<Q::Command>;

    fn into_command(self) -> Self::Command {
        OfBoundTo(self.into_query().into_command())
    }
}

impl<C: ConnectionToSqlite> Command<C> for Vec<ErasedQuery<'_, Dialect, ()>> {
    fn statement(&mut self, with_values: bool) -> Statement {
        self.first_mut().map(|row| row.statement(with_values)).unwrap_or_default()
    }

    fn check(&self, check: Check) -> QueryResult<()> {
        self.iter().try_for_each(|row| check.check_query(row))
    }

    fn bypass_cache(&mut self) {
        self.iter_mut().for_each(ErasedQuery::bypass_cache);
    }

    fn tag(&mut self, tags: &QueryTags) {
        self.iter_mut().for_each(|row| row.tag(tags));
    }

    fn count_bind_variables(&self) -> usize {
        // A single statement is an upsert of many rows. Of several, each has one row.
        match self.as_slice() {
            [statement] => sql::count_bind_variables(sql::Dialect::Sqlite, &statement.sql()),
            _ => 0,
        }
    }

    fn split_for_retry(self, _: bool) -> (Self, impl FnOnce(RetryRule) -> Option<Self> + Send) {
        (self, |_| None)
    }

    async fn run(self, connection: &mut C) -> QueryResult<usize> {
        let transaction = CommandTransaction::begin(connection).await?;
        let rows = async {
            let mut affected = 0;
            for row in self {
                affected += ExecuteDsl::execute(row, transaction.connection.exclusive()?).await?;
            }
            Ok(affected)
        };
        let affected = rows.await;
        transaction.end(affected).await
    }
}
