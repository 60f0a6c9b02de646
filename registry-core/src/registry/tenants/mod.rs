//! Binds with a database or a schema for each tenant.
//!
//! | file | what it has |
//! |---|---|
//! | `tenant` | [`Tenant`], the handle to a tenant's database |
//! | `resolver` | [`TenantResolver`], the callback that finds the settings of a tenant |
//! | `bind` | [`TenantBind`]: how the engine of a tenant is found, by a URL with `{tenant}` or by a resolver |

mod bind;
mod resolver;
mod tenant;

pub(super) use bind::{TenantBind, TenantSource};
pub use resolver::TenantResolver;
pub use tenant::Tenant;
