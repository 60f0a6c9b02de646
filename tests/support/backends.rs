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

    /// Makes an empty database for each tenant, and returns the URL with `{tenant}` in it.
    pub(crate) fn tenants<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
        crate::support::postgres().tenants(names)
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

    /// Makes an empty database for each tenant, and returns the URL with `{tenant}` in it.
    pub(crate) fn tenants<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
        crate::support::mariadb().tenants(names)
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

    /// Makes an empty database for each tenant, and returns the URL with `{tenant}` in it.
    pub(crate) fn tenants<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
        let folder = crate::support::fresh_folder();
        for name in names {
            std::fs::File::create(folder.join(format!("{name}.db"))).expect("an empty file");
        }
        format!("sqlite://{}/{{tenant}}.db", folder.display())
    }
}
