//! What the mounted bodies take from their servers. Each module has the same names.

pub(crate) mod postgres {
    pub(crate) use crate::support::replicas::Cluster;

    /// The connection type.
    pub(crate) type Backend = registry_core::Postgres;

    /// The port of the server on which the query runs, as text.
    pub(crate) const PORT: &str = "current_setting('port')";

    /// What is around a name in SQL.
    pub(crate) const QUOTE: &str = "\"";

    pub(crate) fn cluster(replicas: usize) -> Cluster {
        Cluster::postgres(replicas)
    }
}

pub(crate) mod mysql {
    pub(crate) use crate::support::replicas::Cluster;

    /// The connection type.
    pub(crate) type Backend = registry_core::Mysql;

    /// The port of the server on which the query runs, as text.
    pub(crate) const PORT: &str = r#"(SELECT "VARIABLE_VALUE" FROM "information_schema"."GLOBAL_VARIABLES" WHERE "VARIABLE_NAME" = 'PORT')"#;

    /// What is around a name in SQL.
    pub(crate) const QUOTE: &str = "`";

    pub(crate) fn cluster(replicas: usize) -> Cluster {
        Cluster::mariadb(replicas)
    }
}
