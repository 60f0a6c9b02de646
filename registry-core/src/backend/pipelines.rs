//! Connections on which several statements can be under way at once.

use diesel_async::AsyncConnectionCore;

use super::driver::Backend;

/// A connection type that sends a statement without waiting for the answers to earlier ones, so that several statements are
/// one pipeline.
///
/// Of the supported connections, only [`Postgres`](crate::Postgres) can: `&session` is an
/// [executor](crate::query) there. The protocol of MySQL and MariaDB has no pipelines, and SQLite has no server to wait for.
#[diagnostic::on_unimplemented(
    message = "`&session` runs queries on PostgreSQL alone: a connection of the type `{Self}` has one statement under way at a time",
    label = "write `&mut session`, and run the queries one after the other",
    note = "for queries at once, run them on `&registry`: each has a session of its own there, and is in no common transaction"
)]
pub trait Pipelines: Backend + Sync {
    /// A shared reference to the connection, on which statements are run.
    type Shared<'c>: AsyncConnectionCore<Backend = <Self as AsyncConnectionCore>::Backend> + 'c
    where
        Self: 'c;

    /// Shares the connection with other statements.
    fn share(&self) -> Self::Shared<'_>;
}
