//! What is checked in a query at run time, before it is sent.

mod bound_tables;
mod diesel_types;
mod hidden_table;
mod lost_locks;
mod query_check;
mod source_counts;
mod statement_cache;
mod type_cache;
mod type_inspection;
mod type_names;

pub use hidden_table::HiddenTable;
pub use query_check::Check;
pub(super) use type_cache::QueryType;
