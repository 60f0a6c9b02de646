//! Why no session could be acquired.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::ConnectError;
use crate::cause::DriverError;
#[cfg(feature = "axum")]
use crate::settings::TenantUrlError;
use crate::settings::{BindKey, SettingsError, UnknownBind, WrongBackend};

/// Why no session could be acquired.
///
/// [`is_timeout`](Self::is_timeout) and [`is_transient`](Self::is_transient) sort the variants for a program that only
/// wants to know whether to try again.
///
/// ```
/// use std::time::Duration;
///
/// use registry_core::{AcquireError, AsyncSqliteConnection, Registry};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A SQLite database in memory has one connection.
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// let first = registry.session_by_key::<AsyncSqliteConnection>("default").await?;
/// let second = registry.session_by_key::<AsyncSqliteConnection>("default");
/// let error = second.within(Duration::from_millis(20)).await.unwrap_err();
/// assert!(matches!(error, AcquireError::TimedOut { in_use: 1, held_by_caller: 1, .. }));
/// assert!(error.is_timeout() && error.is_transient());
/// assert_eq!(
///     error.to_string(),
///     "bind `default`: timed out after 20ms waiting for a connection: 1/1 in use, 0 idle, 0 waiting; \
///      the waiting task holds 1 of them itself: drop them before acquiring another"
/// );
/// # drop(first);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// The settings have no bind of that key.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),

    /// The program expects one backend for that bind, and the URL names another.
    #[error(transparent)]
    WrongBackend(#[from] WrongBackend),

    /// As many callers as `queue_limit` allows were already waiting for a connection.
    #[error("bind `{key}`: the connection queue is full: {limit}/{limit} (queue_limit) waiting")]
    QueueFull {
        /// The bind key.
        key: BindKey,
        /// The `queue_limit` of the engine.
        limit: u32,
    },

    /// All connections were in use for as long as the caller was willing to wait: `acquire_timeout`, or the limit that was
    /// set by [`within`](crate::Acquire::within).
    #[error(
        "bind `{key}`: timed out after {} waiting for a connection: {in_use}/{max} in use, {idle} idle, \
         {waiting} waiting{}",
        humantime::format_duration(*after), HeldByCaller(*held_by_caller)
    )]
    TimedOut {
        /// The bind key.
        key: BindKey,
        /// How long the caller waited.
        after: Duration,
        /// Connections that were checked out, being opened, or being reset.
        in_use: u32,
        /// Connections that were idle.
        idle: u32,
        /// The `max_connections` of the engine.
        max: u32,
        /// Other callers that were waiting.
        waiting: u32,
        /// Connections that the waiting task holds itself. If it holds all of the engine's connections, the task waits for
        /// itself.
        held_by_caller: u32,
        /// The error of the last failed connection attempt, if there was one.
        #[source]
        last_error: Option<Arc<ConnectError>>,
    },

    /// As many callers were already waiting for their turn to write as could wait without turns: each but one of
    /// `max_connections` with a connection, and `queue_limit` without one. Only on SQLite.
    #[error(
        "bind `{key}`: the queue of writers is full: {limit}/{limit} (max_connections - 1 + queue_limit) waiting"
    )]
    WriteQueueFull {
        /// The bind key.
        key: BindKey,
        /// The number of callers that may wait.
        limit: u32,
    },

    /// Other writers of this process had their turn for as long as the caller was willing to wait: `acquire_timeout`, or
    /// the limit that was set by [`within`](crate::Acquire::within). Only on SQLite, which has one writer at a time.
    #[error(
        "bind `{key}`: timed out after {} waiting for its turn to write: {}, {waiting} waiting",
        humantime::format_duration(*after), Writer { held_at, held_for, is_unit_of_work, held_by_caller }
    )]
    WriteTimedOut {
        /// The bind key.
        key: BindKey,
        /// How long the caller waited.
        after: Duration,
        /// The place in the program that runs the statement or the migrations of the writer whose turn it is, or that has
        /// begun its unit of work. `None` if the turn was being handed over.
        held_at: Option<&'static Location<'static>>,
        /// For how long that writer has had its turn.
        held_for: Duration,
        /// Whether that writer is a unit of work, and neither a single statement nor migrations.
        is_unit_of_work: bool,
        /// Whether the calling task itself has begun that unit of work, which may be unable to end before the caller goes on.
        held_by_caller: bool,
        /// Other writers that were waiting.
        waiting: u32,
    },

    /// The turn to write can never come: a unit of work has it, or gets it first, and does not end before the caller goes on. Only on SQLite,
    /// which has one writer at a time.
    #[error(
        "bind `{key}`: deadlock: the unit of work begun at {held_at} has its turn to write first, and {}",
        Blocked { is_own }
    )]
    WriteDeadlock {
        /// The bind key.
        key: BindKey,
        /// The place that has begun that unit of work.
        held_at: &'static Location<'static>,
        /// Whether the caller waits inside of that unit of work. Otherwise, several units of work wait for
        /// each other in a circle, and the same work may succeed once this one is rolled back.
        is_own: bool,
    },

    /// The primary did not tell its position in the log, which [`Registry::token`](crate::Registry::token) asked for.
    #[error("bind `{key}`: the primary did not tell its position in the log")]
    Position {
        /// The bind.
        key: BindKey,
        /// Why.
        #[source]
        source: DriverError,
    },

    /// No replica of the bind is fit for the read, and the reader does not read from the primary then
    /// (`when_behind = "error"`).
    #[error("bind `{key}`: no replica is fit for the read after {}: {reasons}", humantime::format_duration(*after))]
    ReplicasBehind {
        /// The bind.
        key: BindKey,
        /// How long the read has waited for one.
        after: Duration,
        /// What keeps each replica from it.
        reasons: String,
    },

    /// A connection was needed, and could not be opened.
    #[error("bind `{key}`: could not connect to {url}")]
    Connect {
        /// The bind key.
        key: BindKey,
        /// The URL, without its password.
        url: String,
        /// What the driver reported.
        #[source]
        source: Arc<ConnectError>,
    },

    /// The bind has a database for each tenant, and the call does not say for which tenant.
    #[error("bind `{key}` has a database for each tenant: acquire through `registry.tenant(..)`")]
    NoTenant {
        /// The bind key.
        key: BindKey,
    },

    /// The tenant has no database. Nothing was opened or created.
    #[error("bind `{key}`: unknown tenant `{tenant}`")]
    UnknownTenant {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// What the database reported, if one was asked.
        #[source]
        source: Option<Arc<ConnectError>>,
    },

    /// The tenant's database lacks migrations of the program, which the
    /// [builder](crate::RegistryBuilder::migrations) was told. It is served once they were run, by this program or another
    /// one. [`WhenPending`](crate::WhenPending) is the option.
    #[error(
        "bind `{key}`: tenant `{tenant}` has pending migrations ({}): run them, or say `when_pending = \"migrate\"`",
        MigrationNames(migrations)
    )]
    PendingMigrations {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// The names of the migrations, in the order in which they are run.
        migrations: Vec<String>,
    },

    /// Migrations were run on the tenant's database that the program does not have, and the bind has
    /// `when_unknown = "fail"`.
    #[error(
        "bind `{key}`: tenant `{tenant}` has run migrations that the program does not have ({}), and `when_unknown` is \
         \"fail\"",
        MigrationNames(migrations)
    )]
    UnknownMigrations {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// The names of the migrations, or their versions where no name is recorded.
        migrations: Vec<String>,
    },

    /// The migrations of the tenant could not be checked or, with `when_pending = "migrate"`, not be run.
    #[error("bind `{key}`: the migrations of tenant `{tenant}` could not be checked or run")]
    Migrations {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// Why: a [`MigrateError`](crate::MigrateError). Callers that waited together share it.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },

    /// The migrations of the tenant were not checked or, with `when_pending = "migrate"`, not run in time. That goes on, and
    /// a later call finds its result.
    #[error(
        "bind `{key}`: timed out after {} waiting for the migrations of tenant `{tenant}` to be checked and run, which \
         goes on",
        humantime::format_duration(*after)
    )]
    MigrationsTimedOut {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// How long the caller waited.
        after: Duration,
    },

    /// The settings of the tenant's database could not be found.
    #[error("bind `{key}`: the settings of tenant `{tenant}` could not be found")]
    Resolve {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// The error of the resolver.
        #[source]
        source: DriverError,
    },

    /// The settings of an engine that was to be opened on demand are invalid.
    #[error("bind `{key}`: no engine can be opened with these settings")]
    Settings {
        /// The bind key.
        key: BindKey,
        /// Every problem of these settings.
        #[source]
        source: SettingsError,
    },

    /// `max_engines` engines were open, and all of them were in use for as long as the caller was willing to wait.
    #[error(
        "bind `{key}`: timed out after {} waiting for an engine: {max_engines}/{max_engines} (max_engines) \
         in use, {waiting} waiting",
        humantime::format_duration(*after)
    )]
    TooManyEngines {
        /// The bind key.
        key: BindKey,
        /// How long the caller waited.
        after: Duration,
        /// The `max_engines` of the registry.
        max_engines: u32,
        /// Other callers that were waiting.
        waiting: usize,
    },

    /// In test isolation each bind has one connection, and the calling task already holds it, so the task would wait for
    /// itself. If another task holds the connection, the caller waits instead of getting this error.
    #[error(
        "bind `{key}`: in test isolation each bind has one connection, and it is lent: drop the session or \
         end the unit of work that has it before the next session or query"
    )]
    Isolated {
        /// The bind key.
        key: BindKey,
    },

    /// In test isolation, the one connection of the bind was lost, and with it all changes of the test: the connection
    /// broke, a statement was cut short, or a deadlock ended the transaction.
    #[error(
        "bind `{key}`: the connection of this test isolation was lost, with all that was done on it"
    )]
    IsolationLost {
        /// The bind key.
        key: BindKey,
    },

    /// The registry was closed.
    #[error("bind `{key}`: the registry is closed")]
    Closed {
        /// The bind key.
        key: BindKey,
    },

    /// The call was made outside a Tokio runtime.
    #[error("bind `{key}`: a session can only be acquired inside a Tokio runtime")]
    NoRuntime {
        /// The bind key.
        key: BindKey,
    },
}

