//! How the compiler determines the bind of a query, and refuses a query of two databases.
//!
//! This folder has no code that runs, only traits and their implementations. A query method such as
//! [`load`](super::RunQueryDsl::load) asks for an [`Executor<Q, B, Via>`](super::Executor), whose implementations ask
//! for the traits below. The compiler infers `B`, the bind of the query `Q`, and `Via`, a [`RouteMarker`] that
//! names the part of the query that determines the bind. A marker is necessary because implementations for different kinds of
//! queries would overlap otherwise: Diesel's type for a `UNION`, for one, cannot be named, and so has to be
//! implemented for all types.
//!
//! | marker | queries |
//! |---|---|
//! | `ByTable` | `SELECT .. FROM`, boxed or not; `UPDATE` and `DELETE` |
//! | `ByInsertTarget` | `INSERT` |
//! | `ByBoxedTarget` | `UPDATE` and `DELETE` after `into_boxed()` |
//! | `ByCombination` | `UNION`, `INTERSECT`, `EXCEPT` |
//! | `ByBoundTo` | anything with `.bound_to::<Model>()` or `.reads::<Model>()` |
//! | `ByParts` | a statement on many rows, by [`batched`](crate::batched): the marker of its parts |
//! | `WithoutTable` | `select(..)` without `FROM`, and literal SQL |
//! | `RawSql`, `BoxedRawSql` | `sql_query` |
//! | `Unchecked` | everything on a bare connection |
//!
//! Read the files in this order:
//!
//! | file | content |
//! |---|---|
//! | `route.rs` | the markers, and the traits that executors ask for |
//! | `statements.rs` | those traits for each of Diesel's types of queries |
//! | `reads.rs` | the queries that a reader takes |
//! | `batches.rs` | the same traits for statements on many rows |
//! | `from_clause.rs` | the binds of the tables in a `FROM` clause |
//! | `one_database.rs` | equality of binds, with the compiler's message about different binds |
//! | `source_probe.rs` | probes in place of a `FROM` clause, to find the subqueries of a `WHERE` clause |
//! | `backend_probe.rs` | probes in place of a backend, to find the parts of a `UNION` |
//! | `bound_query.rs` | [`Bound`](crate::Bound) for queries |
//!
//! Every trait here that can fail for a user has a `#[diagnostic::on_unimplemented]`, and the programs in `tests/ui`
//! hold the compiler to the resulting messages. Check them after every change: the order of bounds decides which of
//! several errors comes first.

mod backend_probe;
mod batches;
mod bound_query;
mod from_clause;
mod one_database;
mod reads;
mod route;
mod source_probe;
mod statements;

pub(super) use one_database::RunsOnSessionOf;
pub(crate) use route::RouteMarker;
pub(super) use route::{
    AllTablesIn, ByBoundTo, ByCombination, ByTable, FindsBind, FindsBindOnSession, LocksNothing,
    ReadsOnly, Routed,
};
pub(super) use statements::UpdateOf;
