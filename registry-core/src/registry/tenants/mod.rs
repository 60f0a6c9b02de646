//! Binds with a database or a schema for each tenant.
//!
//! | file | what it has |
//! |---|---|
//! | `tenant` | [`Tenant`], through which users reach a tenant's database |
//! | `resolver` | [`TenantResolver`], the callback that finds the settings of a tenant |
//! | `bind` | [`TenantBind`]: which engine is a tenant's, from a URL with `{tenant}` or from a resolver |

mod bind;
mod resolver;
mod tenant;

pub(super) use bind::{TenantBind, TenantSource};
pub use resolver::TenantResolver;
pub use tenant::Tenant;
