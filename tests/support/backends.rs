//! What a mounted test body knows of its backend: the same names in each module.

#[cfg(feature = "postgres")]
pub(crate) mod postgres {
    /// The connection type.
    pub(crate) type Backend = registry_core::Postgres;

    /// The feature, and the word in `backend = ..`.
    pub(crate) const NAME: &str = "postgres";

    /// The URL of a fresh database.
    pub(crate) fn database() -> String {
        crate::support::postgres().database("test")
    }
}

#[cfg(feature = "mysql")]
pub(crate) mod mysql {
    /// The connection type.
    pub(crate) type Backend = registry_core::Mysql;

    /// The feature, and the word in `backend = ..`.
    pub(crate) const NAME: &str = "mysql";

    /// The URL of a fresh database.
    pub(crate) fn database() -> String {
        crate::support::mariadb().database("test")
    }
}

#[cfg(feature = "sqlite")]
pub(crate) mod sqlite {
    /// The connection type.
    pub(crate) type Backend = registry_core::Sqlite;

    /// The feature, and the word in `backend = ..`.
    pub(crate) const NAME: &str = "sqlite";

    /// The URL of a fresh database.
    pub(crate) fn database() -> String {
        crate::support::sqlite_file()
    }
}
