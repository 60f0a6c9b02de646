//! The type of the option `synchronous`.

use crate::settings::from_value::{FromValue, one_of};
use crate::settings::value::Value;

/// When SQLite waits until the disk has stored what it has written: `PRAGMA synchronous`.
///
/// In settings `"off"`, `"normal"`, `"full"` and `"extra"`. The registry opens files in WAL mode, for which each value says
/// what a crash of the operating system or a loss of power can undo. A crash of the program alone undoes no commit with any
/// of them. See <https://www.sqlite.org/pragma.html#pragma_synchronous> and <https://www.sqlite.org/wal.html>.
///
/// ```
/// use registry_core::{BindSettings, Synchronous};
///
/// // A cache: after a loss of power it may lack the last commits.
/// let cache = BindSettings::new("sqlite://cache.db").synchronous(Synchronous::Normal);
/// # let _ = cache;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Synchronous {
    /// SQLite never waits for the disk. A loss of power can undo commits, and can leave the file corrupt.
    Off,
    /// SQLite waits for the disk at checkpoints, and not at each commit. A loss of power can undo the last commits. The file
    /// stays consistent.
    Normal,
    /// SQLite waits for the disk at each commit. A loss of power undoes no commit, as long as the disk stores what it
    /// reports as stored. The default, which is also SQLite's own.
    #[default]
    Full,
    /// Like `Full`, and without WAL mode SQLite also waits until the folder is stored when it has deleted its journal. In
    /// WAL mode the same as `Full`.
    Extra,
}

impl Synchronous {
    /// The value of the pragma.
    #[cfg(feature = "sqlite")]
    pub(crate) fn pragma(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
            Self::Extra => "EXTRA",
        }
    }
}

impl FromValue for Synchronous {
    fn from_value(value: &Value) -> Result<Self, String> {
        one_of(
            value,
            &[
                ("off", Self::Off),
                ("normal", Self::Normal),
                ("full", Self::Full),
                ("extra", Self::Extra),
            ],
        )
    }
}
