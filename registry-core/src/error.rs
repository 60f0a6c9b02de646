//! Every public error.
//!
//! `Display` says what happened at its own layer; the cause is in `source()`, never in both. An
//! error that collects several failures lists them all, since it has no single source.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diesel::result::DatabaseErrorKind;

use crate::bind_key::BindKey;
#[cfg(feature = "axum")]
use crate::settings::NotForTenant;
use crate::settings::{BackendKind, SettingsError, nearest};
use crate::tenant::TenantError;
use crate::work::{CommitError, WorkError};

mod query;
mod tenants;

pub use query::QueryError;
pub(crate) use query::{Origin, is_transient};
pub use tenants::{CreateTenantError, DropTenantError};

/// What a database driver reported, in its own words.
pub type DriverError = Box<dyn StdError + Send + Sync>;

/// Anything that can go wrong with a registry, for programs that need not tell errors apart.
///
/// Every error of this crate converts into it, and so does [`diesel::result::Error`], so that one
/// function can acquire, query and migrate with `?`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings are not usable.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No engine has that key.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),
    /// No session could be had.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// A bind is not usable as the program means to use it.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The name of a tenant cannot be one.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// An engine could not be replaced.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// A unit of work cannot go on.
    #[error(transparent)]
    Work(WorkError),
    /// A unit of work was not committed, or not all of it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// There is no registry for a test.
    #[error(transparent)]
    Isolation(#[from] IsolationError),
    /// A migration could not be run.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A tenant could not be created.
    #[error(transparent)]
    CreateTenant(#[from] CreateTenantError),
    /// A tenant could not be dropped.
    #[error(transparent)]
    DropTenant(#[from] DropTenantError),
    /// A query failed on a session that was to be had.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Which bind it was is not known then: a query that is run on a registry, tenant or unit of work names
/// it.
impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Query(error.into())
    }
}

impl From<WorkError> for Error {
    fn from(error: WorkError) -> Self {
        match error {
            // As when it is acquired without a unit of work.
            WorkError::Acquire(error) => Self::Acquire(error),
            error => Self::Work(error),
        }
    }
}

impl Error {
    /// Which constraint or rule of the database a query broke, if that is what happened.
    #[must_use]
    pub fn database_kind(&self) -> Option<&DatabaseErrorKind> {
        match self {
            Self::Query(error) => match error.as_diesel() {
                diesel::result::Error::DatabaseError(kind, _) => Some(kind),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether a wait came to its end: for a session or for a connection.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Acquire(error) if error.is_timeout())
    }

    /// Whether the same call may succeed a little later, with nothing changed.
    ///
    /// For a query, see [`QueryError::is_transient`]. Whether it did its work before it failed is not
    /// known.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Acquire(error) => error.is_transient(),
            Self::Work(error) => error.is_transient(),
            Self::Commit(error) => error.is_transient(),
            Self::Query(error) => error.is_transient(),
            Self::CreateTenant(CreateTenantError::Acquire(error))
            | Self::DropTenant(DropTenantError::Acquire(error)) => error.is_transient(),
            _ => false,
        }
    }
}

