//! What errors are as responses.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use crate::backend::ConnectError;
use crate::cause::Chain;
use crate::engine::AcquireError;
use crate::error::Error;
use crate::query::QueryError;
use crate::registry::MigrateError;
use crate::settings::TenantError;
use crate::work::{CommitError, WorkError, WorkFailure};

/// `503 Service Unavailable` with `Retry-After` where the same request may succeed a little later:
/// all connections in use, the server down, a serialization failure. `404 Not Found` for an unknown
/// tenant, for what cannot be the name of one, and for Diesel's `NotFound`. Everything else is
/// `500 Internal Server Error`.
///
/// The body has these words and nothing of the error, which is in the log: an event with the target
/// `registry`, at the level `DEBUG` for what is not found, `WARN` for what is unavailable and `ERROR`
/// otherwise.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = status_of(&self);
        let (bind, tenant) = database_of(&self);
        let error = Chain(&self);
        match status {
            StatusCode::NOT_FOUND => {
                tracing::debug!(target: "registry", bind, tenant, %error, "a request was for nothing that is there");
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                tracing::warn!(target: "registry", bind, tenant, %error, "a request could not be served now");
            }
            _ => tracing::error!(target: "registry", bind, tenant, %error, "a request failed"),
        }
        response(status)
    }
}

macro_rules! answered_as_error {
    ($($error:ty),+) => {$(
        /// As the [`Error`] that it converts into.
        impl IntoResponse for $error {
            fn into_response(self) -> Response {
                Error::from(self).into_response()
            }
        }
    )+};
}

answered_as_error!(AcquireError, CommitError, QueryError, TenantError, WorkError);

/// The response to a request for which no tenant was found.
pub(super) fn nobody() -> Response {
    tracing::debug!(target: "registry", "a request was of no tenant");
    response(StatusCode::NOT_FOUND)
}

fn response(status: StatusCode) -> Response {
    let body = status.canonical_reason().unwrap_or_default();
    let mut response = (status, Body::from(body)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The bind key and the tenant that an error is about, if it is about one.
fn database_of(error: &Error) -> (Option<&str>, Option<&str>) {
    match (error, acquiring(error)) {
        (Error::Query(error), _) => (error.key(), error.tenant()),
        (_, Some(error)) => (Some(error.key()), error.tenant()),
        _ => (None, None),
    }
}

/// Why no session could be had, if that is what went wrong.
fn acquiring(error: &Error) -> Option<&AcquireError> {
    match error {
        Error::Acquire(error)
        | Error::Work(WorkError::Acquire(error))
        | Error::Migrate(MigrateError::Acquire(error)) => Some(error),
        Error::Commit(error) => match error.failed() {
            Some((_, WorkFailure::Work(WorkError::Acquire(error)))) => Some(error),
            _ => None,
        },
        _ => None,
    }
}

fn status_of(error: &Error) -> StatusCode {
    match (error, acquiring(error)) {
        (Error::Tenant(_), _) => StatusCode::NOT_FOUND,
        (Error::Query(error), _)
            if matches!(error.as_diesel(), diesel::result::Error::NotFound) =>
        {
            StatusCode::NOT_FOUND
        }
        (_, Some(error)) => status_of_acquiring(error),
        (error, None) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn status_of_acquiring(error: &AcquireError) -> StatusCode {
    match error {
        error if error.is_of_unknown_tenant() => StatusCode::NOT_FOUND,
        AcquireError::Closed { .. } => StatusCode::SERVICE_UNAVAILABLE,
        // A server that is being set up, or is out of disk: it is down for this purpose.
        AcquireError::Connect { source, .. }
            if !matches!(**source, ConnectError::UnknownDatabase(_)) =>
        {
            StatusCode::SERVICE_UNAVAILABLE
        }
        // The request has them all itself, and would have them the next time.
        AcquireError::TimedOut { held_by_caller, max, .. } if held_by_caller >= max => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        error if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
