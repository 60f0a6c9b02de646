//! Reads that replicas answer, on real replication of PostgreSQL and of MariaDB, and behind proxies that cut the links
//! between the program and its servers.
//!
//! By default the load is small. `REGISTRY_TEST_FULL=1` makes it large, kills servers in the middle of it, and promotes
//! a replica.

#[path = "../support/mount.rs"]
mod mount;
mod servers;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(on_servers: choice, crowds, health, lag, moved, names, on_primary, pairs, refused, rig, scopes, tenants, told);

mod clusters;
mod foreign;
mod hosts;
mod load;
#[cfg(feature = "metrics")]
mod meters;
mod poolers;
mod promised;
mod shared_sessions;
mod switchover;
mod timelines;
