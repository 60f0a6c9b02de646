//! URLs of databases: their forms, the part that a driver gets, and the parts that may be shown.
//!
//! | file | contents |
//! |---|---|
//! | [`database_url`] | [`DatabaseUrl`], of a server or of a SQLite database |
//! | [`server`] | URLs of PostgreSQL, MySQL and MariaDB, and their parameters |
//! | [`sqlite`] | URLs of SQLite, and their parameters |
//! | [`tls`] | the parameters for TLS, of which each backend has its own |
//! | [`template`] | `{tenant}` in URLs |
//! | [`stray_parameter`] | parameters where none can be, which could show a password |
//! | [`error`] | the errors: a text is not a URL, or a template has no URL for a tenant |
//!
//! A password in the wrong place must not be shown, either. Therefore an ambiguous URL is refused, an allowlist decides
//! which parameters may be shown, and no error repeats the text.

mod database_url;
mod error;
mod server;
#[cfg_attr(
    not(any(feature = "sqlite", test)),
    expect(dead_code, reason = "what a URL says in detail is for the driver")
)]
mod sqlite;
mod stray_parameter;
mod template;
pub(crate) mod tls;

pub use database_url::DatabaseUrl;
pub(in crate::settings) use database_url::is_like_url;
pub use error::InvalidUrl;
pub(crate) use error::TenantUrlError;
pub(crate) use sqlite::SqliteFile;
pub(crate) use template::TENANT_PLACEHOLDER;