/// Why no session could be acquired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// No settings name that bind.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),

    /// The program expects one backend behind that bind, and its URL names another.
    #[error(transparent)]
    WrongBackend(#[from] WrongBackend),

    /// As many callers were waiting as `queue_limit` allows.
    #[error("bind `{key}`: the queue is full: no more than {limit} may wait, its queue_limit")]
    QueueFull {
        /// The bind key.
        key: BindKey,
        /// The `queue_limit` of the engine.
        limit: u32,
    },

    /// Every connection was in use for the whole time that the caller was willing to wait.
    #[error(
        "bind `{key}`: no session within {}: of at most {max} connections {in_use} are in use and \
         {idle} idle, and {waiting} more callers wait{}",
        humantime::format_duration(*after), Own(*held_by_caller)
    )]
    TimedOut {
        /// The bind key.
        key: BindKey,
        /// How long the caller waited.
        after: Duration,
        /// Connections that were lent.
        in_use: u32,
        /// Connections that were idle.
        idle: u32,
        /// The `max_connections` of the engine.
        max: u32,
        /// Callers that waited beside this one.
        waiting: u32,
        /// Connections that the task which waited has itself: if those are all, none can ever be free.
        held_by_caller: u32,
        /// Why the engine could last not connect, if that ever happened.
        #[source]
        last_error: Option<Arc<ConnectError>>,
    },

    /// A connection was due, and could not be made.
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

    /// The bind has a database for each tenant, and nobody said for which tenant.
    #[error("bind `{key}` has a database for each tenant: acquire through `registry.tenant(..)`")]
    NoTenant {
        /// The bind key.
        key: BindKey,
    },

    /// The tenant has no database. Nothing was opened, and nothing was made.
    #[error("bind `{key}`: unknown tenant `{tenant}`")]
    UnknownTenant {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// What the database said, if one was asked.
        #[source]
        source: Option<Arc<ConnectError>>,
    },

    /// The settings of the tenant's database could not be found.
    #[error("bind `{key}`: the settings of tenant `{tenant}` could not be found")]
    Resolve {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// What the resolver said.
        #[source]
        source: DriverError,
    },

    /// The settings for an engine that was to be opened on demand are not usable.
    #[error("bind `{key}`: no engine can be opened with these settings")]
    Settings {
        /// The bind key.
        key: BindKey,
        /// Every problem that they have.
        #[source]
        source: SettingsError,
    },

    /// No other engine could be opened: as many were open as `max_engines` allows, and all of them were
    /// in use for the whole time that the caller was willing to wait.
    #[error(
        "bind `{key}`: no engine could be opened within {}: all of {max_engines} are in use, which is \
         max_engines, and {waiting} more callers wait",
        humantime::format_duration(*after)
    )]
    TooManyEngines {
        /// The bind key.
        key: BindKey,
        /// How long the caller waited.
        after: Duration,
        /// The `max_engines` of the registry.
        max_engines: u32,
        /// Callers that waited beside this one.
        waiting: usize,
    },

    /// In test isolation, each bind has one connection, and the task that asks for it has it already: it would
    /// wait for itself. What another task has is waited for.
    #[error(
        "bind `{key}`: in test isolation each bind has one connection, and it is lent: drop the session or \
         end the unit of work that has it before the next session or query"
    )]
    Isolated {
        /// The bind key.
        key: BindKey,
    },

    /// In test isolation, the one connection of the bind was lost, and with it everything that the
    /// test has done: it broke, a statement on it was cut short, or a deadlock ended its
    /// transaction.
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
    /// The bind key that was asked for.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::UnknownBind(error) => &error.key,
            Self::WrongBackend(error) => &error.key,
            Self::QueueFull { key, .. }
            | Self::TimedOut { key, .. }
            | Self::Connect { key, .. }
            | Self::NoTenant { key }
            | Self::UnknownTenant { key, .. }
            | Self::Resolve { key, .. }
            | Self::Settings { key, .. }
            | Self::TooManyEngines { key, .. }
            | Self::Isolated { key }
            | Self::IsolationLost { key }
            | Self::Closed { key }
            | Self::NoRuntime { key } => key,
        }
    }

    /// The same for the bind `of`: engines that were opened on demand may serve several.
    pub(crate) fn of_bind(mut self, of: BindKey) -> Self {
        match &mut self {
            Self::UnknownBind(_) | Self::WrongBackend(_) => {}
            Self::QueueFull { key, .. }
            | Self::TimedOut { key, .. }
            | Self::Connect { key, .. }
            | Self::NoTenant { key }
            | Self::UnknownTenant { key, .. }
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

    /// Whether the operating system had no resources left for a connection: engines that nobody uses may
    /// have some.
    pub(crate) fn lacks_resources(&self) -> bool {
        matches!(self, Self::Connect { source, .. }
            if matches!(**source, ConnectError::Resources(_)))
    }

    /// The name of the tenant whose database it was, if that was what could not be found.
    #[cfg(feature = "axum")]
    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Self::UnknownTenant { tenant, .. } | Self::Resolve { tenant, .. } => Some(tenant),
            _ => None,
        }
    }

    /// Whether nobody is called like that, or can be.
    #[cfg(feature = "axum")]
    pub(crate) fn is_of_unknown_tenant(&self) -> bool {
        match self {
            Self::UnknownTenant { .. } => true,
            Self::Resolve { source, .. } => source.is::<NotForTenant>(),
            _ => false,
        }
    }

    /// Whether a wait came to its end: for a session, for a connection or for the resolver of a tenant.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::TooManyEngines { .. } => true,
            Self::Connect { source, .. } => matches!(**source, ConnectError::TimedOut { .. }),
            Self::Resolve { source, .. } => source.is::<NoAnswer>(),
            _ => false,
        }
    }

    /// Whether the same call may succeed a little later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::QueueFull { .. } | Self::TimedOut { .. } | Self::TooManyEngines { .. } => true,
            Self::Connect { source, .. } => source.is_transient(),
            Self::Resolve { source, .. } => source.is::<NoAnswer>(),
            _ => false,
        }
    }
}

