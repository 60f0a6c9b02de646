//! The list of options: the name, documentation, type, default and setter of each.
//!
//! An entry is a field of [`EngineOptions`](super::EngineOptions), which is its doc comment, its name, its type
//! and its default, followed by the argument and the value of the setter that
//! [`BindSettings`](crate::BindSettings) gets. Everything else about options is generated from it.

/// Calls the macro `$declare` with the list of options.
macro_rules! for_each_option {
    ($declare:ident) => {
        $declare! {
            /// How many connections there can be at once. At least 1; 10 by default.
            ///
            /// Always 1 for SQLite in memory, where each connection would be a database of its own.
            max_connections: u32 = 10,
            set(value: u32) value;

            /// How many idle connections are kept ready. No more than `max_connections`; 0 by default.
            min_idle: u32 = 0,
            set(value: u32) value;

            /// How long a caller waits for a session, connecting included. 30 seconds by default.
            #[serde(serialize_with = "duration_as_text")]
            acquire_timeout: Duration = Duration::from_secs(30),
            set(value: Duration) value;

            /// How long opening one connection may take. 10 seconds by default.
            #[serde(serialize_with = "duration_as_text")]
            connect_timeout: Duration = Duration::from_secs(10),
            set(value: Duration) value;

            /// After how long without use a connection is checked before it is lent again. 500 milliseconds
            /// by default, which is HikariCP's figure.
            ///
            /// Zero checks it each time. A connection that is lent without a check may have been lost. A query on a
            /// registry or a tenant is mostly run again then, see
            /// [`QueryError::is_connection_lost`](crate::QueryError::is_connection_lost).
            #[serde(serialize_with = "duration_as_text")]
            check_idle_after: Duration = Duration::from_millis(500),
            set(value: Duration) value;

            /// How long that check, or a reset, may take. 1 second by default.
            #[serde(serialize_with = "duration_as_text")]
            check_timeout: Duration = Duration::from_secs(1),
            set(value: Duration) value;

            /// After how long without use a connection is closed. 10 minutes by default; `None` never closes
            /// one for that reason.
            #[serde(serialize_with = "optional_duration_as_text")]
            idle_timeout: Option<Duration> = Some(Duration::from_secs(10 * 60)),
            set(value: impl Into<Option<Duration>>) value.into();

            /// How old a connection can get, less a random 2.5%, so that connections which were opened together
            /// are not closed together. 30 minutes by default; `None` sets no limit.
            #[serde(serialize_with = "optional_duration_as_text")]
            max_lifetime: Option<Duration> = Some(Duration::from_secs(30 * 60)),
            set(value: impl Into<Option<Duration>>) value.into();

            /// What is undone when a connection is returned. `Auto` by default.
            reset_on_return: ResetOnReturn = ResetOnReturn::Auto,
            set(value: ResetOnReturn) value;

            /// SQL statements that each new connection runs, in this order. None by default.
            ///
            /// They may contain secrets and are never shown. If a statement fails, the error names its position.
            #[serde(serialize_with = "statements_as_places")]
            on_connect: Vec<String> = Vec::new(),
            set(statements: impl IntoIterator<Item = impl Into<String>>)
                statements.into_iter().map(Into::into).collect();

            /// How long the server may work on one statement. `None` by default, which sets no limit.
            ///
            /// For PostgreSQL, MySQL and MariaDB, in whole milliseconds: 24 days at the most for PostgreSQL, and
            /// 49 for the others. SQLite has none.
            #[serde(serialize_with = "optional_duration_as_text")]
            statement_timeout: Option<Duration> = None,
            set(value: impl Into<Option<Duration>>) value.into();

            /// Whether prepared statements are kept for the next time. `true` by default.
            ///
            /// Behind a transaction pooler it may be on or off: see `pooler`.
            statement_cache: bool = true,
            set(value: bool) value;

            /// The connection pooler between the engine and its server. [`Pooler::None`] by default.
            ///
            /// For PostgreSQL only: PgBouncer with `pool_mode = transaction` is `"transaction"`. Settings that do not
            /// work through a pooler are an error when the registry is built, see [`Pooler::Transaction`].
            pooler: Pooler = Pooler::None,
            set(value: Pooler) value;

            /// How many callers may wait for a session. A further caller is refused at once. `None` by default, which
            /// sets no limit; with 0, no caller waits.
            ///
            /// On SQLite, writers of a file take turns, and wait for their turn without a connection. `max_connections - 1` more
            /// of them may wait than this number: those that would have a connection otherwise.
            queue_limit: Option<u32> = None,
            set(value: impl Into<Option<u32>>) value.into();

            /// Whether the database refuses writes through this engine. `false` by default.
            read_only: bool = false,
            set(value: bool) value;

            /// A setting of PostgreSQL that holds the name of the tenant, for policies of row-level security:
            /// `"app.tenant"`. It is set, like by `SET LOCAL`, in each transaction of a unit of work that is begun
            /// through a [`Tenant`](crate::registry::Tenant). Outside of units of work it is not set. `None` by
            /// default.
            ///
            /// For PostgreSQL only, also behind a transaction pooler.
            tenant_setting: Option<String> = None,
            set(name: impl Into<String>) Some(name.into());

            /// The duration from which on a statement is logged as slow. `None` by default, which logs none.
            #[serde(serialize_with = "optional_duration_as_text")]
            log_slow_queries: Option<Duration> = None,
            set(value: impl Into<Option<Duration>>) value.into();

            /// Whether each query is an event at the level info, as SQLAlchemy's `echo` has it. `false` by default: queries are
            /// events at the level debug.
            ///
            /// The target of the events is `registry::query`. They have no values in them, see `log_values`.
            echo: bool = false,
            set(value: bool) value;

            /// Whether the events of queries that are run with [`RunQueryDsl`](crate::RunQueryDsl) have the values that are
            /// bound to the statements, in `values`. `false` by default.
            ///
            /// In debug builds only: in others it is an error when the registry is built, as values in a log are mostly
            /// somebody's secret.
            log_values: bool = false,
            set(value: bool) value;

            /// A PEM file of the only authorities whose certificates are trusted, as the URL's `sslrootcert` (PostgreSQL)
            /// or `ssl-ca` (MySQL, MariaDB). `None` by default.
            ///
            /// A relative path begins in the folder of the settings file, or for a bind of code in the current directory.
            /// For PostgreSQL, MySQL and MariaDB, with the feature `rustls`.
            #[serde(serialize_with = "optional_path_as_text")]
            sslrootcert: Option<PathBuf> = None,
            set(file: impl Into<PathBuf>) Some(file.into());

            /// The same authorities as a PEM text in memory, in place of a file. `None` by default.
            sslrootcert_pem: Option<Pem> = None,
            set(pem: impl Into<Pem>) Some(pem.into());

            /// A PEM file with the certificate of this client, and the chain of authorities behind it, for a server that
            /// asks for one: the URL's `sslcert` (PostgreSQL) or `ssl-cert` (MySQL, MariaDB). `None` by default.
            ///
            /// It needs `sslkey` or `sslkey_pem`. For PostgreSQL, MySQL and MariaDB, with the feature `rustls`.
            #[serde(serialize_with = "optional_path_as_text")]
            sslcert: Option<PathBuf> = None,
            set(file: impl Into<PathBuf>) Some(file.into());

            /// The same certificate as a PEM text in memory, in place of a file. `None` by default.
            sslcert_pem: Option<Pem> = None,
            set(pem: impl Into<Pem>) Some(pem.into());

            /// A PEM file with the private key of the client's certificate: the URL's `sslkey` (PostgreSQL) or `ssl-key`
            /// (MySQL, MariaDB). `None` by default.
            ///
            /// As for libpq, nobody but its owner may have access to the file (`chmod 600`), or its group may read it
            /// (`640`) if it belongs to root. It is not encrypted; for MySQL and MariaDB it is an RSA key.
            #[serde(serialize_with = "optional_path_as_text")]
            sslkey: Option<PathBuf> = None,
            set(file: impl Into<PathBuf>) Some(file.into());

            /// The same key as a PEM text in memory, in place of a file. It is never shown. `None` by default.
            sslkey_pem: Option<Pem> = None,
            set(pem: impl Into<Pem>) Some(pem.into());

            /// How long SQLite waits for a lock that another connection holds. 5 seconds by default.
            ///
            /// Queries on a registry or a tenant, and units of work, take turns to write, so they do not wait for each other in
            /// SQLite's lock: their wait counts as a part of `acquire_timeout`. A session that writes by itself, and other
            /// processes, wait for the lock.
            ///
            /// For SQLite only, in whole milliseconds; 24 days at the most.
            #[serde(serialize_with = "duration_as_text")]
            busy_timeout: Duration = Duration::from_secs(5),
            set(value: Duration) value;

            /// When SQLite waits until the disk has stored a commit. `Full` by default, which is SQLite's own default: in WAL
            /// mode, a loss of power undoes no commit.
            ///
            /// For SQLite only. It has no effect on a database in memory.
            synchronous: Synchronous = Synchronous::Full,
            set(value: Synchronous) value;

            /// How long ago a replica may have been level with the primary, so that readers still use it. 10 seconds
            /// by default; `None` sets no limit.
            ///
            /// Measured by positions in the log of the primary, and not by the time of the last write, so a primary
            /// that writes nothing makes no replica old. A replica whose lag is unknown is not used. The lag is known
            /// with the precision of `probe_interval`, and is never zero. If the bind has `max_lag_bytes` as well, a
            /// replica is too far behind only when it exceeds both.
            #[serde(serialize_with = "optional_duration_as_text")]
            max_lag: Option<Duration> = Some(Duration::from_secs(10)),
            set(value: impl Into<Option<Duration>>) value.into();

            /// How many bytes of the primary's log a replica may lack that exceeds `max_lag`, so that readers still use
            /// it. `None` by default: then `max_lag` alone decides.
            ///
            /// For PostgreSQL only.
            max_lag_bytes: Option<u64> = None,
            set(value: impl Into<Option<u64>>) value.into();

            /// What a reader does when each replica is too far behind for it, or unreachable. `Primary` by default: it
            /// reads from the primary at once.
            when_behind: WhenBehind = WhenBehind::Primary,
            set(value: WhenBehind) value;

            /// How long a reader waits for a replica, if `when_behind` is `Wait` or `Error`. 1 second by default.
            #[serde(serialize_with = "duration_as_text")]
            wait_for_replica: Duration = Duration::from_secs(1),
            set(value: Duration) value;

            /// How often the primary and each replica are asked for their positions. 1 second by default; at least 10
            /// milliseconds.
            ///
            /// They are asked from the first read on, and each over a connection of its own, which does not count for
            /// `max_connections`.
            #[serde(serialize_with = "duration_as_text")]
            probe_interval: Duration = Duration::from_secs(1),
            set(value: Duration) value;

            /// The share of `max_connections` that readers may use on the primary, so that reads which no replica can
            /// answer do not take all of its connections. 50 % by default; at least one connection, unless it is 0,
            /// with which readers never read from the primary.
            ///
            /// Without replicas, readers may use as many connections as `max_connections`.
            max_reads_on_primary: Share = Share::percent(50),
            set(share: impl Into<Share>) share.into();

            /// What happens to a database on which migrations of the program are pending, if
            /// [`RegistryBuilder::migrations`](crate::RegistryBuilder::migrations) was told them. `Fail` by default:
            /// [`verify`](crate::Registry::verify) fails, and a tenant is refused.
            when_pending: WhenPending = WhenPending::Fail,
            set(value: WhenPending) value;

            /// What happens to a database on which migrations were run that the program does not have, if
            /// [`RegistryBuilder::migrations`](crate::RegistryBuilder::migrations) was told those that it has. `Warn` by
            /// default.
            when_unknown: WhenUnknown = WhenUnknown::Warn,
            set(value: WhenUnknown) value;
        }
    };
}

pub(in crate::settings) use for_each_option;
