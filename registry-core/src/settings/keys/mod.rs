//! Keys and names: the errors for wrong ones, and tenants.
//!
//! | file | contents |
//! |---|---|
//! | `src/bind_key.rs`, `src/backend_kind.rs` | [`BindKey`] and [`BackendKind`], which a crate of tables needs too, without these settings |
//! | [`unknown_bind`] | [`UnknownBind`]: the error for a key that no bind has, and its text |
//! | [`wrong_keys`] | [`WrongKeys`]: the same for the keys in options of a unit of work |
//! | [`nearest`] | "did you mean ..?" |
//! | [`wrong_backend`] | [`WrongBackend`]: the error for a URL of another backend than the program expects |
//! | [`tenant_name`] | [`TenantName`]: the allowed characters of a tenant's name |

mod nearest;
mod tenant_name;
mod unknown_bind;
mod wrong_backend;
mod wrong_keys;

pub use crate::backend_kind::BackendKind;
pub use crate::bind_key::{BindKey, InvalidBindKey};
pub use tenant_name::TenantError;
pub use unknown_bind::UnknownBind;
pub use wrong_backend::WrongBackend;
pub use wrong_keys::WrongKeys;

pub(in crate::settings) use nearest::did_you_mean;
pub(crate) use nearest::nearest;
pub(crate) use tenant_name::TenantName;
