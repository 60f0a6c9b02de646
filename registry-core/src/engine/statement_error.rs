//! The class of a statement's error, and the server's message for it.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};
use tokio::time::timeout;

use super::checkout::Checkout;
use crate::attribution::own;
use crate::backend::Backend;
use crate::backend::error_class::{Diagnosis, ErrorClass};
use crate::backend::observed::{TransactionDoubts, TransactionStatus};

impl<C: Backend> Checkout<C> {
    /// `error`, or the server's own message if the server has ended the connection: the driver only reports that the
    /// connection is closed. An error after which the connection is gone has the kind `ClosedConnection`.
    pub(crate) fn with_server_message(&self, error: Error) -> Error {
        let error = without_repeated_prefix(error);
        let (Error::DatabaseError(kind, _), Some(watch)) = (&error, self.watch()) else {
            return error;
        };
        let is_gone = is_connection_closed(kind)
            || watch.observed.errors.class_of(&error) == Some(ErrorClass::Fatal);
        match watch.observed.errors.fatal_message() {
            Some(message) if is_gone => {
                Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(message))
            }
            _ if watch.observed.errors.class_of(&error).is_none() && C::is_fatal(&error) => {
                as_connection_closed(error)
            }
            _ => error,
        }
    }

    /// The class of a statement's error, if it is known without asking the server.
    pub(crate) fn reported_class(&self, error: &Error) -> Option<ErrorClass> {
        let Error::DatabaseError(kind, _) = error else { return None };
        let reported = self.watch().and_then(|watch| watch.observed.errors.class_of(error));
        if is_connection_closed(kind) || reported.is_none() && C::is_fatal(error) {
            if let Some(watch) = self.watch() {
                // An error among the rows does not reach the instrumentation.
                watch.note_lost();
            }
            return Some(ErrorClass::Fatal);
        }
        let expects_writes = !self.engine().settings.options.read_only;
        if let Some(watch) = self.watch() {
            watch.apply_server_errors(expects_writes);
        }
        if reported == Some(ErrorClass::ReadOnly) {
            // A `READ ONLY` transaction has the same code, and refuses the write each time.
            let server = self.watch().and_then(|watch| watch.observed.role.is_read_only());
            let is_transient = expects_writes && server != Some(false);
            return Some(if is_transient { ErrorClass::ReadOnly } else { ErrorClass::Permanent });
        }
        reported
    }

    /// The class of the last statement's error, if it is known. If the driver does not pass on error codes, the server is
    /// asked, for at most `check_timeout`.
    pub(crate) async fn error_class(&mut self, error: &Error) -> Option<ErrorClass> {
        let Error::DatabaseError(kind, _) = error else { return None };
        let class = self.reported_class(error);
        let is_hidden = C::HIDES_ERROR_CODES && matches!(kind, DatabaseErrorKind::Unknown);
        if class.is_some() || !is_hidden || !self.is_usable() {
            return class;
        }
        let diagnosis = self.watch().and_then(|watch| {
            // The error came with the rows, after the driver had reported that the statement succeeded.
            watch.observed.transaction.raise_doubts(TransactionDoubts::FAILED);
            watch.diagnosis_of(error)
        });
        if let Some(class) = diagnosis.as_ref().and_then(Diagnosis::class) {
            return Some(class);
        }
        let limit = self.engine().settings.options.check_timeout;
        let class = self.diagnose_last_error(limit).await.map(|(class, _)| class);
        if let (Some(diagnosis), Some(class)) = (diagnosis, class) {
            diagnosis.set(class);
        }
        if let (Some(watch), Some(class)) = (self.watch(), class) {
            watch.note_class(class);
        }
        class
    }

    /// Asks the server for the class of the last error, if the driver has not passed its code on, for at most
    /// `check_timeout`.
    pub(crate) async fn diagnose(&mut self) -> Option<ErrorClass> {
        let diagnosis = self.watch().and_then(|watch| watch.diagnosis());
        let known = diagnosis.as_ref().and_then(Diagnosis::class);
        if known.is_some() || !C::HIDES_ERROR_CODES || !self.is_usable() {
            return known;
        }
        let limit = self.engine().settings.options.check_timeout;
        let (class, message) = self.diagnose_last_error(limit).await?;
        if let Some(diagnosis) = diagnosis {
            diagnosis.set(class);
        }
        if let Some(watch) = self.watch() {
            watch.observed.errors.remember_text(&message, class);
            watch.note_class(class);
        }
        Some(class)
    }

    /// Asks the server for the last statement's error. The borrower has not run this statement, so its effects on the
    /// session are forgotten.
    async fn diagnose_last_error(&mut self, limit: Duration) -> Option<(ErrorClass, String)> {
        let effects = self.session_effects();
        let answer = timeout(limit, own(self.connection_mut().diagnose_last_error())).await;
        self.restore_session_effects(effects);
        answer.ok().flatten()
    }

    /// The error to return for a connection that is known to be closed, without running the statement.
    pub(crate) fn connection_closed_error(&self) -> Option<Error> {
        const GONE: &str = "the connection was closed";

        let watch = self.watch()?;
        let is_gone = watch.observed.stream.is_gone()
            || watch.is_broken() && watch.observed.errors.fatal_message().is_some();
        let message = is_gone
            .then(|| watch.observed.errors.fatal_message().unwrap_or_else(|| GONE.to_owned()))?;
        Some(Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(message)))
    }

    /// The class of the error that made the database roll the transaction back by itself.
    pub(crate) fn rollback_class(&self) -> ErrorClass {
        // MySQL rolls a whole transaction back only after a conflict with another transaction, which is transient. SQLite
        // rolls it back if the statement (`OR ROLLBACK`) or a trigger asks for that.
        match C::HIDES_ERROR_CODES || self.has_transient_failure() {
            true => ErrorClass::Transient,
            false => ErrorClass::Permanent,
        }
    }

    /// Forgets the transient errors that were recorded so far.
    pub(crate) fn forget_transient_failures(&self) {
        if let Some(watch) = self.watch() {
            watch.forget_transient_failures();
        }
    }

    /// Whether a statement has failed with a transient error since
    /// [`forget_transient_failures`](Self::forget_transient_failures). False if the class of an error is unknown.
    pub(crate) fn has_transient_failure(&self) -> bool {
        let expects_writes = !self.engine().settings.options.read_only;
        self.watch().is_some_and(|watch| {
            watch.apply_server_errors(expects_writes);
            watch.has_transient_failure()
        })
    }

    /// Whether the server has reported that no transaction is open.
    pub(crate) fn is_outside_transaction(&self) -> bool {
        self.watch()
            .is_some_and(|watch| watch.observed.transaction.status() == TransactionStatus::Idle)
    }
}

/// The error without the prefix that the MySQL driver writes twice.
fn without_repeated_prefix(error: Error) -> Error {
    const PREFIX: &str = "Input/output error: ";

    match error {
        Error::DatabaseError(kind, information) => {
            match information.message().strip_prefix(PREFIX) {
                Some(rest) if rest.starts_with(PREFIX) => {
                    Error::DatabaseError(kind, Box::new(rest.to_owned()))
                }
                _ => Error::DatabaseError(kind, information),
            }
        }
        error => error,
    }
}

/// The same error, with the kind `ClosedConnection` if the driver has given it none.
fn as_connection_closed(error: Error) -> Error {
    match error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, information) => {
            Error::DatabaseError(DatabaseErrorKind::ClosedConnection, information)
        }
        error => error,
    }
}

fn is_connection_closed(kind: &DatabaseErrorKind) -> bool {
    matches!(kind, DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand)
}
