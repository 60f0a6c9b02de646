//! The status of an engine.

use std::fmt;
use std::time::SystemTime;

use serde::Serialize;

use super::super::reading::{ReadStatus, ReplicaStatus};
use super::since::{AcquiresSince, Opened};
use crate::backend::ConnectError;
use crate::cause::Chain;
use crate::serialized::as_text;
use crate::settings::{BackendKind, BindKey, DatabaseUrl};

/// A snapshot of one engine: its connections, the callers that wait, and its counters since it was opened.
///
/// [`Engine::status`](crate::Engine::status) returns it, and [`Registry::status`](crate::Registry::status) returns
/// the snapshots of all engines. It can be serialized.
///
/// ```
/// use registry_core::Registry;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// let session = registry.session_by_key::<registry_core::AsyncSqliteConnection>("default").await?;
/// let status = registry.engine("default")?.status();
/// assert_eq!((status.in_use, status.idle, status.direct), (1, 0, 1));
/// # drop(session);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct EngineStatus {
    /// The bind key.
    pub key: BindKey,
    /// The URL, without its password.
    #[serde(serialize_with = "as_text")]
    pub url: DatabaseUrl,
    /// The kind of database.
    pub backend: BackendKind,
    /// Connections that are checked out, being opened, or being reset.
    pub in_use: u32,
    /// Connections that are open and idle.
    pub idle: u32,
    /// The maximum number of connections: `max_connections`.
    pub max: u32,
    /// Callers that wait for a connection, and on SQLite the writers of this process that wait for their turn to write to the
    /// file.
    pub waiting: u32,
    /// Acquires that did not have to wait for others, except for their turn to write.
    pub direct: u64,
    /// Acquires that waited for others, and got a connection.
    pub waited: u64,
    /// Acquires that timed out, in the queue or while connecting.
    pub timed_out: u64,
    /// The last failure to open a connection, if there was one.
    pub last_error: Option<LastError>,
    /// Where the reads of the bind's readers went. `None` before the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<ReadStatus>,
    /// What is known of each replica of the bind, in the order of the settings. Empty before the first read of a reader.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaStatus>,
    /// What the engine has done since the last look, see [`Registry::status`](crate::Registry::status), or since an earlier
    /// snapshot, see [`Status::since`](crate::Status::since). `None` at the first look, and from
    /// [`Engine::status`](crate::Engine::status).
    pub since_last: Option<AcquiresSince>,
    #[serde(skip)]
    pub(crate) opened: Opened,
}

/// The last failure of an engine to open a connection.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LastError {
    /// The error, with its causes.
    pub message: String,
    /// When it happened.
    #[serde(serialize_with = "as_timestamp")]
    pub at: SystemTime,
}

impl LastError {
    pub(in crate::engine) fn new(error: &ConnectError, at: SystemTime) -> Self {
        Self { message: Chain(error).to_string(), at }
    }
}

impl fmt::Display for LastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", humantime::format_rfc3339_seconds(self.at), self.message)
    }
}

fn as_timestamp<S: serde::Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*at))
}
