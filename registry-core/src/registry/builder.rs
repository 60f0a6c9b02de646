//! The builder of a registry.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use diesel::migration::MigrationSource;

use super::bind_entry::{BindEntry, ReplaceableEngine};
use super::gate::Gate;
use super::handle::{Registry, RegistryParts};
use super::migrate::{DieselBackend, KnownMigrations, known};
use super::tenants::{TenantBind, TenantResolver, TenantSource};
use crate::backend::Backend;
use crate::bind::Bind;
use crate::cause::DriverError;
use crate::on_demand::OnDemandEngines;
use crate::settings::WorkOptions;
use crate::settings::{
    self, BindKey, BindSettings, BuilderSettings, ConnectFn, Connector, CredentialSource,
    Credentials, DatabaseUrl, EngineOptions, EngineSettings, Problem, Resolved, Settings,
    SettingsError, UnknownBind, WrongBackend,
};
use crate::telemetry::{RecordOptions, RegistryTelemetry};
use crate::token::TokenKey;
use crate::{backend, engine};

impl Registry {
    /// A builder for a registry, from settings, from code, or from both.
    ///
    /// ```
    /// use registry_core::{Registry, Settings};
    ///
    /// let settings: Settings = toml::from_str(r#"
    ///     [database]
    ///     url = "sqlite::memory:"
    /// "#)?;
    /// let registry = Registry::builder()
    ///     .settings(settings)
    ///     .bind("analytics", "sqlite::memory:")
    ///     .build()?;
    /// assert!(registry.keys().eq(["analytics", "default"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// A registry with the binds and options of `settings`. It opens no connection and needs no runtime.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] with every problem in the settings.
    ///
    /// ```
    /// use registry_core::{Registry, Settings};
    ///
    /// let settings: Settings = toml::from_str(r#"
    ///     [database.binds.analytics]
    ///     url = "sqlite::memory:"
    /// "#)?;
    /// let registry = Registry::from_settings(settings)?;
    /// assert!(registry.keys().eq(["analytics"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_settings(settings: Settings) -> Result<Self, SettingsError> {
        Self::builder().settings(settings).build()
    }
}

/// Builds a [`Registry`] from settings, from code, or from both. [`Registry::builder`] makes one.
///
/// Settings win over code, with one exception: a bind that code adds replaces the bind with the same key in the
/// settings.
///
/// ```
/// use std::time::Duration;
/// use registry_core::{BindSettings, EngineOptions, Registry};
///
/// let registry = Registry::builder()
///     .bind("analytics", BindSettings::new("sqlite:analytics.db").max_connections(2))
///     .options(EngineOptions { acquire_timeout: Duration::from_secs(5), ..Default::default() })
///     .build()?;
/// assert_eq!(registry.engine("analytics")?.options().acquire_timeout.as_secs(), 5);
/// # Ok::<(), registry_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RegistryBuilder {
    settings: Settings,
    code: BuilderSettings,
    resolvers: Vec<TenantResolver>,
    work: WorkOptions,
    migrations: Vec<Arc<dyn KnownMigrations>>,
    recording: Option<RecordOptions>,
}

impl RegistryBuilder {
    /// Takes binds and options from `settings`. They replace the settings of an earlier call.
    ///
    /// ```
    /// use registry_core::{Registry, Settings};
    ///
    /// let settings = Settings::from_toml("url = 'sqlite::memory:'")?;
    /// let registry = Registry::builder().settings(settings).build()?;
    /// assert_eq!(registry.keys().collect::<Vec<_>>(), ["default"]);
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Adds a bind, or replaces the bind with this key. `settings` is a URL, or a [`BindSettings`] with options of its
    /// own.
    ///
    /// A relative SQLite path in it is relative to the current directory.
    ///
    /// ```
    /// use registry_core::{BindSettings, Registry};
    ///
    /// let registry = Registry::builder()
    ///     .bind("default", "sqlite::memory:")
    ///     .bind("analytics", BindSettings::new("sqlite:analytics.db").max_connections(4))
    ///     .build()?;
    /// assert_eq!(registry.engine("analytics").unwrap().options().max_connections, 4);
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn bind(mut self, key: impl Into<String>, settings: impl Into<BindSettings>) -> Self {
        self.code.binds.push((key.into(), settings.into()));
        self
    }

    /// Sets options for every engine, instead of the defaults. The settings win over them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::{EngineOptions, Registry};
    ///
    /// let mut options = EngineOptions::default();
    /// options.acquire_timeout = Duration::from_secs(5);
    /// let registry = Registry::builder().options(options).bind("default", "sqlite::memory:").build()?;
    /// assert_eq!(registry.engine("default").unwrap().options().acquire_timeout.as_secs(), 5);
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn options(mut self, options: EngineOptions) -> Self {
        self.code.options = options;
        self
    }

