//! What is given to the opening of a connection, and what comes of it.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::host_failover::FailedHosts;
use super::observed::Observed;

/// What an engine gives to the opening of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectContext<'a> {
    /// The hosts of the engine that have failed lately.
    pub failed_hosts: &'a FailedHosts,
    /// When to give up.
    pub deadline: Instant,
}

/// A connection that was opened, and what is known of it besides.
pub struct OpenedConnection<C> {
    /// The connection.
    pub connection: C,
    /// What is observed of it.
    pub observed: Arc<Observed>,
    /// Cancels the statement that runs, where the server would go on with it for a client that is gone.
    pub cancel: Option<Canceller>,
}

impl<C> fmt::Debug for OpenedConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedConnection").field("observed", &self.observed).finish_non_exhaustive()
    }
}

/// Asks a server to cancel the statement that runs, each time that it is called.
pub(crate) type Canceller = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;
