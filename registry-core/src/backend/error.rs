//! Why a connection could not be made.

use std::time::Duration;

use crate::cause::DriverError;

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers there, or the network is in the way.
    #[error("the server cannot be reached")]
    Unreachable(#[source] DriverError),
    /// The server does not know the user, or the password is wrong.
    #[error("the server rejects the user or the password")]
    Authentication(#[source] DriverError),
    /// The credentials that the program looks for at each connection could not be had.
    #[error("the credentials could not be had")]
    Credentials(#[source] DriverError),
    /// The server, or the file system, has no such database.
    #[error("the database does not exist")]
    UnknownDatabase(#[source] DriverError),
    /// The server has as many connections as it takes.
    #[error("the server takes no more connections")]
    TooManyConnections(#[source] DriverError),
    /// The operating system has no open files, memory or threads left for another connection of this
    /// process.
    #[error("the operating system has no resources left for a connection")]
    Resources(#[source] DriverError),
    /// One side wants TLS, and the other cannot or will not; or the certificate of the server is not
    /// one that the settings accept.
    #[error("the server and the settings do not agree on TLS")]
    Tls(#[source] DriverError),
    /// No connection was ready in time.
    #[error("no connection was ready within {}", humantime::format_duration(*.after))]
    TimedOut {
        /// How long was waited: `connect_timeout`, or what was left of the caller's own time.
        after: Duration,
    },
    /// The connection stands, but a statement that prepares it failed.
    #[error("the statement `{statement}` that prepares a connection failed")]
    Setup {
        /// That statement, if it is one of the engine's own. One of `on_connect`, which may have a secret
        /// in it, goes by its place, counted from 0: `on_connect[1]` is the second.
        statement: String,
        /// What the server reported: for `on_connect` with `***` in place of what it repeats of the
        /// statement.
        #[source]
        source: DriverError,
    },
    /// Anything else.
    #[error("the connection could not be opened")]
    Other(#[source] DriverError),
}

impl ConnectError {
    /// Whether the same call may succeed a little later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::TooManyConnections(_)
                | Self::Resources(_)
                | Self::TimedOut { .. }
        )
    }
}
