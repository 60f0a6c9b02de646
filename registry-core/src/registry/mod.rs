//! The registry: every engine of a program, found by the bind of a model.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use diesel::migration::MigrationSource;

use crate::backend::Backend;
use crate::bind::{Bind, Bound, ByKey};
use crate::bind_key::BindKey;
use crate::engine::{self, AnyEngine, Core, Engine};
use crate::error::{AcquireError, MigrateError, UnknownBind, VerifyError, WrongBackend};
use crate::session::Acquire;
use crate::settings::{Settings, SettingsError};

mod builder;
mod close;
mod migrate;
mod status;
mod table;
mod verify;

pub use builder::RegistryBuilder;
pub use close::CloseReport;
pub use migrate::MigrateReport;
pub use status::Status;
pub use verify::{BindHealth, CheckReport, VerifyReport};

use migrate::BackendOf;
use table::Table;

/// Every database of a program, found by the models that live in it.
///
/// It has one engine for each bind in the settings, and an engine connects when it is first used.
/// Cloning is cheap, and every clone is the same registry: make one when the program starts, and hand
/// out clones.
///
/// ```
/// use registry_core::{Registry, bind};
///
/// # mod schema { diesel::table! { events (id) { id -> Integer, } } }
/// #[bind(db = "analytics", backend = Sqlite)]
/// # #[derive(diesel::Queryable)]
/// struct Event {
///     id: i32,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// let session = registry.session_for::<Event>().await?;
/// assert_eq!(session.key(), "analytics");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    /// In the order of their keys.
    engines: Vec<Arc<dyn AnyEngine>>,
    table: Table,
}

impl Registry {
    /// Begins to build a registry from settings, from code, or from both.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// A registry with the binds and options of `settings`.
    ///
    /// It opens no connection and needs no runtime.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] with every problem that the settings have.
    pub fn from_settings(settings: Settings) -> Result<Self, SettingsError> {
        Self::builder().settings(settings).build()
    }

    fn new(engines: Vec<Arc<dyn AnyEngine>>) -> Self {
        let table = Table::new(engines.iter().cloned());
        Self(Arc::new(Inner { engines, table }))
    }

