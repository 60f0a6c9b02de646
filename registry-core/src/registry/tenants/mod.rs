//! Tenants.

mod provision;
mod resolver;
mod tenant;

pub use provision::{CreateTenantError, DropTenantError};
pub use resolver::TenantResolver;
pub(super) use resolver::{TenantBind, TenantSource};
pub use tenant::Tenant;
