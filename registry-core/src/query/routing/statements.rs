//! The traits of [`route`](super::route) for every type of query that Diesel can build.
//!
//! Most types of queries have the type of their table as an argument. For the other types of queries, the traits are
//! implemented for all types `Q` with a bound that only these types meet.

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

use super::backend_probe::{CombinationIn, CombinationWithoutLocks, SelectListIn};
use super::from_clause::{AllEqual, BoundSource};
use super::route::{
    AllTablesIn, BoxedRawSql, ByBoundTo, ByBoxedTarget, ByCombination, ByInsertTarget, ByTable,
    FindsBind, LocksNothing, RawSql, Routed, WithoutTable,
};
use super::source_probe::{
    DeepProbe, EmptyFromClause, ShallowProbe, UnboxedWhereClause, WhereClauseIn,
};
use crate::bind::Bind;
use crate::query::bound_to::{BoundTo, BoundToQuery};

// SELECT .. FROM

impl<F, S, D, W, O, L, G, H, LC> Routed<F::Bind, ByTable>
    for SelectStatement<FromClause<F>, S, D, W, O, L, G, H, LC>
where
    F: QuerySource + BoundSource,
{
}

impl<F, S, D, W, O, L, G, H, LC, B: Bind> AllTablesIn<B, ByTable>
    for SelectStatement<FromClause<F>, S, D, W, O, L, G, H, LC>
where
    F: QuerySource + BoundSource<Binds: AllEqual<B>>,
    W: WhereClauseIn<F, B>,
{
}

// Diesel's type for "no locking clause" cannot be named, but it is the default of the last argument.
impl<F, S, D, W, O, L, G, H> LocksNothing<ByTable> for SelectStatement<F, S, D, W, O, L, G, H> {}

impl<F: QuerySource + BoundSource, ST, DB, GB> Routed<F::Bind, ByTable>
    for BoxedSelectStatement<'_, ST, FromClause<F>, DB, GB>
{
}

/// The `WHERE` clause is in a box, and is checked when the query is run.
impl<F: QuerySource + BoundSource<Binds: AllEqual<B>>, ST, DB, GB, B: Bind> AllTablesIn<B, ByTable>
    for BoxedSelectStatement<'_, ST, FromClause<F>, DB, GB>
{
}

impl<F, ST, DB, GB> LocksNothing<ByTable> for BoxedSelectStatement<'_, ST, F, DB, GB> {}

// INSERT, UPDATE, DELETE

impl<T: QuerySource + BoundSource, U, Op, Ret> Routed<T::Bind, ByInsertTarget>
    for InsertStatement<T, U, Op, Ret>
{
}

impl<T, U, Op, Ret, B: Bind> AllTablesIn<B, ByInsertTarget> for InsertStatement<T, U, Op, Ret> where
    T: QuerySource + BoundSource<Binds: AllEqual<B>>
{
}

impl<Q> LocksNothing<ByInsertTarget> for Q {}

// The boxed statements are aliases of these types, with a private type for the `WHERE` clause. `UnboxedWhereClause`
// excludes them: a query may have one marker only, or the compiler could not choose.
impl<T: QuerySource + BoundSource, W: UnboxedWhereClause<T>, V, Ret> Routed<T::Bind, ByTable>
    for UpdateStatement<T, W, V, Ret>
{
}

impl<T, W, V, Ret, B: Bind> AllTablesIn<B, ByTable> for UpdateStatement<T, W, V, Ret>
where
    T: QuerySource + BoundSource<Binds: AllEqual<B>>,
    W: WhereClauseIn<T, B>,
{
}

impl<T: QuerySource, W, V, Ret> LocksNothing<ByTable> for UpdateStatement<T, W, V, Ret> {}

impl<T: QuerySource + BoundSource, W: UnboxedWhereClause<T>, Ret> Routed<T::Bind, ByTable>
    for DeleteStatement<T, W, Ret>
{
}

impl<T, W, Ret, B: Bind> AllTablesIn<B, ByTable> for DeleteStatement<T, W, Ret>
where
    T: QuerySource + BoundSource<Binds: AllEqual<B>>,
    W: WhereClauseIn<T, B>,
{
}

impl<T: QuerySource, W, Ret> LocksNothing<ByTable> for DeleteStatement<T, W, Ret> {}

/// The update of a row by `save_changes`, of the table whose query is `Q`. It stands in for the statement, which Diesel
/// builds later.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct UpdateOf<Q>(std::marker::PhantomData<fn() -> Q>);