    /// Adds a bind with a database for each tenant. `resolver` finds the settings of each database. [`TenantResolver`]
    /// has an example.
    pub fn tenants(mut self, key: impl Into<String>, resolver: TenantResolver) -> Self {
        self.code.resolver_binds.push(key.into());
        self.resolvers.push(resolver);
        self
    }

    /// Calls `source` for credentials each time that the bind `key` opens a connection, for passwords that are valid
    /// only for a short time. `source` gets the URL, and its answer wins over the user and password in the URL.
    ///
    /// The call is a part of connecting, so the timeouts of connecting include it. Engines that are opened on demand
    /// for the bind call it, too.
    ///
    /// ```
    /// use registry_core::{Credentials, Registry};
    ///
    /// # async fn token_from_vault() -> Result<String, std::io::Error> { Ok("s3cret".to_owned()) }
    /// let registry = Registry::builder()
    ///     .bind("analytics", "sqlite::memory:")
    ///     .credentials("analytics", |_url| async {
    ///         Ok::<_, std::io::Error>(Credentials::password(token_from_vault().await?))
    ///     })
    ///     .build()?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn credentials<F, R, E>(mut self, key: impl Into<String>, source: F) -> Self
    where
        F: Fn(&DatabaseUrl) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<DriverError>,
    {
        self.code.credentials.push((key.into(), CredentialSource::new(source)));
        self
    }