    /// Acquires a session of the database that the model, table or query type `M` is bound to.
    ///
    /// See [`Acquire`] for what it waits for and how it fails.
    pub fn session_for<M: Bound>(&self) -> Acquire<'_, M::Bind> {
        self.session::<M::Bind>()
    }

    /// Acquires a session of the bind `B`.
    ///
    /// See [`Acquire`] for what it waits for and how it fails.
    pub fn session<B: Bind>(&self) -> Acquire<'_, B> {
        let engine = self.0.table.of::<B>();
        Acquire::new(self.typed(engine, B::KEY).map_err(AcquireError::from))
    }

    /// Acquires a session of the bind whose key is only known at run time, with the connection type
    /// that its URL is expected to need.
    ///
    /// Nothing then checks which models are used on it: it is the way out where types cannot follow.
    ///
    /// See [`Acquire`] for what it waits for and how it fails.
    pub fn session_by_key<C: Backend>(&self, key: &str) -> Acquire<'_, ByKey<C>> {
        let engine = self.0.table.by_key(key);
        Acquire::new(self.typed(engine, key).map_err(AcquireError::from))
    }

    /// The engine of the database that the model, table or query type `M` is bound to.
    ///
    /// # Errors
    ///
    /// [`UnknownBind`] if the settings have no bind of that key.
    pub fn engine_for<M: Bound>(&self) -> Result<Engine, UnknownBind> {
        self.engine(<M::Bind as Bind>::KEY)
    }

    /// The engine of that bind key.
    ///
    /// # Errors
    ///
    /// [`UnknownBind`] if the settings have no bind of that key.
    pub fn engine(&self, key: &str) -> Result<Engine, UnknownBind> {
        match self.0.table.by_key(key) {
            Some(engine) => Ok(Engine::new(Arc::clone(engine))),
            None => Err(self.unknown(key)),
        }
    }

    /// The keys of all binds, in alphabetical order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.engines.iter().map(|engine| engine.settings().key.as_str())
    }

    /// How every engine is doing at this moment, in the order of their keys.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::new(self.0.engines.iter().map(|engine| engine.status()).collect())
    }

    /// Checks everything that can be wrong before the first request is served.
    ///
    /// It connects to every bind, all at once, and looks at every model and table of the program that
    /// is bound: whether the settings have its bind, and whether its backend is that of the bind's
    /// URL. A bind with `required = false` that cannot be reached is a warning, in the report and in
    /// the log. It waits for `acquire_timeout` and `check_timeout` at
    /// most; dropping it stops it.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] with every failure there is, each with its bind key and cause.
    pub async fn verify(&self) -> Result<VerifyReport, VerifyError> {
        verify::verify(self).await
    }

    /// Asks every database for an answer within `limit`, all at once: for health end-points.
    ///
    /// The report says of each bind whether it answered, or why not, and how long it took. An engine
    /// whose connections are all in use for all that time counts as not answering.
    pub async fn check(&self, limit: Duration) -> CheckReport {
        verify::check(self, limit).await
    }

    /// Runs those migrations of the bind `B` that its database does not know yet, in order.
    ///
    /// They run on a connection of their own, without `statement_timeout` and `read_only`, under a
    /// lock that keeps other processes from migrating the same database meanwhile: an advisory lock
    /// of PostgreSQL, `GET_LOCK` of MySQL and MariaDB, a locked file beside a SQLite database
    /// (`app.db-migrate.lock`, which stays). It works on every kind of runtime. Once they have begun,
    /// dropping the future does not stop them.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key and, if one failed, the migration's name. Those that were
    /// run before it stay.
    pub async fn migrate<B: Bind>(
        &self,
        migrations: impl MigrationSource<BackendOf<B>> + Send + 'static,
    ) -> Result<MigrateReport, MigrateError> {
        let engine = self.typed::<B::Connection>(self.0.table.of::<B>(), B::KEY)?;
        migrate::migrate::<B>(engine, migrations).await
    }

    /// Closes every engine: acquiring fails from now on, for those who wait as well. Waits until all
    /// sessions that are lent have come back, and until SQLite's files are closed: a query whose future
    /// was dropped still comes to its end.
    ///
    /// Every clone of the registry is closed with it. Dropping the future stops the waiting; the
    /// registry stays closed. Outside a Tokio runtime it does not wait.
    pub async fn close(&self) -> CloseReport {
        close::close(self, None).await
    }

    /// As [`close`](Self::close), but waits for `limit` at most. The report says which engines still
    /// have sessions lent; those work to their end.
    pub async fn close_within(&self, limit: Duration) -> CloseReport {
        close::close(self, Some(limit)).await
    }

    /// Warns if the calling task has a session of the bind `B`, as it runs a query on another one.
    pub(crate) fn warn_of_held<B: Bind>(&self, place: &Location<'_>) {
        if let Some(engine) = self.0.table.of::<B>().filter(|engine| engine.is_held_by_caller()) {
            engine::beside_session(engine.settings().key, place);
        }
    }

    fn typed<C: Backend>(
        &self,
        engine: Option<&Arc<dyn AnyEngine>>,
        key: &str,
    ) -> Result<Arc<Core<C>>, NotThere> {
        let Some(engine) = engine else {
            return Err(NotThere::Unknown(self.unknown(key)));
        };
        engine::of_type(engine).ok_or_else(|| {
            let settings = engine.settings();
            NotThere::Wrong(WrongBackend {
                key: settings.key,
                expected: C::KIND,
                found: settings.url.backend(),
            })
        })
    }

    fn unknown(&self, key: &str) -> UnknownBind {
        UnknownBind::new(key, self.bind_keys())
    }

    fn bind_keys(&self) -> impl Iterator<Item = BindKey> {
        self.0.engines.iter().map(|engine| engine.settings().key)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engines = self.0.engines.iter();
        f.debug_map()
            .entries(engines.map(|engine| (&engine.settings().key, &engine.settings().url)))
            .finish()
    }
}

/// Why a bind has no engine of the right type.
enum NotThere {
    Unknown(UnknownBind),
    Wrong(WrongBackend),
}

impl From<NotThere> for AcquireError {
    fn from(error: NotThere) -> Self {
        match error {
            NotThere::Unknown(error) => Self::UnknownBind(error),
            NotThere::Wrong(error) => Self::WrongBackend(error),
        }
    }
}

impl From<NotThere> for MigrateError {
    fn from(error: NotThere) -> Self {
        match error {
            NotThere::Unknown(error) => Self::UnknownBind(error),
            NotThere::Wrong(error) => Self::WrongBackend(error),
        }
    }
}
