//! The fields of an `ErrorResponse`, and their meaning.

use crate::backend::error_class::ErrorClass;

/// The fields of an `ErrorResponse` that the observer reads.
#[derive(Default)]
pub(super) struct ErrorFields<'a> {
    pub(super) state: &'a [u8],
    pub(super) severity: &'a [u8],
    pub(super) routine: &'a [u8],
    pub(super) message: &'a [u8],
}

impl ErrorFields<'_> {
    /// Whether the statement has failed because another session has a lock: `lock_not_available` or `deadlock_detected`.
    pub(super) fn is_lock_conflict(&self) -> bool {
        matches!(self.state, b"55P03" | b"40P01")
    }

    /// The class, determined by the SQLSTATE and by the name of the server's function that reports the error: neither is
    /// translated.
    pub(super) fn class(&self) -> ErrorClass {
        if self.severity == b"FATAL" || self.severity == b"PANIC" {
            return ErrorClass::Fatal;
        }
        match self.state {
            // feature_not_supported: "cached plan must not change result type"
            b"0A000" if self.routine == b"RevalidateCachedQuery" => ErrorClass::StalePlan,
            // invalid_sql_statement_name: the prepared statement is gone, and so are the statements that the driver has
            // prepared to look up types. The connection must be replaced.
            b"26000" => ErrorClass::StatementGone,
            // internal_error. Messages of that kind are not translated (`elog` in the server's sources).
            b"XX000" if self.message.starts_with(b"cache lookup failed for type") => {
                ErrorClass::StaleType
            }
            // undefined_object, of an OID and not of a name.
            b"42704" if self.routine == b"lookup_type_cache" => ErrorClass::StaleType,
            // read_only_sql_transaction
            b"25006" => ErrorClass::ReadOnly,
            // lock_not_available; admin_shutdown, crash_shutdown, cannot_connect_now, idle_session_timeout.
            b"55P03" | b"57P01" | b"57P02" | b"57P03" | b"57P05" => ErrorClass::Transient,
            // Connection exceptions, transaction rollback (deadlock, serialization failure), insufficient resources.
            [b'0', b'8', ..] | [b'4', b'0', ..] | [b'5', b'3', ..] => ErrorClass::Transient,
            _ => ErrorClass::Permanent,
        }
    }
}
