//! The namespace of a tenant on a server: a database or a schema.

use std::time::Duration;

/// The namespace of a tenant on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespace {
    /// A database for the tenant alone, by name.
    Database(String),
    /// A schema, by name, in a database that the tenant shares with other tenants.
    Schema(String),
}

/// Whether a namespace exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// No namespace of that name exists.
    Missing,
    /// The creation of the namespace was begun and interrupted. No process is working on it any more.
    Unfinished,
    /// The namespace exists.
    There,
}

impl Namespace {
    /// Its name.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Database(name) | Self::Schema(name) => name,
        }
    }

    /// A hash of the name by which all processes lock the namespace. Another name may have the same one only by chance.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn digest(&self) -> u64 {
        // FNV-1a, of 64 bits. It must not change from one release to the next, as old and new processes lock together.
        self.name().bytes().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

/// The pause between two attempts to take a lock that another session holds.
pub(crate) const LOCK_PAUSE: Duration = Duration::from_millis(50);
