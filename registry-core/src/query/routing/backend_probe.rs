//! Asking Diesel what a `UNION`, an `INTERSECT` or an `EXCEPT` combines.
//!
//! Diesel's type for them is private. But Diesel can build their SQL for a backend if it can build that of each
//! part, and a backend may say how a select is built for it. So a [`Question`] stands in the place of a backend,
//! and whether a select can be built for it is the answer. Nothing is ever built.

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
    SupportsCombinationClause,
};
use diesel::query_source::QuerySource;
use diesel::sql_types::{self, HasSqlType, TypeMetadata};

use super::from_clause::{AllIn, Source};
use super::source_probe::Predicates;
use super::statements::{ByTable, LocksNothing};

/// A combination of queries whose tables, in FROM and in WHERE, are all in the database `B`.
pub trait Combines<B> {}

impl<Q: QueryFragment<Question<TablesIn<B>>>, B: 'static> Combines<B> for Q {}

/// A combination of queries none of which locks its rows.
pub trait LocksNoPart {}

impl<Q: QueryFragment<Question<Locks>>> LocksNoPart for Q {}

/// The question whether all tables are in the database `B`.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct TablesIn<B>(PhantomData<fn() -> B>);

/// The question whether rows are locked.
#[derive(Debug)]
pub enum Locks {}

/// A backend that is none: what can be built for it is the answer to the question `W`.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct Question<W>(PhantomData<fn() -> W>);

impl<F, S, D, W, O, L, G, H, LC, B: 'static> QueryFragment<Question<TablesIn<B>>, TablesIn<B>>
    for SelectStatement<FromClause<F>, S, D, W, O, L, G, H, LC>
where
    F: QuerySource + Source<All: AllIn<B>>,
    W: Predicates<F, B>,
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, Question<TablesIn<B>>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<S, D, W, O, L, G, H, LC, B: 'static> QueryFragment<Question<TablesIn<B>>, TablesIn<B>>
    for SelectStatement<NoFromClause, S, D, W, O, L, G, H, LC>
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, Question<TablesIn<B>>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<F, ST, DB, GB, B: 'static> QueryFragment<Question<TablesIn<B>>>
    for BoxedSelectStatement<'_, ST, FromClause<F>, DB, GB>
where
    F: QuerySource + Source<All: AllIn<B>>,
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, Question<TablesIn<B>>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<F, S, D, W, O, L, G, H, LC> QueryFragment<Question<Locks>, Locks>
    for SelectStatement<F, S, D, W, O, L, G, H, LC>
where
    Self: LocksNothing<ByTable>,
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, Question<Locks>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<F, ST, DB, GB> QueryFragment<Question<Locks>> for BoxedSelectStatement<'_, ST, F, DB, GB> {
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, Question<Locks>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<T: QueryFragment<Question<W>>, W: 'static> QueryFragment<Question<W>>
    for ParenthesisWrapper<T>
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, Question<W>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<L, O, W: 'static> QueryFragment<Question<W>> for LimitOffsetClause<L, O> {
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, Question<W>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<C, R, W> SupportsCombinationClause<C, R> for Question<W> {}

impl<W: 'static> Backend for Question<W> {
    type QueryBuilder = Nothing;
    type RawValue<'a> = ();
    type BindCollector<'a> = RawBytesBindCollector<Self>;
}

impl<W> DieselReserveSpecialization for Question<W> {}

impl<W> TrustedBackend for Question<W> {}

impl<W> SqlDialect for Question<W> {
    type SelectStatementSyntax = W;

    type ReturningClause = Nothing;
    type OnConflictClause = Nothing;
    type InsertWithDefaultKeyword = Nothing;
    type BatchInsertSupport = Nothing;
    type ConcatClause = Nothing;
    type DefaultValueClauseForInsert = Nothing;
    type EmptyFromClauseSyntax = Nothing;
    type ExistsSyntax = AnsiSqlExistsSyntax;
    type ArrayComparison = Nothing;
    type AliasSyntax = Nothing;
    type WindowFrameClauseGroupSupport = Nothing;
    type WindowFrameExclusionSupport = Nothing;
    type AggregateFunctionExpressions = Nothing;
    type BuiltInWindowFunctionRequireOrder = Nothing;
}

impl<W> TypeMetadata for Question<W> {
    type TypeMetadata = ();
    type MetadataLookup = ();
}

macro_rules! has_sql_types {
    ($($sql_type:ident)*) => {$(
        impl<W> HasSqlType<sql_types::$sql_type> for Question<W> {
            fn metadata((): &mut ()) {}
        }
    )*};
}

has_sql_types!(SmallInt Integer BigInt Float Double Text Binary Date Time Timestamp);

/// The SQL of what is never built.
#[derive(Debug)]
pub enum Nothing {}

impl<W: 'static> QueryBuilder<Question<W>> for Nothing {
    fn push_sql(&mut self, _: &str) {}

    fn push_identifier(&mut self, _: &str) -> QueryResult<()> {
        Ok(())
    }

    fn push_bind_param(&mut self) {}

    fn finish(self) -> String {
        match self {}
    }
}
