//! URLs of databases: which forms there are, what a driver gets of one, and what may be shown of it.
//!
//! | file | contents |
//! |---|---|
//! | [`database_url`] | [`DatabaseUrl`], of a server or of a SQLite database |
//! | [`server`] | URLs of PostgreSQL, MySQL and MariaDB, and their parameters |
//! | [`sqlite`] | URLs of SQLite, and their parameters |
//! | [`tls`] | the parameters for TLS, of which each backend has its own |
//! | [`template`] | `{tenant}` in URLs |
//! | [`stray_parameter`] | parameters where none can be, which could show a password |
//! | [`error`] | why a text is not a URL, and a template has no URL for a tenant |
//!
//! A password that somebody writes in the wrong place must not be shown either. Therefore what looks ambiguous is
//! refused, what may be shown is an allowlist, and no error repeats a text.

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
