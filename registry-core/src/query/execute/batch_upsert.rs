//! Upserts of many rows for SQLite.
//!
//! SQLite has them, but Diesel writes their SQL only for connections of its own kind, and the type of such a
//! statement is private. So it is run on a connection that sends nothing and keeps what it is given.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use diesel::backend::Backend;
use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, ConnectionSealed, Instrumentation,
    SimpleConnection, TransactionManager,
};
use diesel::expression::SqlLiteral;
use diesel::query_builder::{
    AstPass, CollectedQuery, InsertStatement, MoveableBindCollector, QueryBuilder, QueryFragment,
    QueryId,
};
use diesel::query_dsl::methods::{ExecuteDsl, FilterDsl};
use diesel::query_source::QuerySource;
use diesel::result::Error as DieselError;
use diesel::sql_types::Bool;
use diesel::sqlite::{Sqlite as Dialect, SqliteQueryBuilder};
use diesel::{ConnectionError, ConnectionResult, QueryResult, RunQueryDsl, SqliteConnection};

use super::{Execute, InBoundTo};
use crate::backend::Sqlite;
use crate::query::bound_to::BoundTo;
use crate::query::erased::ErasedQuery;

/// How a command is run: as the one statement that Diesel would give its own connections.
///
/// Diesel implements `RunQueryDsl` for a pair with this `O` only if many rows are inserted, and of all inserts
/// only upserts can be filtered.
#[derive(Debug)]
pub struct DieselUpsert<O>(PhantomData<fn() -> O>);

impl<'q, T, V, Op, Ret, O> Execute<'q, Sqlite, DieselUpsert<O>> for InsertStatement<T, V, Op, Ret>
where
    T: QuerySource,
    Self: FilterDsl<SqlLiteral<Bool>> + ExecuteDsl<CapturingConnection, Dialect> + 'q,
    (O, Self): RunQueryDsl<SqliteConnection>,
{
    type Command = Vec<ErasedQuery<'q, Dialect, ()>>;

    fn into_command(self) -> Self::Command {
        let mut capturing = CapturingConnection::default();
        let statement = match ExecuteDsl::execute(self, &mut capturing) {
            Ok(_) => capturing.statement.map(Ok),
            Err(error) => Some(Err(Arc::new(error))),
        };
        let statement = statement.map(|query| CapturedStatement::<Self> { query, of: PhantomData });
        statement.into_iter().map(ErasedQuery::new).collect()
    }
}

/// The same of what was told where it belongs.
impl<'q, Q, B, O> Execute<'q, Sqlite, InBoundTo<DieselUpsert<O>>> for BoundTo<Q, B>
where
    Q: Execute<'q, Sqlite, DieselUpsert<O>>,
{
    type Command = Q::Command;

    fn into_command(self) -> Self::Command {
        self.into_query().into_command()
    }
}

type Values =
    <<Dialect as Backend>::BindCollector<'static> as MoveableBindCollector<Dialect>>::BindData;

/// What was gathered of a query `Q`, whose type shows its tables.
struct CapturedStatement<Q> {
    query: Result<CollectedQuery<Values>, Arc<DieselError>>,
    of: PhantomData<fn() -> Q>,
}

impl<Q> QueryFragment<Dialect> for CapturedStatement<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Dialect>) -> QueryResult<()> {
        match &self.query {
            Ok(query) => query.walk_ast(out),
            Err(error) => {
                Err(DieselError::QueryBuilderError(Box::new(SqlBuildError(Arc::clone(error)))))
            }
        }
    }
}

/// The statement cannot be written: as a rule, a value cannot be one of its SQL type.
#[derive(Debug)]
struct SqlBuildError(Arc<DieselError>);

impl fmt::Display for SqlBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SqlBuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A connection to nothing, which keeps the last statement that it is given.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "a name for bounds, never seen")]
pub struct CapturingConnection {
    statement: Option<CollectedQuery<Values>>,
    transactions: AnsiTransactionManager,
    /// None.
    instrumentation: Option<Box<dyn Instrumentation>>,
}

impl ConnectionSealed for CapturingConnection {}

impl SimpleConnection for CapturingConnection {
    fn batch_execute(&mut self, _: &str) -> QueryResult<()> {
        Ok(())
    }
}

impl Connection for CapturingConnection {
    type Backend = Dialect;
    type TransactionManager = AnsiTransactionManager;

    fn establish(_: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection("it is no connection".to_owned()))
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<Dialect> + QueryId,
    {
        let mut builder = SqliteQueryBuilder::new();
        source.to_sql(&mut builder, &Dialect)?;
        let sql = builder.finish();
        let mut values = <Dialect as Backend>::BindCollector::default();
        source.collect_binds(&mut values, &mut (), &Dialect)?;
        let is_safe_to_cache = source.is_safe_to_cache_prepared(&Dialect)?;
        // Diesel writes a query without rows where there are no rows to insert.
        self.statement = (!sql.starts_with("SELECT"))
            .then(|| CollectedQuery::new(sql, is_safe_to_cache, values.moveable()));
        Ok(0)
    }

    fn transaction_state(
        &mut self,
    ) -> &mut <AnsiTransactionManager as TransactionManager<Self>>::TransactionStateData {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut self.instrumentation
    }

    fn set_instrumentation(&mut self, _: impl Instrumentation) {}

    fn set_prepared_statement_cache_size(&mut self, _: CacheSize) {}
}
