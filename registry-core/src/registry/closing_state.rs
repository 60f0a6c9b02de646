//! Whether a registry is closed, and which callers have not noticed it yet.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::engine::Caller;
use crate::latch::Latch;
use crate::settings::BindKey;

/// Numbers of sessions by bind key.
pub(super) type SessionCounts = Mutex<Vec<(BindKey, u32)>>;

pub(super) fn add_count(counts: &mut Vec<(BindKey, u32)>, key: BindKey, count: u32) {
    match counts.iter_mut().find(|(other, _)| *other == key) {
        Some((_, sum)) => *sum += count,
        None => counts.push((key, count)),
    }
}

/// Whether a registry is closed, and which callers are still opening an engine because they have not noticed it yet.
#[derive(Debug, Default)]
pub(super) struct ClosingState {
    begun: Latch,
    /// The callers that wait until an engine is opened, which includes the wait for a resolver or for room. One entry
    /// for each wait.
    opening: Mutex<Vec<(BindKey, Caller)>>,
    /// Notified when a caller has left `opening` after the registry was closed.
    left_opening: Notify,
}

impl ClosingState {
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_set()
    }

    pub(super) fn begin(&self) {
        self.begun.set();
    }

    /// Waits until the registry is closed.
    #[cfg(feature = "dashboard")]
    pub(super) async fn begun(&self) {
        self.begun.wait().await;
    }

    /// Runs `work`, which opens an engine for the bind `key`. If the registry is closed first, `work` is dropped and
    /// the result is `None`.
    pub(super) async fn unless_closed<T>(
        &self,
        key: BindKey,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let _opening = OpeningGuard::new(self, key);
        self.begun.unless_set(work).await
    }

    /// Waits until all callers that were opening an engine have noticed that the registry is closed.
    ///
    /// Futures of the calling task that it does not poll cannot notice, while the task waits here. If only such futures
    /// are left, and no caller has left for `inactivity_limit`, they are added to `held_by_caller` and not waited for.
    pub(super) async fn all_openers_left(
        &self,
        held_by_caller: &SessionCounts,
        inactivity_limit: Duration,
    ) {
        let caller = Caller::current();
        loop {
            let left = self.left_opening.notified();
            tokio::pin!(left);
            // Registered before `opening` is read, so that no caller who leaves after the read is missed.
            left.as_mut().enable();
            if self.opening().is_empty() {
                return;
            }
            if timeout(inactivity_limit, left).await.is_ok() {
                continue;
            }
            let opening = self.opening();
            if opening.iter().all(|(_, opener)| *opener == caller) {
                let mut held = held_by_caller.lock().unwrap_or_else(PoisonError::into_inner);
                opening.iter().for_each(|(key, _)| add_count(&mut held, *key, 1));
                return;
            }
        }
    }

    pub(super) fn opening(&self) -> MutexGuard<'_, Vec<(BindKey, Caller)>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry in [`ClosingState::opening`], removed when this is dropped.
struct OpeningGuard<'a> {
    closing: &'a ClosingState,
    key: BindKey,
    caller: Caller,
}

impl<'a> OpeningGuard<'a> {
    fn new(closing: &'a ClosingState, key: BindKey) -> Self {
        let caller = Caller::current();
        closing.opening().push((key, caller));
        Self { closing, key, caller }
    }
}

impl Drop for OpeningGuard<'_> {
    fn drop(&mut self) {
        let mut opening = self.closing.opening();
        if let Some(at) = opening.iter().position(|other| *other == (self.key, self.caller)) {
            opening.swap_remove(at);
        }
        drop(opening);
        if self.closing.has_begun() {
            self.closing.left_opening.notify_waiters();
        }
    }
}
