//! Many tenants and few engines: on PostgreSQL, whose own count of connections is watched, and on thousands of SQLite
//! files.
//!
//! By default the runs are short. `REGISTRY_TEST_FULL=1` gives each of them half a minute, and thousands of tenants.

#[path = "../support/mod.rs"]
mod support;

mod load;
mod postgres;
mod sqlite;
