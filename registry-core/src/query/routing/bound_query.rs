//! [`Bound`] for queries, so that generic code can name the bind of a query.

use diesel::internal::table_macro::{BoxedSelectStatement, FromClause, SelectStatement};
use diesel::query_builder::{DeleteStatement, InsertStatement, UpdateStatement};
use diesel::query_source::QuerySource;

use super::from_clause::BoundSource;
use super::route::{AllTablesIn, ByInsertTarget, ByTable};
use crate::bind::{Bind, Bound};
use crate::query::bound_to::{BoundTo, BoundToQuery};

#[diagnostic::do_not_recommend]
impl<F, S, D, W, O, L, G, H, K> Bound for SelectStatement<FromClause<F>, S, D, W, O, L, G, H, K>
where
    F: QuerySource + BoundSource,
    Self: AllTablesIn<F::Bind, ByTable>,
{
    type Bind = F::Bind;
}

#[diagnostic::do_not_recommend]
impl<F, ST, DB, GB> Bound for BoxedSelectStatement<'_, ST, FromClause<F>, DB, GB>
where
    F: QuerySource + BoundSource,
    Self: AllTablesIn<F::Bind, ByTable>,
{
    type Bind = F::Bind;
}

#[diagnostic::do_not_recommend]
impl<T, U, Op, Ret> Bound for InsertStatement<T, U, Op, Ret>
where
    T: QuerySource + BoundSource,
    Self: AllTablesIn<T::Bind, ByInsertTarget>,
{
    type Bind = T::Bind;
}

#[diagnostic::do_not_recommend]
impl<T, W, V, Ret> Bound for UpdateStatement<T, W, V, Ret>
where
    T: QuerySource + BoundSource,
    Self: AllTablesIn<T::Bind, ByTable>,
{
    type Bind = T::Bind;
}

#[diagnostic::do_not_recommend]
impl<T, W, Ret> Bound for DeleteStatement<T, W, Ret>
where
    T: QuerySource + BoundSource,
    Self: AllTablesIn<T::Bind, ByTable>,
{
    type Bind = T::Bind;
}

#[diagnostic::do_not_recommend]
impl<Q, B: Bind, Claim> Bound for BoundTo<Q, B, Claim> {
    type Bind = B;
}

#[diagnostic::do_not_recommend]
impl<Q, B: Bind, Claim> Bound for BoundToQuery<Q, B, Claim> {
    type Bind = B;
}
