//! What is told of queries: events, spans, recorded queries.

#[path = "../support/mount.rs"]
mod mount;
#[path = "../support/mod.rs"]
mod support;

mod guide;
mod pipelines;
mod reentrant;

mount::mount!(told);
