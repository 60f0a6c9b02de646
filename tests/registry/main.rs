//! The registry on real databases.

mod cases;
#[path = "../support/mount.rs"]
mod mount;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(
    hazards,
    migration_changes,
    migration_lock,
    migration_status,
    migration_waits,
    migrations,
    sessions,
    two_binds,
    versions
);
