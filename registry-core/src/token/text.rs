//! The text of a token: `shop:p1f.1.16b3748~crm@acme:m0-64`, a position for each database.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Place, Token};
use crate::backend::position::Position;
use crate::settings::{BindKey, TenantName};

/// The longest text that is read: what browsers keep as a cookie.
const MAX_LEN: usize = 4096;

/// The same, with a signature.
pub(super) const MAX_SIGNED_LEN: usize = MAX_LEN + 64;

/// The text is no token, or was not signed with the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It is longer than 4 KiB.
    #[error("a token has at most {MAX_LEN} bytes, and this has {len}")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// It has not the form of a token.
    #[error("this is no token: its form is `bind:position`, with `~` between several")]
    Form,
    /// It was not signed with this key, or was changed since.
    #[error("the signature of the token is missing, or of another key")]
    Signature,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (Place { key, tenant }, position)) in self.0.iter().enumerate() {
            f.write_str(if at > 0 { "~" } else { "" })?;
            f.write_str(key)?;
            if let Some(tenant) = tenant {
                write!(f, "@{tenant}")?;
            }
            match position {
                Some(position) => write!(f, ":{position}")?,
                None => f.write_str(":?")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        if text.len() > MAX_LEN {
            return Err(InvalidToken::TooLong { len: text.len() });
        }
        let mut positions = BTreeMap::new();
        for part in text.split('~').filter(|_| !text.is_empty()) {
            let (place, position) = parse(part).ok_or(InvalidToken::Form)?;
            if positions.insert(place, position).is_some() {
                return Err(InvalidToken::Form);
            }
        }
        Ok(Self(positions))
    }
}

fn parse(part: &str) -> Option<(Place, Option<Position>)> {
    let (database, position) = part.split_once(':')?;
    let (key, tenant) = match database.split_once('@') {
        Some((key, tenant)) => (key, Some(TenantName::new(tenant).ok()?)),
        None => (database, None),
    };
    let key = BindKey::new(key).ok()?;
    let tenant = tenant.map(|tenant| Arc::clone(tenant.shared()));
    let position = match position {
        "?" => None,
        position => Some(Position::parse(position)?),
    };
    Some((Place { key, tenant }, position))
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_token_can_be_read_again() {
        for text in ["", "shop:?", "crm@acme:m0-64~crm@b.c:m0-1~shop:p1f.1.16b3748"] {
            assert_eq!(text.parse::<Token>().unwrap().to_string(), text);
        }
        let json = serde_json::to_string(&"shop:p1.1.5".parse::<Token>().unwrap()).unwrap();
        assert_eq!(json, r#""shop:p1.1.5""#);
        assert_eq!(serde_json::from_str::<Token>(&json).unwrap().to_string(), "shop:p1.1.5");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["shop", "shop:", "Shop:p1.1.5", "shop:p1.1.5~", "~", "shop@:?", "shop:?~shop:?", "é:?"]
        {
            assert_eq!(text.parse::<Token>(), Err(InvalidToken::Form), "{text}");
        }
        let long = "x".repeat(MAX_LEN + 1);
        assert_eq!(long.parse::<Token>(), Err(InvalidToken::TooLong { len: MAX_LEN + 1 }));
    }
}
