//! Reads that replicas answer, on real replication of PostgreSQL and of MariaDB, and behind proxies that cut the links
//! between the program and its servers.
//!
//! By default the load is small. `REGISTRY_TEST_FULL=1` makes it large.

#[path = "../support/mod.rs"]
mod support;

mod clusters;
