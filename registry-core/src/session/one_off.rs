//! Sessions without a registry: from a URL, and around a connection that the program has opened itself.

use super::Session;
use crate::backend::{Backend, check_url};
use crate::bind::{Bind, has_key, key_of};
use crate::engine::{AcquireError, TypedEngine};
use crate::settings::{
    BackendKind, BindKey, BindSettings, BuilderSettings, DatabaseUrl, EngineSettings, Settings,
    SettingsError, WrongBackend, resolve,
};

impl<B: Bind> Session<B> {
    /// Connects to the database at this URL, without a registry: for command-line tools and tests.
    ///
    /// `settings` is a URL, or a [`BindSettings`] with options. The connection is opened as an engine opens it: with the
    /// TLS parameters of the URL, `connect_timeout` (10 seconds by default), `acquire_timeout` (30 seconds, for all of
    /// it), `on_connect`, `statement_timeout`, `read_only` and so on. The options of a pool mean nothing here. A relative
    /// path of SQLite begins in the current directory. No file and no environment variable is read.
    ///
    /// It waits for the connection. Dropping the future gives up. Dropping the session closes the connection, so the
    /// server rolls an open transaction back, and cancels a statement that was cut short.
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use registry_core::{BindSettings, RunQueryDsl, Session, bind_tables, binds};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// binds! { Analytics: Sqlite = "analytics"; }
    /// bind_tables!(Analytics; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let settings = BindSettings::new("sqlite::memory:")
    ///     .on_connect(["CREATE TABLE events (id INTEGER PRIMARY KEY)"]);
    /// let mut session = Session::<Analytics>::connect(settings).await?;
    /// assert_eq!(events::table.count().get_result::<i64>(&mut session).await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AcquireError::Settings`] for a URL or an option that cannot be used, [`AcquireError::WrongBackend`] if the URL is
    /// for another backend than the bind, [`AcquireError::NoTenant`] if it has `{tenant}` in it,
    /// [`AcquireError::Connect`] if the connection cannot be opened, and [`AcquireError::NoRuntime`] outside of a Tokio
    /// runtime. None of them shows a password.
    pub async fn connect(settings: impl Into<BindSettings>) -> Result<Self, AcquireError> {
        let settings = one_off_settings::<B>(settings.into())?;
        Ok(Self::new(TypedEngine::open_one_off(settings).await?))
    }

    /// A session around a connection that the program has opened itself.
    ///
    /// Nothing is set on the connection, and an open transaction of it stays open. Its Diesel instrumentation is replaced
    /// by that of the engine, which passes everything on to the
    /// [default instrumentation](diesel::connection::set_default_instrumentation).
    ///
    /// The registry does not read the stream of such a connection. Where that matters, it treats what it does not know as
    /// the worst, as it does for Unix sockets: whether a transaction is open is told by the text of the statements, and on
    /// PostgreSQL a statement whose future was dropped is not cancelled on the server.
    ///
    /// For MySQL and MariaDB it asks the server whether autocommit is off, and waits for the answer, 10 seconds at most;
    /// otherwise it waits for nothing. Dropping the future or the session closes the connection.
    /// [`into_inner`](Self::into_inner) hands the connection back.
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use diesel_async::{AsyncConnection, SimpleAsyncConnection};
    /// use registry_core::{RunQueryDsl, Session, Sqlite, bind_tables, binds};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// binds! { Analytics: Sqlite = "analytics"; }
    /// bind_tables!(Analytics; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut connection = Sqlite::establish(":memory:").await?;
    /// connection.batch_execute("CREATE TABLE events (id INTEGER PRIMARY KEY)").await?;
    /// let mut session = Session::<Analytics>::from_connection(connection).await?;
    /// assert_eq!(events::table.count().get_result::<i64>(&mut session).await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AcquireError::NoRuntime`] outside of a Tokio runtime, and [`AcquireError::Connect`] if the server does not answer
    /// the question about autocommit.
    pub async fn from_connection(connection: B::Connection) -> Result<Self, AcquireError> {
        let key = one_off_key::<B>();
        // Names the backend, and nothing else: the engine never connects to it.
        let url = match B::Connection::KIND {
            BackendKind::Postgres => "postgres://own-connection/",
            BackendKind::Mysql => "mysql://own-connection/",
            BackendKind::Sqlite => "sqlite:own-connection",
        };
        let url = DatabaseUrl::parse(url).map_err(|error| {
            settings_error(key, SettingsError::from_problem("url", &error.to_string()))
        })?;
        let settings = EngineSettings::of_own_connection(key, url);
        Ok(Self::new(TypedEngine::adopt(settings, connection).await?))
    }
}

/// The bind key of a session without a registry. The key of [`ByKey`](crate::ByKey) is known to a registry alone, so it
/// counts as the default bind.
fn one_off_key<B: Bind>() -> BindKey {
    if has_key::<B>() { key_of::<B>() } else { BindKey::DEFAULT }
}

fn settings_error(key: BindKey, source: SettingsError) -> AcquireError {
    AcquireError::Settings { key, source }
}

fn one_off_settings<B: Bind>(settings: BindSettings) -> Result<EngineSettings, AcquireError> {
    let (key, expected) = (one_off_key::<B>(), B::Connection::KIND);
    if let Some(found) = settings.backend().filter(|found| *found != expected) {
        return Err(WrongBackend { key, expected, found }.into());
    }
    let builder =
        BuilderSettings { binds: vec![(key.to_string(), settings)], ..BuilderSettings::default() };
    let mut resolved = resolve(&Settings::default(), builder, check_url);
    let engine = match resolved.engines.pop() {
        Some(engine) if resolved.problems.is_empty() => engine,
        _ => return Err(settings_error(key, SettingsError::from_problems(resolved.problems))),
    };
    if engine.has_tenants() {
        return Err(AcquireError::NoTenant { key });
    }
    Ok(engine)
}
