//! What a tenant has on a server: a database or a schema.

use std::time::Duration;

/// What a tenant has on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespace {
    /// A database of its own.
    Database(String),
    /// A schema, in a database that others have schemas in.
    Schema(String),
}

/// Whether a namespace is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// There is none of that name.
    Missing,
    /// It was begun, and whoever did so has gone before it was finished.
    Unfinished,
    /// It is there.
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

    /// A short name that every process has for it, and nobody for another one but by chance.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn digest(&self) -> u64 {
        // FNV-1a, of 64 bits: it must not change from one release to the next.
        self.name().bytes().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

/// How long to wait before asking again for a lock that somebody else has.
pub(crate) const LOCK_PAUSE: Duration = Duration::from_millis(50);
