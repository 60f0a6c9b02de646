//! Many tenants, few engines: on a PostgreSQL whose own count of connections is watched, and on thousands
//! of SQLite files.
//!
//! By default these runs are short. `REGISTRY_TEST_FULL=1` makes them as long and as wide as the
//! guarantees in the documentation claim.

#[path = "../support/mod.rs"]
mod support;

mod load;
mod postgres;
mod sqlite;
