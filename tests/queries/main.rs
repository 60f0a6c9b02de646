//! Routed queries, which find their own database.

mod dialects;
mod diesel_guide;
mod documented;
#[path = "../support/mount.rs"]
mod mount;
mod one_pipeline;
mod reader_in_memory;
mod same_names;
mod shared_executors;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(batches, bound_to, constraints, executors, pages, queries, readers, same_names);

#[path = "."]
mod by_tcp {
    pub(crate) use crate::support::backends::postgres::*;

    mod pipelines;
    mod reader_locks;
    mod reader_pipelines;
}

#[path = "."]
mod of_mariadb {
    pub(crate) use crate::support::backends::mysql::*;

    #[expect(clippy::duplicate_mod, reason = "the point: one body, both servers")]
    mod reader_locks;
}

#[path = "."]
mod by_socket {
    pub(crate) use crate::support::backends::postgres_by_socket::*;

    #[expect(clippy::duplicate_mod, reason = "the point: one body, both ways")]
    mod pipelines;
}
