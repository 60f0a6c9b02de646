//! What a crate of tables is built with, in place of the folder `backend/`: without the feature `engine`.
//!
//! The backends of the words `Postgres`, `Mysql` and `Sqlite` are types without values here. A crate of tables names them
//! in its binds and does nothing else with them, so it needs no driver. Cargo builds this crate once for a whole program,
//! with the features of all who depend on it: in a program that enables a backend, the same words are connection types.

use crate::backend_kind::BackendKind;

/// A connection type that the registry can open.
///
/// Sealed: [`Postgres`], [`Mysql`] and [`Sqlite`] implement it. Here they stand for connection types, because no feature
/// of `registry-core` that has an engine is enabled.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connection type that the registry supports",
    label = "not a supported connection",
    note = "supported are `registry_core::{{Postgres, Mysql, Sqlite}}`. Others, such as an alias of `diesel_async::AsyncPgConnection`, are only known with the feature of their backend: `postgres`, `mysql` or `sqlite`"
)]
pub trait Backend: sealed::Sealed + 'static {
    /// The kind of database that this type connects to.
    const KIND: BackendKind;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! stand_in {
    ($word:ident, $doc:literal) => {
        #[doc = $doc]
        ///
        /// It has no values: a program that connects enables the feature of the backend.
        #[derive(Debug)]
        pub enum $word {}

        impl sealed::Sealed for $word {}

        impl Backend for $word {
            const KIND: BackendKind = BackendKind::$word;
        }
    };
}

stand_in!(Postgres, "Stands for the connection type of PostgreSQL databases.");
stand_in!(Mysql, "Stands for the connection type of MySQL and MariaDB databases.");
stand_in!(Sqlite, "Stands for the connection type of SQLite databases.");
