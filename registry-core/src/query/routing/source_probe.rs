//! Asking Diesel which tables a query has, where their types cannot be named.
//!
//! Diesel's type for `UNION` is private, and a predicate can hide a subquery in any of a hundred types.
//! But of a query in parentheses Diesel checks that its columns make sense where it stands. To do so, it
//! joins what is in FROM around it to what is in FROM inside of it, and asks for each table on how many
//! sides it is. The sources here stand around a query and answer as we wish.
//!
//! Inside of [`DeepProbe`] there are tables of one bind and no others, at any depth; but what the compiler
//! says is then about joins. [`ShallowProbe`] looks only at the queries directly inside of it, and there the
//! compiler names the two databases. So a query is held against both, in the order in which people
//! should read the errors.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::expression::{
    AppearsOnTable, BoxableExpression, Expression, SelectableExpression, ValidGrouping,
    is_aggregate,
};
use diesel::internal::table_macro::{FromClause, Join, SelectStatement};
use diesel::query_builder::Query;
use diesel::query_source::{AppearsInFromClause, Never, QuerySource};

use super::from_clause::{AllEqual, BoundSource};

/// The predicates `W` on `F`, of which every subquery is in the database `B`.
pub trait WhereClauseIn<F, B> {}

impl<F, W, B> WhereClauseIn<F, B> for W
where
    F: QuerySource,
    SelectStatement<FromClause<ShallowProbe<F, B>>>: WithWhere<W, Query: Query>,
    SelectStatement<FromClause<DeepProbe<F, B>>>: WithWhere<W, Query: Query>,
{
}

/// WhereClauseIn on `F` that are not in a box.
pub trait UnboxedWhereClause<F> {}

impl<F, W> UnboxedWhereClause<F> for W
where
    F: QuerySource,
    SelectStatement<FromClause<F>>: WithWhere<W, Query: Query>,
{
}

/// A query with the predicates `W` in place of its own.
pub trait WithWhere<W> {
    /// That query.
    type Query;
}

impl<F, S, D, W, O, L, G, H, K, New> WithWhere<New> for SelectStatement<F, S, D, W, O, L, G, H, K> {
    type Query = SelectStatement<F, S, D, New, O, L, G, H, K>;
}

/// A source that has the tables of `F`, and directly inside of which queries may be in the database `B`.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct ShallowProbe<F, B>(PhantomData<fn() -> (F, B)>);

/// A source that has the tables of `F`, and inside of which all tables must be in the database `B`.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct DeepProbe<F, B>(PhantomData<fn() -> (F, B)>);

/// The only column of a source `T` of these.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct ProbeColumn<T>(PhantomData<fn() -> T>);

/// No table at all.
#[derive(Debug)]
pub enum EmptyFromClause {}

impl<T> AppearsInFromClause<T> for EmptyFromClause {
    type Count = Never;
}

impl<T, F: AppearsInFromClause<T>, B> AppearsInFromClause<T> for ShallowProbe<F, B> {
    type Count = F::Count;
}

impl<T, F, B> AppearsInFromClause<T> for DeepProbe<F, B>
where
    T: BoundSource<Binds: AllEqual<B>>,
    F: AppearsInFromClause<T>,
{
    type Count = F::Count;
}

impl<Inside, F, K, B> AppearsOnTable<Join<Inside, ShallowProbe<F, B>, K>>
    for ProbeColumn<ShallowProbe<F, B>>
where
    Inside: QuerySource + BoundSource<Binds: AllEqual<B>>,
{
}

impl<F, B> AppearsOnTable<ShallowProbe<F, B>> for ProbeColumn<ShallowProbe<F, B>> {}

// A condition in a box is looked at when the query is run: Diesel implements `AppearsOnTable` for it on the
// source in its type alone. For what is in the box, the language does not let anybody implement it again
// (E0371), so it is implemented for the box.
macro_rules! conditions_in_boxes {
    ($($source:ident)*) => {$(
        impl<F, B, DB: Backend, GB, A, ST> AppearsOnTable<$source<F, B>>
            for Box<dyn BoxableExpression<F, DB, GB, A, SqlType = ST> + '_>
        where
            Self: Expression,
        {
        }

        impl<F, B, DB: Backend, GB, A, ST> AppearsOnTable<$source<F, B>>
            for &(dyn BoxableExpression<F, DB, GB, A, SqlType = ST> + '_)
        where
            Self: Expression,
        {
        }
    )*};
}

conditions_in_boxes! { ShallowProbe DeepProbe }

impl<QS, F, B> AppearsOnTable<QS> for ProbeColumn<DeepProbe<F, B>> {}

impl<F, B> QuerySource for ShallowProbe<F, B> {
    type FromClause = Self;
    type DefaultSelection = ProbeColumn<Self>;

    fn from_clause(&self) -> Self {
        self.clone()
    }

    fn default_selection(&self) -> ProbeColumn<Self> {
        ProbeColumn(PhantomData)
    }
}

impl<F, B> QuerySource for DeepProbe<F, B> {
    type FromClause = Self;
    type DefaultSelection = ProbeColumn<Self>;

    fn from_clause(&self) -> Self {
        self.clone()
    }

    fn default_selection(&self) -> ProbeColumn<Self> {
        ProbeColumn(PhantomData)
    }
}

impl<T> SelectableExpression<T> for ProbeColumn<T> where Self: AppearsOnTable<T> {}

impl<T> Expression for ProbeColumn<T> {
    type SqlType = diesel::sql_types::Integer;
}

impl<T> ValidGrouping<()> for ProbeColumn<T> {
    type IsAggregate = is_aggregate::No;
}

impl<F, B> Clone for ShallowProbe<F, B> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<F, B> Clone for DeepProbe<F, B> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}
