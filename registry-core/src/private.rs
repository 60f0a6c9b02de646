//! What the code that the macros generate names of this crate. Not part of the public interface: it may change in any
//! release.

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

/// A backend of Diesel, such as `check_for_backend` names, that has a connection type here.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a backend that the registry can open a connection to",
    label = "no connection type is known for this backend",
    note = "`diesel::pg::Pg`, `diesel::mysql::Mysql` and `diesel::sqlite::Sqlite` are, with the feature `postgres`, `mysql` or `sqlite` of registry-core"
)]
pub trait DieselBackend {
    /// The connection type that speaks to this backend.
    type Connection: Backend;
}

/// Implemented by each connection type for the Diesel backend that it speaks to.
#[diagnostic::on_unimplemented(
    message = "the bind and `check_for_backend` contradict each other: `{Self}` does not speak to `{DB}`",
    label = "this bind's connection does not speak to the backend that `check_for_backend` names",
    note = "name the same backend in both, or leave `backend = ..` out: it follows from `check_for_backend`"
)]
pub trait SpeaksTo<DB> {}

/// Compiles if the connection type `C` speaks to the backend `DB`.
pub const fn assert_speaks_to<C: SpeaksTo<DB>, DB>() {}

/// The table `T` of a model, for a check at compile time that a bound table is in the same database as the model.
///
/// If `T` is bound, the compiler takes the inherent `agrees_with` below. If it is not, that does not apply, and the
/// compiler takes the method of the trait [`UnboundTable`], which checks nothing.
#[derive(Debug)]
pub struct TableOf<T>(std::marker::PhantomData<T>);

impl<T: Bound> TableOf<T> {
    /// Compiles if the table is bound in the same database as the model `M`.
    pub const fn agrees_with<M: Bound>()
    where
        T::Bind: SameBindAs<M::Bind>,
    {
    }
}

/// The check for a table that is not bound.
pub trait UnboundTable {
    /// Always compiles.
    fn agrees_with<M>() {}
}

impl<T> UnboundTable for TableOf<T> {}

/// Implemented by each bind for itself: the bind of a table must be that of its model.
#[diagnostic::on_unimplemented(
    message = "a model in another database than its table: the table is bound to `{Self}`, the model to `{B}`",
    label = "this table is bound to another database than the model",
    note = "bind the model with `#[bind(table)]`, and it is wherever its table is"
)]
pub trait SameBindAs<B> {}

impl<B: Bind> SameBindAs<B> for B {}

macro_rules! speaks {
    ($feature:literal, $connection:ident, $backend:ty) => {
        #[cfg(feature = $feature)]
        impl DieselBackend for $backend {
            type Connection = $connection;
        }

        #[cfg(feature = $feature)]
        impl SpeaksTo<$backend> for $connection {}
    };
}

speaks!("postgres", Postgres, diesel::pg::Pg);
speaks!("mysql", Mysql, diesel::mysql::Mysql);
speaks!("sqlite", Sqlite, diesel::sqlite::Sqlite);

// A `compile_error!` in a macro for a type stands in the length of an array. The compiler then treats the type as
// erroneous and reports nothing more about it. In place of the type itself, the macro would leave `()`, about which the
// compiler would report further errors.

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

/// Declares for a backend a macro that expands to its connection type or, if its feature is off, to an error that says so.
/// The `cfg` must be here: in an exported macro it would ask for the features of the crate that uses the macro.
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

// `only_backend!` expands to the connection type of the only backend whose feature is on. If there is none or several, it
// expands to an error that says what to add.

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
