//! Reads that replicas answer, on real replication of PostgreSQL and of MariaDB, and behind proxies that cut the links
//! between the program and its servers.
//!
//! By default the load is small. `REGISTRY_TEST_FULL=1` makes it large, kills servers in the middle of it, and promotes
//! a replica.

mod servers;
#[path = "../support/mod.rs"]
mod support;

// As yet.
#[path = "bodies"]
mod postgres {
    pub(crate) use crate::servers::postgres::*;
    mod health;
    mod lag;
    mod names;
    mod on_primary;
    mod refused;
    pub(crate) mod rig;
}

mod clusters;
mod hosts;
mod poolers;
