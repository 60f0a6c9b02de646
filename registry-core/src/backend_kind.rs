//! The kinds of databases.

use std::fmt;

/// A kind of database that Diesel speaks to.
///
/// ```
/// use registry_core::{BackendKind, DatabaseUrl};
///
/// let url: DatabaseUrl = "mariadb://app@localhost/app".parse()?;
/// assert_eq!(url.backend(), BackendKind::Mysql);
/// assert_eq!(url.backend().to_string(), "MySQL");
/// # Ok::<(), registry_core::settings::InvalidUrl>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "engine", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum BackendKind {
    /// PostgreSQL, with the feature `postgres`.
    Postgres,
    /// MySQL and MariaDB, with the feature `mysql`.
    Mysql,
    /// SQLite, with the feature `sqlite`.
    Sqlite,
}

impl BackendKind {
    /// The feature of this crate that enables this backend.
    #[must_use]
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }

    /// Whether that feature is enabled.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        match self {
            Self::Postgres => cfg!(feature = "postgres"),
            Self::Mysql => cfg!(feature = "mysql"),
            Self::Sqlite => cfg!(feature = "sqlite"),
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Sqlite => "SQLite",
        })
    }
}
