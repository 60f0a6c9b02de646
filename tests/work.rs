//! Units of work: transactions over several databases.

#[path = "support/mount.rs"]
mod mount;
mod support;

mount::mount!(isolation, scopes, work, work_dropped, work_retried);

#[path = "work/commits.rs"]
mod commits;
#[path = "work/dialects.rs"]
mod dialects;
