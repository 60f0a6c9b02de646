//! Tags in SQL, as the databases see them.

#[path = "../support/mount.rs"]
mod mount;
mod parser;
mod pooler;
mod sent;
#[path = "../support/mod.rs"]
mod support;
mod traces;

mount::mount!(tags);
