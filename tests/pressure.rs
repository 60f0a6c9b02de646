//! Many tenants, few engines: on a PostgreSQL whose own count of connections is watched, and on thousands
//! of SQLite files.
//!
//! By default these runs are short. `REGISTRY_TEST_FULL=1` makes them as long and as wide as the
//! guarantees in the documentation claim.

mod support;

#[path = "pressure/load.rs"]
mod load;
#[path = "pressure/postgres.rs"]
mod postgres;
#[path = "pressure/sqlite.rs"]
mod sqlite;
