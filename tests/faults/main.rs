//! What an engine survives: servers that are killed, cut off and silent, futures that are dropped,
//! user code that panics, more load than there are connections, and runtimes that end.
//!
//! Each case says what the caller gets and after how long, that the engine has its whole capacity
//! afterwards, and that another bind of the same registry never noticed.

#[path = "../support/mount.rs"]
mod mount;
mod servers;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(in_faults: rig, refusals, outages, silence, cancellation, panics, closing, runtimes, abandoned, warming, transient, scarcity, farewells, query_errors);

mod accounts;
#[cfg(target_os = "linux")]
mod addresses;
mod cached_plan;
mod failover;
mod farewell;
mod hosts;
mod plain_bb8;
mod repeated;
mod retyped;
mod saturation;
mod transient_postgres;
