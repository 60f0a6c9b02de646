//! Why a connection to PostgreSQL could not be opened.

use std::error::Error;

use diesel::ConnectionError;
use tokio_postgres::error::{DbError, SqlState};

use super::Postgres;
use crate::backend::driver::Driver;
use crate::backend::error::ConnectError;
use crate::backend::resource_exhaustion::unreachable_error;
#[cfg(feature = "rustls")]
use crate::backend::tls;
use crate::cause::DriverError;

/// Whether no rule of the server (`pg_hba.conf`) admits the connection. A connection with the other choice of TLS may be
/// admitted.
pub(super) fn has_no_access_rule(error: &ConnectError) -> bool {
    let ConnectError::Authentication(cause) = error else { return false };
    cause
        .downcast_ref::<DbError>()
        .is_some_and(|cause| *cause.code() == SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// Whether PgBouncer refuses a start-up parameter, which it would refuse again later. PgBouncer reports all errors with one
/// code, 08P01, and only in English, so the text decides.
fn is_refused_for_good(error: &tokio_postgres::Error) -> bool {
    let message = error.as_db_error().map(DbError::message).unwrap_or_default();
    message.starts_with("unsupported startup parameter")
}

pub(super) fn classify(error: tokio_postgres::Error) -> ConnectError {
    // A server may end the connection after the handshake is complete for the client, for example if it requires a client
    // certificate.
    #[cfg(feature = "rustls")]
    if let Some(cause) = tls::cause(&error) {
        return ConnectError::Tls(cause.into());
    }
    let code = error.code().cloned();
    let text = error.to_string();
    // The driver's own error names a stage ("db error"). Its source is the error of the server or of the system.
    let wrap = |error: tokio_postgres::Error| -> DriverError {
        if error.source().is_some() {
            error.into_source().unwrap_or_else(|| text.clone().into())
        } else {
            error.into()
        }
    };
    let is_io = error.source().is_some_and(|cause| cause.is::<std::io::Error>());
    match code {
        Some(code) if code == SqlState::INVALID_PASSWORD => {
            ConnectError::Authentication(wrap(error))
        }
        Some(code) if code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            ConnectError::Authentication(wrap(error))
        }
        Some(code) if code == SqlState::INVALID_CATALOG_NAME => {
            ConnectError::UnknownDatabase(wrap(error))
        }
        Some(code) if code == SqlState::TOO_MANY_CONNECTIONS => {
            ConnectError::TooManyConnections(wrap(error))
        }
        // The server starts, stops or recovers. PgBouncer reports class 08 if it cannot reach the server behind it, or
        // accepts no more clients.
        Some(code)
            if [
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
            ]
            .contains(&code)
                || code.code().starts_with("08") && !is_refused_for_good(&error) =>
        {
            ConnectError::Unreachable(wrap(error))
        }
        None if is_io || error.is_closed() => unreachable_error(wrap(error)),
        // "authentication error": the server wants a password, and the settings have none.
        None if text.starts_with("authentication") || text.starts_with("invalid configuration") => {
            ConnectError::Authentication(wrap(error))
        }
        None if text.contains("TLS") => ConnectError::Tls(wrap(error)),
        _ => ConnectError::Other(wrap(error)),
    }
}

pub(super) fn unprepared(error: ConnectionError) -> ConnectError {
    match error {
        ConnectionError::CouldntSetupConfiguration(error) if Postgres::is_fatal(&error) => {
            ConnectError::Unreachable(error.into())
        }
        error => ConnectError::Other(error.into()),
    }
}

/// Classifies an error with which the program has failed to connect, if tokio-postgres or Diesel has made it.
pub(super) fn classify_program_error(error: DriverError) -> Result<ConnectError, DriverError> {
    let error = match error.downcast::<tokio_postgres::Error>() {
        Ok(error) => return Ok(classify(*error)),
        Err(error) => error,
    };
    error.downcast::<ConnectionError>().map(|error| unprepared(*error))
}
