//! Routed queries, which find their own database.

mod dialects;
mod documented;
#[path = "../support/mount.rs"]
mod mount;
mod same_names;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(queries, same_names, bound_to, batches);
