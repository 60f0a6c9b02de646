//! The three kinds of database, each behind a feature of the same name.

use diesel_async::AsyncConnection;

use crate::settings::BackendKind;

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "mysql")]
pub use mysql::Mysql;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;

/// A connection type that the registry can open.
///
/// Sealed: [`Postgres`], [`Mysql`] and [`Sqlite`] implement it, each with the feature of that name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connection type that the registry supports",
    label = "not a supported connection",
    note = "supported are `registry_core::{{Postgres, Mysql, Sqlite}}`, each behind the feature of that name"
)]
pub trait Backend: AsyncConnection + sealed::Sealed + 'static {
    /// The kind of database that it speaks to.
    const KIND: BackendKind;
}

mod sealed {
    pub trait Sealed {}
}
