//! How the compiler finds out which bind a query is for.

mod backend_probe;
mod bound_query;
mod from_clause;
mod one_database;
mod route;
mod source_probe;
mod statements;

pub(super) use one_database::RunsOnSessionOf;
pub(super) use route::{
    AllTablesIn, FindsBind, FindsBindOnSession, LocksNothing, RouteMarker, Routed,
};
