//! What generated code may name. Not part of the public interface: it may change in any release.

pub use inventory;

use crate::backend::Backend;
pub use crate::bind::{Bind, Bound, BoundItem, Db, Name};
pub use crate::{__backend as backend, __only_backend as only_backend};

#[cfg(feature = "mysql")]
pub use crate::backend::Mysql;
#[cfg(feature = "postgres")]
pub use crate::backend::Postgres;
#[cfg(feature = "sqlite")]
pub use crate::backend::Sqlite;

/// The connection type that speaks to a Diesel backend: what `check_for_backend` names.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a backend that the registry can open a connection to",
    label = "no connection type is known for this backend",
    note = "`diesel::pg::Pg`, `diesel::mysql::Mysql` and `diesel::sqlite::Sqlite` are, with the feature `postgres`, `mysql` or `sqlite` of registry-core"
)]
pub trait BackendOf {
    /// That connection type.
    type Connection: Backend;
}

/// Said of a connection type and the Diesel backend that it speaks to.
#[diagnostic::on_unimplemented(
    message = "the bind and `check_for_backend` contradict each other: `{Self}` does not speak to `{DB}`",
    label = "this bind's connection does not speak to the backend that `check_for_backend` names",
    note = "name the same backend in both, or leave `backend = ..` out: it follows from `check_for_backend`"
)]
pub trait Speaks<DB> {}

/// Compiles if `C` speaks to `DB`.
pub const fn assert_speaks<C: Speaks<DB>, DB>() {}

/// The table `T` of a model.
///
/// Whether `T` is bound decides which `agrees_with` the compiler takes: the one below, or that of
/// [`TableOfAnyBind`], which comes second.
#[derive(Debug)]
pub struct TableOf<T>(std::marker::PhantomData<T>);

impl<T: Bound> TableOf<T> {
    /// Compiles if the table is bound where the model `M` is.
    pub const fn agrees_with<M: Bound>()
    where
        T::Bind: ModelsBind<M::Bind>,
    {
    }
}

/// A table that is not bound.
pub trait TableOfAnyBind {
    /// Compiles.
    fn agrees_with<M>() {}
}

impl<T> TableOfAnyBind for TableOf<T> {}

/// Said of a table's bind and that of its model, which is the same.
#[diagnostic::on_unimplemented(
    message = "a model in another database than its table: the table is bound to `{Self}`, the model to `{B}`",
    label = "this table is bound to another database than the model",
    note = "bind the model with `#[bind(table)]`, and it is wherever its table is"
)]
pub trait ModelsBind<B> {}

impl<B: Bind> ModelsBind<B> for B {}

macro_rules! speaks {
    ($feature:literal, $connection:ident, $backend:ty) => {
        #[cfg(feature = $feature)]
        impl BackendOf for $backend {
            type Connection = $connection;
        }

        #[cfg(feature = $feature)]
        impl Speaks<$backend> for $connection {}
    };
}

speaks!("postgres", Postgres, diesel::pg::Pg);
speaks!("mysql", Mysql, diesel::mysql::Mysql);
speaks!("sqlite", Sqlite, diesel::sqlite::Sqlite);

// An error stands in the length of an array: the compiler then takes the type for one that is wrong
// already and says no more about it. In the place of a type it would leave `()`.

/// The connection type of a backend word: `backend!(Postgres)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __backend {
    (Postgres) => {
        $crate::__postgres!()
    };
    (Mysql) => {
        $crate::__mysql!()
    };
    (Sqlite) => {
        $crate::__sqlite!()
    };
}

/// A macro for each backend that is its connection type or, its feature off, an error that says so.
/// The features are those of this crate: a macro's own would be those of the crate that uses it.
macro_rules! connection_or_error {
    ($dollar:tt $name:ident, $feature:literal, $word:ident) => {
        #[cfg(feature = $feature)]
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $name {
            () => { $dollar crate::private::$word };
        }

        #[cfg(not(feature = $feature))]
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $name {
            () => {
                [(); ::core::compile_error!(concat!(
                    "the backend `", stringify!($word), "` needs the feature `", $feature,
                    "` of registry-core, which is off: add it to that dependency's `features` in Cargo.toml"
                ))]
            };
        }
    };
}

connection_or_error!($ __postgres, "postgres", Postgres);
connection_or_error!($ __mysql, "mysql", Mysql);
connection_or_error!($ __sqlite, "sqlite", Sqlite);

// The connection type of the only backend whose feature is on, or an error that says what to add.

#[cfg(all(feature = "postgres", not(any(feature = "mysql", feature = "sqlite"))))]
#[doc(hidden)]
#[macro_export]
macro_rules! __only_backend {
    () => {
        $crate::private::Postgres
    };
}

#[cfg(all(feature = "mysql", not(any(feature = "postgres", feature = "sqlite"))))]
#[doc(hidden)]
#[macro_export]
macro_rules! __only_backend {
    () => {
        $crate::private::Mysql
    };
}

#[cfg(all(feature = "sqlite", not(any(feature = "postgres", feature = "mysql"))))]
#[doc(hidden)]
#[macro_export]
macro_rules! __only_backend {
    () => {
        $crate::private::Sqlite
    };
}

#[cfg(not(any(feature = "postgres", feature = "mysql", feature = "sqlite")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __only_backend {
    () => {
        [(); ::core::compile_error!(
            "no backend is enabled: add the feature `postgres`, `mysql` or `sqlite` to the dependency registry-core"
        )]
    };
}

#[cfg(any(
    all(feature = "postgres", feature = "mysql"),
    all(feature = "postgres", feature = "sqlite"),
    all(feature = "mysql", feature = "sqlite"),
))]
#[doc(hidden)]
#[macro_export]
macro_rules! __only_backend {
    () => {
        [(); ::core::compile_error!(
            "which backend? several are enabled: add `backend = Postgres`, `backend = Mysql` or `backend = Sqlite` here, or `check_for_backend(..)` to the model's `#[diesel(..)]`"
        )]
    };
}
