//! Keys and names: of binds, of kinds of databases, of tenants.
//!
//! | file | contents |
//! |---|---|
//! | [`bind_key`] | [`BindKey`]: the allowed characters of a key. `registry-derive` has the same rule in `key.rs`, and [`Name`](crate::Name) is a key as a type: all three change together |
//! | [`unknown_bind`] | [`UnknownBind`]: the error for a key that no bind has, and its text |
//! | [`wrong_keys`] | [`WrongKeys`]: the same for the keys in options of a unit of work |
//! | [`nearest`] | "did you mean ..?" |
//! | [`backend_kind`] | [`BackendKind`], and [`WrongBackend`]: the error for a URL of another backend than the program expects |
//! | [`tenant_name`] | [`TenantName`]: the allowed characters of a tenant's name |

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
