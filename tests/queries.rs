//! Queries that find their own database.

#[path = "queries/dialects.rs"]
mod dialects;
#[path = "queries/documented.rs"]
mod documented;
#[path = "support/mount.rs"]
mod mount;
#[path = "queries/same_names.rs"]
mod same_names;
mod support;

mount::mount!(queries, same_names);
