//! Which database a type belongs to.
//!
//! A *bind* is a database as a type: a key and the connection type that speaks to it. A model, a
//! table or a query that belongs to one bind is *bound*. Both are settled at compile time, so that
//! routing needs no table of models at run time, and a session of the wrong database is a type error.

use std::marker::PhantomData;

use crate::backend::Backend;
use crate::settings::BindKey;

mod item;

pub use item::BoundItem;

/// A model, table or query that belongs to one database.
///
/// Implemented by [`#[bind]`](macro@crate::bind) for models and by
/// [`bind_tables!`](crate::bind_tables) for tables.
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

/// The bind of the database `Name` that is spoken to through `Connection`.
///
/// Two crates that name the same key and connection name the same type: nothing is registered.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct Db<Connection, Name>(PhantomData<fn() -> (Connection, Name)>);

impl<C: Backend, N: KeyName> Bind for Db<C, N> {
    type Connection = C;
    const KEY: &'static str = N::KEY;
}

impl<C: Backend, N: KeyName> Bound for Db<C, N> {
    type Bind = Self;
}

/// A bind key as a type. Implemented by [`Name`] alone.
pub trait KeyName: sealed::Sealed + 'static {
    /// The key as text.
    const KEY: &'static str;
}

/// The key of a bind whose name is known only at run time, see
/// [`Registry::session_by_key`](crate::Registry::session_by_key).
///
/// It is not a key that settings can have, so no engine is ever found by it.
#[expect(missing_debug_implementations, reason = "a name for types, never a value")]
pub struct ByKey<Connection>(PhantomData<fn() -> Connection>);

impl<C: Backend> Bind for ByKey<C> {
    type Connection = C;
    const KEY: &'static str = NO_KEY;
}

/// The `KEY` of [`ByKey`], which is known only at run time. Settings cannot have it: a key is not empty.
const NO_KEY: &str = "";

/// Whether the key of `B` is known at compile time. It is for every bind but [`ByKey`].
pub(crate) const fn has_key<B: Bind>() -> bool {
    !B::KEY.is_empty()
}

/// The key of `B`, and [`BindKey::UNNAMED`] for [`ByKey`].
///
/// Fails to compile for a bind with a `KEY` that settings cannot have, if it is evaluated in a constant.
pub(crate) const fn key_of<B: Bind>() -> BindKey {
    match BindKey::new(B::KEY) {
        Ok(key) => key,
        Err(_) if !has_key::<B>() => BindKey::UNNAMED,
        Err(_) => panic!("the KEY of a bind must be a bind key"),
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Declares [`Name`] with one `char` parameter for each of a key's 32 possible characters.
macro_rules! declare_name {
    ($($letter:ident)*) => {
        /// A bind key as a type: `Name<'a', 'n', 'a', 'l', 'y', 't', 'i', 'c', 's'>`.
        ///
        /// Stable Rust has no string parameters. Characters that are left out are `'\0'`, which the
        /// compiler does not print, so a message shows the key and nothing else. Generated code
        /// spells it out; people write the key as a string.
        #[expect(missing_debug_implementations, reason = "a name for types, never a value")]
        pub struct Name<$(const $letter: char = '\0'),*>;

        impl<$(const $letter: char),*> Name<$($letter),*> {
            const PACKED: ([u8; BindKey::MAX_LEN], usize) = ascii([$($letter),*]);
        }

        impl<$(const $letter: char),*> sealed::Sealed for Name<$($letter),*> {}

        impl<$(const $letter: char),*> KeyName for Name<$($letter),*> {
            const KEY: &'static str = {
                let (bytes, len) = &Self::PACKED;
                let (key, _) = bytes.split_at(*len);
                match std::str::from_utf8(key) {
                    Ok(key) => match BindKey::new(key) {
                        Ok(_) => key,
                        Err(_) => panic!("a bind key is 1 to 32 of a-z, 0-9 and _, first a letter"),
                    },
                    Err(_) => panic!("a bind key is ASCII"),
                }
            };
        }
    };
}

declare_name!(
    A B C D E F G H I J K L M N O P Q R S T U V W X Y Z A1 B1 C1 D1 E1 F1
);

/// The characters up to the first `'\0'`, as bytes, and how many they are.
const fn ascii(chars: [char; BindKey::MAX_LEN]) -> ([u8; BindKey::MAX_LEN], usize) {
    let mut bytes = [0; BindKey::MAX_LEN];
    let mut len = 0;
    while len < BindKey::MAX_LEN && chars[len] != '\0' {
        // A character that is not ASCII must not turn into one that is: 0xff is refused later on.
        bytes[len] = if chars[len].is_ascii() { chars[len] as u8 } else { 0xff };
        len += 1;
    }
    (bytes, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_spells_its_key() {
        assert_eq!(<Name<'a', 'b', '_', '9'> as KeyName>::KEY, "ab_9");
    }
}
