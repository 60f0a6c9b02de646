//! Behind PgBouncer, where a transaction has a server connection to itself and a session has not.
//!
//! By default the load is short. `REGISTRY_TEST_FULL=1` makes it twenty times as long.

mod support;

#[path = "pooler/load.rs"]
mod load;
#[path = "pooler/migrations.rs"]
mod migrations;
#[path = "pooler/process.rs"]
mod process;
#[path = "pooler/refusals.rs"]
mod refusals;
#[path = "pooler/rig.rs"]
mod rig;
