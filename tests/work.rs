//! Units of work: transactions over several databases.

#[path = "support/mount.rs"]
mod mount;
mod support;

mount::mount!(isolation, scopes, work, work_dropped, work_ended, work_retried);
mount::mount!(@ postgres_by_socket work_ended);

#[path = "work/commits.rs"]
mod commits;
#[path = "work/deadlocks.rs"]
mod deadlocks;
#[path = "work/dialects.rs"]
mod dialects;
#[path = "work/ended.rs"]
mod ended;
#[path = "work/retried.rs"]
mod retried;
