//! How a change to migrations waits.

use std::time::Duration;

/// How a change to migrations waits, and for how long it may run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MigrateOptions {
    /// How long a statement of a migration waits for a lock.
    pub(crate) lock_timeout: Option<Duration>,
    /// How often a migration that has waited so long is run again. `None` is the default of the time-out.
    pub(crate) lock_retries: Option<u32>,
    /// How long the change may take.
    pub(crate) time_limit: Option<Duration>,
}
