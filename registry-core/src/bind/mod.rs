//! Which database a type belongs to.
//!
//! A *bind* is a database as a type: a key and the connection type that speaks to it. A model, a table or a query that
//! belongs to one bind is *bound*. Both are decided at compile time, so routing needs no table of models at run time,
//! and a session of the wrong database is a type error.
//!
//! | file | contents |
//! |---|---|
//! | [`bound`] | [`Bound`], the trait of types that belong to a bind; [`Bind`], the trait of binds; [`Db`], a bind with a key |
//! | [`by_key`] | [`ByKey`], the bind of a key that is known only at run time; the key of any bind as a value |
//! | [`name`] | [`Name`]: a bind key as a type |
//! | [`item`] | [`BoundItem`]: the models and tables of a program, collected when it is linked, for `verify` |
//!
//! This folder is all of a crate of tables that is built without the feature `engine`, and compiles without it too.
//!
//! The macros in `registry-derive` implement [`Bound`] and submit [`BoundItem`]s; the items of this crate that the
//! generated code names are in [`private`](crate::private).

mod bound;
#[cfg(feature = "engine")]
mod by_key;
mod item;
mod name;

pub use bound::{Bind, Bound, Db};
#[cfg(feature = "engine")]
pub use by_key::ByKey;
#[cfg(feature = "engine")]
pub(crate) use by_key::{has_key, key_of};
pub use item::BoundItem;
pub use name::{KeyName, Name};
