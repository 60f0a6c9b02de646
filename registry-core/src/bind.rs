//! Which database a type belongs to.
//!
//! A *bind* is a database as a type: a key and the connection type that speaks to it. A model, a
//! table or a query that belongs to one bind is *bound*. Both are settled at compile time, so that
//! routing needs no table of models at run time, and a query for the wrong database is a type error.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::backend::Backend;

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
    const KEY: &'static str = "";
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
                    Ok(key) => match BindKey::check(key) {
                        Ok(()) => key,
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

/// The name of a database in the settings: 1 to 32 of `a-z`, `0-9` and `_`, first a letter.
///
/// ```
/// use registry_core::BindKey;
///
/// assert_eq!(BindKey::DEFAULT, "default");
/// assert_eq!(BindKey::new("analytics").unwrap(), "analytics");
/// assert!(BindKey::new("Analytics").is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindKey {
    // Unused bytes are zero, so that the derived comparisons are those of the text.
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl BindKey {
    /// The key of the default bind: `"default"`.
    pub const DEFAULT: Self = match Self::new("default") {
        Ok(key) => key,
        Err(_) => unreachable!(),
    };

    /// How many characters a key has at the most.
    pub const MAX_LEN: usize = 32;

    /// Checks `key` and makes it a bind key.
    ///
    /// # Errors
    ///
    /// [`InvalidBindKey`] says what is wrong with `key`, and where.
    pub const fn new(key: &str) -> Result<Self, InvalidBindKey> {
        if let Err(invalid) = Self::check(key) {
            return Err(invalid);
        }
        let mut bytes = [0; Self::MAX_LEN];
        let (used, _) = bytes.split_at_mut(key.len());
        used.copy_from_slice(key.as_bytes());
        Ok(Self { bytes, len: key.len() as u8 })
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    /// As many bytes for every key: those that it does not need are zero.
    pub(crate) const fn bytes(&self) -> &[u8; Self::MAX_LEN] {
        &self.bytes
    }

    const fn check(key: &str) -> Result<(), InvalidBindKey> {
        let bytes = key.as_bytes();
        if bytes.is_empty() {
            return Err(InvalidBindKey::Empty);
        }
        if bytes.len() > Self::MAX_LEN {
            return Err(InvalidBindKey::TooLong { len: bytes.len() });
        }
        if !bytes[0].is_ascii_lowercase() {
            return Err(InvalidBindKey::Character { at: 0 });
        }
        let mut at = 1;
        while at < bytes.len() {
            if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'_') {
                return Err(InvalidBindKey::Character { at });
            }
            at += 1;
        }
        Ok(())
    }
}

impl Deref for BindKey {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for BindKey {
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq<str> for BindKey {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for BindKey {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for BindKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for BindKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl serde::Serialize for BindKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl std::str::FromStr for BindKey {
    type Err = InvalidBindKey;

    fn from_str(key: &str) -> Result<Self, InvalidBindKey> {
        Self::new(key)
    }
}

/// Why a text is not a bind key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBindKey {
    /// It has no character at all.
    #[error("a bind key cannot be empty")]
    Empty,
    /// It is longer than [`BindKey::MAX_LEN`].
    #[error("a bind key has at most 32 characters, this one has {len}")]
    TooLong {
        /// How long it is, in bytes.
        len: usize,
    },
    /// It has a character that keys cannot have, or does not begin with a letter.
    #[error("a bind key has only a-z, 0-9 and _, and begins with a letter: look at byte {at}")]
    Character {
        /// The byte at which that character begins.
        at: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_spells_its_key() {
        assert_eq!(<Name<'a', 'b', '_', '9'> as KeyName>::KEY, "ab_9");
    }

    #[test]
    fn keys_order_as_their_texts() {
        let key = |text| BindKey::new(text).unwrap();
        assert!(key("a") < key("aa"));
        assert!(key("ab") < key("b"));
    }

    #[test]
    fn keys_that_settings_cannot_have_say_why() {
        assert_eq!(BindKey::new(""), Err(InvalidBindKey::Empty));
        assert_eq!(BindKey::new("9lives"), Err(InvalidBindKey::Character { at: 0 }));
        assert_eq!(BindKey::new("log-book"), Err(InvalidBindKey::Character { at: 3 }));
        assert_eq!(BindKey::new("größe"), Err(InvalidBindKey::Character { at: 2 }));
        assert_eq!(BindKey::new(&"a".repeat(33)), Err(InvalidBindKey::TooLong { len: 33 }));
        assert!(BindKey::new(&"a".repeat(32)).is_ok());
    }
}
