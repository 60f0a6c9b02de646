//! The consequences of the errors of a connection's statements: for the connection itself, for the other connections of
//! its engine, and for the errors that were returned to the program.

use std::sync::atomic::Ordering;

use diesel::result::{DatabaseErrorKind, Error};

use super::statement_errors::BackendRules;
use super::watch::ConnectionWatch;
use crate::backend::error_class::{Diagnosis, ErrorClass, LastError, is_transient};
use crate::backend::observed::TransactionDoubts;

impl ConnectionWatch {
    /// Records that the server refuses writes, though the engine is not `read_only`. The connection is not lent again, and
    /// its host is tried after the other hosts.
    pub(in crate::engine) fn note_read_only_server(&self) {
        self.errors.is_broken.store(true, Ordering::Relaxed);
        self.invalidations.invalidate_roles();
        if let Some(host) = self.observed.stream.host() {
            self.invalidations.hosts.add(host.to_owned());
        }
    }

    /// Whether no statement can be expected to succeed on the connection any more.
    pub(in crate::engine) fn is_broken(&self) -> bool {
        self.errors.is_broken.load(Ordering::Relaxed)
    }

    /// Whether a statement failed for a reason that only the server can tell.
    pub(in crate::engine) fn has_unclassified_error(&self) -> bool {
        self.errors.has_unclassified_error.load(Ordering::Relaxed)
    }

    pub(in crate::engine) fn forget_transient_failures(&self) {
        self.errors.has_transient_failure.store(false, Ordering::Relaxed);
    }

    /// Records the class of a statement's error.
    pub(in crate::engine) fn note_class(&self, class: ErrorClass) {
        if class.is_transient() {
            self.errors.has_transient_failure.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a statement has failed with a transient error, so that the same statement may succeed a little later. False
    /// if the class of the error is unknown.
    pub(in crate::engine) fn has_transient_failure(&self) -> bool {
        self.errors.has_transient_failure.load(Ordering::Relaxed) || self.is_broken()
    }

    /// The diagnosis of the last statement's error, if it has failed. The diagnosis is shared with the error that was
    /// returned to the program.
    pub(in crate::engine) fn diagnosis(&self) -> Option<Diagnosis> {
        if !self.errors.has_just_failed.load(Ordering::Relaxed) {
            return None;
        }
        self.errors.last_errors().back().map(|last| last.diagnosis().clone())
    }

    /// The diagnosis of `error`, if `error` is the last error.
    pub(in crate::engine) fn diagnosis_of(&self, error: &Error) -> Option<Diagnosis> {
        let last_errors = self.errors.last_errors();
        last_errors.back().filter(|last| last.is(error)).map(|last| last.diagnosis().clone())
    }

    fn note_last_error(&self, error: &Error, rules: BackendRules) {
        let Some(last) = LastError::new(error) else { return };
        match self.observed.errors.class_of(error) {
            // A `READ ONLY` transaction has the same code, and refuses the write each time.
            Some(ErrorClass::ReadOnly)
                if !rules.expects_writes || self.observed.role.is_read_only() == Some(false) =>
            {
                last.diagnosis().set(ErrorClass::Permanent);
            }
            Some(class) => last.diagnosis().set(class),
            None if (rules.is_fatal)(error) => last.diagnosis().set(ErrorClass::Fatal),
            None if matches!(error, Error::DatabaseError(DatabaseErrorKind::Unknown, _)) => {
                self.observed.transaction.raise_doubts(TransactionDoubts::FAILED);
            }
            None => {}
        }
        self.errors.remember(last);
    }

    pub(super) fn note_error(&self, error: &Error, rules: BackendRules) {
        self.note_last_error(error, rules);
        let class = self.observed.errors.class_of(error);
        // If the server's error code is known, the code decides, and not the text of the error.
        if class.is_none() && (rules.is_fatal)(error) {
            self.note_lost();
        }
        self.apply_server_errors(rules.expects_writes);
        if class.is_none() && is_transient(None, error) {
            self.errors.has_transient_failure.store(true, Ordering::Relaxed);
        }
        let (None, Error::DatabaseError(kind, _)) = (class, error) else {
            return;
        };
        match kind {
            // The driver does not report the cause, so it may have been a stale plan.
            DatabaseErrorKind::Unknown => {
                self.errors.has_unclassified_error.store(true, Ordering::Relaxed);
                self.seen.invalidate_own_plans(&self.invalidations);
            }
            // Either the server or the transaction is read-only: the server is asked before the connection is lent again.
            DatabaseErrorKind::ReadOnlyTransaction if rules.expects_writes => {
                self.invalidations.invalidate_roles();
            }
            _ => {}
        }
    }

    /// Applies the consequences of the errors that the server has sent since the last call.
    pub(in crate::engine) fn apply_server_errors(&self, expects_writes: bool) {
        for class in self.observed.errors.take_new() {
            match class {
                ErrorClass::StalePlan => {
                    self.note_class(class);
                    self.invalidations.invalidate_plans();
                }
                ErrorClass::StaleType => {
                    self.note_class(class);
                    self.invalidations.invalidate_types();
                }
                ErrorClass::Fatal => self.note_lost(),
                ErrorClass::StatementGone => {
                    // The borrower can continue with new statements, but the driver's cache stays wrong.
                    self.errors.is_broken.store(true, Ordering::Relaxed);
                    self.seen.invalidate_own_plans(&self.invalidations);
                }
                // A write in a `READ ONLY` transaction is refused with the same code, on a server that reports that it
                // accepts writes.
                ErrorClass::ReadOnly
                    if expects_writes && self.observed.role.is_read_only() != Some(false) =>
                {
                    self.note_read_only_server();
                }
                ErrorClass::ReadOnly if expects_writes => {
                    self.errors.has_refused_write.store(true, Ordering::Relaxed);
                }
                ErrorClass::Transient => self.note_class(class),
                ErrorClass::ReadOnly | ErrorClass::Permanent => {}
            }
        }
        // A server that has become read-only sends the error first and the report of its role behind it, in a packet of its
        // own, so the report may arrive after the error was handed on.
        if self.errors.has_refused_write.load(Ordering::Relaxed)
            && self.observed.role.is_read_only() == Some(true)
        {
            self.errors.has_refused_write.store(false, Ordering::Relaxed);
            self.note_read_only_server();
        }
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;

    #[test]
    fn refused_write_counts_once_the_server_reports_that_it_is_read_only() {
        let watch = ConnectionWatch::default();
        let (errors, role) = (&watch.observed.errors, &watch.observed.role);
        role.note_parameter(b"default_transaction_read_only", b"off");
        errors.note(ErrorClass::ReadOnly, "cannot execute INSERT in a read-only transaction");
        watch.apply_server_errors(true);
        assert!(!watch.is_broken(), "it may be a transaction of the borrower's that is read-only");
        role.note_parameter(b"default_transaction_read_only", b"on");
        watch.apply_server_errors(true);
        assert!(watch.is_broken());
    }

    #[test]
    fn report_of_the_role_alone_breaks_no_connection() {
        let watch = ConnectionWatch::default();
        watch.observed.role.note_parameter(b"in_hot_standby", b"on");
        watch.apply_server_errors(true);
        assert!(!watch.is_broken(), "a program may read from a standby");
    }
}