impl AcquireError {
    /// The bind key of the call that failed.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::UnknownBind(error) => &error.key,
            Self::WrongBackend(error) => &error.key,
            Self::QueueFull { key, .. }
            | Self::TimedOut { key, .. }
            | Self::WriteQueueFull { key, .. }
            | Self::WriteTimedOut { key, .. }
            | Self::WriteDeadlock { key, .. }
            | Self::ReplicasBehind { key, .. }
            | Self::Position { key, .. }
            | Self::Connect { key, .. }
            | Self::NoTenant { key }
            | Self::UnknownTenant { key, .. }
            | Self::PendingMigrations { key, .. }
            | Self::UnknownMigrations { key, .. }
            | Self::Migrations { key, .. }
            | Self::MigrationsTimedOut { key, .. }
            | Self::Resolve { key, .. }
            | Self::Settings { key, .. }
            | Self::TooManyEngines { key, .. }
            | Self::Isolated { key }
            | Self::IsolationLost { key }
            | Self::Closed { key }
            | Self::NoRuntime { key } => key,
        }
    }

    /// The same error with the key of another bind: an engine that was opened on demand may serve several binds.
    pub(crate) fn of_bind(mut self, of: BindKey) -> Self {
        match &mut self {
            Self::UnknownBind(_) | Self::WrongBackend(_) => {}
            Self::QueueFull { key, .. }
            | Self::TimedOut { key, .. }
            | Self::WriteQueueFull { key, .. }
            | Self::WriteTimedOut { key, .. }
            | Self::WriteDeadlock { key, .. }
            | Self::ReplicasBehind { key, .. }
            | Self::Position { key, .. }
            | Self::Connect { key, .. }
            | Self::NoTenant { key }
            | Self::UnknownTenant { key, .. }
            | Self::PendingMigrations { key, .. }
            | Self::UnknownMigrations { key, .. }
            | Self::Migrations { key, .. }
            | Self::MigrationsTimedOut { key, .. }
            | Self::Resolve { key, .. }
            | Self::Settings { key, .. }
            | Self::TooManyEngines { key, .. }
            | Self::Isolated { key }
            | Self::IsolationLost { key }
            | Self::Closed { key }
            | Self::NoRuntime { key } => *key = of,
        }
        self
    }

    /// The same error for another caller, who has waited for the same. `None` if it cannot be copied.
    pub(crate) fn for_another_caller(&self) -> Option<Self> {
        Some(match self {
            Self::QueueFull { key, limit } => Self::QueueFull { key: *key, limit: *limit },
            Self::TimedOut { key, after, in_use, idle, max, waiting, last_error, .. } => {
                Self::TimedOut {
                    key: *key,
                    after: *after,
                    in_use: *in_use,
                    idle: *idle,
                    max: *max,
                    waiting: *waiting,
                    // The connections of the task that has waited for both.
                    held_by_caller: 0,
                    last_error: last_error.clone(),
                }
            }
            Self::Connect { key, url, source } => {
                Self::Connect { key: *key, url: url.clone(), source: Arc::clone(source) }
            }
            Self::UnknownTenant { key, tenant, source } => {
                Self::UnknownTenant { key: *key, tenant: tenant.clone(), source: source.clone() }
            }
            Self::Closed { key } => Self::Closed { key: *key },
            Self::IsolationLost { key } => Self::IsolationLost { key: *key },
            _ => return None,
        })
    }

    /// Whether the operating system had no resources left for a connection. Closing unused engines may free some.
    pub(crate) fn lacks_resources(&self) -> bool {
        matches!(self, Self::Connect { source, .. }
            if matches!(**source, ConnectError::Resources(_)))
    }

    /// Whether no server answers at the address, or the connection broke before it was ready.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { source, .. }
            if matches!(**source, ConnectError::Unreachable(_)))
    }

    /// The name of the tenant, if the failure is one of its database.
    #[cfg(feature = "axum")]
    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Self::UnknownTenant { tenant, .. }
            | Self::PendingMigrations { tenant, .. }
            | Self::UnknownMigrations { tenant, .. }
            | Self::Migrations { tenant, .. }
            | Self::MigrationsTimedOut { tenant, .. }
            | Self::Resolve { tenant, .. } => Some(tenant),
            _ => None,
        }
    }

    /// Whether the tenant does not exist, or its name is not a valid name of a tenant.
    #[cfg(feature = "axum")]
    pub(crate) fn is_of_unknown_tenant(&self) -> bool {
        match self {
            Self::UnknownTenant { .. } => true,
            Self::Resolve { source, .. } => source.is::<TenantUrlError>(),
            _ => false,
        }
    }

    /// Whether a time-out has ended the wait for a session, for a connection or for the resolver of a tenant.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::TimedOut { .. }
            | Self::WriteTimedOut { .. }
            | Self::TooManyEngines { .. }
            | Self::MigrationsTimedOut { .. } => true,
            Self::Connect { source, .. } => matches!(**source, ConnectError::TimedOut { .. }),
            Self::Resolve { source, .. } => source.is::<ResolverTimedOut>(),
            _ => false,
        }
    }

    /// Whether the same call may succeed a little later without anything being changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::QueueFull { .. }
            | Self::TimedOut { .. }
            | Self::WriteQueueFull { .. }
            | Self::WriteTimedOut { .. }
            | Self::ReplicasBehind { .. }
            | Self::TooManyEngines { .. }
            | Self::MigrationsTimedOut { .. } => true,
            Self::WriteDeadlock { is_own, .. } => !is_own,
            Self::Connect { source, .. } => source.is_transient(),
            Self::Resolve { source, .. } => source.is::<ResolverTimedOut>(),
            _ => false,
        }
    }
}

