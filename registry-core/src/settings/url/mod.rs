//! URLs of databases.

mod database_url;
mod invalid;
mod server;
#[cfg_attr(
    not(any(feature = "sqlite", test)),
    expect(dead_code, reason = "what a URL says in detail is for the driver")
)]
mod sqlite;
mod stray_parameter;
pub(crate) mod tls;

pub use database_url::DatabaseUrl;
pub(in crate::settings) use database_url::is_like_url;
pub(crate) use database_url::{TENANT_PLACEHOLDER, TenantUrlError};
pub use invalid::InvalidUrl;
pub(crate) use sqlite::SqliteFile;
