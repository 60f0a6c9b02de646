//! Behind PgBouncer in transaction mode, where a transaction has a server connection to itself and a session does not.
//!
//! By default the load is short. `REGISTRY_TEST_FULL=1` makes it twenty times as long.

#[path = "../support/mod.rs"]
mod support;

mod load;
mod migrations;
mod pipelines;
mod process;
mod refusals;
mod rig;
