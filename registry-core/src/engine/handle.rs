//! What the rest of the crate has of an engine: [`Engine`] for users, [`AnyEngine`] where the connection type is not known.

use std::any::Any;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::error::AcquireError;
use super::observe::status::EngineStatus;
use super::use_count::UseCount;
use crate::cause::DriverError;
use crate::settings::{BackendKind, DatabaseUrl, EngineOptions, EngineSettings};

/// A handle to what stands behind a bind at run time: its URL, its options and its pool.
///
/// Two handles to one engine are equal. Two engines never are, even with equal URLs. A handle keeps
/// its engine alive, and nothing more: [`Registry::close`](crate::Registry::close) closes it all
/// the same.
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

    /// The URL. It shows itself without its password.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &self.0.settings().url
    }

    /// The kind of database that the URL names.
    #[must_use]
    pub fn backend(&self) -> BackendKind {
        self.url().backend()
    }

    /// The options in force: the bind's own, over those for every engine, over the defaults.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.0.settings().options
    }

    /// How the engine is doing at this moment.
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

/// An engine purpose connection type is not known.
pub(crate) trait AnyEngine: Any + Send + Sync {
    fn settings(&self) -> &EngineSettings;

    fn status(&self) -> EngineStatus;

    /// Acquires a session, and asks the database for an answer.
    fn check(
        self: Arc<Self>,
        within: Option<Duration>,
    ) -> BoxFuture<'static, Result<(), CheckFailure>>;

    /// Copies a SQLite database to a file that is not there yet.
    fn copy_to(self: Arc<Self>, file: &Path) -> BoxFuture<'static, Result<(), CheckFailure>>;

    /// Refuses sessions from now on, to those who wait as well, and closes idle connections.
    fn begin_close(&self);

    /// Waits until no session is lent.
    fn all_returned(self: Arc<Self>) -> BoxFuture<'static, ()>;

    /// How many connections are lent, or on their way to be.
    fn checkout_count(&self) -> u32;

    /// Who uses it.
    fn use_count(&self) -> &UseCount;

    /// Whether the calling task has a session of this engine, other than for a query that runs.
    fn is_held_by_caller(&self) -> bool;

    /// What the calling task has of this engine and is not at work with.
    fn idle_holdings_of_caller(&self) -> IdleHoldings;

    /// Whether the calling task has a unit of work with a transaction on this engine.
    fn has_unit_of_work_of_caller(&self) -> bool;

    /// Whether a task, a [`Caller`](Caller) by its number, is at a statement of a unit of work.
    fn runs_work_statement(&self, task: u64) -> bool;
}

/// What a task has of an engine and is not at work with: whoever waits for that in this task may wait for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct IdleHoldings {
    /// How many sessions, units of work and streams of rows.
    pub(crate) sessions: u32,
    /// How many statements were begun on them.
    pub(crate) statements: u64,
}

/// Why an engine could not be checked, or its database not be copied.
pub(crate) enum CheckFailure {
    Acquire(AcquireError),
    Check(DriverError),
}

impl From<AcquireError> for CheckFailure {
    fn from(error: AcquireError) -> Self {
        Self::Acquire(error)
    }
}
