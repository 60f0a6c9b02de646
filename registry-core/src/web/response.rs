//! Errors as responses.

use axum_core::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use tracing::field::display;

use super::error_policy::{answer_by_policy, rendered};
use crate::backend::ConnectError;
use crate::engine::AcquireError;
use crate::error::Error;
use crate::query::QueryError;
use crate::query::paginate::{InvalidCursor, InvalidPage};
use crate::registry::{MigrateError, logged};
use crate::settings::TenantError;
use crate::work::{CommitError, WorkError, WorkFailure};

/// The number of seconds after which a client may try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// The response to a request that failed with this error.
///
/// | status | when |
/// |---|---|
/// | `400 Bad Request` | the cursor of a page is invalid ([`InvalidCursor`]) |
/// | `404 Not Found` | the tenant is unknown or its name is invalid, a query found no row (Diesel's `NotFound`), or there is no such page ([`InvalidPage`]) |
/// | `503 Service Unavailable`, with `Retry-After: 1` (second) | the same request may succeed a little later: all connections are in use, the server is down, a connection was lost while a query ran on it, a serialization failure; or the tenant is not served until its migrations are run |
/// | `500 Internal Server Error` | everything else |
///
/// The body contains the text of the status, and no detail of the error. An [`ErrorPolicy`](super::ErrorPolicy) turns
/// violated constraints into `409 Conflict` or another status, and can change the body. The error is logged, with its
/// causes and without the values in them, as an event with the target `registry`: at the level `DEBUG` for 4xx, `WARN` for 503 and `ERROR` for all
/// others.
///
/// ```
/// use axum::http::StatusCode;
/// use axum::response::IntoResponse;
/// use registry_core::Error;
///
/// let error = Error::from(diesel::result::Error::NotFound);
/// assert_eq!(error.into_response().status(), StatusCode::NOT_FOUND);
/// ```
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, text) = answer_by_policy(&self).unwrap_or_else(|| (status_of(&self), None));
        let (bind, tenant) = database_of(&self);
        let (bind, error) = (bind.map(display), logged(&self));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                tracing::warn!(target: "registry", bind, tenant, %error, "a request failed with {status}");
            }
            status if status.is_client_error() => {
                tracing::debug!(target: "registry", bind, tenant, %error, "a request failed with {status}");
            }
            _ => {
                tracing::error!(target: "registry", bind, tenant, %error, "a request failed with {status}");
            }
        }
        response(status, text.as_deref())
    }
}

macro_rules! answered_as_error {
    ($($error:ty),+) => {$(
        /// Converts this error into [`Error`], and returns the response to that.
        impl IntoResponse for $error {
            fn into_response(self) -> Response {
                Error::from(self).into_response()
            }
        }
    )+};
}

answered_as_error!(
    AcquireError,
    CommitError,
    InvalidCursor,
    InvalidPage,
    QueryError,
    TenantError,
    WorkError
);

/// The response to a request for which no tenant was found.
pub(super) fn no_tenant() -> Response {
    tracing::debug!(
        target: "registry",
        "a request belongs to no tenant, and was answered with 404 Not Found"
    );
    response(StatusCode::NOT_FOUND, None)
}

/// The response with this status, and with this text or that of the status.
pub(super) fn response(status: StatusCode, text: Option<&str>) -> Response {
    let mut response = rendered(status, text);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

/// The bind key and the tenant of an error, if the error has them.
fn database_of(error: &Error) -> (Option<&str>, Option<&str>) {
    match (error, acquire_error(error)) {
        (Error::Query(error), _) => (error.key(), error.tenant()),
        (_, Some(error)) => (Some(error.key()), error.tenant()),
        _ => (None, None),
    }
}

/// The reason why no session could be acquired, if the error is about an acquisition.
fn acquire_error(error: &Error) -> Option<&AcquireError> {
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
    match (error, acquire_error(error)) {
        (Error::Tenant(_), _) => StatusCode::NOT_FOUND,
        (Error::Query(error), _)
            if matches!(error.as_diesel(), diesel::result::Error::NotFound) =>
        {
            StatusCode::NOT_FOUND
        }
        (Error::Query(error), _) if has_cause::<InvalidPage>(error) => StatusCode::NOT_FOUND,
        (Error::Query(error), _) if has_cause::<InvalidCursor>(error) => StatusCode::BAD_REQUEST,
        (_, Some(error)) => status_of_acquire_error(error),
        (error, None) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether a query was refused for the reason `C`.
fn has_cause<C: std::error::Error + 'static>(error: &QueryError) -> bool {
    matches!(error.as_diesel(), diesel::result::Error::QueryBuilderError(cause) if cause.is::<C>())
}

fn status_of_acquire_error(error: &AcquireError) -> StatusCode {
    match error {
        error if error.is_of_unknown_tenant() => StatusCode::NOT_FOUND,
        AcquireError::Closed { .. } => StatusCode::SERVICE_UNAVAILABLE,
        // The database of the tenant is not ready for this program yet. Others are.
        AcquireError::PendingMigrations { .. }
        | AcquireError::UnknownMigrations { .. }
        | AcquireError::Migrations { .. } => StatusCode::SERVICE_UNAVAILABLE,
        // Broader than `is_transient`: a server that refuses the connection because it is being set up, or is out of
        // disk, is down as far as a client is concerned.
        AcquireError::Connect { source, .. }
            if !matches!(**source, ConnectError::UnknownDatabase(_)) =>
        {
            StatusCode::SERVICE_UNAVAILABLE
        }
        // The request itself holds all connections, and a retry of the request would hold them as well.
        AcquireError::TimedOut { held_by_caller, max, .. } if held_by_caller >= max => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        error if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
