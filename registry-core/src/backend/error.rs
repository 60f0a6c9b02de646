//! Why a connection could not be opened.

use std::time::Duration;

use crate::cause::DriverError;

/// Why a connection could not be opened.
///
/// The variants are the cases that callers handle differently. The text of each variant says what happened; the error of
/// the driver, the server or the operating system is the [`source`](std::error::Error::source).
///
/// # Example
///
/// ```
/// use registry_core::{AcquireError, ConnectError, Registry, binds};
///
/// binds! { Files: Sqlite = "default"; }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::builder().bind("default", "sqlite:///no/such/folder/app.db").build()?;
/// match registry.session::<Files>().await {
///     Err(AcquireError::Connect { source, .. }) => {
///         assert!(matches!(*source, ConnectError::UnknownDatabase(_)));
///         assert!(!source.is_transient(), "the same call fails again");
///     }
///     _ => panic!("there is no such folder"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No server answers at the address, or the connection broke before it was ready.
    #[error("the server cannot be reached")]
    Unreachable(#[source] DriverError),
    /// The server does not know the user, the password is wrong, or no rule of the server admits the connection.
    #[error("the server rejects the user or the password")]
    Authentication(#[source] DriverError),
    /// The program's own [`Credentials`](crate::Credentials), which are asked for each connection, have failed.
    #[error("the credentials could not be had")]
    Credentials(#[source] DriverError),
    /// The program's own way to connect, given to
    /// [`RegistryBuilder::connect_with`](crate::RegistryBuilder::connect_with), has failed, and its error has none of the
    /// types by which the other variants are told.
    #[error("the program's own way to connect has failed")]
    Connector(#[source] DriverError),
    /// The server, or the file system, has no such database.
    #[error("the database does not exist")]
    UnknownDatabase(#[source] DriverError),
    /// The server has reached its limit of connections.
    #[error("the server takes no more connections")]
    TooManyConnections(#[source] DriverError),
    /// This process has no file descriptors, memory or threads left for another connection.
    #[error("the operating system has no resources left for a connection")]
    Resources(#[source] DriverError),
    /// One side requires TLS and the other does not offer it, or the settings do not accept the server's certificate.
    #[error("the server and the settings do not agree on TLS")]
    Tls(#[source] DriverError),
    /// No connection was ready in time.
    #[error("no connection was ready within {}", humantime::format_duration(*.after))]
    TimedOut {
        /// The length of the wait: `connect_timeout`, or the rest of the caller's own time.
        after: Duration,
    },
    /// The connection was opened, but a statement that sets it up has failed.
    #[error("the statement `{statement}` that prepares a connection failed")]
    Setup {
        /// The statement, if it is one of the engine's own. A statement of `on_connect`, which may have a secret in it, is
        /// named by its index, counted from 0: `on_connect[1]` is the second.
        statement: String,
        /// What the server reported. For `on_connect`, the words that it repeats of the statement are replaced by `***`.
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
