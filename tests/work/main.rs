//! Units of work: transactions over several databases.

#[path = "../support/mount.rs"]
mod mount;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(isolation, scopes, work, work_dropped, work_ended, work_retried);
mount::mount!(@ postgres_by_socket work_ended);

mod commits;
mod cut_commits;
mod deadlocks;
mod dialects;
mod ended;
mod innodb;
mod retried;
mod shared;
mod transaction_builder;
