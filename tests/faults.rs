//! What an engine survives: servers that are killed, cut off and silent, futures that are dropped,
//! user code that panics, more load than there are connections, and runtimes that end.
//!
//! Each case says what the caller gets and after how long, that the engine has its whole capacity
//! afterwards, and that another bind of the same registry never noticed.

#[path = "support/mount.rs"]
mod mount;
#[path = "faults/servers.rs"]
mod servers;
mod support;

mount::mount!(in_faults: rig, refusals, outages, silence, cancellation, panics, closing, runtimes, abandoned, warming, transient, scarcity, farewells, query_errors);

#[path = "faults/accounts.rs"]
mod accounts;
#[cfg(target_os = "linux")]
#[path = "faults/addresses.rs"]
mod addresses;
#[path = "faults/cached_plan.rs"]
mod cached_plan;
#[path = "faults/failover.rs"]
mod failover;
#[path = "faults/farewell.rs"]
mod farewell;
#[path = "faults/hosts.rs"]
mod hosts;
#[path = "faults/plain_bb8.rs"]
mod plain_bb8;
#[path = "faults/repeated.rs"]
mod repeated;
#[path = "faults/retyped.rs"]
mod retyped;
#[path = "faults/saturation.rs"]
mod saturation;
#[path = "faults/transient_postgres.rs"]
mod transient_postgres;
