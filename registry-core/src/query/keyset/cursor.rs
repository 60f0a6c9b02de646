//! The position of a row, as a text for clients.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::result::Error as DieselError;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::error::Error;

/// The position of a row in a keyset: after it, the next page begins.
///
/// `K` is the type of the key values: a value, or a tuple of as many as the order has columns.
/// [`CursorPage::next`](super::CursorPage::next) is one. `Display` and `Serialize` write it as a text for a URL, and
/// `FromStr` and `Deserialize` read it.
///
/// The text has the key values (as JSON in base64url, without encryption or signature) and a mark of the order. Do not
/// order by a column that the client must not see. A client that changes the text gets an [`InvalidCursor`], or the
/// rows after another key: the conditions of the query hold all the same, and the values are sent to the database as
/// bind variables.
///
/// ```
/// use registry_core::query::paginate::Cursor;
///
/// let error = "10; DROP TABLE events".parse::<Cursor<i64>>().unwrap_err();
/// assert_eq!(error.to_string(), "the cursor is invalid");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor<K> {
    /// A hash of the order's SQL.
    pub(super) mark: u32,
    pub(super) key: K,
}

impl<K> Cursor<K> {
    /// The key values of the row.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Serialize> Cursor<K> {
    fn encode(&self) -> Result<String, serde_json::Error> {
        let json = serde_json::to_vec(&(self.mark, &self.key))?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    /// Whether the text of this cursor is read as the same key.
    pub(super) fn survives(&self) -> bool
    where
        K: DeserializeOwned + PartialEq,
    {
        let read = self.encode().ok().and_then(|text| text.parse::<Self>().ok());
        read.is_some_and(|read| read.key == self.key)
    }
}

/// The key values are shown, as they are in the text.
impl<K: fmt::Debug> fmt::Debug for Cursor<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cursor").field(&self.key).finish()
    }
}

/// The text for a URL.
impl<K: Serialize> fmt::Display for Cursor<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encode().map_err(|_| fmt::Error)?)
    }
}

impl<K: DeserializeOwned> FromStr for Cursor<K> {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor(()))?;
        // PostgreSQL has no text with this character, and would answer with an error.
        if has_nul(&json) {
            return Err(InvalidCursor(()));
        }
        let (mark, key) = serde_json::from_slice(&json).map_err(|_| InvalidCursor(()))?;
        Ok(Self { mark, key })
    }
}

/// Whether a text in the JSON has the character U+0000, which JSON has as an escape alone.
fn has_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        if rest[at..].starts_with(b"\\u0000") {
            return true;
        }
        // A backslash stands before one character at least.
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

impl<K: Serialize> Serialize for Cursor<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode().map_err(S::Error::custom)?)
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Cursor<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The text is no cursor, or a cursor of another order.
///
/// It converts into [`Error`] and into Diesel's error. With the feature `axum`, the response is `400 Bad Request`.
// It has no source: the text comes from a client, and what a parser says of it helps nobody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is invalid")]
pub struct InvalidCursor(pub(super) ());

impl InvalidCursor {
    /// The request has no cursor, or several.
    #[cfg(feature = "axum")]
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl From<InvalidCursor> for DieselError {
    fn from(error: InvalidCursor) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}

impl From<InvalidCursor> for Error {
    fn from(error: InvalidCursor) -> Self {
        DieselError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Key = (i64, String, f64);

    fn cursor() -> Cursor<Key> {
        Cursor { mark: 7, key: (i64::MIN, "a'\u{e4}\"".to_owned(), 0.1 + 0.2) }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let text = cursor().to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(text.parse(), Ok(cursor()));
        let json = serde_json::to_string(&cursor()).expect("JSON");
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Cursor<Key>>(&json).expect("a cursor"), cursor());
    }

    #[test]
    fn floats_keep_their_last_bit() {
        for bits in [0x3fb9_9999_9999_999a_u64, 0x0010_0000_0000_0001, 0x7fef_ffff_ffff_ffff] {
            let cursor = Cursor { mark: 0, key: f64::from_bits(bits) };
            assert!(cursor.survives(), "{cursor:?}");
        }
        assert!(!Cursor { mark: 0, key: f64::NAN }.survives());
    }

    #[test]
    fn only_the_character_nul_is_refused() {
        let read = |text: &str| Cursor { mark: 0, key: text.to_owned() }.survives();
        assert!(read("\\u0000") && read("\\") && read("\"\\\"") && read("\u{1}u0000"));
        assert!(!read("\0") && !read("\\\0") && !read("a\\\\\0"));
    }

    #[test]
    fn texts_that_are_no_cursors_are_errors() {
        let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let nested = encode(&format!("[7,{}", "[".repeat(100_000)));
        let texts = [
            String::new(),
            "x".to_owned(),
            "é".to_owned(),
            format!("{}=", cursor()),
            encode("7"),
            encode("[7]"),
            encode("[7,[1,\"a\"]]"),
            encode("[7,[1,\"a\",0.5,4]]"),
            encode("[7,[\"1\",\"a\",0.5]]"),
            encode("[7,[9223372036854775808,\"a\",0.5]]"),
            encode("[-1,[1,\"a\",0.5]]"),
            encode("[7,[1,\"a\",0.5]]]"),
            encode("[7,null]"),
            encode("[7,[1,\"a\\u0000\",0.5]]"),
            nested,
        ];
        for text in texts {
            assert_eq!(text.parse::<Cursor<Key>>(), Err(InvalidCursor(())), "{text:.50}");
        }
    }
}
