//! Finds the tables in the subqueries of a `WHERE` clause, with a probe in place of its `FROM` clause.
//!
//! A condition can have a subquery in any of a hundred types of Diesel, which cannot all be listed. But Diesel itself
//! checks that the columns of a subquery are valid at its place. It joins the outer `FROM` clause to the `FROM` clause of
//! the subquery, and determines for each table the side of the join (`AppearsInFromClause`). The probes stand in for the
//! outer `FROM` clause, and implement this trait only for tables of one bind.
//!
//! The message of the compiler requires two probes. [`DeepProbe`] admits no table of another bind at any depth, but
//! the compiler then complains about a join. [`ShallowProbe`] sees only the subqueries directly inside of it, and
//! there the compiler names the two databases. A query has to satisfy both, in the order in which their errors should
//! be read.

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

/// A `WHERE` clause on the source `F` whose subqueries all belong to the bind `B`.
pub trait WhereClauseIn<F, B> {}

impl<F, W, B> WhereClauseIn<F, B> for W
where
    F: QuerySource,
    SelectStatement<FromClause<ShallowProbe<F, B>>>: WithWhere<W, Query: Query>,
    SelectStatement<FromClause<DeepProbe<F, B>>>: WithWhere<W, Query: Query>,
{
}

/// A `WHERE` clause on the source `F` that is not in a box.
pub trait UnboxedWhereClause<F> {}

impl<F, W> UnboxedWhereClause<F> for W
where
    F: QuerySource,
    SelectStatement<FromClause<F>>: WithWhere<W, Query: Query>,
{
}

/// A select with the `WHERE` clause `W` in place of its own.
pub trait WithWhere<W> {
    /// The select with the `WHERE` clause `W`.
    type Query;
}

impl<F, S, D, W, O, L, G, H, K, New> WithWhere<New> for SelectStatement<F, S, D, W, O, L, G, H, K> {
    type Query = SelectStatement<F, S, D, New, O, L, G, H, K>;
}

/// A source that has the tables of `F`, and directly inside of which subqueries must belong to the bind `B`.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct ShallowProbe<F, B>(PhantomData<fn() -> (F, B)>);

/// A source that has the tables of `F`, and inside of which all tables at any depth must belong to the bind `B`.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct DeepProbe<F, B>(PhantomData<fn() -> (F, B)>);

/// The only column of the probe `T`.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct ProbeColumn<T>(PhantomData<fn() -> T>);

/// A source without a table.
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

// Diesel implements `AppearsOnTable` for a condition in a box only on the source that the type of the box names, so
// the probes have to be added. They cannot be added for `dyn BoxableExpression` itself: the language does not let a
// trait object implement one of its supertraits again (E0371). So the probes are added for the box. The content of the box
// is checked when the query is run.
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
