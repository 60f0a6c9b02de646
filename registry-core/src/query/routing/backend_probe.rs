//! Finds the queries that a `UNION`, an `INTERSECT` or an `EXCEPT` combines, with a probe in place of the backend.
//!
//! Diesel's type for combinations is private. But Diesel can build the SQL of a combination for a backend if it can build
//! the SQL of each part (`QueryFragment<DB>`), and a backend may define how the SQL of a select is built. So
//! [`ProbeBackend`] defines that a select can be built exactly if the select has the wanted property. No SQL is ever built
//! for the probe.

use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::backend::sql_dialect::exists_syntax::AnsiSqlExistsSyntax;
use diesel::backend::{Backend, DieselReserveSpecialization, SqlDialect, TrustedBackend};
use diesel::internal::table_macro::{
    BoxedSelectStatement, FromClause, NoFromClause, SelectStatement,
};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{
    AstPass, LimitOffsetClause, ParenthesisWrapper, QueryBuilder, QueryFragment,
    SelectClauseExpression, SupportsCombinationClause,
};
use diesel::query_source::QuerySource;
use diesel::sql_types::{self, HasSqlType, TypeMetadata};

use super::from_clause::{AllEqual, BoundSource};
use super::route::{ByTable, LocksNothing, ReadsOnly};
use super::source_probe::WhereClauseIn;

/// A combination of queries whose tables, in `FROM` and in `WHERE`, all belong to the bind `B`.
pub trait CombinationIn<B> {}

impl<Q: QueryFragment<ProbeBackend<OnlyTablesIn<B>>>, B: 'static> CombinationIn<B> for Q {}

/// A combination of queries without locking clauses.
pub trait CombinationWithoutLocks {}

impl<Q: QueryFragment<ProbeBackend<NoRowLocks>>> CombinationWithoutLocks for Q {}

/// A combination of queries that only read.
pub trait CombinationThatReads {}

impl<Q: QueryFragment<ProbeBackend<OnlyReading>>> CombinationThatReads for Q {}

/// A query without a table of its own that selects nothing but subqueries on the bind `B` and operators on them, as
/// in `select(exists(..))`.
pub trait SelectListIn<B> {}

impl<S, D, W, O, L, G, H, LC, E, B> SelectListIn<B>
    for SelectStatement<NoFromClause, S, D, W, O, L, G, H, LC>
where
    S: SelectClauseExpression<NoFromClause, Selection = E>,
    E: QueryFragment<ProbeBackend<OnlyTablesIn<B>>>,
    B: 'static,
{
}

/// The property that all tables belong to the bind `B`.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct OnlyTablesIn<B>(PhantomData<fn() -> B>);

/// The property that no rows are locked.
#[derive(Debug)]
pub enum NoRowLocks {}

/// The property that nothing is written and no rows are locked.
#[derive(Debug)]
pub enum OnlyReading {}

/// A backend for which Diesel can build exactly the selects with the property `W`.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct ProbeBackend<W>(PhantomData<fn() -> W>);

impl<F, S, D, W, O, L, G, H, LC, B: 'static>
    QueryFragment<ProbeBackend<OnlyTablesIn<B>>, OnlyTablesIn<B>>
    for SelectStatement<FromClause<F>, S, D, W, O, L, G, H, LC>
where
    F: QuerySource + BoundSource<Binds: AllEqual<B>>,
    W: WhereClauseIn<F, B>,
{
    fn walk_ast<'b>(
        &'b self,
        _: AstPass<'_, 'b, ProbeBackend<OnlyTablesIn<B>>>,
    ) -> QueryResult<()> {
        Ok(())
    }
}

impl<S, D, W, O, L, G, H, LC, B: 'static>
    QueryFragment<ProbeBackend<OnlyTablesIn<B>>, OnlyTablesIn<B>>
    for SelectStatement<NoFromClause, S, D, W, O, L, G, H, LC>
{
    fn walk_ast<'b>(
        &'b self,
        _: AstPass<'_, 'b, ProbeBackend<OnlyTablesIn<B>>>,
    ) -> QueryResult<()> {
        Ok(())
    }
}

