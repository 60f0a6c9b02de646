//! The error of a handler: what was not found, and everything else.

use std::borrow::Cow;
use std::fmt;

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;

use super::response::response;
use crate::engine::AcquireError;
use crate::error::Error;
use crate::query::QueryError;
use crate::query::paginate::{InvalidCursor, InvalidPage};
use crate::settings::TenantError;
use crate::work::{CommitError, WorkError};

/// The error of a handler that uses [`first_or_404`](super::Or404Dsl::first_or_404): what was not found, or any other
/// error.
///
/// Every error that converts into [`Error`] by `?` converts into this one as well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// What the request asks for is not there.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// Any other error. Its response is described at [`Error`].
    #[error(transparent)]
    Error(#[from] Error),
}

impl IntoResponse for HandlerError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound(error) => error.into_response(),
            Self::Error(error) => error.into_response(),
        }
    }
}

macro_rules! converts_by_error {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for HandlerError {
            fn from(error: $error) -> Self {
                Self::Error(error.into())
            }
        }
    )+};
}

converts_by_error!(
    AcquireError,
    CommitError,
    InvalidCursor,
    InvalidPage,
    QueryError,
    TenantError,
    WorkError,
    diesel::result::Error,
);

/// The response `404 Not Found`. Its body is the text that is given to it, or else `Not Found`.
///
/// ```
/// use axum::http::StatusCode;
/// use axum::response::IntoResponse;
/// use registry_core::web::NotFound;
///
/// let response = NotFound::with_text("there is no such user").into_response();
/// assert_eq!(response.status(), StatusCode::NOT_FOUND);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotFound {
    text: Option<Cow<'static, str>>,
}

impl NotFound {
    /// A response that says nothing but `Not Found`.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: None }
    }

    /// A response with this text, which the client sees.
    pub fn with_text(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: Some(text.into()) }
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.as_deref().unwrap_or("not found"))
    }
}

impl std::error::Error for NotFound {}

impl IntoResponse for NotFound {
    fn into_response(self) -> Response {
        tracing::debug!(target: "registry", error = "not found", "a request failed with 404 Not Found");
        response(StatusCode::NOT_FOUND, self.text.as_deref())
    }
}
