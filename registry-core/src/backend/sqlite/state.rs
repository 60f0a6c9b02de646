//! The state that a connection and its jobs share.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use diesel::result::{DatabaseErrorKind, Error};

use crate::backend::observed::Observed;
use crate::panicked::panic_message;

/// The state that a connection and its jobs share.
#[derive(Default)]
pub(super) struct State {
    /// The number of pending jobs: sent, and neither done nor given up. A job that waits for a reader is not counted.
    pub(super) jobs: AtomicU32,
    pub(super) has_transaction: AtomicBool,
    /// The place where the ends of transactions are recorded.
    pub(super) observed: Arc<Observed>,
    pub(super) has_ended: AtomicBool,
    pub(super) panic: OnceLock<String>,
}

/// Counts a job until it is done or given up.
pub(super) struct JobGuard(Arc<State>);

impl JobGuard {
    pub(super) fn new(state: &Arc<State>) -> Self {
        state.jobs.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(state))
    }
}

impl Drop for JobGuard {
    fn drop(&mut self) {
        self.0.jobs.fetch_sub(1, Ordering::AcqRel);
    }
}

impl State {
    /// Records that no job will ever run again.
    pub(super) fn note_ended(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    pub(super) fn note_panic(&self, payload: &(dyn Any + Send)) {
        // The first one has closed the connection.
        let _ = self.panic.set(panic_message(payload).to_owned());
    }

    pub(super) fn why_closed(&self) -> Error {
        let message = match self.panic.get() {
            Some(text) => {
                format!("the connection is closed, as code that ran on it panicked: {text}")
            }
            None => "the connection is closed".to_owned(),
        };
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(message))
    }
}
