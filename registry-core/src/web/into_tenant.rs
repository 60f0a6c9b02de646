//! The tenant of a request.

use axum_core::response::{IntoResponse, Response};

use super::response::no_tenant;
use crate::registry::Tenant;

/// The return value of the closure of [`ScopeLayer::per_tenant`](super::ScopeLayer::per_tenant): a [`Tenant`], or an
/// `Option` or a `Result` of a tenant.
///
/// The response to `None` is `404 Not Found`. An error is converted into the response; the error of
/// [`Registry::tenant`](crate::Registry::tenant), for an invalid tenant name, is `404 Not Found` as well.
///
/// ```
/// use axum::http::request::Parts;
/// use registry_core::web::ScopeLayer;
/// # use registry_core::{Registry, SettingsError};
///
/// # fn main() -> Result<(), SettingsError> {
/// # let registry = Registry::builder().bind("default", "sqlite:///srv/{tenant}.db").build()?;
/// // An `Option<Result<Tenant, TenantError>>`: the header is missing, the name is invalid, or a tenant.
/// let layer = ScopeLayer::per_tenant(move |parts: &Parts| {
///     let name = parts.headers.get("x-tenant")?.to_str().ok()?;
///     Some(registry.tenant(name))
/// });
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which tenant a request is for",
    label = "expected a `Tenant`, an `Option` of one, or a `Result` with an error that is a response",
    note = "take the name from the request, and let the registry make a tenant of it: `registry.tenant(name)`"
)]
pub trait IntoTenant {
    /// The tenant, or the response to a request without a tenant.
    ///
    /// # Errors
    ///
    /// The response to a request without a tenant.
    fn into_tenant(self) -> Result<Tenant, Box<Response>>;
}

impl IntoTenant for Tenant {
    fn into_tenant(self) -> Result<Tenant, Box<Response>> {
        Ok(self)
    }
}

impl<T: IntoTenant> IntoTenant for Option<T> {
    fn into_tenant(self) -> Result<Tenant, Box<Response>> {
        self.map_or_else(|| Err(Box::new(no_tenant())), T::into_tenant)
    }
}

impl<T: IntoTenant, E: IntoResponse> IntoTenant for Result<T, E> {
    fn into_tenant(self) -> Result<Tenant, Box<Response>> {
        self.map_err(|error| Box::new(error.into_response())).and_then(T::into_tenant)
    }
}
