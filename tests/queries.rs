//! Queries that find their own database.

#[path = "support/mount.rs"]
mod mount;
mod support;

mount::mount!(queries);
