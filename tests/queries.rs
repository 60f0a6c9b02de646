//! Queries that find their own database.

#[path = "queries/dialects.rs"]
mod dialects;
#[path = "support/mount.rs"]
mod mount;
mod support;

mount::mount!(queries, same_names);
