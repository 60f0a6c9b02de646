//! Which database a query is for.
//!
//! [`Routed`] says it of every query that Diesel can build. For most, the type of the query has the type
//! of its table in a place that can be named. The rest is told apart by `Via`, a parameter that the
//! compiler fills in: without it, two implementations for all types would be one too many.

use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, SqlLiteral, UncheckedBind};
use diesel::internal::table_macro::{
    BoxedSelectStatement, FromClause, NoFromClause, SelectStatement,
};
use diesel::query_builder::{
    BoxedDeleteStatement, BoxedSqlQuery, BoxedUpdateStatement, DeleteStatement, InsertStatement,
    Query, SelectClauseExpression, UpdateStatement,
};
use diesel::query_dsl::positional_order_dsl::PositionalOrderDsl;
use diesel::query_source::QuerySource;
use diesel::sql_types::Untyped;

use super::backend_probe::{Asks, Combines, LocksNoPart};
use super::from_clause::{AllIn, Source};
use super::route::{
    BoxedRawSql, ByBoxed, ByParts, ByTable, ByTarget, ByWord, Checked, FindsBind, LocksNothing,
    Nowhere, RawSql, Routed,
};
use super::source_probe::{Around, Nothing, OpenPredicates, Predicates, Strict};
use crate::bind::Bind;
use crate::query::bound_to::{BoundTo, Told};

// SELECT .. FROM

impl<F, S, D, W, O, L, G, H, LC> Routed<F::Bind, ByTable>
    for SelectStatement<FromClause<F>, S, D, W, O, L, G, H, LC>
where
    F: QuerySource + Source,
{
}

impl<F, S, D, W, O, L, G, H, LC, B: Bind> Checked<B, ByTable>
    for SelectStatement<FromClause<F>, S, D, W, O, L, G, H, LC>
where
    F: QuerySource + Source<All: AllIn<B>>,
    W: Predicates<F, B>,
{
}

// The default is no locking clause: Diesel's type for that cannot be named.
impl<F, S, D, W, O, L, G, H> LocksNothing<ByTable> for SelectStatement<F, S, D, W, O, L, G, H> {}

impl<F: QuerySource + Source, ST, DB, GB> Routed<F::Bind, ByTable>
    for BoxedSelectStatement<'_, ST, FromClause<F>, DB, GB>
{
}

/// Its predicates are in a box, which is looked into when it is run.
impl<F: QuerySource + Source<All: AllIn<B>>, ST, DB, GB, B: Bind> Checked<B, ByTable>
    for BoxedSelectStatement<'_, ST, FromClause<F>, DB, GB>
{
}

impl<F, ST, DB, GB> LocksNothing<ByTable> for BoxedSelectStatement<'_, ST, F, DB, GB> {}

// INSERT, UPDATE, DELETE

impl<T: QuerySource + Source, U, Op, Ret> Routed<T::Bind, ByTarget>
    for InsertStatement<T, U, Op, Ret>
{
}

impl<T, U, Op, Ret, B: Bind> Checked<B, ByTarget> for InsertStatement<T, U, Op, Ret> where
    T: QuerySource + Source<All: AllIn<B>>
{
}

impl<Q> LocksNothing<ByTarget> for Q {}

impl<T: QuerySource + Source, W: OpenPredicates<T>, V, Ret> Routed<T::Bind, ByTable>
    for UpdateStatement<T, W, V, Ret>
{
}

impl<T, W, V, Ret, B: Bind> Checked<B, ByTable> for UpdateStatement<T, W, V, Ret>
where
    T: QuerySource + Source<All: AllIn<B>>,
    W: Predicates<T, B>,
{
}

impl<T: QuerySource, W, V, Ret> LocksNothing<ByTable> for UpdateStatement<T, W, V, Ret> {}

impl<T: QuerySource + Source, W: OpenPredicates<T>, Ret> Routed<T::Bind, ByTable>
    for DeleteStatement<T, W, Ret>
{
}

