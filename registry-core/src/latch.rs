//! An event that happens once, and that any number of tasks can wait for.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// An event that happens once, and stays so.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    has_happened: AtomicBool,
    happened: Notify,
}

impl Latch {
    pub(crate) fn set(&self) {
        self.has_happened.store(true, Ordering::SeqCst);
        self.happened.notify_waiters();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.has_happened.load(Ordering::SeqCst)
    }

    pub(crate) async fn wait(&self) {
        while !self.is_set() {
            let happened = self.happened.notified();
            tokio::pin!(happened);
            // Registered before the check, so that an event in between is not missed.
            happened.as_mut().enable();
            if self.is_set() {
                return;
            }
            happened.await;
        }
    }

    /// The result of `work`, or `None` if the event happens first. `work` is dropped then.
    pub(crate) async fn unless_set<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        use futures_util::future::{Either, select};

        let (happened, work) = (std::pin::pin!(self.wait()), std::pin::pin!(work));
        match select(happened, work).await {
            Either::Left(_) => None,
            Either::Right((outcome, _)) => Some(outcome),
        }
    }
}
