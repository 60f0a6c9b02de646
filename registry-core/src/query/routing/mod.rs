//! How the compiler finds out which bind a query is for.

mod asks;
mod backend_probe;
mod bound_query;
mod from_clause;
mod one_database;
mod source_probe;
mod statements;

pub(super) use one_database::ServedBy;
pub(super) use statements::{Checked, FindsBind, LocksNothing, Routed, TakesFrom, Way};
