//! What a mounted test body takes from its backend. Each module here has the same names.

/// Runs a query that returns one number, on a new connection.
#[cfg(feature = "postgres")]
async fn count<C>(url: &str, query: &str) -> i64
where
    C: diesel_async::AsyncConnection,
    for<'q> diesel::expression::SqlLiteral<diesel::sql_types::BigInt>:
        diesel_async::methods::LoadQuery<'q, C, i64>,
{
    let mut connection = C::establish(url).await.expect("a connection");
    let query = diesel::dsl::sql::<diesel::sql_types::BigInt>(query);
    diesel_async::RunQueryDsl::get_result(query, &mut connection).await.expect("a count")
}

#[cfg(feature = "postgres")]
pub(crate) mod postgres {
    /// The connection type.
    pub(crate) type Backend = registry_core::Postgres;

    /// The name of the feature, which is also the word in `backend = ..` in lower case.
    pub(crate) const NAME: &str = "postgres";

    /// Whether the engine can read the protocol stream of a connection.
    pub(crate) const READS_STREAM: bool = true;

    /// The URL of a fresh database.
    pub(crate) fn database() -> String {
        crate::support::postgres().database("test")
    }

    /// Asks the server whether another connection has a transaction open in the database at `url`.
    pub(crate) async fn has_transaction(url: &str) -> bool {
        crate::support::backends::count::<Backend>(
            url,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND xact_start IS NOT NULL",
        )
        .await
            > 0
    }

    /// Creates an empty database for each tenant, and returns their URL with `{tenant}` in place of the name.
    pub(crate) fn tenants<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
        crate::support::postgres().tenants(names)
    }

    /// A bind with an empty database for each tenant.
    pub(crate) fn tenant_settings<'a>(
        names: impl IntoIterator<Item = &'a str>,
    ) -> registry_core::BindSettings {
        tenants(names).as_str().into()
    }
}

/// PostgreSQL through a Unix socket, whose protocol stream the engine cannot read.
#[cfg(feature = "postgres")]
pub(crate) mod postgres_by_socket {
    pub(crate) type Backend = super::postgres::Backend;

    pub(crate) const NAME: &str = super::postgres::NAME;

    pub(crate) const READS_STREAM: bool = false;

    /// The URL of a fresh database.
    pub(crate) fn database() -> String {
        crate::support::postgres().by_socket(&super::postgres::database())
    }
}

/// PostgreSQL with a schema for each tenant, in one database.
#[cfg(feature = "postgres")]
pub(crate) mod postgres_schemas {
    pub(crate) type Backend = super::postgres::Backend;

    pub(crate) const NAME: &str = super::postgres::NAME;

    /// The URL of a fresh database.
    pub(crate) fn database() -> String {
        super::postgres::database()
    }

    /// An empty database for each tenant, as with the other backends.
    pub(crate) fn tenants<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
        super::postgres::tenants(names)
    }

    /// A bind with an empty schema for each tenant.
    pub(crate) fn tenant_settings<'a>(
        names: impl IntoIterator<Item = &'a str>,
    ) -> registry_core::BindSettings {
        let url = database();
        for name in names {
            let create = format!("CREATE SCHEMA tenant_{name}");
            crate::support::postgres().execute_in(&url, &create);
        }
        registry_core::BindSettings::new(url.as_str()).tenant_schema("tenant_{tenant}")
    }
}

#[cfg(feature = "mysql")]
pub(crate) mod mysql {
    /// The connection type.
    pub(crate) type Backend = registry_core::Mysql;

    /// The name of the feature, which is also the word in `backend = ..` in lower case.
    pub(crate) const NAME: &str = "mysql";

    /// The URL of a fresh database.
    pub(crate) fn database() -> String {
        crate::support::mariadb().database("test")
    }

    /// Asks the server whether another connection has a transaction open in the database at `url`.
    pub(crate) async fn has_transaction(url: &str) -> bool {
        use diesel_async::{AsyncConnection, RunQueryDsl};

        #[derive(diesel::QueryableByName)]
        struct InnoDb {
            #[diesel(sql_type = diesel::sql_types::Text, column_name = "Status")]
            status: String,
        }

        // Not `information_schema.innodb_trx`, which is only made anew if nobody has read it for 100 ms.
        let mut connection = Backend::establish(url).await.expect("a connection");
        let query = diesel::sql_query("SHOW ENGINE INNODB STATUS");
        let InnoDb { status } = query.get_result(&mut connection).await.expect("its status");
        let query = diesel::dsl::sql::<diesel::sql_types::Text>(
            "SELECT CAST(id AS CHAR) FROM information_schema.processlist \
             WHERE db = database() AND id <> connection_id()",
        );
        let threads: Vec<String> = query.load(&mut connection).await.expect("numbers");
        let is_of_database = |transaction: &str| {
            threads.iter().any(|thread| transaction.contains(&format!("thread id {thread},")))
        };
        let transactions = status.split("---TRANSACTION ").skip(1);
        transactions
            .filter(|transaction| {
                transaction.lines().next().is_some_and(|it| it.contains("ACTIVE"))
            })
            .any(is_of_database)
    }

    /// Creates an empty database for each tenant, and returns their URL with `{tenant}` in place of the name.
    pub(crate) fn tenants<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
        crate::support::mariadb().tenants(names)
    }

    /// A bind with an empty database for each tenant.
    pub(crate) fn tenant_settings<'a>(
        names: impl IntoIterator<Item = &'a str>,
    ) -> registry_core::BindSettings {
        tenants(names).as_str().into()
    }
}

#[cfg(feature = "sqlite")]
pub(crate) mod sqlite {
    /// The connection type.
    pub(crate) type Backend = registry_core::Sqlite;

    /// The name of the feature, which is also the word in `backend = ..` in lower case.
    pub(crate) const NAME: &str = "sqlite";

    /// The URL of a fresh database.
    pub(crate) fn database() -> String {
        crate::support::sqlite_file()
    }

    /// Whether another connection has a write transaction open in the database at `url`.
    pub(crate) async fn has_transaction(url: &str) -> bool {
        use diesel::connection::SimpleConnection;
        let path = url.trim_start_matches("sqlite://");
        let mut connection: diesel::SqliteConnection =
            diesel::Connection::establish(path).expect("a file");
        connection.batch_execute("BEGIN IMMEDIATE; ROLLBACK").is_err()
    }

    /// Creates an empty database for each tenant, and returns their URL with `{tenant}` in place of the name.
    pub(crate) fn tenants<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
        let folder = crate::support::fresh_folder();
        for name in names {
            std::fs::File::create(folder.join(format!("{name}.db"))).expect("an empty file");
        }
        format!("sqlite://{}/{{tenant}}.db", folder.display())
    }

    /// A bind with an empty database for each tenant.
    pub(crate) fn tenant_settings<'a>(
        names: impl IntoIterator<Item = &'a str>,
    ) -> registry_core::BindSettings {
        tenants(names).as_str().into()
    }
}