impl<F, ST, DB, GB, B: 'static> QueryFragment<ProbeBackend<OnlyTablesIn<B>>>
    for BoxedSelectStatement<'_, ST, FromClause<F>, DB, GB>
where
    F: QuerySource + BoundSource<Binds: AllEqual<B>>,
{
    fn walk_ast<'b>(
        &'b self,
        _: AstPass<'_, 'b, ProbeBackend<OnlyTablesIn<B>>>,
    ) -> QueryResult<()> {
        Ok(())
    }
}

impl<F, S, D, W, O, L, G, H, LC> QueryFragment<ProbeBackend<NoRowLocks>, NoRowLocks>
    for SelectStatement<F, S, D, W, O, L, G, H, LC>
where
    Self: LocksNothing<ByTable>,
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, ProbeBackend<NoRowLocks>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<F, ST, DB, GB> QueryFragment<ProbeBackend<NoRowLocks>>
    for BoxedSelectStatement<'_, ST, F, DB, GB>
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, ProbeBackend<NoRowLocks>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<F, S, D, W, O, L, G, H, LC> QueryFragment<ProbeBackend<OnlyReading>, OnlyReading>
    for SelectStatement<F, S, D, W, O, L, G, H, LC>
where
    Self: ReadsOnly<ByTable>,
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, ProbeBackend<OnlyReading>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<F, ST, DB, GB> QueryFragment<ProbeBackend<OnlyReading>>
    for BoxedSelectStatement<'_, ST, F, DB, GB>
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, ProbeBackend<OnlyReading>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<T: QueryFragment<ProbeBackend<W>>, W: 'static> QueryFragment<ProbeBackend<W>>
    for ParenthesisWrapper<T>
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, ProbeBackend<W>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<L, O, W: 'static> QueryFragment<ProbeBackend<W>> for LimitOffsetClause<L, O> {
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, ProbeBackend<W>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<C, R, W> SupportsCombinationClause<C, R> for ProbeBackend<W> {}

impl<W: 'static> Backend for ProbeBackend<W> {
    type QueryBuilder = NeverBuilt;
    type RawValue<'a> = ();
    type BindCollector<'a> = RawBytesBindCollector<Self>;
}

impl<W> DieselReserveSpecialization for ProbeBackend<W> {}

impl<W> TrustedBackend for ProbeBackend<W> {}

impl<W> SqlDialect for ProbeBackend<W> {
    type SelectStatementSyntax = W;

    type ReturningClause = NeverBuilt;
    type OnConflictClause = NeverBuilt;
    type InsertWithDefaultKeyword = NeverBuilt;
    type BatchInsertSupport = NeverBuilt;
    type ConcatClause = NeverBuilt;
    type DefaultValueClauseForInsert = NeverBuilt;
    type EmptyFromClauseSyntax = NeverBuilt;
    type ExistsSyntax = AnsiSqlExistsSyntax;
    type ArrayComparison = NeverBuilt;
    type AliasSyntax = NeverBuilt;
    type WindowFrameClauseGroupSupport = NeverBuilt;
    type WindowFrameExclusionSupport = NeverBuilt;
    type AggregateFunctionExpressions = NeverBuilt;
    type BuiltInWindowFunctionRequireOrder = NeverBuilt;
}

impl<W> TypeMetadata for ProbeBackend<W> {
    type TypeMetadata = ();
    type MetadataLookup = ();
}

macro_rules! has_sql_types {
    ($($sql_type:ident)*) => {$(
        impl<W> HasSqlType<sql_types::$sql_type> for ProbeBackend<W> {
            fn metadata((): &mut ()) {}
        }
    )*};
}

has_sql_types!(SmallInt Integer BigInt Float Double Text Binary Date Time Timestamp);

/// Stands in for all other items that a backend defines: no SQL is ever built.
#[derive(Debug)]
pub enum NeverBuilt {}

impl<W: 'static> QueryBuilder<ProbeBackend<W>> for NeverBuilt {
    fn push_sql(&mut self, _: &str) {}

    fn push_identifier(&mut self, _: &str) -> QueryResult<()> {
        Ok(())
    }

    fn push_bind_param(&mut self) {}

    fn finish(self) -> String {
        match self {}
    }
}
