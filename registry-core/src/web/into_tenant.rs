//! Whose request it is.

use axum_core::response::{IntoResponse, Response};

use super::response::nobody;
use crate::registry::Tenant;

/// What the closure of [`ScopeLayer::per_tenant`](super::ScopeLayer::per_tenant) returns: a [`Tenant`], or
/// whatever there is instead of one.
///
/// No tenant is `404 Not Found`, and an error is its own response.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not whose request it is",
    label = "expected a `Tenant`, an `Option` of one, or a `Result` with an error that is a response",
    note = "a request says a name, and the registry makes a tenant of it: `registry.tenant(name)`"
)]
pub trait IntoTenant {
    /// The tenant, or the response to a request that is not a tenant's.
    ///
    /// # Errors
    ///
    /// That response.
    fn into_tenant(self) -> Result<Tenant, Box<Response>>;
}

impl IntoTenant for Tenant {
    fn into_tenant(self) -> Result<Tenant, Box<Response>> {
        Ok(self)
    }
}

impl<T: IntoTenant> IntoTenant for Option<T> {
    fn into_tenant(self) -> Result<Tenant, Box<Response>> {
        self.map_or_else(|| Err(Box::new(nobody())), T::into_tenant)
    }
}

impl<T: IntoTenant, E: IntoResponse> IntoTenant for Result<T, E> {
    fn into_tenant(self) -> Result<Tenant, Box<Response>> {
        self.map_err(|error| Box::new(error.into_response())).and_then(T::into_tenant)
    }
}
