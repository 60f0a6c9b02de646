//! Which tenant a request is for.

use axum_core::response::{IntoResponse, Response};

use super::response::no_tenant;
use crate::registry::Tenant;

/// What the closure of [`ScopeLayer::per_tenant`](super::ScopeLayer::per_tenant) returns: a [`Tenant`], an `Option` or a
/// `Result` of one.
///
/// `None` is answered with `404 Not Found`, and an error with the response that it is. That of
/// [`Registry::tenant`](crate::Registry::tenant), a name that cannot be one, is `404 Not Found` as well.
///
/// ```
/// use axum::http::request::Parts;
/// use registry_core::web::ScopeLayer;
/// # use registry_core::{Registry, SettingsError};
///
/// # fn main() -> Result<(), SettingsError> {
/// # let registry = Registry::builder().bind("default", "sqlite:///srv/{tenant}.db").build()?;
/// // An `Option<Result<Tenant, TenantError>>`: the header is missing, the name cannot be one, or there is a tenant.
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
    /// The tenant, or the response to a request that is for none.
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
        self.map_or_else(|| Err(Box::new(no_tenant())), T::into_tenant)
    }
}

impl<T: IntoTenant, E: IntoResponse> IntoTenant for Result<T, E> {
    fn into_tenant(self) -> Result<Tenant, Box<Response>> {
        self.map_err(|error| Box::new(error.into_response())).and_then(T::into_tenant)
    }
}
