//! What is checked in a query at run time, before it is sent: that all its tables belong to its bind, and that it
//! does not take a row lock which is released before the caller can use it.
//!
//! The compiler has checked `FROM` and `WHERE` by then ([`routing`](super::routing)). The checks in this
//! folder find the tables that the compiler cannot see, from two sources. A table is a Rust type, and
//! [`type_name`](std::any::type_name) of a query contains the path of every table type that is not in a box. Tables in a
//! box are read from the SQL. Read the files in this order:
//!
//! | file | content |
//! |---|---|
//! | `query_check.rs` | [`Check`]: the steps of the check, from the cached result down to the SQL |
//! | `hidden_table.rs` | [`HiddenTable`], the error |
//! | `lost_locks.rs` | the check for row locks, and its error |
//! | `type_inspection.rs` | the tables in the name of a type, and how much of the query that name covers |
//! | `diesel_types.rs` | the allowlist of types that hide nothing |
//! | `source_counts.rs` | how often queries of a type can write a table, to tell equal names apart |
//! | `only_reads.rs` | whether a query only reads, for executors of readers |
//! | `type_names.rs` | the parser for names of types |
//! | `bound_tables.rs` | all tables that `bind_tables!` and `#[bind] mod` have bound, by path and by name |
//! | `type_cache.rs` | the result for each type of query: a lookup without a lock before each query |
//! | `statement_cache.rs` | statements that have passed, for types whose result depends on the SQL |

mod bound_tables;
mod diesel_types;
mod hidden_table;
mod lost_locks;
mod only_reads;
mod query_check;
mod source_counts;
mod statement_cache;
mod type_cache;
mod type_inspection;
mod type_names;

pub use hidden_table::HiddenTable;
pub use query_check::Check;
