//! What is checked in a query at run time, before it is sent.

mod bound_tables;
mod lost_locks;
mod query_check;
mod type_cache;
mod type_inspection;
mod type_names;

pub use query_check::{Check, HiddenTable};
pub(super) use type_cache::Kind;