impl<Q: Routed<B, ByTable>, B: Bind> Routed<B, ByTable> for UpdateOf<Q> {}

impl<Q: AllTablesIn<B, ByTable>, B: Bind> AllTablesIn<B, ByTable> for UpdateOf<Q> {}

impl<Q> LocksNothing<ByTable> for UpdateOf<Q> {}

impl<DB, T: QuerySource + BoundSource, V, Ret> Routed<T::Bind, ByBoxedTarget>
    for BoxedUpdateStatement<'_, DB, T, V, Ret>
{
}

impl<DB, T: QuerySource + BoundSource, Ret> Routed<T::Bind, ByBoxedTarget>
    for BoxedDeleteStatement<'_, DB, T, Ret>
{
}

/// The target is a single table, whose bind is that of the query.
impl<Q, B: Bind> AllTablesIn<B, ByBoxedTarget> for Q {}

impl<Q> LocksNothing<ByBoxedTarget> for Q {}

// UNION, INTERSECT, EXCEPT: Diesel's type for them is private. It is recognized by `PositionalOrderDsl`, since no
// other query can be ordered by the position of a column.

impl<Q: Query + PositionalOrderDsl<u32> + CombinationIn<B>, B: Bind> Routed<B, ByCombination>
    for Q
{
}

impl<Q, B: Bind> AllTablesIn<B, ByCombination> for Q {}

impl<Q: CombinationWithoutLocks> LocksNothing<ByCombination> for Q {}

// Queries without a table

impl<S, D, W, O, L, G, H, LC, B: Bind> Routed<B, WithoutTable>
    for SelectStatement<NoFromClause, S, D, W, O, L, G, H, LC>
{
}

/// The selection may contain subqueries.
impl<S, D, W, O, L, G, H, LC, B: Bind> AllTablesIn<B, WithoutTable>
    for SelectStatement<NoFromClause, S, D, W, O, L, G, H, LC>
where
    S: SelectClauseExpression<NoFromClause>,
    S::Selection: AppearsOnTable<ShallowProbe<EmptyFromClause, B>>
        + AppearsOnTable<DeepProbe<EmptyFromClause, B>>,
{
}

impl<ST, DB, GB, B: Bind> Routed<B, WithoutTable>
    for BoxedSelectStatement<'_, ST, NoFromClause, DB, GB>
{
}

impl<ST, DB, GB, B: Bind> AllTablesIn<B, WithoutTable>
    for BoxedSelectStatement<'_, ST, NoFromClause, DB, GB>
{
}

impl<ST, T, B: Bind> Routed<B, WithoutTable> for SqlLiteral<ST, T> {}

impl<ST, T, B: Bind> AllTablesIn<B, WithoutTable> for SqlLiteral<ST, T> {}

impl<Q, V, B: Bind> Routed<B, WithoutTable> for UncheckedBind<Q, V> {}

impl<Q, V, B: Bind> AllTablesIn<B, WithoutTable> for UncheckedBind<Q, V> {}

impl<Q> LocksNothing<WithoutTable> for Q {}

#[diagnostic::do_not_recommend]
impl<Q: SelectListIn<B>, B> FindsBind<Q, B> for WithoutTable {}

/// `sql_query`, also with values. A `sql_query(..).bound_to()` is excluded by Diesel's own `RunQueryDsl`, which it
/// does not implement.
impl<Q: Query<SqlType = Untyped> + diesel::RunQueryDsl<()>, B: Bind> Routed<B, RawSql> for Q {}

impl<Q, B: Bind> AllTablesIn<B, RawSql> for Q {}

impl<Q> LocksNothing<RawSql> for Q {}

impl<DB: Backend, Q, B: Bind> Routed<B, BoxedRawSql> for BoxedSqlQuery<'_, DB, Q> {}

impl<Q, B: Bind> AllTablesIn<B, BoxedRawSql> for Q {}

impl<Q> LocksNothing<BoxedRawSql> for Q {}

// Queries with `.bound_to::<Model>()`, which can be of any type, and are checked when they are run.

impl<Q, B: Bind, Claim> Routed<B, ByBoundTo> for BoundTo<Q, B, Claim> {}

impl<Q, B: Bind, Claim> Routed<B, ByBoundTo> for BoundToQuery<Q, B, Claim> {}

impl<Q, B: Bind> AllTablesIn<B, ByBoundTo> for Q {}

impl<Q> LocksNothing<ByBoundTo> for Q {}