/// A resolver took longer than the caller was willing to wait.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {}", humantime::format_duration(*after))]
pub(crate) struct NoAnswer {
    pub(crate) after: Duration,
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers there, or the network is in the way.
    #[error("the server cannot be reached")]
    Unreachable(#[source] DriverError),
    /// The server does not know the user, or the password is wrong.
    #[error("the server rejects the user or the password")]
    Authentication(#[source] DriverError),
    /// The credentials that the program looks for at each connection could not be had.
    #[error("the credentials could not be had")]
    Credentials(#[source] DriverError),
    /// The server, or the file system, has no such database.
    #[error("the database does not exist")]
    UnknownDatabase(#[source] DriverError),
    /// The server has as many connections as it takes.
    #[error("the server takes no more connections")]
    TooManyConnections(#[source] DriverError),
    /// The operating system has no open files, memory or threads left for another connection of this
    /// process.
    #[error("the operating system has no resources left for a connection")]
    Resources(#[source] DriverError),
    /// One side wants TLS, and the other cannot or will not; or the certificate of the server is not
    /// one that the settings accept.
    #[error("the server and the settings do not agree on TLS")]
    Tls(#[source] DriverError),
    /// No connection was ready in time.
    #[error("no connection was ready within {}", humantime::format_duration(*.after))]
    TimedOut {
        /// How long was waited: `connect_timeout`, or what was left of the caller's own time.
        after: Duration,
    },
    /// The connection stands, but a statement that prepares it failed.
    #[error("the statement `{statement}` that prepares a connection failed")]
    Setup {
        /// That statement, if it is one of the engine's own. One of `on_connect`, which may have a secret
        /// in it, goes by its place, counted from 0: `on_connect[1]` is the second.
        statement: String,
        /// What the server reported: for `on_connect` with `***` in place of what it repeats of the
        /// statement.
        #[source]
        source: DriverError,
    },
    /// Anything else.
    #[error("the connection could not be opened")]
    Other(#[source] DriverError),
}

impl ConnectError {
    /// Whether the same call may succeed a little later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::TooManyConnections(_)
                | Self::Resources(_)
                | Self::TimedOut { .. }
        )
    }
}

/// No settings name that bind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownBind {
    /// The key that was asked for; `***` if it is no key but looks like a URL, which may have a password in it.
    pub key: String,
    /// The keys that there are.
    pub known: Vec<BindKey>,
}

impl UnknownBind {
    pub(crate) fn new(key: &str, known: impl IntoIterator<Item = BindKey>) -> Self {
        // Whoever mistakes the key for a URL must not find its password in an error.
        let key = if key.contains([':', '@', '=']) { "***" } else { key };
        Self { key: key.to_owned(), known: known.into_iter().collect() }
    }

    /// Whether the settings have that bind, but with a database for each tenant in place of one.
    #[must_use]
    pub fn is_per_tenant(&self) -> bool {
        self.known.iter().any(|known| *known == *self.key)
    }

    /// The key that was most likely meant, if one is near enough to be a slip of the finger.
    #[must_use]
    pub fn nearest(&self) -> Option<&str> {
        nearest(&self.key, self.known.iter().map(BindKey::as_str))
    }
}

impl fmt::Display for UnknownBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_per_tenant() {
            return write!(
                f,
                "bind `{}` has a database for each tenant, and no engine of its own: go through \
                 `registry.tenant(..)`",
                self.key
            );
        }
        write!(f, "the settings have no bind `{}`; they have ", self.key)?;
        list(f, &self.known)?;
        match self.nearest() {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

impl StdError for UnknownBind {}

/// The program expects one backend behind a bind, and its URL names another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bind `{key}`: the program expects {expected}, but the settings give it a {found} URL")]
#[non_exhaustive]
pub struct WrongBackend {
    /// The bind key.
    pub key: BindKey,
    /// What the model, table or bind in the program says.
    pub expected: BackendKind,
    /// What the URL in the settings says.
    pub found: BackendKind,
}

/// Why an engine was not replaced. It goes on as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// No settings name that bind.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),
    /// The new settings name another backend.
    #[error(transparent)]
    WrongBackend(#[from] WrongBackend),
    /// The new settings are not usable.
    #[error("bind `{key}`: the engine cannot be replaced with these settings")]
    Settings {
        /// The bind key.
        key: BindKey,
        /// Every problem that they have.
        #[source]
        source: SettingsError,
    },
    /// The bind has one database and the new settings one for each tenant, or the other way round.
    #[error("bind `{key}`: {}", if *is_per_tenant {
        "it has a database for each tenant, and the new settings name none: write `{tenant}`"
    } else {
        "it has one database, and the new settings one for each tenant"
    })]
    Tenants {
        /// The bind key.
        key: BindKey,
        /// Whether the bind has a database for each tenant.
        is_per_tenant: bool,
    },
    /// The registry was closed.
    #[error("bind `{key}`: the registry is closed")]
    Closed {
        /// The bind key.
        key: BindKey,
    },
}

/// Why there is no registry for a test, see
/// [`Registry::test_isolation`](crate::Registry::test_isolation).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsolationError {
    /// There is no folder for the copies of SQLite databases.
    #[error("no folder could be made for copies of databases")]
    Folder {
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A SQLite database could not be copied.
    #[error("bind `{key}`: the database could not be copied")]
    Copy {
        /// The bind key.
        key: BindKey,
        /// Why not.
        #[source]
        source: DriverError,
    },
}

/// Everything that [`Registry::verify`](crate::Registry::verify) found wrong.
#[derive(Debug)]
pub struct VerifyError {
    pub(crate) failures: Vec<VerifyFailure>,
}

impl VerifyError {
    /// The failures, those of the program's models and tables first.
    #[must_use]
    pub fn failures(&self) -> &[VerifyFailure] {
        &self.failures
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.failures.len();
        write!(f, "{count} {} with the binds:", if count == 1 { "problem" } else { "problems" })?;
        for failure in &self.failures {
            // This error has no source of its own, so the causes are told here.
            write!(f, "\n  {}", Chain(failure))?;
        }
        Ok(())
    }
}

impl StdError for VerifyError {}

/// One thing that [`Registry::verify`](crate::Registry::verify) found wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyFailure {
    /// A model or table of the program is bound to a bind that no settings name.
    #[error("{item} ({place})")]
    UnknownBind {
        /// The model or table, such as "model app::Event".
        item: String,
        /// Its file and line.
        place: String,
        /// The key, and the keys that there are.
        #[source]
        source: UnknownBind,
    },
    /// A model or table of the program expects another backend than the bind's URL names.
    #[error("{item} ({place})")]
    WrongBackend {
        /// The model or table, such as "model app::Event".
        item: String,
        /// Its file and line.
        place: String,
        /// The two backends.
        #[source]
        source: WrongBackend,
    },
    /// No connection could be made.
    #[error(transparent)]
    Acquire(AcquireError),
    /// A connection was made, and does not answer.
    #[error("bind `{key}`: the connection does not answer")]
    Check {
        /// The bind key.
        key: BindKey,
        /// What happened to the check.
        #[source]
        source: DriverError,
    },
}

/// Why the migrations of a bind were not, or not all, run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// No settings name that bind.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),
    /// The program expects one backend behind that bind, and its URL names another.
    #[error(transparent)]
    WrongBackend(#[from] WrongBackend),
    /// The bind has a database for each tenant: migrate each, by
    /// [`Tenant::migrate`](crate::Tenant::migrate).
    #[error("bind `{key}` has a database for each tenant: migrate through `registry.tenant(..)`")]
    NoTenant {
        /// The bind key.
        key: BindKey,
    },
    /// In test isolation nothing is committed, migrations neither: run them before.
    #[error("bind `{key}`: migrations are run before test isolation, and not in it")]
    Isolated {
        /// The bind key.
        key: BindKey,
    },
    /// Migrations need a session of their own, which a pooler that gives each transaction another
    /// server connection does not give.
    #[error(
        "bind `{key}`: migrations cannot be run through its `pooler`: say `migrate_url`, the URL of the \
         server itself"
    )]
    Pooler {
        /// The bind key.
        key: BindKey,
    },
    /// The call was made outside a Tokio runtime.
    #[error("bind `{key}`: migrations can only be run inside a Tokio runtime")]
    NoRuntime {
        /// The bind key.
        key: BindKey,
    },
    /// No connection could be had to run them on.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The lock that keeps two processes from migrating at once could not be taken.
    #[error("bind `{key}`: the migration lock could not be taken")]
    Lock {
        /// The bind key.
        key: BindKey,
        /// Why not.
        #[source]
        source: DriverError,
    },
    /// What was run before, or what there is to run, could not be found out.
    #[error("bind `{key}`: the pending migrations could not be listed")]
    List {
        /// The bind key.
        key: BindKey,
        /// Why not.
        #[source]
        source: DriverError,
    },
    /// Two migrations of the source have one version, of which only one would ever be run. Nothing was run.
    ///
    /// The version is what stands before the first `_` in a migration's name, without `-`. On MySQL and MariaDB, where
    /// the table of versions takes them for the same, versions that differ in case alone are one version.
    #[error(
        "bind `{key}`: the migrations `{}` and `{}` have one version, `{version}`: nothing was run; give one of \
         them another",
        migrations[0], migrations[1]
    )]
    SameVersion {
        /// The bind key.
        key: BindKey,
        /// The version.
        version: String,
        /// The names of both, in alphabetical order.
        migrations: [String; 2],
    },
    /// A version is longer than the table of versions takes on PostgreSQL, MySQL and MariaDB, where its column is a
    /// `VARCHAR(50)`. Nothing was run.
    #[error(
        "bind `{key}`: the version of the migration `{migration}` has {} characters, and the table of versions \
         takes {limit}: nothing was run; the version is what stands before the first `_`",
        version.chars().count()
    )]
    VersionTooLong {
        /// The bind key.
        key: BindKey,
        /// The name of the migration.
        migration: Box<str>,
        /// The version.
        version: Box<str>,
        /// How many characters it may have.
        limit: usize,
    },
    /// A version was run on this database as a migration of another name: of another bind that shares the
    /// database, or one that had another name before. Nothing was run.
    #[error(
        "bind `{key}`: the migration `{migration}` has the version `{version}`, and this database has run \
         `{applied_as}` of bind `{applied_by}` as that version: nothing was run; {}",
        if *key == **applied_by {
            "if it is the same migration, give it its name back, and else another version"
        } else {
            "give one of them another version"
        }
    )]
    VersionTaken {
        /// The bind key.
        key: BindKey,
        /// The version.
        version: Box<str>,
        /// The name of the migration that has it in the program.
        migration: Box<str>,
        /// The name of the migration that was run.
        applied_as: Box<str>,
        /// The key of the bind that ran it.
        applied_by: Box<str>,
    },
    /// A migration failed. Those before it were run and stay.
    #[error(
        "bind `{key}`: the migration `{migration}` failed, after {} had been run{}",
        applied.len(),
        if *in_part { "; a part of it may have been applied, and stays" } else { "" }
    )]
    Migration {
        /// The bind key.
        key: BindKey,
        /// The name of the migration that failed.
        migration: String,
        /// The names of those that were run before it, by this call.
        applied: Vec<String>,
        /// Whether a part of it may have been applied to stay: it has committed something, as DDL does on MySQL and
        /// MariaDB, has changed a table of theirs that knows no transactions (MyISAM, Aria, MEMORY), has ended its
        /// transaction by itself, was not to run in one, or the connection broke as it was committed.
        in_part: bool,
        /// What the database reported.
        #[source]
        source: DriverError,
    },
    /// A migration, or what lists them, panicked. The transaction of that migration was rolled back. Those before it were
    /// run and stay.
    #[error("bind `{key}`: the migrations panicked")]
    Panicked {
        /// The bind key.
        key: BindKey,
        /// The name of the migration that panicked, if it was one.
        migration: Option<String>,
        /// The names of those that were run before it, by this call.
        applied: Vec<String>,
    },
}

/// Says how many sessions the task has itself, if it has any.
struct Own(u32);

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            own => write!(f, "; the task that waits holds {own} of them itself"),
        }
    }
}

/// Shows an error with all its causes, in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Writes `a`, `b` and `c`, or that there is none.
pub(crate) fn list(f: &mut fmt::Formatter<'_>, keys: &[BindKey]) -> fmt::Result {
    if keys.is_empty() {
        return f.write_str("none");
    }
    for (at, key) in keys.iter().enumerate() {
        let before = match at {
            0 => "",
            _ if at + 1 == keys.len() => " and ",
            _ => ", ",
        };
        write!(f, "{before}`{key}`")?;
    }
    Ok(())
}
