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

use super::asks::Asks;
use super::backend_probe::{Combines, LocksNoPart};
use super::from_clause::{AllIn, Source};
use super::source_probe::{Around, Nothing, OpenPredicates, Predicates, Strict};
use crate::bind::Bind;
use crate::query::bound_to::{BoundTo, Told};

/// A query that is for the database `B`.
///
/// `Via` is how that is known. It is for the compiler to find.
#[diagnostic::on_unimplemented(
    message = "no bind is known for this query: a table in it is not bound to a database, or it is of a type that is not Diesel's own",
    label = "no bind is known for this query",
    note = "bind the table: `registry_core::bind_tables!(db = \"..\", backend = ..; path::to::table)`",
    note = "or say where a query type of your own belongs: `.bound_to::<Model>()`, with `use registry_core::BindDsl`",
    note = "or run it unchecked, on the connection of a session: `&mut *session`, or `&mut **session` where `session` is a `&mut Session`"
)]
pub trait Routed<B: Bind, Via> {}

/// A query of which every table is in `B`, as far as types can see.
pub trait Checked<B: Bind, Via> {}

/// A way to know the bind of a query.
pub trait Way {}

/// How the bind of a query is known: by its tables.
#[derive(Debug)]
pub struct ByTable(());

/// How the bind of a query is known: by the table that it inserts into.
#[derive(Debug)]
pub struct ByTarget(());

/// How the bind of a query is known: by its table, while its predicates are in a box.
#[derive(Debug)]
pub struct ByBoxed(());

/// How the bind of a query is known: by the tables of the queries that it combines.
#[derive(Debug)]
pub struct ByParts(());

/// How the bind of a query is known: somebody said so.
#[derive(Debug)]
pub struct ByWord(());

/// How the bind of a query is known: by its subqueries alone, or not at all. Any database will do that its
/// session is one of.
#[derive(Debug)]
pub struct Nowhere(());

/// How the bind of a query is known: not at all, as it is text.
#[derive(Debug)]
pub struct RawSql(());

/// The same of text with values in a box.
#[derive(Debug)]
pub struct BoxedRawSql(());

/// A way to know the bind `B` of the query `Q` from the query alone.
#[diagnostic::on_unimplemented(
    message = "this query has no table, so the registry cannot know in which database to run it",
    label = "there is nothing in this query to find a database by",
    note = "run it on a session: `registry.session_for::<Model>().await?`",
    note = "or say where it belongs: `.bound_to::<Model>()`, with `use registry_core::BindDsl`",
    note = "a `select(..)` of nothing but subqueries is found by their tables, which have to be in one database"
)]
pub trait FindsBind<Q, B> {}

/// A way to know the bind of a query that also shows whether it locks its rows for its transaction.
///
/// Only the outermost query matters: what a part of it locks is locked as long as that takes.
#[diagnostic::on_unimplemented(
    message = "the rows that this query locks are not locked any more when the call returns",
    label = "the session is returned at the end of this call, and the lock goes with its transaction",
    note = "take the lock in a unit of work, `registry.transaction(async |work| ..)`, or on a session, in a transaction"
)]
pub trait LocksNothing<Via> {}

impl Way for ByTable {}
impl Way for ByTarget {}
impl Way for ByBoxed {}
impl Way for ByParts {}
impl Way for ByWord {}
impl Way for Nowhere {}
impl Way for RawSql {}
impl Way for BoxedRawSql {}

/// A way to know the bind `B` of a query that is run on a session of `S`: what has no bind of its own is
/// for the database of the session.
pub trait TakesFrom<S, B> {}

impl<S, B> TakesFrom<S, B> for ByTable {}
impl<S, B> TakesFrom<S, B> for ByTarget {}
impl<S, B> TakesFrom<S, B> for ByBoxed {}
impl<S, B> TakesFrom<S, B> for ByParts {}
impl<S, B> TakesFrom<S, B> for ByWord {}
impl<S> TakesFrom<S, S> for Nowhere {}
impl<S> TakesFrom<S, S> for RawSql {}
impl<S> TakesFrom<S, S> for BoxedRawSql {}

#[diagnostic::do_not_recommend]
impl<Q, B> FindsBind<Q, B> for ByTable {}
#[diagnostic::do_not_recommend]
impl<Q, B> FindsBind<Q, B> for ByTarget {}
#[diagnostic::do_not_recommend]
impl<Q, B> FindsBind<Q, B> for ByBoxed {}
#[diagnostic::do_not_recommend]
impl<Q, B> FindsBind<Q, B> for ByParts {}
#[diagnostic::do_not_recommend]
impl<Q, B> FindsBind<Q, B> for ByWord {}
#[diagnostic::do_not_recommend]
impl<Q: Asks<B>, B> FindsBind<Q, B> for Nowhere {}

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
