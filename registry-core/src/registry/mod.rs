//! The registry: every engine of a program, found by the bind of a model.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::migration::MigrationSource;
use tokio::time::{Instant, timeout};

use crate::bind::{Bind, Bound};
use crate::engine::{self, AnyEngine, Engine};
use crate::on_demand::{EngineIdentity, OnDemand};
use crate::settings::WorkOptions;
use crate::settings::{
    BindDefaults, BindKey, BindSettings, InvalidUrl, Settings, SettingsError, TenantError,
    UnknownBind,
};

mod acquire;
mod bind_entry;
mod bind_table;
mod builder;
mod close;
mod isolation;
mod migrate;
mod replace;
mod route;
mod status;
mod tenants;
mod verify;

pub use acquire::Acquire;
pub use builder::RegistryBuilder;
pub use close::CloseReport;
pub use isolation::IsolationError;
pub use migrate::{MigrateError, MigrateReport};
pub use replace::ReplaceError;
pub(crate) use route::Route;
pub use status::Status;
pub use tenants::{CreateTenantError, DropTenantError, Tenant, TenantResolver};
pub use verify::{BindHealth, CheckReport, VerifyError, VerifyFailure, VerifyReport};

use bind_entry::BindEntry;
use bind_table::Table;
use close::Closing;
pub(crate) use isolation::Copies;
use migrate::BackendOf;

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
    /// In alphabetical order.
    keys: Vec<BindKey>,
    table: Table,
    bind_defaults: BindDefaults,
    on_demand: OnDemand,
    /// Those of each unit of work, unless it has its own.
    work: WorkOptions,
    /// Engines that were replaced, as long as they have sessions lent.
    replaced: Mutex<Vec<Arc<dyn AnyEngine>>>,
    closing: Closing,
    /// The places where queries were run beside a unit of work: each is warned of once.
    beside: Mutex<HashSet<(&'static str, &'static Location<'static>)>>,
    /// In test isolation: where the copies of SQLite databases are. The last field, so that it is
    /// dropped after the engines.
    isolation: Option<Copies>,
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

    fn new(
        binds: Vec<BindEntry>,
        bind_defaults: BindDefaults,
        on_demand: OnDemand,
        work: WorkOptions,
        isolation: Option<Copies>,
    ) -> Self {
        let mut keys: Vec<BindKey> = binds.iter().map(BindEntry::key).collect();
        keys.sort_unstable();
        Self(Arc::new(Inner {
            keys,
            table: Table::new(binds),
            bind_defaults,
            on_demand,
            work,
            replaced: Mutex::default(),
            closing: Closing::default(),
            beside: Mutex::default(),
            isolation,
        }))
    }

    /// The engine of the database that the model, table or query type `M` is bound to.
    ///
    /// # Errors
    ///
    /// [`UnknownBind`] if the settings have no bind of that key, or one with a database for each tenant,
    /// which has no engine of its own.
    pub fn engine_for<M: Bound>(&self) -> Result<Engine, UnknownBind> {
        match self.0.table.of::<M::Bind>().and_then(BindEntry::engine) {
            Some(engine) => Ok(Engine::new(engine)),
            None => Err(self.unknown(<M::Bind as Bind>::KEY)),
        }
    }

    /// The engine of that bind key.
    ///
    /// # Errors
    ///
    /// [`UnknownBind`] if the settings have no bind of that key, or one with a database for each tenant,
    /// which has no engine of its own.
    pub fn engine(&self, key: &str) -> Result<Engine, UnknownBind> {
        match self.0.table.by_key(key).and_then(BindEntry::engine) {
            Some(engine) => Ok(Engine::new(engine)),
            None => Err(self.unknown(key)),
        }
    }

    /// The keys of all binds, in alphabetical order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.keys.iter().map(BindKey::as_str)
    }

    /// How every engine is doing at this moment: those of the binds in the order of their keys, and
    /// those that were opened on demand.
    #[must_use]
    pub fn status(&self) -> Status {
        let engines = self.engines().iter().map(|engine| engine.status()).collect();
        Status::new(engines, self.0.on_demand.status())
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
    /// (`app.db-migrate.lock`, which stays). The connection goes to the `migrate_url` of the bind, if it
    /// has one; with a [pooler](crate::Pooler) it must have one. It works on every kind of runtime. Once they have begun,
    /// dropping the future does not stop them.
    ///
    /// What the report says has happened:
    ///
    /// - The version of a migration is what stands before the first `_` in its name, without `-`. Two of one version in
    ///   `migrations` are refused before anything runs. So is a version that this database has run under another name,
    ///   be it for another bind that shares the database. Diesel's table has no names, so they are in one beside it,
    ///   `__registry_schema_migrations`; what Diesel's own tool has run is taken for the migration that has its version
    ///   when it is first seen here. A migration that is renamed keeps neither its version nor its past: give it its
    ///   name back, or a new version.
    /// - After each migration, a transaction that it left open is rolled back, and the database is asked for its version.
    /// - A migration that ends the transaction that it runs in with a `ROLLBACK` of its own has failed, as what it did
    ///   is not there. With a `COMMIT` it has run, and what it does after that is not in a transaction. What it does to
    ///   transactions that it begins itself is its own affair.
    /// - What a migration sets in its session (`search_path`, `foreign_key_checks`, `PRAGMA query_only`) is as it was
    ///   before, for the next one and for the table of versions; variables of MySQL and MariaDB all, settings of
    ///   PostgreSQL with those of an application's own that `on_connect` names (`app.name`), and the role; on
    ///   SQLite also `case_sensitive_like`, databases that it attached, and temporary tables. Elsewhere, temporary
    ///   tables and variables of the user's (`@x`) are there for the next migration.
    /// - On SQLite they run with foreign keys off, as a table that is rebuilt would otherwise take along the rows that
    ///   refer to it (<https://www.sqlite.org/lang_altertable.html#otheralter>): no `ON DELETE` is acted on in
    ///   them. If more rows of a table refer to nothing in another after a migration than before it, that is an error
    ///   that names one, and the migration is rolled back. They are counted, as rows have no name that stays: a
    ///   migration that repairs one such row and breaks another of the same two tables is not noticed, and where it
    ///   renames one of the tables, old ones count as new. A key that SQLite cannot read ("foreign key mismatch") is
    ///   an error if the migration made it. Outside of migrations, foreign keys are enforced as ever; a bind whose
    ///   `on_connect` has them off is not checked.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key and, if one failed, the migration's name. Those that were
    /// run before it stay.
    pub async fn migrate<B: Bind>(
        &self,
        migrations: impl MigrationSource<BackendOf<B>> + Send + 'static,
    ) -> Result<MigrateReport, MigrateError> {
        self.migrate_along::<B>(Route::Bind, migrations).await
    }

    /// Closes every engine: acquiring fails from now on, and at once for those who wait, be it for a connection, a
    /// resolver or credentials. Waits until all sessions that are lent have come back, until each server was told
    /// that its connections end (for `check_timeout` at most, as it may be gone), and until SQLite's files are
    /// closed: a query whose future was dropped still comes to its end.
    ///
    /// Every clone of the registry is closed with it. Dropping the future stops the waiting; the
    /// registry stays closed. Outside a Tokio runtime it does not wait.
    ///
    /// A task that has a session, a unit of work or a stream of rows itself would wait for ever: once nothing else is
    /// lent, and it has done nothing with its own for 5 s, that is not waited for. The report says so, and so
    /// does an event at error level with the place of this call. What was handed to another task counts as that one's
    /// from the first statement there.
    #[track_caller]
    pub fn close(&self) -> impl Future<Output = CloseReport> + Send {
        close::close(self, None, Location::caller())
    }

    /// As [`close`](Self::close), but waits for `limit` at most. The report says which engines still
    /// have sessions lent; those work to their end.
    #[track_caller]
    pub fn close_within(&self, limit: Duration) -> impl Future<Output = CloseReport> + Send {
        close::close(self, Some(limit), Location::caller())
    }

    /// A registry for one test, on which nothing is ever committed, and which no other test shares.
    ///
    /// On PostgreSQL, MySQL and MariaDB each bind has one connection in a transaction that is
    /// rolled back when the registry is dropped or closed. What is committed on it is released as a
    /// savepoint, and each session and each query on the registry has a savepoint of its own, so
    /// that one that fails does not spoil the rest. A SQLite database is copied, and behaves as
    /// ever.
    ///
    /// Whatever runs at the same time waits for that one connection, first come first served, for
    /// `acquire_timeout`: queries in a `try_join!`, requests, a session of one task beside the unit of
    /// work of another. No other connection could see the same. So a task that holds a session, a unit
    /// of work or a stream of rows, and asks for another session of the bind, waits for itself:
    /// [`AcquireError::Isolated`](crate::AcquireError::Isolated). Futures of one task may wait for
    /// each other all the same, so this is said when nothing has gone on in the task for 5 s.
    ///
    /// The databases of tenants are isolated in the same way: a server's by a connection for each tenant, a
    /// SQLite file by a copy, which is made when the tenant is first asked for. Tenants with a schema each
    /// share the connection of their bind, and take turns. Unknown tenants stay unknown, and nothing is made.
    ///
    /// It works for sessions, queries, units of work, scopes and the web layer alike; options of
    /// units of work that need a transaction of their own (isolation, read-only) have no effect.
    /// Its limits:
    ///
    /// - A `COMMIT` in a statement of your own does commit. So does DDL on MySQL and MariaDB.
    /// - Tasks that wait for each other while one has the connection, as by a channel in a unit of work,
    ///   wait for all of `acquire_timeout`: with more connections they would not.
    /// - Tests that run at the same time and insert equal unique keys wait for each other, as
    ///   transactions do.
    /// - Sequences and `AUTO_INCREMENT` are not rolled back, and `now()` stands still on
    ///   PostgreSQL.
    /// - A statement whose future is dropped costs the connection, and with it all that the test
    ///   has done: [`AcquireError::IsolationLost`](crate::AcquireError::IsolationLost) then, on
    ///   every acquire. Whoever only waits for a session can be dropped.
    /// - Migrations are run before, except for SQLite.
    /// - [`session_by_url`](Self::session_by_url) is an error for SQLite.
    ///
    /// # Errors
    ///
    /// [`IsolationError`] if a SQLite database cannot be copied. Nothing else is connected to yet.
    pub async fn test_isolation(&self) -> Result<Registry, IsolationError> {
        isolation::isolate(self).await
    }

    /// Replaces the settings of a bind, such as a password that was changed.
    ///
    /// New sessions are acquired from a new engine from now on, by those who wait already as well.
    /// The old one lends none any more, and what it has lent comes back unhindered. Options that
    /// `settings` do not say are as the registry was built with them. For a bind with a database per tenant,
    /// every tenant's engine is replaced like that.
    ///
    /// The new engine connects when it is first used. [`Engine`] handles of the old one stay what
    /// they are.
    ///
    /// # Errors
    ///
    /// [`ReplaceError`]; the bind then goes on as it was.
    pub fn replace_engine(
        &self,
        key: &str,
        settings: impl Into<BindSettings>,
    ) -> Result<(), ReplaceError> {
        replace::replace(self, key, settings.into())
    }

    /// Closes the engines that were opened on demand for that URL, with whatever options, and waits
    /// until their sessions have come back. That of a tenant is closed as well, whose SQLite URL has
    /// `mode=rw` added.
    ///
    /// They lend none any more, and what they have lent comes back unhindered; whoever asks for
    /// that URL from now on gets another engine. The report says of whom sessions are still lent,
    /// which is nobody unless there is no Tokio runtime to wait in, or the calling task has them itself: see
    /// [`close`](Self::close). Dropping the future only stops the waiting.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] if it is no URL of a database.
    #[track_caller]
    pub fn close_engine(
        &self,
        url: impl Into<BindSettings>,
    ) -> impl Future<Output = Result<CloseReport, InvalidUrl>> {
        let place = Location::caller();
        async move {
            let url = url.into().into_url()?;
            let is_due = |identity: &EngineIdentity| url.is_opened_as(&identity.settings().url);
            let closed = self.0.on_demand.close(is_due);
            Ok(close::all_returned(closed, None, place).await)
        }
    }

    /// Closes the engines of a tenant, as [`close_engine`](Self::close_engine) does, and forgets what a
    /// resolver has said of it.
    ///
    /// # Errors
    ///
    /// [`TenantError`] if it is not a name that a tenant can have.
    #[track_caller]
    pub fn close_tenant(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<CloseReport, TenantError>> + Send {
        let place = Location::caller();
        async move {
            let closed = self.close_engines_of(&self.tenant(name)?);
            Ok(close::all_returned(closed, None, place).await)
        }
    }

    fn close_engines_of(&self, tenant: &Tenant) -> Vec<Arc<dyn AnyEngine>> {
        let mut closed = Vec::new();
        for entry in self.0.keys.iter().filter_map(|key| self.0.table.by_key(key)) {
            if let BindEntry::Tenants(bind) = entry {
                bind.forget(tenant.checked_name());
                closed
                    .extend(self.0.on_demand.close_named(&bind.engine_name(tenant.checked_name())));
                // A name is not remembered for ever, but where there is a template it can be worked out.
                if let Some(identity) = bind.identity_in_template(tenant) {
                    closed.extend(self.0.on_demand.close(|other| *other == identity));
                }
            }
        }
        closed
    }

    /// Has an engine that was opened on demand, and that nobody uses, give back what it has of the
    /// operating system's resources. False if there is none, or no time is left to try again.
    pub(crate) async fn gives_way(&self, started: Instant, limit: Duration) -> bool {
        let left = limit.saturating_sub(started.elapsed());
        let gave_way = timeout(left, self.0.on_demand.give_way()).await;
        gave_way == Ok(true) && started.elapsed() < limit
    }

    /// Warns if the calling task has a session of the bind `B`, or a unit of work with any, as it runs a query of that
    /// bind on another one.
    pub(crate) fn warn_if_caller_holds_session<B: Bind>(&self, place: &'static Location<'static>) {
        if let Some(engine) = self.0.table.of::<B>().and_then(BindEntry::engine)
            && engine.is_held_by_caller()
        {
            engine::warn_query_beside_session(engine.settings().key, place);
            return;
        }
        let mut engines = self.engines();
        engines.extend(self.0.on_demand.engines());
        if engines.iter().any(|engine| engine.has_unit_of_work_of_caller())
            && self.is_first_warning_at(B::KEY, place)
        {
            engine::warn_query_beside_work(B::KEY, place);
        }
    }

    /// Whether a task, a [`Caller`](crate::engine::Caller) by its number, is at a statement of a unit of work.
    pub(crate) fn is_executing_in_work(&self, task: u64) -> bool {
        let mut engines = self.engines();
        engines.extend(self.replaced());
        engines.extend(self.0.on_demand.engines());
        engines.iter().any(|engine| engine.runs_work_statement(task))
    }

    /// Whether that place is the first time seen to run a query of that bind beside a unit of work.
    pub(crate) fn is_first_warning_at(
        &self,
        key: &'static str,
        at: &'static Location<'static>,
    ) -> bool {
        self.0.beside.lock().unwrap_or_else(PoisonError::into_inner).insert((key, at))
    }

    /// Whether both are one registry.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) async fn migrate_along<B: Bind>(
        &self,
        route: Route<'_>,
        migrations: impl MigrationSource<BackendOf<B>> + Send + 'static,
    ) -> Result<MigrateReport, MigrateError> {
        migrate::migrate::<B>(self, route, migrations).await
    }

    /// In test isolation: where the copies of SQLite databases are.
    pub(crate) fn copies(&self) -> Option<&Copies> {
        self.0.isolation.as_ref()
    }

    /// How long sessions are waited for, where no bind says otherwise.
    pub(crate) fn default_acquire_timeout(&self) -> Duration {
        self.0.bind_defaults.general_acquire_timeout()
    }

    /// The keys of all binds, in alphabetical order.
    pub(crate) fn bind_keys(&self) -> &[BindKey] {
        &self.0.keys
    }

    pub(crate) fn work_options(&self) -> &WorkOptions {
        &self.0.work
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.closing.has_begun()
    }

    /// The engines of the binds, in the order of their keys.
    fn engines(&self) -> Vec<Arc<dyn AnyEngine>> {
        let entry = self.0.keys.iter().filter_map(|key| self.0.table.by_key(key));
        entry.filter_map(BindEntry::engine).collect()
    }

    fn replaced(&self) -> Vec<Arc<dyn AnyEngine>> {
        self.0.replaced.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn unknown(&self, key: &str) -> UnknownBind {
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
