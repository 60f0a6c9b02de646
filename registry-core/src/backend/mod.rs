//! The three kinds of databases, each behind a feature of the same name.
//!
//! In the order in which to read it:
//!
//! | file | contents |
//! |---|---|
//! | [`driver`] | [`Backend`] and [`Driver`](driver::Driver): the requirements of a connection type, in the order of a connection's life |
//! | [`pipelines`] | [`Pipelines`]: connections on which several statements can be under way |
//! | [`error`] | [`ConnectError`]: why a connection could not be opened |
//! | [`connect_context`] | the inputs for opening a connection, and the opened connection |
//! | [`bind_variables`] | how many bind variables a statement can have, and the error of one that has more |
//! | [`host_failover`] | the order in which the hosts of a URL are tried |
//! | [`observed`] | the observed state of a connection |
//! | [`error_class`] | the class of an error, from the server's code or from Diesel's error alone |
//! | [`transaction_modes`] | [`TransactionModes`]: databases whose transactions have isolation levels and access modes |
//! | [`transactions`] | transactions as Diesel's transaction manager counts them |
//! | [`resource_exhaustion`] | running out of file descriptors, memory and threads |
//! | [`migrate`] | running migrations on a connection |
//! | [`ledger`] | the tables in which a run over all tenants notes what it has done |
//! | [`namespace`] | tenants' databases and schemas |
//! | [`tls`] | TLS by rustls, for PostgreSQL and MySQL |
//! | [`postgres`], [`mysql`], [`sqlite`] | the backends |
//!
//! `driver` and `migrate` import each other: the trait has a method that runs migrations, and the implementation, which all
//! backends share, is generic over the trait.

use crate::settings::{BackendKind, DatabaseUrl};

pub(crate) mod bind_variables;
mod connect_context;
pub(crate) mod driver;
mod error;
pub(crate) mod error_class;
#[cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    expect(dead_code, reason = "only servers have hosts")
)]
pub(crate) mod host_failover;
pub(crate) mod ledger;
pub(crate) mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
pub(crate) mod namespace;
pub(crate) mod observed;
mod pipelines;
pub(crate) mod position;
#[cfg(feature = "postgres")]
mod postgres;
pub(crate) mod resource_exhaustion;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(feature = "rustls", any(feature = "postgres", feature = "mysql")))]
mod tls;
mod transaction_modes;
mod transactions;

pub(crate) use connect_context::{Canceller, ConnectContext, OpenedConnection};
pub use driver::Backend;
pub use error::ConnectError;
#[cfg(feature = "mysql")]
pub use mysql::Mysql;
#[cfg(all(feature = "cli", feature = "mysql"))]
pub(crate) use mysql::{READ_ONLY as MYSQL_READ_ONLY, opts as mysql_opts};
pub use pipelines::Pipelines;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
#[cfg(all(feature = "cli", feature = "postgres"))]
pub(crate) use postgres::config as postgres_config;
#[cfg(feature = "sqlite")]
pub use sqlite::{AsyncSqliteConnection, Sqlite};
pub use transaction_modes::TransactionModes;
pub(crate) use transactions::transaction_depth;

/// Checks whether the driver can use this URL, without connecting. The error is the reason, without a password.
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
        // The settings report the missing feature.
        #[cfg(not(all(feature = "postgres", feature = "mysql", feature = "sqlite")))]
        _ => Ok(()),
    }
}
