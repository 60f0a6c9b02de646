//! The three kinds of database, each behind a feature of the same name.

use diesel_async::AsyncConnection;

use crate::settings::{BackendKind, DatabaseUrl};

pub(crate) mod driver;
mod error;
pub(crate) mod error_class;
#[cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    expect(dead_code, reason = "only servers have hosts")
)]
pub(crate) mod host_failover;
pub(crate) mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
pub(crate) mod namespace;
pub(crate) mod observed;
#[cfg(feature = "postgres")]
mod postgres;
pub(crate) mod resource_exhaustion;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(feature = "rustls", any(feature = "postgres", feature = "mysql")))]
mod tls;

pub use error::ConnectError;
#[cfg(feature = "mysql")]
pub use mysql::Mysql;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
#[cfg(feature = "sqlite")]
pub use sqlite::{AsyncSqliteConnection, Sqlite};

/// A connection type that the registry can open.
///
/// Sealed: `Postgres`, `Mysql` and `Sqlite` implement it, each with the feature of that name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connection type that the registry supports",
    label = "not a supported connection",
    note = "supported are `registry_core::{{Postgres, Mysql, Sqlite}}`, each with the feature of that name"
)]
pub trait Backend: AsyncConnection + driver::Driver + 'static {
    /// The kind of database that it speaks to.
    const KIND: BackendKind;
}

/// What the driver has to say against a URL, which it finds out without connecting.
pub(crate) fn check_url(url: &DatabaseUrl) -> Result<(), String> {
    #[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
    use driver::Driver;

    match url.backend() {
        #[cfg(feature = "postgres")]
        BackendKind::Postgres => Postgres::check_url(url),
        #[cfg(feature = "mysql")]
        BackendKind::Mysql => Mysql::check_url(url),
        #[cfg(feature = "sqlite")]
        BackendKind::Sqlite => Sqlite::check_url(url),
        // A feature that is off is reported by the settings.
        #[cfg(not(all(feature = "postgres", feature = "mysql", feature = "sqlite")))]
        _ => Ok(()),
    }
}
