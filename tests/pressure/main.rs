//! Many tenants and few engines: on PostgreSQL, whose own count of connections is watched, and on thousands of SQLite
//! files.
//!
//! By default the runs are short. `REGISTRY_TEST_FULL=1` gives them the duration and the numbers that the documentation
//! claims.

#[path = "../support/mod.rs"]
mod support;

mod load;
mod postgres;
mod sqlite;
