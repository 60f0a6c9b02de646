//! The handles to an engine: [`Engine`] for users, and [`AnyEngine`] for code of this crate that does not know the
//! connection type.

use std::any::Any;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::checked_migrations::CheckedMigrations;
use super::error::AcquireError;
use super::observe::status::EngineStatus;
use super::reading::ReplicaCheck;
use super::use_count::UseCount;
use crate::backend::position::Position;
use crate::cause::DriverError;
use crate::settings::{BackendKind, DatabaseUrl, EngineOptions, EngineSettings};

/// A handle to an engine: the URL, the options and the connection pool of one database.
///
/// [`Registry::engine`](crate::Registry::engine) and [`Registry::engine_for`](crate::Registry::engine_for) return it.
/// Two handles are equal if they are of one engine; two engines are never equal, even with equal URLs. A handle keeps
/// its engine in memory, but not open: [`Registry::close`](crate::Registry::close) closes it all the same.
///
/// ```
/// use registry_core::{BackendKind, Registry};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// let engine = registry.engine("default")?;
/// assert_eq!(engine.key(), "default");
/// assert_eq!(engine.backend(), BackendKind::Sqlite);
///
/// let status = engine.status();
/// assert_eq!((status.in_use, status.idle, status.waiting), (0, 0, 0), "it has not connected yet");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine(Arc<dyn AnyEngine>);

impl Engine {
    pub(crate) fn new(engine: Arc<dyn AnyEngine>) -> Self {
        Self(engine)
    }

    /// The bind key: the name of the database in the settings.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.settings().key
    }

    /// The URL. Its `Display` and `Debug` leave the password out.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &self.0.settings().url
    }

    /// The kind of database that the URL names.
    #[must_use]
    pub fn backend(&self) -> BackendKind {
        self.url().backend()
    }

    /// The options in force: the options of the bind, or else the options for every engine, or else the defaults.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.0.settings().options
    }

    /// A snapshot of the engine: its connections, the callers that wait, and its counters. It waits for nothing.
    #[must_use]
    pub fn status(&self) -> EngineStatus {
        self.0.status()
    }
}

impl PartialEq for Engine {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Engine {}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("key", &self.key())
            .field("url", self.url())
            .finish_non_exhaustive()
    }
}

/// An engine whose connection type is not known. [`TypedEngine`](super::typed::TypedEngine) implements it.
pub(crate) trait AnyEngine: Any + Send + Sync {
    fn settings(&self) -> &EngineSettings;

    fn status(&self) -> EngineStatus;

    /// Acquires a session and runs a statement that checks whether the database answers. The acquire waits for at most
    /// `wait_limit`, or `acquire_timeout` if that is `None`.
    fn check(
        self: Arc<Self>,
        wait_limit: Option<Duration>,
    ) -> BoxFuture<'static, Result<(), CheckFailure>>;

    /// Asks the primary for its position in the log: whatever was committed before is at or before it. `None` if it tells
    /// none, or is no primary. The acquire waits for at most `wait_limit`, or `acquire_timeout` if that is `None`.
    fn ask_position(
        self: Arc<Self>,
        wait_limit: Option<Duration>,
    ) -> BoxFuture<'static, Result<Option<Position>, CheckFailure>>;

    /// Connects to each replica of the bind, and asks whether it is one. Each of them has `limit` for its answer.
    fn check_replicas(
        self: Arc<Self>,
        limit: Option<Duration>,
    ) -> BoxFuture<'static, Vec<ReplicaCheck>>;

    /// Copies a SQLite database into a file that does not exist yet.
    fn copy_to(self: Arc<Self>, file: &Path) -> BoxFuture<'static, Result<(), CheckFailure>>;

    /// Refuses all callers from now on, including callers that already wait, and closes the idle connections.
    fn begin_close(&self);

    /// Waits until every session has been returned, and the drivers have sent the termination messages to the server.
    fn all_returned(self: Arc<Self>) -> BoxFuture<'static, ()>;

    /// How many connections are checked out, or about to be.
    fn checkout_count(&self) -> u32;

    fn use_count(&self) -> &UseCount;

    /// Counts that the engine was asked for and found open, if it was opened on demand.
    fn note_hit(&self);

    /// Which migrations were found to be complete.
    fn checked_migrations(&self) -> &CheckedMigrations;

    /// Whether the calling task holds a session or a unit of work of this engine. A running query does not count.
    fn is_held_by_caller(&self) -> bool;

    /// The sessions of this engine that the calling task holds without using them.
    fn idle_holdings_of_caller(&self) -> IdleHoldings;

    /// Whether the calling task has a unit of work with a transaction on this engine.
    fn has_unit_of_work_of_caller(&self) -> bool;

    /// Whether a task runs a statement of a unit of work. `task` is the number of its
    /// [`Caller`](super::observe::caller::Caller).
    fn runs_work_statement(&self, task: u64) -> bool;
}

/// The sessions of an engine that a task holds without using them. A task that waits for their return waits for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct IdleHoldings {
    /// The number of idle sessions, units of work, streams of rows, and acquires that are not being polled.
    pub(crate) sessions: u32,
    /// The number of statements that were begun on them. If this number grows, the task makes progress.
    pub(crate) statements: u64,
}

/// Why a [`check`](AnyEngine::check) or a [`copy`](AnyEngine::copy_to) failed.
pub(crate) enum CheckFailure {
    /// No session could be acquired.
    Acquire(AcquireError),
    /// The statement failed.
    Check(DriverError),
}

impl From<AcquireError> for CheckFailure {
    fn from(error: AcquireError) -> Self {
        Self::Acquire(error)
    }
}
