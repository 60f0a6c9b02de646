//! The replicas of a bind, for users.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::serialized::{as_optional_seconds, as_seconds, as_text};
use crate::settings::{DatabaseUrl, Role};

/// Where the reads of a bind went, and why: a part of [`EngineStatus`](crate::EngineStatus).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReadStatus {
    /// Reads on a replica that was fit.
    pub on_replicas: u64,
    /// Reads on the primary, because the bind has no replicas.
    pub without_replicas: u64,
    /// Reads on the primary, because each replica that answers was behind: its lag was over the limit, or it had not
    /// reached the position of the read's token.
    pub behind: u64,
    /// Reads on the primary, because no replica answered, or nothing was known of any yet.
    pub no_replica: u64,
    /// Reads that were refused for lack of a replica that was fit (`when_behind = "error"`).
    pub refused: u64,
    /// Reads that waited for a replica (`when_behind = "wait"` or `"error"`).
    pub waits: u64,
    /// How long they waited, all together.
    #[serde(serialize_with = "as_seconds")]
    pub waited: Duration,
    /// How many connections to the primary that only read are in use. They are beside those of the bind's engine.
    pub in_use_on_primary: u32,
    /// How many of them are idle.
    pub idle_on_primary: u32,
    /// How many of them there may be: `max_reads_on_primary` of `max_connections`. 0 if reads share the connections of
    /// the bind's engine, as in a database in memory.
    pub max_on_primary: u32,
}

impl ReadStatus {
    /// All reads on the primary.
    #[must_use]
    pub fn on_primary(&self) -> u64 {
        self.without_replicas + self.behind + self.no_replica
    }
}

/// What is known of a replica: a part of [`EngineStatus`](crate::EngineStatus).
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ReplicaStatus {
    /// The URL in the settings. It is shown without its password.
    #[serde(serialize_with = "as_text")]
    pub url: DatabaseUrl,
    /// The server that this is about, as an address and a port: a URL may lead to several. Empty if the program connects
    /// by itself.
    pub host: String,
    /// Whether reads go to it, by the limits of the bind's settings.
    pub state: ReplicaState,
    /// What the server said that it is. `None` before its first answer, and if it does not tell.
    pub role: Option<Role>,
    /// How far it is behind the primary, at most: it shows everything that was committed so long ago. `None` if that is
    /// not known.
    ///
    /// It is measured by positions in the log, with the precision of `probe_interval`, so it does not grow while nobody
    /// writes.
    #[serde(serialize_with = "as_optional_seconds")]
    pub lag: Option<Duration>,
    /// How many bytes of the log it had not replayed at its last answer (PostgreSQL).
    pub lag_bytes: Option<u64>,
    /// How many reads went to it.
    pub reads: u64,
    /// Its share of the reads, in proportion to the other replicas of the bind.
    pub weight: u32,
    /// How many of its connections are in use.
    pub in_use: u32,
    /// How many of its connections are idle.
    pub idle: u32,
    /// `max_connections` of the replica.
    pub max: u32,
    /// How many callers wait for one of its connections.
    pub waiting: u32,
    /// Why it is [`Down`](ReplicaState::Down).
    pub last_error: Option<String>,
}

/// Whether reads go to a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplicaState {
    /// It has not answered yet. It is not asked before the first read.
    Unknown,
    /// It takes reads.
    Fit,
    /// Its lag is over `max_lag` (and `max_lag_bytes`), or is not known.
    Behind,
    /// It did not answer, or a connection to it was lost.
    Down,
    /// It says that it is a primary.
    Primary,
    /// Its data is of another database, or of another system, than the primary's, or it has commits that the primary does not
    /// have.
    Foreign,
}

impl fmt::Display for ReplicaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Fit => "fit",
            Self::Behind => "behind",
            Self::Down => "down",
            Self::Primary => "primary",
            Self::Foreign => "foreign",
        })
    }
}
