//! What handlers take from the scope of their request.

use std::convert::Infallible;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::bind::Bound;
use crate::error::Error;
use crate::registry::{Registry, Tenant};
use crate::session::Session;
use crate::work::{CurrentWork, Scope, WorkError};

/// A session of the model, table or query type `M`, as an argument of a handler: acquired from the
/// registry of the [`ScopeLayer`](super::ScopeLayer), or for its tenant, and no part of the request's unit
/// of work.
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
        // The scope knows of a tenant.
        if let Some(scope) = parts.extensions.get::<Scope>() {
            return Ok(Self(scope.session().await?));
        }
        let registry = parts.extensions.get::<Registry>().ok_or(WorkError::NoScope)?;
        Ok(Self(registry.session_for::<M>().await?))
    }
}

/// The unit of work of the request. Nobody else in the request has it until the handler drops it:
/// neither another argument nor [`UnitOfWork::current`](crate::UnitOfWork::current) in a function
/// that it calls, nor the handler behind a middleware that has it. Who asks for it all the same is refused with
/// `500 Internal Server Error`: after 100 ms if the request waits for nothing else, after `acquire_timeout` at the
/// latest, as when the middleware has the handler run in a task of its own. See
/// [`UnitOfWork::current`](crate::UnitOfWork::current).
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

/// The tenant of the request, behind [`ScopeLayer::per_tenant`](super::ScopeLayer::per_tenant). It need not exist:
/// that is found out when its database is first used.
impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let scope = <Scope as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(scope.tenant().cloned().ok_or(WorkError::NoTenant)?)
    }
}

/// The tenant of the request, if it has one.
impl<S: Sync> OptionalFromRequestParts<S> for Tenant {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        let scope = parts.extensions.get::<Scope>();
        Ok(scope.and_then(Scope::tenant).cloned())
    }
}
