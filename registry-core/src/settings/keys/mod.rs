//! Names: of binds, of kinds of databases, of tenants.

mod backend_kind;
mod bind_key;
mod nearest;
mod tenant_name;
mod unknown_bind;
mod wrong_keys;

pub use backend_kind::{BackendKind, WrongBackend};
pub use bind_key::{BindKey, InvalidBindKey};
pub use tenant_name::TenantError;
pub use unknown_bind::UnknownBind;
pub use wrong_keys::WrongKeys;

pub(in crate::settings) use nearest::{did_you_mean, nearest};
pub(crate) use tenant_name::TenantName;