impl<T, W, Ret, B: Bind> Checked<B, ByTable> for DeleteStatement<T, W, Ret>
where
    T: QuerySource + Source<All: AllIn<B>>,
    W: Predicates<T, B>,
{
}

impl<T: QuerySource, W, Ret> LocksNothing<ByTable> for DeleteStatement<T, W, Ret> {}

impl<DB, T: QuerySource + Source, V, Ret> Routed<T::Bind, ByBoxed>
    for BoxedUpdateStatement<'_, DB, T, V, Ret>
{
}

impl<DB, T: QuerySource + Source, Ret> Routed<T::Bind, ByBoxed>
    for BoxedDeleteStatement<'_, DB, T, Ret>
{
}

/// A target is a table, and the bind of a table is its own.
impl<Q, B: Bind> Checked<B, ByBoxed> for Q {}

impl<Q> LocksNothing<ByBoxed> for Q {}

// UNION, INTERSECT, EXCEPT: nothing else can be ordered by the position of a column.

impl<Q: Query + PositionalOrderDsl<u32> + Combines<B>, B: Bind> Routed<B, ByParts> for Q {}

impl<Q, B: Bind> Checked<B, ByParts> for Q {}

impl<Q: LocksNoPart> LocksNothing<ByParts> for Q {}

// What has no table

impl<S, D, W, O, L, G, H, LC, B: Bind> Routed<B, Nowhere>
    for SelectStatement<NoFromClause, S, D, W, O, L, G, H, LC>
{
}

/// It may have subqueries.
impl<S, D, W, O, L, G, H, LC, B: Bind> Checked<B, Nowhere>
    for SelectStatement<NoFromClause, S, D, W, O, L, G, H, LC>
where
    S: SelectClauseExpression<NoFromClause>,
    S::Selection: AppearsOnTable<Around<Nothing, B>> + AppearsOnTable<Strict<Nothing, B>>,
{
}

impl<ST, DB, GB, B: Bind> Routed<B, Nowhere>
    for BoxedSelectStatement<'_, ST, NoFromClause, DB, GB>
{
}

impl<ST, DB, GB, B: Bind> Checked<B, Nowhere>
    for BoxedSelectStatement<'_, ST, NoFromClause, DB, GB>
{
}

impl<ST, T, B: Bind> Routed<B, Nowhere> for SqlLiteral<ST, T> {}

impl<ST, T, B: Bind> Checked<B, Nowhere> for SqlLiteral<ST, T> {}

impl<Q, V, B: Bind> Routed<B, Nowhere> for UncheckedBind<Q, V> {}

impl<Q, V, B: Bind> Checked<B, Nowhere> for UncheckedBind<Q, V> {}

impl<Q> LocksNothing<Nowhere> for Q {}

#[diagnostic::do_not_recommend]
impl<Q: Asks<B>, B> FindsBind<Q, B> for Nowhere {}

/// `sql_query`, also with values. Diesel can run it by itself, which is not so of what is bound by word.
impl<Q: Query<SqlType = Untyped> + diesel::RunQueryDsl<()>, B: Bind> Routed<B, RawSql> for Q {}

impl<Q, B: Bind> Checked<B, RawSql> for Q {}

impl<Q> LocksNothing<RawSql> for Q {}

impl<DB: Backend, Q, B: Bind> Routed<B, BoxedRawSql> for BoxedSqlQuery<'_, DB, Q> {}

impl<Q, B: Bind> Checked<B, BoxedRawSql> for Q {}

impl<Q> LocksNothing<BoxedRawSql> for Q {}

// What was told where it belongs: any query at all, looked at when it is run.

impl<Q, B: Bind> Routed<B, ByWord> for BoundTo<Q, B> {}

impl<Q, B: Bind> Routed<B, ByWord> for Told<Q, B> {}

impl<Q, B: Bind> Checked<B, ByWord> for Q {}

impl<Q> LocksNothing<ByWord> for Q {}