    /// Opens the connections of the bind `B` by the program's own closure: for a certificate that is built in, another
    /// TLS library, the connector of a cloud, a proxy, or a socket of the program's own.
    ///
    /// `connect` gets the URL that the engine would connect to, with its password
    /// ([`expose`](DatabaseUrl::expose)), and with the answer of [`credentials`](Self::credentials) if there is one. It is
    /// called for each new connection: of the bind's engine, of the engine of each tenant (with the URL of the tenant),
    /// of migrations (with `migrate_url` if the bind has one), and for creating and dropping tenants (with the URL of a
    /// maintenance database). The TLS parameters of the URL, the list of hosts and every other parameter are up to the
    /// closure. It runs within `connect_timeout` and `acquire_timeout`, which drop its future when they end. A panic in it
    /// is an error for the caller, and costs no capacity.
    ///
    /// Then the engine sets `statement_timeout`, `read_only` and `on_connect` by statements, and again after each reset.
    /// It does not read the stream of such a connection, and treats what it does not know as the worst, as it does for
    /// Unix sockets: a connection on which the session was changed is closed instead of reset, and on PostgreSQL a
    /// statement whose future was dropped is not cancelled on the server.
    ///
    /// The connection must not be in a transaction. One that is open, whether Diesel has begun it or plain SQL,
    /// is an error, as nobody would commit what is written in it.
    ///
    /// The engine replaces a Diesel instrumentation that the closure has set by its own, which passes everything on to the
    /// [default instrumentation](diesel::connection::set_default_instrumentation).
    ///
    /// An error of the closure is the cause of [`AcquireError::Connect`](crate::AcquireError::Connect). An error of
    /// tokio-postgres, mysql_async or Diesel, an [`io::Error`](std::io::Error) and a
    /// [`ConnectError`](crate::ConnectError) have the same class as if the engine had connected; any other error is
    /// [`ConnectError::Connector`](crate::ConnectError::Connector), which does not count as transient. Its text is shown
    /// as it is, so it should have no password in it.
    ///
    /// [`build`](Self::build) returns an error if there is no bind of that key, or a second closure for it, or its URL is
    /// for another backend; for SQLite, which has no server; and for `pooler = "transaction"`, which needs the engine's
    /// own stream.
    ///
    #[cfg_attr(not(feature = "postgres"), doc = "```ignore")]
    #[cfg_attr(feature = "postgres", doc = "```standalone_crate")]
    /// use diesel_async::{AsyncConnection, AsyncPgConnection};
    /// use registry_core::{Registry, binds};
    ///
    /// binds! { Shop: Postgres = "shop"; }
    ///
    /// let registry = Registry::builder()
    ///     .bind("shop", "postgres://app@db.example/shop")
    ///     .connect_with::<Shop>(|url| async move { AsyncPgConnection::establish(&url.expose()).await })
    ///     .build()?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn connect_with<B: Bind>(mut self, connect: impl ConnectFn<B::Connection>) -> Self {
        let connector = Connector::new(B::Connection::KIND, connect);
        self.code.connectors.push((B::KEY.to_owned(), connector));
        self
    }

    /// Tells the registry the migrations of the bind `B`, so that its databases are checked for those that are pending:
    ///
    /// - [`Registry::verify`] checks a bind with one database. Pending migrations are a failure, or with
    ///   `when_pending = "serve"` a warning.
    /// - The database or schema of a tenant is checked before its first session or query, and again when its engine was
    ///   closed in between. With `when_pending = "fail"`, which is the default, a tenant with pending migrations is refused
    ///   with [`AcquireError::PendingMigrations`](crate::AcquireError::PendingMigrations) until they were run. With
    ///   `"migrate"` they are run first. With `"serve"` no tenant is checked. See [`WhenPending`](crate::WhenPending).
    ///
    /// Migrations that were run and that `source` does not have are a warning, or with `when_unknown = "fail"` a failure.
    /// See [`WhenUnknown`](crate::WhenUnknown).
    ///
    /// The check is a read of the table of versions, on a connection of the engine, or of the `migrate_url` if there is one.
    /// [`Registry::migrate`], [`Registry::migrations`] and [`Registry::create_tenant`] work whatever is pending.
    ///
    /// [`build`](Self::build) returns an error if there is no bind of that key, or its URL is for another backend, or its
    /// migrations are told twice.
    ///
    /// ```standalone_crate
    /// # use diesel::migration::{Migration, MigrationSource};
    /// # struct Crm;
    /// # impl MigrationSource<diesel::sqlite::Sqlite> for Crm {
    /// #     fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>>> {
    /// #         Ok(Vec::new())
    /// #     }
    /// # }
    /// # const MIGRATIONS: Crm = Crm;
    /// use registry_core::{BindSettings, Registry, WhenPending, binds};
    ///
    /// binds! { pub Invoices: Sqlite = "crm"; }
    /// // const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/crm");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let url = format!("sqlite://{}/{{tenant}}.db", folder.path().display());
    /// # std::fs::write(folder.path().join("acme.db"), "").unwrap();
    /// // url = "sqlite:///srv/tenants/{tenant}.db"
    /// let registry = Registry::builder()
    ///     .bind("crm", BindSettings::new(url.as_str()).when_pending(WhenPending::Migrate))
    ///     .migrations::<Invoices>(MIGRATIONS)
    ///     .build()?;
    /// let session = registry.tenant("acme")?.session::<Invoices>().await?; // migrated by now
    /// # drop(session);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn migrations<B: Bind>(
        mut self,
        source: impl MigrationSource<DieselBackend<B>> + Send + 'static,
    ) -> Self {
        self.migrations.push(known::<B>(source));
        self
    }

    /// Sets how many engines can be open on demand at once, for tenants and by URL. 64 by default. The settings win
    /// over this call.
    ///
    /// To open one more, the least recently used engine without lent sessions is evicted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder()
    ///     .bind("crm", "sqlite:///srv/crm/{tenant}.db")
    ///     .max_engines(16)
    ///     .engine_idle_timeout(Duration::from_secs(60))
    ///     .build()?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn max_engines(mut self, max: u32) -> Self {
        self.code.on_demand.max_engines = max;
        self
    }

    /// Sets how long an engine that was opened on demand can be unused before it is closed. 10 minutes by default; with
    /// `None` it is never closed for that reason. The settings win over this call.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder()
    ///     .bind("crm", "sqlite:///srv/crm/{tenant}.db")
    ///     .engine_idle_timeout(None) // only evicted for another engine
    ///     .build()?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn engine_idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.code.on_demand.engine_idle_timeout = limit.into();
        self
    }

    /// Sets the secret that signs the tokens which go to a browser and come back, so that nobody can make up one. At least
    /// 16 bytes; none by default. The settings (`token_key` or `token_key_file`) win over this call.
    ///
    /// All processes that take each other's tokens have the same secret. It is never shown.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// # let secret = || "0123456789abcdef".to_owned();
    /// let builder = Registry::builder().bind("default", "sqlite::memory:").token_key(secret());
    /// assert!(!format!("{builder:?}").contains("0123456789abcdef"));
    /// let registry = builder.build()?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn token_key(mut self, secret: impl Into<String>) -> Self {
        self.code.token_key = Some(SecretString::from(secret.into()));
        self
    }

    /// Sets the options of each [`UnitOfWork`](crate::UnitOfWork) that is begun without options of its own. If the
    /// options name a key that no bind has, [`build`](Self::build) returns an error.
    ///
    /// ```
    /// use registry_core::{Registry, WorkOptions};
    ///
    /// let registry = Registry::builder()
    ///     .bind("default", "sqlite::memory:")
    ///     .work(WorkOptions::new().serializable().commit_order(["default"]))
    ///     .build()?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn work(mut self, options: WorkOptions) -> Self {
        self.work = options;
        self
    }

    /// Records the last queries, of all scopes ([`Registry::queries`]) and of each one ([`Scope::queries`]), as
    /// Flask-SQLAlchemy's `SQLALCHEMY_RECORD_QUERIES` does: statement, bind, tenant, place, time, rows and error of each.
    /// [`RecordOptions`] says how many. With `false`, no scope records unless it is asked to.
    ///
    /// Without this call the registry records nothing, and scopes record in debug builds.
    ///
    /// [`Scope::queries`]: crate::Scope::queries
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let builder = Registry::builder().bind("default", "sqlite::memory:");
    /// let registry = builder.record_queries(true).build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// events::table.count().get_result::<i64>(&registry).await?;
    /// let queries = registry.queries();
    /// let last = queries.last().expect("one");
    /// assert_eq!((last.operation.as_deref(), last.table.as_deref()), (Some("SELECT"), Some("events")));
    /// println!("{queries}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn record_queries(mut self, options: impl Into<RecordOptions>) -> Self {
        self.recording = Some(options.into());
        self
    }

    /// Checks everything and builds the registry. It opens no connection and needs no runtime.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] with every problem, not only the first.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let error = Registry::builder().bind("a", "postgre://db/a").bind("b", "sqlite:").build().unwrap_err();
    /// assert_eq!(error.to_string().lines().count(), 2); // each problem has a line
    /// ```
    pub fn build(self) -> Result<Registry, SettingsError> {
        let Self { settings, code, resolvers, work, migrations, recording } = self;
        let resolved = settings::resolve(&settings, code, backend::check_url);
        let Resolved { engines, resolver_binds, bind_defaults, on_demand, token_key, mut problems } =
            resolved;
        if problems.is_empty() {
            // Checked only without other problems, because a bind may be missing due to a mistake in its settings.
            let known =
                engines.iter().map(|engine| engine.key).chain(resolver_binds.iter().copied());
            let known: Vec<BindKey> = known.collect();
            let wrong = work.check_keys(&known).err();
            problems.extend(wrong.map(|wrong| Problem::new("work", wrong.to_string())));
            problems.extend(wrong_migrations(&migrations, &engines, &known));
        }
        let token_key = token_key.map(TokenKey::from_secret).transpose().unwrap_or_else(|weak| {
            problems.push(Problem::new("token_key", weak.to_string()));
            None
        });
        if !problems.is_empty() {
            return Err(SettingsError::from_problems(problems));
        }
        // Without problems every key is valid, so `resolver_binds` is in the order of `resolvers`.
        let tenant_binds = resolver_binds.into_iter().zip(resolvers).map(|(key, resolver)| {
            BindEntry::DatabasePerTenant(TenantBind::new(key, TenantSource::Resolver(resolver)))
        });
        let binds = engines.into_iter().map(entry_of).chain(tenant_binds).collect();
        let migrations = migrations.into_iter().map(|known| (known.key(), known));
        let gate = Gate::new(migrations.collect());
        Ok(Registry::new(RegistryParts {
            binds,
            bind_defaults,
            on_demand: OnDemandEngines::new(on_demand),
            work_options: work,
            token_key,
            gate,
            telemetry: RegistryTelemetry::new(recording),
            sqlite_copies: None,
        }))
    }
}

