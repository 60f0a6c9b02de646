//! Faults that an engine survives: killed, unreachable and silent servers, dropped futures, panics of user code,
//! more load than there are connections, and runtimes that are shut down.
//!
//! Each test checks what the caller gets and after how long, that the engine has its whole capacity afterwards, and
//! that another bind of the same registry was not affected.

#[path = "../support/mount.rs"]
mod mount;
mod servers;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(on_servers: rig, refusals, outages, silence, cancellation, panics, closing, runtimes, abandoned, warming, transient, scarcity, farewells, query_errors, retried);

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
mod unsent;
