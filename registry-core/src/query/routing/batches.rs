//! Statements on many rows, which are routed like each of their parts.

use diesel::query_source::QuerySource;

use super::from_clause::{AllEqual, BoundSource};
use super::route::{
    AllTablesIn, ByInsertTarget, FindsBind, FindsBindOnSession, LocksNothing, RouteMarker, Routed,
};
use crate::bind::Bind;
use crate::query::batched::{Batched, InsertBatched};

/// The bind is that of the parts, which `Via` determines.
#[derive(Debug)]
pub struct ByParts<Via>(std::marker::PhantomData<fn() -> Via>);

impl<Via: RouteMarker> RouteMarker for ByParts<Via> {}

impl<R, Q: Routed<B, Via>, B: Bind, Via> Routed<B, ByParts<Via>> for Batched<'_, R, Q> {}

impl<R, Q: AllTablesIn<B, Via>, B: Bind, Via> AllTablesIn<B, ByParts<Via>> for Batched<'_, R, Q> {}

impl<R, Q: LocksNothing<Via>, Via> LocksNothing<ByParts<Via>> for Batched<'_, R, Q> {}

#[diagnostic::do_not_recommend]
impl<R, Q, B, Via: FindsBind<Q, B>> FindsBind<Batched<'_, R, Q>, B> for ByParts<Via> {}

impl<S, B, Via: FindsBindOnSession<S, B>> FindsBindOnSession<S, B> for ByParts<Via> {}

impl<T: QuerySource + BoundSource, R> Routed<T::Bind, ByInsertTarget> for InsertBatched<'_, T, R> {}

impl<T, R, B: Bind> AllTablesIn<B, ByInsertTarget> for InsertBatched<'_, T, R> where
    T: QuerySource + BoundSource<Binds: AllEqual<B>>
{
}