/// The resolver of a tenant took longer than the caller was willing to wait.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {}", humantime::format_duration(*after))]
pub(crate) struct ResolverTimedOut {
    pub(crate) after: Duration,
}

/// The part of [`AcquireError::WriteTimedOut`] that names the writer whose turn it is.
struct Writer<'a> {
    held_at: &'a Option<&'static Location<'static>>,
    held_for: &'a Duration,
    is_unit_of_work: &'a bool,
    held_by_caller: &'a bool,
}

impl fmt::Display for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = self.held_at else {
            return f.write_str("another writer of this process was about to get it");
        };
        let what = match (self.is_unit_of_work, self.held_by_caller) {
            (true, true) => "a unit of work that this task has begun,",
            (true, false) => "a unit of work",
            (false, _) => "a statement or migrations",
        };
        let held_for =
            Duration::from_millis(self.held_for.as_millis().try_into().unwrap_or(u64::MAX));
        let held_for = humantime::format_duration(held_for);
        write!(f, "another writer of this process ({what} of {place}) has had it for {held_for}")
    }
}

/// The part of [`AcquireError::WriteDeadlock`] that tells what waits for what.
struct Blocked<'a> {
    is_own: &'a bool,
}

impl fmt::Display for Blocked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self.is_own {
            "this write outside of it would wait for its end: run the write on the unit of work, or end it first"
        } else {
            "waits for the unit of work of the caller: use the databases in the same order everywhere"
        })
    }
}

/// The part of [`AcquireError::TimedOut`] that names the sessions of the waiting task itself. Empty if it has none.
struct HeldByCaller(u32);

impl fmt::Display for HeldByCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            held => write!(
                f,
                "; the waiting task holds {held} of them itself: drop them before acquiring another"
            ),
        }
    }
}

/// The names of migrations, as a message shows them: some of them, and how many more there are.
pub(crate) struct MigrationNames<'a>(pub(crate) &'a [String]);

impl fmt::Display for MigrationNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (at, name) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}`{name}`", if at == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
