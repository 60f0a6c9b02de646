//! The three kinds of databases, each behind a feature of the same name.
//!
//! In the order in which to read it:
//!
//! | file | what it has |
//! |---|---|
//! | [`driver`] | [`Backend`] and [`Driver`](driver::Driver): what a connection type has to offer, in the order of a connection's life |
//! | [`error`] | [`ConnectError`]: why a connection could not be opened |
//! | [`connect_context`] | what is given to the opening of a connection, and what comes of it |
//! | [`host_failover`] | the order in which the hosts of a URL are tried |
//! | [`observed`] | what is known of a connection from watching it |
//! | [`error_class`] | what an error means, also where only Diesel's error is in hand |
//! | [`transactions`] | transactions as Diesel counts them |
//! | [`resource_exhaustion`] | running out of file descriptors, memory and threads |
//! | [`migrate`] | running migrations on a connection |
//! | [`namespace`] | databases and schemas of tenants |
//! | [`tls`] | TLS by rustls, for PostgreSQL and MySQL |
//! | [`postgres`], [`mysql`], [`sqlite`] | the backends |
//!
//! `driver` and `migrate` import each other: the trait has a method that runs migrations, and the code that runs them, one
//! for all backends, is written against the trait.

use crate::settings::{BackendKind, DatabaseUrl};

mod connect_context;
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
mod transactions;

pub(crate) use connect_context::{Canceller, ConnectContext, OpenedConnection};
pub use driver::Backend;
pub use error::ConnectError;
#[cfg(feature = "mysql")]
pub use mysql::Mysql;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
#[cfg(feature = "sqlite")]
pub use sqlite::{AsyncSqliteConnection, Sqlite};
pub(crate) use transactions::transaction_depth;

/// What the driver has against a URL, as far as it is known without connecting.
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
        // The settings report a feature that is off.
        #[cfg(not(all(feature = "postgres", feature = "mysql", feature = "sqlite")))]
        _ => Ok(()),
    }
}
