//! What is known of a statement that failed.

use diesel::result::{DatabaseErrorKind, Error};
use tokio::time::timeout;

use super::checkout::Checkout;
use crate::backend::Backend;
use crate::backend::error_class::{Diagnosis, ErrorClass};
use crate::backend::observed::{TransactionDoubts, TransactionStatus};

impl<C: Backend> Checkout<C> {
    /// The error, or what the server has said when it ended the connection: the driver only reports that
    /// the connection is closed.
    pub(crate) fn with_server_message(&self, error: Error) -> Error {
        let error = without_repeated_prefix(error);
        let (Error::DatabaseError(kind, _), Some(watch)) = (&error, self.watch()) else {
            return error;
        };
        let is_gone =
            is_connection_closed(kind) || watch.observed.errors.last() == Some(ErrorClass::Fatal);
        match watch.observed.errors.fatal_message() {
            Some(words) if is_gone => {
                Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(words))
            }
            _ => error,
        }
    }

    /// What the error of the last statement means, if anybody knows. Where the driver keeps the codes of
    /// the server to itself, the server is asked, for `check_timeout` at the most.
    pub(crate) async fn error_class(&mut self, error: &Error) -> Option<ErrorClass> {
        let Error::DatabaseError(kind, _) = error else { return None };
        let told = self.watch().and_then(|watch| watch.observed.errors.last());
        if is_connection_closed(kind) || told.is_none() && C::is_fatal(error) {
            return Some(ErrorClass::Fatal);
        }
        let options = &self.engine().settings.options;
        let (limit, expects_writes) = (options.check_timeout, !options.read_only);
        if let Some(watch) = self.watch() {
            watch.apply_server_errors(expects_writes);
        }
        let class = self.watch().and_then(|watch| watch.observed.errors.last());
        if class == Some(ErrorClass::ReadOnly) {
            // The same code is that of a transaction which only reads, and will refuse a write for ever.
            let server = self.watch().and_then(|watch| watch.observed.role.is_read_only());
            let is_passing = expects_writes && server != Some(false);
            return Some(if is_passing { ErrorClass::ReadOnly } else { ErrorClass::Permanent });
        }
        let is_hidden = C::HIDES_ERROR_CODES && matches!(kind, DatabaseErrorKind::Unknown);
        if class.is_some() || !is_hidden || !self.is_usable() {
            return class;
        }
        let diagnosis = self.watch().and_then(|watch| {
            // An error that came with the rows was none when the statement was reported.
            watch.observed.transaction.raise_doubts(TransactionDoubts::FAILED);
            watch.diagnosis_of(error)
        });
        if let Some(class) = diagnosis.as_ref().and_then(Diagnosis::class) {
            return Some(class);
        }
        let left = self.session_effects();
        let asked = timeout(limit, self.connection_mut().diagnose_last_error()).await;
        // The question was not the borrower's.
        self.restore_session_effects(left);
        let class = asked.ok().flatten().map(|(class, _)| class);
        if let (Some(diagnosis), Some(class)) = (diagnosis, class) {
            diagnosis.set(class);
        }
        if let (Some(watch), Some(class)) = (self.watch(), class) {
            watch.note_class(class);
        }
        class
    }

    /// The error of a connection that is known to be gone, before anything is asked of it.
    pub(crate) fn connection_closed_error(&self) -> Option<Error> {
        const GONE: &str = "the connection was closed";

        let watch = self.watch()?;
        let is_gone = watch.observed.stream.is_gone()
            || watch.is_broken() && watch.observed.errors.last() == Some(ErrorClass::Fatal);
        let words = is_gone
            .then(|| watch.observed.errors.fatal_message().unwrap_or_else(|| GONE.to_owned()))?;
        Some(Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(words)))
    }

    /// What the error meant after which the database has rolled a transaction back by itself.
    pub(crate) fn rollback_class(&self) -> ErrorClass {
        // MySQL rolls a whole transaction back for conflicts with others, and for nothing that fails again; SQLite does
        // so as the statement asks for it (`OR ROLLBACK`), or a trigger.
        match C::HIDES_ERROR_CODES || self.has_transient_failure() {
            true => ErrorClass::Transient,
            false => ErrorClass::Permanent,
        }
    }

    /// Forgets whether a statement has failed.
    pub(crate) fn forget_transient_failures(&self) {
        if let Some(watch) = self.watch() {
            watch.forget_transient_failures();
        }
    }

    /// Whether a statement has failed since then for a reason that may be gone a little later, as far as is known.
    pub(crate) fn has_transient_failure(&self) -> bool {
        let expects_writes = !self.engine().settings.options.read_only;
        self.watch().is_some_and(|watch| {
            watch.apply_server_errors(expects_writes);
            watch.has_transient_failure()
        })
    }

    /// Whether the server has said that no transaction is open.
    pub(crate) fn is_outside_transaction(&self) -> bool {
        self.watch()
            .is_some_and(|watch| watch.observed.transaction.status() == TransactionStatus::Idle)
    }
}

/// The error without a beginning that the driver of MySQL writes twice.
fn without_repeated_prefix(error: Error) -> Error {
    const BEGINNING: &str = "Input/output error: ";

    match error {
        Error::DatabaseError(kind, information) => {
            match information.message().strip_prefix(BEGINNING) {
                Some(rest) if rest.starts_with(BEGINNING) => {
                    Error::DatabaseError(kind, Box::new(rest.to_owned()))
                }
                _ => Error::DatabaseError(kind, information),
            }
        }
        error => error,
    }
}

fn is_connection_closed(kind: &DatabaseErrorKind) -> bool {
    matches!(kind, DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand)
}
