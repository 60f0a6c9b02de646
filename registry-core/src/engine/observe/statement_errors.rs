//! The record of the errors of a connection's statements. The consequences of the errors are in
//! [`error_consequences`](super::error_consequences).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use diesel::result::Error;

use crate::backend::error_class::LastError;
use crate::backend::observed::ERRORS_KEPT;
use crate::sql::Dialect;

/// The record of the errors of a connection's statements.
#[derive(Debug, Default)]
pub(super) struct StatementErrors {
    /// Whether no statement can be expected to succeed on the connection any more.
    pub(super) is_broken: AtomicBool,
    /// Whether a statement failed with an error whose code the driver does not pass on.
    pub(super) has_unclassified_error: AtomicBool,
    /// The most recent errors that were returned, the newest at the end.
    last_errors: Mutex<VecDeque<LastError>>,
    /// Whether the last statement has failed.
    pub(super) has_just_failed: AtomicBool,
    /// Whether a statement failed with a transient error since the unit of work began.
    pub(super) has_transient_failure: AtomicBool,
    /// Whether a write was refused while the server still reported that it accepts writes.
    pub(super) has_refused_write: AtomicBool,
}

impl StatementErrors {
    /// Records whether the last statement has failed.
    pub(super) fn note_outcome(&self, has_failed: bool) {
        self.has_just_failed.store(has_failed, Ordering::Relaxed);
    }

    /// The most recent errors, the newest at the end.
    pub(super) fn last_errors(&self) -> MutexGuard<'_, VecDeque<LastError>> {
        self.last_errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an error. If the record is full, the error replaces the oldest one.
    pub(super) fn remember(&self, error: LastError) {
        let mut last_errors = self.last_errors();
        if last_errors.len() == ERRORS_KEPT {
            last_errors.pop_front();
        }
        last_errors.push_back(error);
    }
}

/// The backend's rules for reading statements and errors.
#[derive(Clone, Copy)]
pub(in crate::engine) struct BackendRules {
    pub(in crate::engine) dialect: Dialect,
    /// Whether the driver always knows if a transaction is open.
    pub(in crate::engine) knows_transactions: bool,
    /// Whether an error means that the connection is gone.
    pub(in crate::engine) is_fatal: fn(&Error) -> bool,
    /// Whether the text of an error means that the client has cached a type that no longer exists.
    pub(in crate::engine) is_stale_type: fn(&Error) -> bool,
    /// Whether the engine is not `read_only`, so that a server which refuses writes is the wrong server.
    pub(in crate::engine) expects_writes: bool,
}
