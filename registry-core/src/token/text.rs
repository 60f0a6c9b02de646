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

/// The longest signed text that is read: what browsers keep as a cookie, and its signature. A text without a signature does not
/// come from outside, so it may have any length, as a token of many tenants has.
pub(super) const MAX_SIGNED_LEN: usize = 4096 + 64;

/// The text is no token, or was not signed with the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It is signed, and has more than 4160 bytes: browsers keep no longer ones.
    #[error("a signed token has at most {MAX_SIGNED_LEN} bytes, and this has {len}")]
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
    use crate::token::TokenKey;

    #[test]
    fn the_text_of_a_token_can_be_read_again() {
        for text in ["", "shop:?", "crm@acme:m0-1-64~crm@b.c:m0-2-1~shop:p1f.1.16b3748"] {
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
    }

    /// A token of that many tenants.
    fn long(tenants: usize) -> Token {
        let text = |number| format!("shop@tenant{number:06}:p6f3c8e2a1b2c3d4.1.16b3748");
        let parts: Vec<String> = (0..tenants).map(text).collect();
        parts.join("~").parse().unwrap()
    }

    #[test]
    fn long_texts_of_tokens_can_be_read_again() {
        let merged = long(150).merged(&long(200));
        let text = merged.to_string();
        assert!(text.len() > MAX_SIGNED_LEN);
        assert_eq!(text.parse(), Ok(merged.clone()));
        let json = serde_json::to_string(&merged).unwrap();
        assert_eq!(serde_json::from_str::<Token>(&json).unwrap(), merged);
        let domains: Vec<String> = (0..1000).map(|domain| format!("{domain:x}-1-1")).collect();
        let one_database = format!("shop:m{}", domains.join("."));
        assert_eq!(one_database.parse::<Token>().unwrap().to_string(), one_database);
    }

    #[test]
    fn long_texts_from_outside_are_refused() {
        let key = TokenKey::new("0123456789abcdef").unwrap();
        let fits = long(90);
        assert_eq!(Token::verified(&fits.signed(&key), &key), Ok(fits));
        let signed = long(150).signed(&key);
        let len = signed.len();
        assert_eq!(Token::verified(&signed, &key), Err(InvalidToken::TooLong { len }));
    }

    /// Texts of megabytes, with which a parser of quadratic time would not end.
    #[test]
    fn huge_texts_are_read_or_refused_in_linear_time() {
        let parts = |part: &str| part.repeat(4_000_000 / part.len());
        for text in [
            parts("x"),
            parts("~"),
            parts(":"),
            parts("@"),
            parts("é"),
            parts("shop:?~"),
            format!("shop:p{}", parts("1.")),
            format!("shop:p{}", parts("f")),
            format!("shop:m{}", parts("1-1.")),
            format!("shop:g{}", parts("3e11fa4771ca11e19e33c80aa9429562.1-1!")),
            format!("shop:g3e11fa4771ca11e19e33c80aa9429562{}", parts(".1-1")),
            format!("shop:g3e11fa4771ca11e19e33c80aa9429562.tag{}", parts(".tag.1-1")),
            format!("shop@{}:?", parts("a")),
        ] {
            if let Ok(token) = text.parse::<Token>() {
                assert_eq!(token.to_string().parse(), Ok(token));
            }
        }
        let many = long(50_000);
        assert_eq!(many.to_string().parse(), Ok(many));
    }
}
