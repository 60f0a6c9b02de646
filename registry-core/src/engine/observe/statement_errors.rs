//! What is remembered of the errors of a connection's statements. What follows from them is in
//! [`error_consequences`](super::error_consequences).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use diesel::result::Error;

use crate::backend::error_class::LastError;
use crate::backend::observed::ERRORS_KEPT;
use crate::sql::Dialect;

/// What the errors of a connection's statements meant.
#[derive(Debug, Default)]
pub(super) struct StatementErrors {
    /// Whether no statement can be expected to succeed on the connection any more.
    pub(super) is_broken: AtomicBool,
    /// Whether a statement failed for a reason that the driver does not pass on.
    pub(super) has_unclassified_error: AtomicBool,
    /// The last errors that were returned, the newest at the end.
    last_errors: Mutex<VecDeque<LastError>>,
    /// Whether the last statement has failed.
    pub(super) has_just_failed: AtomicBool,
    /// Whether a statement failed with a transient error since the unit of work began.
    pub(super) has_transient_failure: AtomicBool,
}

impl StatementErrors {
    /// Notes whether the last statement has failed.
    pub(super) fn note_outcome(&self, has_failed: bool) {
        self.has_just_failed.store(has_failed, Ordering::Relaxed);
    }

    /// The last errors, the newest at the end.
    pub(super) fn last_errors(&self) -> MutexGuard<'_, VecDeque<LastError>> {
        self.last_errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an error, in place of the oldest if there are as many as are kept.
    pub(super) fn remember(&self, error: LastError) {
        let mut last_errors = self.last_errors();
        if last_errors.len() == ERRORS_KEPT {
            last_errors.pop_front();
        }
        last_errors.push_back(error);
    }
}

/// How the statements and errors of a backend are read.
#[derive(Clone, Copy)]
pub(in crate::engine) struct BackendRules {
    pub(in crate::engine) dialect: Dialect,
    /// Whether the driver knows at any time whether a transaction is open.
    pub(in crate::engine) knows_transactions: bool,
    /// Whether a statement failed with an error because its connection is gone.
    pub(in crate::engine) is_fatal: fn(&Error) -> bool,
    /// Whether the engine is not `read_only`: then a server that refuses writes is the wrong one.
    pub(in crate::engine) expects_writes: bool,
}
