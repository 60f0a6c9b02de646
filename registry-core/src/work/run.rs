//! Running a closure with a unit of work, and running it again after a transient failure.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::sleep;

use super::error::WorkError;
use super::session_factory::SessionFactory;
use super::unit_of_work::{CallSite, UnitOfWork};
use crate::async_func::AsyncFunc;
use crate::error::Error;
use crate::settings::WorkOptions;

/// The upper bound of the pause before the first retry. It doubles with each further retry.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The upper bound of the pause before any retry.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A failed run.
struct RunFailure<E> {
    error: E,
    /// Whether every bind is rolled back and the failure was transient.
    is_retryable: bool,
}

/// Runs `work` until it succeeds, fails for a reason that is not transient, or reaches the limit of retries.
pub(super) async fn run_with_retries<T, E, F>(
    sessions: SessionFactory,
    options: WorkOptions,
    begun_at: CallSite,
    work: F,
) -> Result<T, E>
where
    for<'w> F: AsyncFnOnce(&'w mut UnitOfWork) -> Result<T, E>
        + AsyncFunc<&'w mut UnitOfWork, Result<T, E>, Fut: Send>
        + Clone
        + Send,
    E: From<Error> + Send,
    T: Send,
{
    let known = options.check_keys(sessions.registry().bind_keys());
    known.map_err(|wrong_keys| E::from(WorkError::Keys(wrong_keys).into()))?;
    let mut pause = FIRST_PAUSE;
    for _ in 0..options.retry_limit() {
        let unit = UnitOfWork::new(sessions.clone(), options.clone(), begun_at);
        match unit.run_once(work.clone()).await {
            Err(RunFailure { is_retryable: true, .. }) => {}
            outcome => return outcome.map_err(|failure| failure.error),
        }
        // "Full jitter": conflicting callers do not retry at the same time.
        sleep(pause.mul_f64(random_fraction())).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
    UnitOfWork::new(sessions, options, begun_at).run(work).await
}

impl UnitOfWork {
    /// Runs `work`, and commits or rolls back.
    pub(super) async fn run<T, E, F>(self, work: F) -> Result<T, E>
    where
        for<'w> F: AsyncFnOnce(&'w mut UnitOfWork) -> Result<T, E>
            + AsyncFunc<&'w mut UnitOfWork, Result<T, E>, Fut: Send>
            + Send,
        E: From<Error> + Send,
        T: Send,
    {
        self.run_once(work).await.map_err(|failure| failure.error)
    }

    async fn run_once<T, E, F>(mut self, work: F) -> Result<T, RunFailure<E>>
    where
        for<'w> F: AsyncFnOnce(&'w mut UnitOfWork) -> Result<T, E>
            + AsyncFunc<&'w mut UnitOfWork, Result<T, E>, Fut: Send>
            + Send,
        E: From<Error> + Send,
        T: Send,
    {
        let writer = self.writer;
        match writer.run(work(&mut self)).await {
            Ok(value) => match self.commit().await {
                Ok(_) => Ok(value),
                Err(error) => {
                    let is_retryable = error.is_transient();
                    Err(RunFailure { error: E::from(error.into()), is_retryable })
                }
            },
            Err(error) => {
                // Before the rollback, because the server discards the details of the failure in the rollback.
                let has_failed_transiently = self.has_failed_transiently().await;
                let is_undone = self.roll_back_after_error().await;
                Err(RunFailure { error, is_retryable: has_failed_transiently && is_undone })
            }
        }
    }

    /// Rolls back after an error of `work`. The caller returns that error, so an error of the rollback is only logged.
    /// Returns whether all changes are undone.
    async fn roll_back_after_error(self) -> bool {
        match self.rollback().await {
            Err(WorkError::Ended { key }) => {
                tracing::warn!(
                    target: "registry",
                    bind = %key,
                    "not rolled back: a statement of the program has ended the transaction, and what was done before it may \
                     be committed"
                );
                false
            }
            // The connection of a participant that did not confirm the rollback is closed, and its server rolls back when
            // it notices the disconnect.
            Ok(()) | Err(WorkError::NotTold { .. }) => true,
            Err(_) => false,
        }
    }
}

/// A random number from 0 to 1.
fn random_fraction() -> f64 {
    let random = RandomState::new().hash_one(0_u8);
    random as f64 / u64::MAX as f64
}
