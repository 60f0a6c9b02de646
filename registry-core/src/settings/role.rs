//! Whether a server takes writes.

use std::fmt;

/// The role of a server in replication: whether it is the primary, which takes writes, or a replica, which has a copy of
/// what the primary has committed.
///
/// ```
/// use registry_core::Role;
///
/// assert_eq!(Role::Replica.to_string(), "replica");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// The server that takes writes: the one at the URL of the bind.
    Primary,
    /// A server that only reads, and may be behind the primary.
    Replica,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        })
    }
}
