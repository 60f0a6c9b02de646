//! The commands of `registry_core::cli`, each run as a process of its own: in a pipe and in a terminal. And the
//! status of a registry, which a program of its own prints there.
//!
//! What they print is compared with the texts in `expected/`. After a change, `REGISTRY_TEST_OVERWRITE=1` writes these
//! anew; read the difference as a user would.

#[path = "../support/mod.rs"]
mod support;

mod help;
mod interrupted;
mod names;
mod rig;
mod secrets;
mod servers;
mod sqlite;
mod status_table;
mod terminal;
mod transcript;
mod without_tenants;
