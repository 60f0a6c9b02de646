//! Why a connection to MySQL or MariaDB could not be opened.

use diesel::ConnectionError;
use mysql_async::Error;

use super::Mysql;
use crate::backend::driver::Driver;
use crate::backend::error::ConnectError;
use crate::backend::resource_exhaustion::unreachable_error;
#[cfg(feature = "rustls")]
use crate::backend::tls;
use crate::cause::DriverError;

/// The failure of the statements with which Diesel sets up a connection.
pub(super) fn unprepared(error: ConnectionError) -> ConnectError {
    match error {
        ConnectionError::CouldntSetupConfiguration(error) if Mysql::is_fatal(&error) => {
            ConnectError::Unreachable(error.into())
        }
        error => ConnectError::Other(error.into()),
    }
}

pub(super) fn setup_error(statement: &str, error: Error) -> ConnectError {
    if error.is_fatal() && !matches!(error, Error::Server(_)) {
        // The connection is gone, so the failure is not the statement's.
        return classify(error);
    }
    ConnectError::Setup { statement: statement.to_owned(), source: error.into() }
}

pub(super) fn classify(error: Error) -> ConnectError {
    #[cfg(feature = "rustls")]
    if let Some(cause) = tls::cause(&error) {
        return ConnectError::Tls(cause.into());
    }
    match error {
        // The numbers are listed in the MySQL manual's "Server Error Message Reference".
        Error::Server(error) => match error.code {
            // Access denied for the user, or to the database.
            1045 | 1044 | 1698 => ConnectError::Authentication(error.into()),
            1049 => ConnectError::UnknownDatabase(error.into()),
            // Too many connections, for the server or for the user.
            1040 | 1203 | 1226 => ConnectError::TooManyConnections(error.into()),
            3159 => ConnectError::Tls(error.into()),
            _ => ConnectError::Other(error.into()),
        },
        // The variants of these show their source in their own text.
        Error::Io(mysql_async::IoError::Io(error)) => unreachable_error(error.into()),
        Error::Driver(mysql_async::DriverError::ConnectionClosed) => {
            ConnectError::Unreachable(mysql_async::DriverError::ConnectionClosed.into())
        }
        Error::Driver(error @ mysql_async::DriverError::NoClientSslFlagFromServer) => {
            ConnectError::Tls(error.into())
        }
        Error::Driver(error) => ConnectError::Other(error.into()),
        #[cfg(feature = "rustls")]
        Error::Io(mysql_async::IoError::Tls(error)) => ConnectError::Tls(error.into()),
        error => ConnectError::Other(error.to_string().into()),
    }
}

/// Classifies an error with which the program has failed to connect, if mysql_async or Diesel has made it.
pub(super) fn classify_program_error(error: DriverError) -> Result<ConnectError, DriverError> {
    let error = match error.downcast::<Error>() {
        Ok(error) => return Ok(classify(*error)),
        Err(error) => error,
    };
    error.downcast::<ConnectionError>().map(|error| unprepared(*error))
}
