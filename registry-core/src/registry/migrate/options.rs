//! How a change to migrations waits, and for how long it may run.

use std::time::Duration;

use tokio::time::Instant;

use super::known::MigrationsDigest;
use crate::backend::migrate::Stop;

/// How a change to migrations waits, and for how long it may run.
#[derive(Debug, Clone, Default)]
pub(crate) struct MigrateOptions {
    /// How long a statement of a migration waits for a lock.
    pub(crate) lock_timeout: Option<Duration>,
    /// How often a migration that has waited so long is run again. `None` is the default.
    pub(crate) lock_retries: Option<u32>,
    /// How long the change may take.
    pub(crate) time_limit: Option<Duration>,
    /// The migrations that the source has to list. A run over all tenants notes that a tenant has them, so a source that
    /// lists others in the course of the run is an error.
    pub(crate) expected: Option<MigrationsDigest>,
    /// Ends the change before its next migration, with [`MigrateError::Stopped`](super::MigrateError::Stopped).
    pub(crate) stop: Stop,
}

/// The retries if there is a `lock_timeout`. Without one, a statement waits until it has its lock.
const LOCK_RETRIES: u32 = 10;

impl MigrateOptions {
    pub(super) fn lock_retries(&self) -> u32 {
        self.lock_retries.unwrap_or(match self.lock_timeout {
            Some(_) => LOCK_RETRIES,
            None => 0,
        })
    }

    /// When a change that begins now has to end. `None` also for a limit that is too far away to be reached.
    pub(super) fn end(&self) -> Option<Instant> {
        self.time_limit.and_then(|limit| Instant::now().checked_add(limit))
    }
}