/// The problems with the migrations that the builder was told. `binds` are all bind keys.
fn wrong_migrations(
    told: &[Arc<dyn KnownMigrations>],
    engines: &[EngineSettings],
    binds: &[BindKey],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, known) in told.iter().enumerate() {
        let (key, expected) = (known.key(), known.backend());
        let mut problem = |message: String| {
            problems.push(Problem::new(format!("migrations of {:?}", key.as_str()), message));
        };
        if !binds.contains(&key) {
            problem(UnknownBind::new(&key, binds.iter().copied()).to_string());
        } else if told[..at].iter().any(|before| before.key() == key) {
            problem("given twice: put them into one source".to_owned());
        }
        let found = engines.iter().find(|engine| engine.key == key);
        let found = found.map(|engine| engine.url.backend()).filter(|found| *found != expected);
        if let Some(found) = found {
            problem(WrongBackend { key, expected, found }.to_string());
        }
    }
    problems
}

fn entry_of(settings: EngineSettings) -> BindEntry {
    let settings = Arc::new(settings);
    if settings.url.is_per_tenant() {
        return BindEntry::DatabasePerTenant(TenantBind::new(
            settings.key,
            TenantSource::Template(settings),
        ));
    }
    let engine = ReplaceableEngine::new(engine::open(Arc::clone(&settings), None));
    match &settings.tenant_schema {
        Some(schema) => BindEntry::SchemaPerTenant { engine, schema: schema.as_str().into() },
        None => BindEntry::Single(engine),
    }
}
