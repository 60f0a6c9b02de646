//! Bind keys: the names of databases in the settings.

use std::fmt;
use std::ops::Deref;

/// The name of a database in the settings: 1 to 32 characters of `a-z`, `0-9` and `_`, of which the first is a letter.
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
    // Unused bytes are zero, so that the derived comparisons give the same results as comparisons of the text.
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl BindKey {
    /// The key of the default bind: `"default"`.
    pub const DEFAULT: Self = match Self::new("default") {
        Ok(key) => key,
        Err(_) => unreachable!(),
    };

    /// The key of [`ByKey`](crate::ByKey), a bind without a key of its own. Settings cannot have this key, so no engine
    /// is ever found by it.
    #[cfg(feature = "engine")]
    pub(crate) const UNNAMED: Self = Self { bytes: [0; Self::MAX_LEN], len: 0 };

    /// The most characters that a key can have.
    pub const MAX_LEN: usize = 32;

    /// Checks `key`, and returns it as a bind key.
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

    /// The key, followed by zeros up to [`MAX_LEN`](Self::MAX_LEN).
    #[cfg(feature = "engine")]
    pub(crate) const fn bytes(&self) -> &[u8; Self::MAX_LEN] {
        &self.bytes
    }

    // `registry-derive` has the same rule in key.rs.
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

#[cfg(feature = "engine")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidBindKey {
    /// It is empty.
    Empty,
    /// It is longer than [`BindKey::MAX_LEN`].
    TooLong {
        /// How long it is, in bytes.
        len: usize,
    },
    /// It has a character that keys cannot have, or does not begin with a letter.
    Character {
        /// The byte at which that character begins.
        at: usize,
    },
}

// By hand, because a crate of tables is built without `thiserror`.
impl fmt::Display for InvalidBindKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a bind key cannot be empty"),
            Self::TooLong { len } => {
                write!(f, "a bind key has at most 32 characters, this one has {len}")
            }
            Self::Character { at } => write!(
                f,
                "a bind key has only a-z, 0-9 and _, and begins with a letter: look at byte {at}"
            ),
        }
    }
}

impl std::error::Error for InvalidBindKey {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_their_texts() {
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
