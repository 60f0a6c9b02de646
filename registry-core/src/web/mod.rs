//! A scope for each request, and what handlers take from it, for axum. With the feature `axum`.
//!
//! [`ScopeLayer`] gives each request a [`Scope`]. [`CurrentWork`] as an argument of a
//! handler is its unit of work, and [`SessionFor`] a session of a model. If the response is a
//! success, what the handler has done is committed before the response is sent; otherwise, and if
//! the client goes away, it is rolled back.
//!
//! ```
//! use axum::{Router, extract::Path, http::StatusCode, routing::put};
//! use diesel::prelude::*;
//! use registry_core::web::{ScopeLayer, SessionFor};
//! use registry_core::{CurrentWork, Error, Registry, RunQueryDsl, bind_tables};
//!
//! diesel::table! { events (id) { id -> Integer, } }
//! bind_tables!(db = "default", backend = Sqlite; events);
//!
//! async fn add(Path(id): Path<i32>, mut work: CurrentWork) -> Result<StatusCode, Error> {
//!     diesel::insert_into(events::table).values(events::id.eq(id)).execute(&mut *work).await?;
//!     Ok(StatusCode::CREATED)
//! }
//!
//! async fn count(mut session: SessionFor<events::table>) -> Result<String, Error> {
//!     let count: i64 = events::table.count().get_result(&mut *session).await?;
//!     Ok(count.to_string())
//! }
//!
//! # fn main() -> Result<(), registry_core::SettingsError> {
//! let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
//! let app: Router = Router::new()
//!     .route("/events", axum::routing::get(count))
//!     .route("/events/{id}", put(add))
//!     .layer(ScopeLayer::new(registry));
//! # let _ = app;
//! # Ok(())
//! # }
//! ```

use std::convert::Infallible;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::bind::Bound;
use crate::error::{AcquireError, Chain, ConnectError, Error};
use crate::registry::Registry;
use crate::session::Session;
use crate::work::{CurrentWork, Scope, WorkError};

mod layer;

pub use layer::{ScopeLayer, ScopeService};

/// A session of the model, table or query type `M`, as an argument of a handler: acquired from the
/// registry of the [`ScopeLayer`], and no part of the request's unit of work.
///
/// It dereferences to the [`Session`].
pub struct SessionFor<M: Bound>(
    /// The session.
    pub Session<M::Bind>,
);

impl<M: Bound> std::fmt::Debug for SessionFor<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SessionFor").field(&self.0).finish()
    }
}

impl<M: Bound> std::ops::Deref for SessionFor<M> {
    type Target = Session<M::Bind>;

    fn deref(&self) -> &Session<M::Bind> {
        &self.0
    }
}

impl<M: Bound> std::ops::DerefMut for SessionFor<M> {
    fn deref_mut(&mut self) -> &mut Session<M::Bind> {
        &mut self.0
    }
}

impl<S: Sync, M: Bound> FromRequestParts<S> for SessionFor<M> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let registry = parts.extensions.get::<Registry>().ok_or(WorkError::NoScope)?;
        Ok(Self(registry.session_for::<M>().await?))
    }
}

/// The unit of work of the request. Nobody else in the request has it until the handler drops it:
/// neither another argument nor [`UnitOfWork::current`](crate::UnitOfWork::current) in a function
/// that it calls.
impl<S: Sync> FromRequestParts<S> for CurrentWork {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let scope = <Scope as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(scope.work_at(None).await?)
    }
}

/// The scope of the request.
impl<S: Sync> FromRequestParts<S> for Scope {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(parts.extensions.get::<Self>().cloned().ok_or(WorkError::NoScope)?)
    }
}

/// The scope of the request, if it has one.
impl<S: Sync> OptionalFromRequestParts<S> for Scope {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// `503 Service Unavailable` with `Retry-After` where the same request may succeed a little later:
/// all connections in use, the server down, a serialization failure. `404 Not Found` for an unknown
/// tenant and for Diesel's `NotFound`. Everything else is `500 Internal Server Error`.
///
/// The body has these words and nothing of the error, which is in the log: an event with the target
/// `registry`.
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
        let body = status.canonical_reason().unwrap_or_default();
        let mut response = (status, Body::from(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The bind key and the tenant that an error is about, if it is about one.
fn database_of(error: &Error) -> (Option<&str>, Option<&str>) {
    match error {
        Error::Query(error) => (error.key(), error.tenant()),
        Error::Acquire(error) => (Some(error.key()), None),
        _ => (None, None),
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Query(error) if matches!(error.as_diesel(), diesel::result::Error::NotFound) => {
            StatusCode::NOT_FOUND
        }
        Error::Acquire(AcquireError::UnknownTenant { .. }) => StatusCode::NOT_FOUND,
        Error::Acquire(AcquireError::Closed { .. }) => StatusCode::SERVICE_UNAVAILABLE,
        // A server that is being set up, or is out of disk: it is down for this purpose.
        Error::Acquire(AcquireError::Connect { source, .. })
            if !matches!(**source, ConnectError::UnknownDatabase(_)) =>
        {
            StatusCode::SERVICE_UNAVAILABLE
        }
        error if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
