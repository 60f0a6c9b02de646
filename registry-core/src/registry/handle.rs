//! [`Registry`]: a handle to the state that its clones share.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::bind::{Bind, Bound};
use crate::engine::{AnyEngine, Engine};
use crate::on_demand::OnDemandEngines;
use crate::settings::{BindDefaults, BindKey, UnknownBind, WorkOptions};
use crate::telemetry::RegistryTelemetry;
use crate::token::TokenKey;

use super::bind_entry::BindEntry;
use super::bind_table::BindTable;
use super::closing_state::ClosingState;
use super::gate::Gate;
use super::sqlite_copies::SqliteCopies;
use super::status::Look;

/// Every database of a program, found by the models that live in it.
///
/// It has one engine for each bind in the settings, and an engine connects when it is first used. Make one registry
/// when the program starts, and hand out clones: a clone is cheap, and is the same registry. When the last clone is
/// dropped, idle connections are closed; [`close`](Self::close) also waits for connections that are in use.
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
pub struct Registry(pub(super) Arc<Inner>);

/// The state that all clones of a registry share.
pub(super) struct Inner {
    /// The keys of all binds, in alphabetical order.
    pub(super) keys: Vec<BindKey>,
    pub(super) binds: BindTable,
    pub(super) bind_defaults: BindDefaults,
    pub(super) on_demand: OnDemandEngines,
    /// The options for units of work that are begun without options of their own.
    pub(super) work_options: WorkOptions,
    /// The key that signs tokens.
    pub(super) token_key: Option<TokenKey>,
    pub(super) gate: Gate,
    pub(super) telemetry: Arc<RegistryTelemetry>,
    /// Engines that were replaced and still have sessions lent.
    pub(super) replaced: Mutex<Vec<Arc<dyn AnyEngine>>>,
    pub(super) closing: ClosingState,
    /// The places in the program for which a query beside a unit of work was warned of, once for each bind key.
    pub(super) warned_at: Mutex<HashSet<(&'static str, &'static Location<'static>)>>,
    /// The last snapshot that a user has asked for.
    pub(super) last_look: Mutex<Option<Look>>,
    /// In test isolation: the copies of SQLite databases. The last field, so that the files are removed after the
    /// engines are dropped.
    pub(super) sqlite_copies: Option<SqliteCopies>,
}

/// What a registry is made of.
pub(super) struct RegistryParts {
    pub(super) binds: Vec<BindEntry>,
    pub(super) bind_defaults: BindDefaults,
    pub(super) on_demand: OnDemandEngines,
    pub(super) work_options: WorkOptions,
    pub(super) token_key: Option<TokenKey>,
    pub(super) gate: Gate,
    pub(super) telemetry: RegistryTelemetry,
    pub(super) sqlite_copies: Option<SqliteCopies>,
}

impl Registry {
    pub(super) fn new(parts: RegistryParts) -> Self {
        let RegistryParts { binds, bind_defaults, on_demand, work_options, .. } = parts;
        let mut keys: Vec<BindKey> = binds.iter().map(BindEntry::key).collect();
        keys.sort_unstable();
        Self(Arc::new(Inner {
            keys,
            binds: BindTable::new(binds),
            bind_defaults,
            on_demand,
            work_options,
            token_key: parts.token_key,
            gate: parts.gate,
            telemetry: Arc::new(parts.telemetry),
            replaced: Mutex::default(),
            closing: ClosingState::default(),
            warned_at: Mutex::default(),
            last_look: Mutex::default(),
            sqlite_copies: parts.sqlite_copies,
        }))
    }

    /// The engine of the database that the model, table or query type `M` is bound to.
    ///
    /// # Errors
    ///
    /// [`UnknownBind`] if the settings have no bind of that key, or if it has a database for each tenant and so no
    /// engine of its own.
    ///
    /// ```
    /// use registry_core::{Registry, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let engine = registry.engine_for::<events::table>()?;
    /// assert_eq!(engine.key(), "analytics");
    /// # Ok::<(), registry_core::Error>(())
    /// ```
    pub fn engine_for<M: Bound>(&self) -> Result<Engine, UnknownBind> {
        match self.0.binds.bind::<M::Bind>().and_then(BindEntry::engine) {
            Some(engine) => Ok(Engine::new(engine)),
            None => Err(self.unknown_bind(<M::Bind as Bind>::KEY)),
        }
    }

    /// The engine of that bind key.
    ///
    /// # Errors
    ///
    /// [`UnknownBind`] if the settings have no bind of that key, or if it has a database for each tenant and so no
    /// engine of its own.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// assert_eq!(registry.engine("analytics")?.status().in_use, 0);
    ///
    /// let error = registry.engine("analytic").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the settings have no bind `analytic`; they have `analytics`; did you mean `analytics`?"
    /// );
    /// # Ok::<(), registry_core::Error>(())
    /// ```
    pub fn engine(&self, key: &str) -> Result<Engine, UnknownBind> {
        match self.0.binds.key(key).and_then(BindEntry::engine) {
            Some(engine) => Ok(Engine::new(engine)),
            None => Err(self.unknown_bind(key)),
        }
    }

    /// The keys of all binds, in alphabetical order.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let url = "sqlite::memory:";
    /// let registry = Registry::builder().bind("default", url).bind("analytics", url).build()?;
    /// assert!(registry.keys().eq(["analytics", "default"]));
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.keys.iter().map(BindKey::as_str)
    }

    /// Whether both are clones of the same registry.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A number that no other registry has as long as this one lives.
    pub(super) fn number(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// In test isolation: the copies of SQLite databases.
    pub(crate) fn sqlite_copies(&self) -> Option<&SqliteCopies> {
        self.0.sqlite_copies.as_ref()
    }

    /// How long callers wait for a session, if the bind has no limit of its own.
    pub(crate) fn default_acquire_timeout(&self) -> Duration {
        self.0.bind_defaults.general_acquire_timeout()
    }

    /// The keys of all binds, in alphabetical order.
    pub(crate) fn bind_keys(&self) -> &[BindKey] {
        &self.0.keys
    }

    pub(crate) fn work_options(&self) -> &WorkOptions {
        &self.0.work_options
    }

    /// The key that signs tokens, if the settings or the builder give one.
    #[cfg(feature = "axum")]
    pub(crate) fn token_key(&self) -> Option<&TokenKey> {
        self.0.token_key.as_ref()
    }

    pub(crate) fn telemetry(&self) -> &Arc<RegistryTelemetry> {
        &self.0.telemetry
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.closing.has_begun()
    }

    /// The binds in the order of their keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = &BindEntry> {
        self.0.keys.iter().filter_map(|key| self.0.binds.key(key))
    }

    /// The engines of the binds, in the order of their keys.
    pub(super) fn engines(&self) -> Vec<Arc<dyn AnyEngine>> {
        self.entries().filter_map(BindEntry::engine).collect()
    }

    /// The engines that were replaced and may have sessions lent.
    pub(super) fn replaced(&self) -> Vec<Arc<dyn AnyEngine>> {
        self.0.replaced.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn unknown_bind(&self, key: &str) -> UnknownBind {
        UnknownBind::new(key, self.0.keys.iter().copied())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engines = self.engines();
        let entries = engines.iter().map(|engine| (engine.settings().key, &engine.settings().url));
        f.debug_map().entries(entries).finish()
    }
}
