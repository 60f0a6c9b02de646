//! Binds, and the types that belong to a bind.

use std::marker::PhantomData;

use super::name::KeyName;
use crate::backend::Backend;

/// A model, table or query that belongs to one database.
///
/// Implemented by [`#[bind]`](macro@crate::bind) for models, by [`bind_tables!`](crate::bind_tables) for tables, and by
/// this crate for Diesel's queries on them. [`Registry::session_for`](crate::Registry::session_for) acquires a session
/// of the database.
///
/// ```
/// use registry_core::{Bind, Bound, Sqlite, bind, binds};
///
/// binds! { Analytics: Sqlite = "analytics"; }
///
/// #[bind(Analytics)]
/// struct Event;
///
/// fn key_of<M: Bound>() -> &'static str {
///     M::Bind::KEY
/// }
/// assert_eq!(key_of::<Event>(), "analytics");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not bound to a database",
    label = "no bind is known for this type",
    note = "for a model, add `#[bind(db = \"..\")]` above its struct; `#[bind]` alone means the default database",
    note = "for a table, add `registry_core::bind_tables!(db = \"..\", backend = ..; path::to::table)`"
)]
pub trait Bound {
    /// The database that this type belongs to.
    type Bind: Bind;
}

/// A database as a type: a key and the connection type that speaks to it.
///
/// Every bind is a [`Db`]; [`binds!`](crate::binds) gives one a name.
///
/// ```
/// use registry_core::{Bind, Sqlite, binds};
///
/// binds! { pub Files: Sqlite = "files"; }
///
/// assert_eq!(Files::KEY, "files");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a bind",
    label = "expected a bind, such as one that `binds!` declares",
    note = "declare it with `registry_core::binds! {{ pub Analytics: Postgres = \"analytics\"; }}`"
)]
pub trait Bind: 'static {
    /// The connection type that speaks to this database.
    type Connection: Backend;

    /// The bind key: the name of this database in the settings.
    const KEY: &'static str;
}

/// The bind of the database whose key is `Name`, with the connection type `Connection`.
///
/// Two crates that name the same key and connection name the same type, without any registration.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct Db<Connection, Name>(PhantomData<fn() -> (Connection, Name)>);

impl<C: Backend, N: KeyName> Bind for Db<C, N> {
    type Connection = C;
    const KEY: &'static str = N::KEY;
}

impl<C: Backend, N: KeyName> Bound for Db<C, N> {
    type Bind = Self;
}
