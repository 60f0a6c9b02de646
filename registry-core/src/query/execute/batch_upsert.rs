//! Upserts of many rows for SQLite, with a single statement.
//!
//! Diesel builds their SQL only for its own, synchronous connections, and the type of such a statement is
//! private. So this module runs the statement on a [`CapturingConnection`], which sends nothing, and keeps the SQL and
//! the values.

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

use super::{ConnectionToSqlite, Execute, InBoundTo, OfBoundTo};
use crate::query::bound_to::BoundTo;
use crate::query::erased::ErasedQuery;

/// The command is an upsert of many rows, sent as the statement that Diesel would send on its own connection.
///
/// The bounds of the implementation admit no other query. Diesel implements `RunQueryDsl` for a pair with this `O`
/// only if many rows are inserted, and of all inserts, only upserts implement `FilterDsl`.
#[derive(Debug)]
pub struct DieselUpsert<O>(PhantomData<fn() -> O>);

impl<'q, C, T, V, Op, Ret, O> Execute<'q, C, DieselUpsert<O>> for InsertStatement<T, V, Op, Ret>
where
    C: ConnectionToSqlite,
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

impl<'q, C, Q, B, O> Execute<'q, C, InBoundTo<DieselUpsert<O>>> for BoundTo<Q, B>
where
    C: ConnectionToSqlite,
    Q: Execute<'q, C, DieselUpsert<O>>,
{
    type Command = OfBoundTo<Q::Command>;

    fn into_command(self) -> Self::Command {
        OfBoundTo(self.into_query().into_command())
    }
}

type Values =
    <<Dialect as Backend>::BindCollector<'static> as MoveableBindCollector<Dialect>>::BindData;

/// The captured statement of a query `Q`. The name of this type contains `Q`, for the check of tables.
pub(in crate::query) struct CapturedStatement<Q> {
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

/// The error of a statement that cannot be built, mostly because a value is not valid for its SQL type.
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

/// A connection to no database. It keeps the last statement that was run on it.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "a name for bounds, never seen")]
pub struct CapturingConnection {
    statement: Option<CollectedQuery<Values>>,
    transactions: AnsiTransactionManager,
    /// Always `None`: `instrumentation` has to return a reference to a field.
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
        Err(ConnectionError::BadConnection(
            "a connection to no database cannot be established".to_owned(),
        ))
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
        // If there are no rows to insert, Diesel runs a `SELECT` without rows instead.
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
