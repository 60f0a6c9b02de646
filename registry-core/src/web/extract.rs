//! Extractors: arguments of a handler that come from the scope of its request.

use std::convert::Infallible;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::bind::Bound;
use crate::error::Error;
use crate::registry::{Registry, Tenant};
use crate::session::Session;
use crate::work::{CurrentWork, Scope, WorkError};

/// A session of the model, table or query type `M`, as an argument of a handler.
///
/// The extractor acquires the session from the registry of the [`ScopeLayer`](super::ScopeLayer), or for its tenant,
/// before the handler runs, and waits for a connection for `acquire_timeout` (30 s by default) at the most. The session
/// does not belong to the request's unit of work: statements on it are committed by themselves. This type dereferences to
/// the [`Session`], and its drop returns the connection.
///
/// # Errors
///
/// The handler does not run, and the [`Error`] is the response: `503 Service Unavailable` if no connection is available
/// now, `404 Not Found` if the tenant does not exist, `500 Internal Server Error` without a
/// [`ScopeLayer`](super::ScopeLayer).
///
/// ```
/// use axum::{Router, routing::get};
/// use diesel::prelude::*;
/// use registry_core::web::{ScopeLayer, SessionFor};
/// use registry_core::{Error, Registry, RunQueryDsl, bind_tables};
/// # use registry_core::BindDsl;
///
/// diesel::table! { events (id) { id -> Integer, } }
/// bind_tables!(db = "default", backend = Sqlite; events);
///
/// async fn count(mut session: SessionFor<events::table>) -> Result<String, Error> {
///     let count: i64 = events::table.count().get_result(&mut *session).await?;
///     Ok(count.to_string())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use tower_service::Service;
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// let mut app: Router =
///     Router::new().route("/events", get(count)).layer(ScopeLayer::new(registry));
/// # let request = axum::http::Request::get("/events").body(axum::body::Body::empty())?;
/// # let response = app.call(request).await?;
/// # assert_eq!(axum::body::to_bytes(response.into_body(), 100).await?, "0");
/// # Ok(())
/// # }
/// ```
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
        // The scope comes first, because it may be a scope of a tenant.
        if let Some(scope) = parts.extensions.get::<Scope>() {
            return Ok(Self(scope.session().await?));
        }
        let registry = parts.extensions.get::<Registry>().ok_or(WorkError::NoScope)?;
        Ok(Self(registry.session_for::<M>().await?))
    }
}

/// The unit of work of the request, as an argument of a handler.
///
/// The handler holds it exclusively until it drops it. Another request for it fails with `500 Internal Server Error`:
/// from another argument, from [`UnitOfWork::current`](crate::UnitOfWork::current) in a function that the handler calls,
/// or from the handler behind a middleware that holds it. The request for it fails after 100 ms if the HTTP request waits
/// for nothing else, and after `acquire_timeout` at the latest, for example if a middleware runs the handler in a
/// separate task. See [`UnitOfWork::current`](crate::UnitOfWork::current).
impl<S: Sync> FromRequestParts<S> for CurrentWork {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let scope = <Scope as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(scope.work_at(None).await?)
    }
}

/// The scope of the request. Without a [`ScopeLayer`](super::ScopeLayer), the handler does not run and the response is
/// `500 Internal Server Error`.
impl<S: Sync> FromRequestParts<S> for Scope {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(parts.extensions.get::<Self>().cloned().ok_or(WorkError::NoScope)?)
    }
}

/// The scope of the request, or `None` without a [`ScopeLayer`](super::ScopeLayer).
impl<S: Sync> OptionalFromRequestParts<S> for Scope {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// The tenant of the request, behind [`ScopeLayer::per_tenant`](super::ScopeLayer::per_tenant). The tenant need not exist:
/// the first use of its database checks that. Behind another layer, the response is `500 Internal Server Error`.
impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let scope = <Scope as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(scope.tenant().cloned().ok_or(WorkError::NoTenant)?)
    }
}

/// The tenant of the request, or `None` if the request has a scope of a registry, or no scope.
impl<S: Sync> OptionalFromRequestParts<S> for Tenant {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        let scope = parts.extensions.get::<Scope>();
        Ok(scope.and_then(Scope::tenant).cloned())
    }
}
