//! What is wrong with a URL.

use crate::settings::keys::did_you_mean;

/// The schemes of all backends, whether their features are on or off.
pub(super) const SCHEMES: [&str; 5] = ["postgres", "postgresql", "mysql", "mariadb", "sqlite"];

/// Why a text is not the URL of a database.
///
/// It never repeats the text, which may have a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It does not begin with a scheme.
    #[error(
        "not the URL of a database: one begins with `postgres://`, `mysql://` or `sqlite:`, \
         such as `sqlite://data/app.db`"
    )]
    NoScheme,
    /// It has a scheme that this crate does not know.
    #[error(
        "unknown scheme `{scheme}`{suggestion}; known are {known}",
        suggestion = did_you_mean(scheme, SCHEMES),
        known = SCHEMES.join(", ")
    )]
    UnknownScheme {
        /// The scheme, without its colon.
        scheme: String,
    },
    /// The scheme of a server is not followed by `//`.
    #[error("`{scheme}:` is followed by `//`, as in `{scheme}://user@host/database`")]
    NoSlashes {
        /// The scheme, without its colon.
        scheme: String,
    },
    /// It has a line break or another control character.
    #[error("a URL has no line breaks and no other control characters")]
    ControlCharacter,
    /// Drivers would disagree about where the password ends.
    #[error(
        "it is unclear where the host begins: elsewhere than before it, write `%40` for `@`, and in \
         a password also `%2F` for `/`, `%3F` for `?` and `%23` for `#`"
    )]
    Ambiguous,
    /// What follows the colon of a host is not a port.
    #[error(
        "a port is a number from 0 to 65535; in a password before an `@`, write `%40` for `@`; \
         write an IPv6 address in brackets"
    )]
    InvalidPort,
    /// It seems to have parameters where a driver would take them for a part of a name.
    #[error(
        "a separator stands where none can be: parameters begin after `?` and are separated by `&`; \
         elsewhere, write `%3B` for `;`, `%26` for `&`, `%3D` for `=`, `%3A` for `:` and `%23` for `#`"
    )]
    StraySeparator,
    /// It asks for TLS, and the feature `rustls` of this crate is off.
    #[error(
        "`{parameter}` asks for TLS, which needs the feature `rustls` of registry-core: \
         add it to that dependency's `features` in Cargo.toml"
    )]
    Tls {
        /// The parameter that asks for it, such as `sslmode=require`.
        parameter: String,
    },
    /// A parameter for TLS has an unknown value, or several contradict each other.
    #[error("{0}")]
    TlsParameter(String),
    /// A SQLite URL without a path.
    #[error(
        "a SQLite URL has a path, such as `sqlite://data/app.db`, `sqlite:///srv/app.db` or \
         `sqlite::memory:`"
    )]
    NoPath,
    /// A SQLite URL with a user or a password.
    #[error(
        "a SQLite URL has a path and no user, password or host; in a path, write `%40` for `@`"
    )]
    SqliteUser,
    /// The path of a SQLite URL is not text, or has a NUL in it.
    #[error("the path of a SQLite URL is UTF-8, and has no NUL in it")]
    InvalidPath,
    /// A query parameter that SQLite does not have, or a value that the parameter cannot have.
    #[error("{0}")]
    SqliteParameter(String),
}

/// Why a tenant cannot have the database that a template gives it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TenantUrlError {
    /// The server would cut the name, and the result could be the name of another tenant's database.
    #[error("the name of the database is longer than {limit} bytes")]
    TooLong { limit: usize },
    /// The file is one that SQLite keeps beside the database of another tenant.
    #[error(
        "the name of the file ends in `{suffix}`: it could belong to the database of another tenant"
    )]
    SideFile { suffix: &'static str },
}
