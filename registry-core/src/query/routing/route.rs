//! The markers for the part of a query that determines its bind, and the traits that executors require.

use crate::bind::Bind;

/// A query that belongs to the bind `B`, as determined by `Via`. The compiler infers both from the query.
#[diagnostic::on_unimplemented(
    message = "no bind is known for this query: a table in it is not bound to a database, or it is of a type that is not Diesel's own",
    label = "no bind is known for this query",
    note = "bind the table: `registry_core::bind_tables!(db = \"..\", backend = ..; path::to::table)`",
    note = "or say where a query type of your own, or a table of another crate, belongs: `.bound_to::<Model>()`, with `use registry_core::BindDsl`",
    note = "or run it unchecked, on the connection of a session: `&mut *session`, or `&mut **session` where `session` is a `&mut Session`"
)]
pub trait Routed<B: Bind, Via> {}

/// A query whose tables all belong to the bind `B`, as far as types can tell.
///
/// This trait is separate from [`Routed`]. `Routed` yields a bind even for a query with tables of several binds, so that
/// the compiler can name two of the binds in its message.
pub trait AllTablesIn<B: Bind, Via> {}

/// A type that stands for the part of a query that determines its bind.
///
/// Other crates cannot name this trait nor a type that implements it, so they cannot implement
/// [`Executor`](crate::query::Executor), which requires it.
pub trait RouteMarker {}

/// The tables in `FROM`, or the target of an `UPDATE` or `DELETE`, determine the bind of the query.
#[derive(Debug)]
pub struct ByTable(());

/// The target table of the `INSERT` determines the bind of the query.
#[derive(Debug)]
pub struct ByInsertTarget(());

/// The target of an `UPDATE` or `DELETE` with a boxed `WHERE` clause determines the bind of the query.
#[derive(Debug)]
pub struct ByBoxedTarget(());

/// The tables of the combined queries determine the bind of the query.
#[derive(Debug)]
pub struct ByCombination(());

/// [`bound_to`](crate::BindDsl::bound_to) has named the bind of the query.
#[derive(Debug)]
pub struct ByBoundTo(());

/// The query has no table of its own. If it selects only subqueries, they determine its bind; otherwise the session does
/// on which it is run.
#[derive(Debug)]
pub struct WithoutTable(());

/// The query is SQL text. The session on which it is run determines its bind.
#[derive(Debug)]
pub struct RawSql(());

/// SQL text as in [`RawSql`], with values in a box.
#[derive(Debug)]
pub struct BoxedRawSql(());

/// A marker with which the query `Q` alone determines its bind `B`, as a registry requires.
#[diagnostic::on_unimplemented(
    message = "this query has no table, so the registry cannot know in which database to run it",
    label = "there is nothing in this query to find a database by",
    note = "run it on a session: `registry.session_for::<Model>().await?`",
    note = "or say where it belongs: `.bound_to::<Model>()`, or on a reader `.reads::<Model>()`, with `use registry_core::BindDsl`",
    note = "a `select(..)` of nothing but subqueries is found by their tables, which have to be in one database"
)]
pub trait FindsBind<Q, B>: RouteMarker {}

/// A query that does not lock the rows that it returns until the end of its transaction.
///
/// Only the outermost query counts. A lock in a subquery is taken for the duration of the statement.
#[diagnostic::on_unimplemented(
    message = "the rows that this query locks are not locked any more when the call returns",
    label = "the session is returned at the end of this call, and the lock goes with its transaction",
    note = "take the lock in a unit of work, `registry.transaction(async |work| ..)`, or on a session, in a transaction"
)]
pub trait LocksNothing<Via> {}

/// A query that neither writes nor locks rows, as far as types can tell.
///
/// The server refuses what types cannot tell, such as a function that writes. A lock in a subquery is looked for when the
/// query is run.
#[diagnostic::on_unimplemented(
    message = "a reader only reads, and this query writes, locks rows, or is not known to only read",
    label = "this executor takes only queries that read",
    note = "run a query that writes on `&registry`, `&tenant`, a session or in a unit of work, and one that locks rows on a session or in a unit of work",
    note = "say of SQL text, and of a query type of your own, that it only reads: `.reads::<Model>()`, with `use registry_core::BindDsl`"
)]
pub trait ReadsOnly<Via> {}

impl RouteMarker for ByTable {}
impl RouteMarker for ByInsertTarget {}
impl RouteMarker for ByBoxedTarget {}
impl RouteMarker for ByCombination {}
impl RouteMarker for ByBoundTo {}
impl RouteMarker for WithoutTable {}
impl RouteMarker for RawSql {}
impl RouteMarker for BoxedRawSql {}

/// A marker with which a query on a session of the bind `S` has the bind `B`: a query without a bind of its own belongs to
/// the bind of the session.
pub trait FindsBindOnSession<S, B>: RouteMarker {}

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
