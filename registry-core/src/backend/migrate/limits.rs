//! How long the migrations of a change wait for locks, and how long the change may take.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use crate::backend::connect_context::Canceller;
use crate::backend::observed::Observed;

/// How long the migrations of a change wait for locks, and how long the change may take.
#[derive(Debug, Default)]
pub struct Limits {
    /// How long a statement waits for a lock. `None` leaves the setting of the session.
    pub lock_timeout: Option<Duration>,
    /// How often a migration that has waited so long is run again, if nothing of it has stayed.
    pub lock_retries: u32,
    /// The end of the change.
    pub time_limit: Option<Arc<TimeLimit>>,
    /// Ends the change before its next migration.
    pub stop: Stop,
    /// What the server has reported on the connection.
    pub observed: Arc<Observed>,
}

/// Ends a change in order once it is requested: a migration that runs comes to its end, and none is begun. Clones are one
/// request.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    #[cfg(feature = "cli")]
    pub(crate) fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The pause before the first repetition. Each pause is twice as long as the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl Limits {
    /// Until it is dropped, statements are cancelled once the time limit has expired.
    pub(super) fn running(&self) -> Option<Running<'_>> {
        self.time_limit.as_ref().map(|limit| limit.running())
    }

    /// Does something in which statements are cancelled once the time limit has expired.
    pub(super) fn while_running<T>(&self, work: impl FnOnce() -> T) -> T {
        let _running = self.running();
        work()
    }

    pub(super) fn has_expired(&self) -> bool {
        self.time_limit.as_ref().is_some_and(|limit| limit.has_expired())
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_requested()
    }

    /// Waits before the next try, in which other sessions get the locks that the migration waits for. False if the change
    /// has ended or is stopped meanwhile.
    pub(super) fn pause(&self, tries: u32) -> bool {
        // Random, so that several processes whose migrations wait for each other's locks do not stay in step.
        let random = RandomState::new().hash_one(tries) as f64 / u64::MAX as f64;
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
        let until = Instant::now() + pause.min(LONGEST_PAUSE).mul_f64(0.5 + random / 2.0);
        let end = self.time_limit.as_ref().map(|limit| limit.until);
        let until = end.map_or(until, |end| end.min(until));
        Handle::current().block_on(tokio::time::sleep_until(until));
        !self.has_expired() && !self.is_stopped()
    }
}

/// The end of a change: the statement that runs then is cancelled.
pub struct TimeLimit {
    until: Instant,
    /// Cancels the statement that runs. `None` if the backend cannot.
    cancel: Option<Canceller>,
    /// Whether a migration is running. A statement of the registry's own, such as a rollback, is not cancelled.
    is_running: Mutex<bool>,
}

/// How long after a cancellation the next one is sent, if the migration still runs.
const BETWEEN_CANCELLATIONS: Duration = Duration::from_secs(1);

/// How long a cancellation may take, which connects to the server.
const CANCELLATION_LIMIT: Duration = Duration::from_secs(5);

impl TimeLimit {
    pub(crate) fn new(until: Instant, cancel: Option<Canceller>) -> Self {
        Self { until, cancel, is_running: Mutex::new(false) }
    }

    /// Cancels the statements of migrations from the end of the time limit on, until the future is dropped.
    pub(crate) async fn enforce(&self) {
        let Some(cancel) = &self.cancel else { return };
        tokio::time::sleep_until(self.until).await;
        loop {
            let is_running = self.is_running.lock().await;
            if *is_running {
                // The migration waits for the cancellation before it goes on.
                let _ = timeout(CANCELLATION_LIMIT, cancel()).await;
            }
            drop(is_running);
            tokio::time::sleep(BETWEEN_CANCELLATIONS).await;
        }
    }

    pub(super) fn has_expired(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Marks that a migration is running, until the value is dropped.
    fn running(&self) -> Running<'_> {
        *self.state() = true;
        Running(self)
    }

    /// Waits for a cancellation that is being sent.
    fn state(&self) -> MutexGuard<'_, bool> {
        Handle::current().block_on(self.is_running.lock())
    }
}

impl std::fmt::Debug for TimeLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimeLimit").field("until", &self.until).finish_non_exhaustive()
    }
}

/// A migration that is running.
pub(super) struct Running<'a>(&'a TimeLimit);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.state() = false;
    }
}
