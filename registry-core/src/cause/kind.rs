//! The kind of an error, in one word.

use diesel::result::{DatabaseErrorKind, Error};

/// The kind of the error of a query, for events and metrics. The text of the error may have values in it.
pub(crate) fn error_kind(error: &Error) -> &'static str {
    match error {
        Error::DatabaseError(kind, _) => match kind {
            DatabaseErrorKind::UniqueViolation => "unique_violation",
            DatabaseErrorKind::ForeignKeyViolation => "foreign_key_violation",
            DatabaseErrorKind::NotNullViolation => "not_null_violation",
            DatabaseErrorKind::CheckViolation => "check_violation",
            DatabaseErrorKind::RestrictViolation => "restrict_violation",
            DatabaseErrorKind::ExclusionViolation => "exclusion_violation",
            DatabaseErrorKind::SerializationFailure => "serialization_failure",
            DatabaseErrorKind::ReadOnlyTransaction => "read_only_transaction",
            DatabaseErrorKind::UnableToSendCommand => "unable_to_send",
            DatabaseErrorKind::ClosedConnection => "closed_connection",
            _ => "database_error",
        },
        Error::NotFound => "not_found",
        Error::QueryBuilderError(_) => "query_builder_error",
        Error::SerializationError(_) => "serialization_error",
        Error::DeserializationError(_) => "deserialization_error",
        Error::BrokenTransactionManager | Error::RollbackErrorOnCommit { .. } => {
            "broken_transaction"
        }
        Error::AlreadyInTransaction | Error::NotInTransaction => "wrong_transaction_state",
        _ => "other",
    }
}
