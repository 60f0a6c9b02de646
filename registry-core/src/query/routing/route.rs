//! The markers that say how the bind of a query is known, and the traits that executors ask for.

use crate::bind::Bind;

/// A query that belongs to the bind `B`, which is known by `Via`. The compiler infers both from the query.
#[diagnostic::on_unimplemented(
    message = "no bind is known for this query: a table in it is not bound to a database, or it is of a type that is not Diesel's own",
    label = "no bind is known for this query",
    note = "bind the table: `registry_core::bind_tables!(db = \"..\", backend = ..; path::to::table)`",
    note = "or say where a query type of your own belongs: `.bound_to::<Model>()`, with `use registry_core::BindDsl`",
    note = "or run it unchecked, on the connection of a session: `&mut *session`, or `&mut **session` where `session` is a `&mut Session`"
)]
pub trait Routed<B: Bind, Via> {}

/// A query of which every table belongs to the bind `B`, as far as types can tell.
///
/// It is separate from [`Routed`], which yields a bind even for a query with tables of several binds, so that the
/// compiler can name two of them in its message.
pub trait AllTablesIn<B: Bind, Via> {}

/// A type that says by which part of a query its bind is known.
pub trait RouteMarker {}

/// The bind of the query is that of the tables in `FROM`, or of the target of an `UPDATE` or `DELETE`.
#[derive(Debug)]
pub struct ByTable(());

/// The bind of the query is that of the table that it inserts into.
#[derive(Debug)]
pub struct ByInsertTarget(());

/// The bind of the query is that of the target of an `UPDATE` or `DELETE` whose `WHERE` clause is in a box.
#[derive(Debug)]
pub struct ByBoxedTarget(());

/// The bind of the query is that of the tables of the queries that it combines.
#[derive(Debug)]
pub struct ByCombination(());

/// The bind of the query was named by [`bound_to`](crate::BindDsl::bound_to).
#[derive(Debug)]
pub struct ByBoundTo(());

/// The query has no table of its own. Its bind is that of its subqueries, if it selects nothing else; or that of the
/// session on which it is run.
#[derive(Debug)]
pub struct WithoutTable(());

/// The query is SQL as text. Its bind is that of the session on which it is run.
#[derive(Debug)]
pub struct RawSql(());

/// The same, with values in a box.
#[derive(Debug)]
pub struct BoxedRawSql(());

/// A marker by which the bind `B` of the query `Q` is known from the query alone, as it has to be on a registry.
#[diagnostic::on_unimplemented(
    message = "this query has no table, so the registry cannot know in which database to run it",
    label = "there is nothing in this query to find a database by",
    note = "run it on a session: `registry.session_for::<Model>().await?`",
    note = "or say where it belongs: `.bound_to::<Model>()`, with `use registry_core::BindDsl`",
    note = "a `select(..)` of nothing but subqueries is found by their tables, which have to be in one database"
)]
pub trait FindsBind<Q, B> {}

/// A query that does not lock the rows that it returns until the end of its transaction.
///
/// Only the outermost query counts. A lock in a subquery is taken for the duration of the statement.
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

/// A marker by which the bind `B` of a query is known on a session of the bind `S`: a query without a bind of its own
/// belongs to that of the session.
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
