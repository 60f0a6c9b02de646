//! The inputs for opening a connection, and the opened connection.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::host_failover::FailedHosts;
use super::observed::Observed;
use crate::settings::Endpoint;

/// The engine's inputs for opening a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectContext<'a> {
    /// The hosts of the engine that have failed recently.
    pub failed_hosts: &'a FailedHosts,
    /// The deadline of the attempt.
    pub deadline: Instant,
    /// The one server to connect to, of those that the URL leads to.
    pub endpoint: Option<&'a Endpoint>,
    /// Whether a server that says that it is a replica is refused.
    pub requires_primary: bool,
}

/// An opened connection, with its observed state and its canceller.
pub struct OpenedConnection<C> {
    /// The connection.
    pub connection: C,
    /// The observed state of the connection.
    pub observed: Arc<Observed>,
    /// Cancels the running statement. Present if the server would continue the statement after the client is gone.
    pub cancel: Option<Canceller>,
}

impl<C> fmt::Debug for OpenedConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedConnection").field("observed", &self.observed).finish_non_exhaustive()
    }
}

/// Each call asks the server to cancel the connection's running statement.
pub(crate) type Canceller = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;
