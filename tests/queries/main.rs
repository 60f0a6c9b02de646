//! Routed queries, which find their own database.

mod dialects;
mod diesel_guide;
mod documented;
#[path = "../support/mount.rs"]
mod mount;
mod same_names;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(queries, same_names);
