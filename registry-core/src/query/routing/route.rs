//! The ways by which the bind of a query is known.

use crate::bind::Bind;

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
pub trait AllTablesIn<B: Bind, Via> {}

/// A way to know the bind of a query.
pub trait RouteMarker {}

/// How the bind of a query is known: by its tables.
#[derive(Debug)]
pub struct ByTable(());

/// How the bind of a query is known: by the table that it inserts into.
#[derive(Debug)]
pub struct ByInsertTarget(());

/// How the bind of a query is known: by its table, while its predicates are in a box.
#[derive(Debug)]
pub struct ByBoxedTarget(());

/// How the bind of a query is known: by the tables of the queries that it combines.
#[derive(Debug)]
pub struct ByCombination(());

/// How the bind of a query is known: somebody said so.
#[derive(Debug)]
pub struct ByBoundTo(());

/// How the bind of a query is known: by its subqueries alone, or not at all. Any database will do that its
/// session is one of.
#[derive(Debug)]
pub struct WithoutTable(());

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

impl RouteMarker for ByTable {}
impl RouteMarker for ByInsertTarget {}
impl RouteMarker for ByBoxedTarget {}
impl RouteMarker for ByCombination {}
impl RouteMarker for ByBoundTo {}
impl RouteMarker for WithoutTable {}
impl RouteMarker for RawSql {}
impl RouteMarker for BoxedRawSql {}

/// A way to know the bind `B` of a query that is run on a session of `S`: what has no bind of its own is
/// for the database of the session.
pub trait FindsBindOnSession<S, B> {}

impl<S, B> FindsBindOnSession<S, B> for ByTable {}
impl<S, B> FindsBindOnSession<S, B> for ByInsertTarget {}
impl<S, B> FindsBindOnSession<S, B> for ByBoxedTarget {}
impl<S, B> FindsBindOnSession<S, B> for ByCombination {}
impl<S, B> FindsBindOnSession<S, B> for ByBoundTo {}
impl<S> FindsBindOnSession<S, S> for WithoutTable {}
impl<S> FindsBindOnSession<S, S> for RawSql {}
impl<S> FindsBindOnSession<S, S> for BoxedRawSql {}

#[diagnostic::do_not_recommend]
impl<Q, B> FindsBind<Q, B> for ByTable {}
#[diagnostic::do_not_recommend]
impl<Q, B> FindsBind<Q, B> for ByInsertTarget {}
#[diagnostic::do_not_recommend]
impl<Q, B> FindsBind<Q, B> for ByBoxedTarget {}
#[diagnostic::do_not_recommend]
impl<Q, B> FindsBind<Q, B> for ByCombination {}
#[diagnostic::do_not_recommend]
impl<Q, B> FindsBind<Q, B> for ByBoundTo {}
