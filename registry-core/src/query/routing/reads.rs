//! The queries that a reader takes: those whose types show that they neither write nor lock rows.
//!
//! A list of what reads, and not of what writes, so that a type that is not known is refused.

use diesel::internal::table_macro::{BoxedSelectStatement, NoFromClause, SelectStatement};

use super::backend_probe::CombinationThatReads;
use super::route::{ByBoundTo, ByCombination, ByTable, ReadsOnly, WithoutTable};
use crate::query::bound_to::{BoundTo, BoundToQuery, OnlyReads};

// Diesel's type for "no locking clause" cannot be named, but it is the default of the last argument.
impl<F, S, D, W, O, L, G, H> ReadsOnly<ByTable> for SelectStatement<F, S, D, W, O, L, G, H> {}

/// Diesel boxes no select that has a locking clause, and none can be added to one in a box.
impl<F, ST, DB, GB> ReadsOnly<ByTable> for BoxedSelectStatement<'_, ST, F, DB, GB> {}

// The message is about the combination, and not about the probe that looks into it.
#[diagnostic::do_not_recommend]
impl<Q: CombinationThatReads> ReadsOnly<ByCombination> for Q {}

impl<S, D, W, O, L, G, H> ReadsOnly<WithoutTable>
    for SelectStatement<NoFromClause, S, D, W, O, L, G, H>
{
}

impl<ST, DB, GB> ReadsOnly<WithoutTable> for BoxedSelectStatement<'_, ST, NoFromClause, DB, GB> {}

impl<Q, B> ReadsOnly<ByBoundTo> for BoundTo<Q, B, OnlyReads> {}

impl<Q, B> ReadsOnly<ByBoundTo> for BoundToQuery<Q, B, OnlyReads> {}
