//! The state of a stream: the statements in flight, whether the stream is closed, and its host.

#[cfg(any(feature = "postgres", feature = "mysql"))]
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::Notify;

#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::Observed;
use crate::latch::Latch;

/// The observed stream of one connection.
#[derive(Debug, Default)]
pub(crate) struct ObservedStream {
    /// The number of statements that were sent and whose end the server has not reported.
    in_flight: AtomicU32,
    /// Wakes [`ObservedStream::all_answered`].
    answered: Notify,
    is_gone: AtomicBool,
    /// Whether something may have been sent since [`ObservedStream::note_nothing_sent`].
    has_sent: AtomicBool,
    /// Whether there is a [`TerminationGuard`].
    has_termination_guard: AtomicBool,
    terminated: Latch,
    host: OnceLock<String>,
}

/// Stored with a stream until `Terminate` or `COM_QUIT` was sent to the server and the stream is closed. Dropping the guard
/// reports that both have happened.
#[cfg(any(feature = "postgres", feature = "mysql"))]
#[derive(Debug)]
pub(in crate::backend) struct TerminationGuard(Arc<Observed>);

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl TerminationGuard {
    pub(in crate::backend) fn new(observed: &Arc<Observed>) -> Self {
        observed.stream.has_termination_guard.store(true, Ordering::Relaxed);
        Self(Arc::clone(observed))
    }
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl Drop for TerminationGuard {
    fn drop(&mut self) {
        self.0.stream.terminated.set();
    }
}

impl ObservedStream {
    /// Whether the server has not yet reported the end of a statement. False if the stream is not read.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Waits until the server has reported the end of each statement that was sent, or the stream is closed.
    pub(crate) async fn all_answered(&self) {
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            // Registered before the check, so that an answer in between is not missed.
            answered.as_mut().enable();
            if !self.is_in_flight() || self.is_gone() {
                return;
            }
            answered.await;
        }
    }

    #[cfg(feature = "postgres")]
    pub(in crate::backend) fn note_sent(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "postgres")]
    pub(in crate::backend) fn note_answered(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.answered.notify_waiters();
    }

    /// From now on, [`has_sent`](Self::has_sent) is about what is sent from now on.
    pub(crate) fn note_nothing_sent(&self) {
        self.has_sent.store(false, Ordering::Relaxed);
    }

    /// Whether bytes may have been sent to the server since [`note_nothing_sent`](Self::note_nothing_sent). If the stream
    /// is not read, the answer is unknown and this returns false.
    pub(crate) fn has_sent(&self) -> bool {
        self.has_sent.load(Ordering::Relaxed)
    }

    /// Bytes are about to be handed to the operating system. How many of them it takes is not known if that fails.
    #[cfg(feature = "postgres")]
    pub(in crate::backend) fn note_sending(&self) {
        self.has_sent.store(true, Ordering::Relaxed);
    }

    /// Whether the stream is closed. False if the stream is not read.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    #[cfg(feature = "postgres")]
    pub(in crate::backend) fn note_gone(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.answered.notify_waiters();
    }

    /// Waits until the termination message was sent to the server and the stream is closed. Returns at once if the stream
    /// has no [`TerminationGuard`].
    pub(crate) async fn terminated(&self) {
        if self.has_termination_guard.load(Ordering::Relaxed) {
            self.terminated.wait().await;
        }
    }

    /// The host of the connection, by the name under which failed hosts are recorded.
    pub(crate) fn host(&self) -> Option<&str> {
        self.host.get().map(String::as_str)
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(in crate::backend) fn note_host(&self, host: String) {
        // A connection is opened once.
        let _ = self.host.set(host);
    }
}
