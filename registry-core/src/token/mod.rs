//! Tokens: positions in the logs of databases, after which reads have to be.
//!
//! | file | contents |
//! |---|---|
//! | this file | [`Token`] |
//! | [`text`] | its text, and errors about it |
//! | [`key`] | [`TokenKey`], which signs tokens that clients keep |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::backend::position::Position;
use crate::settings::BindKey;

mod key;
mod text;

pub use key::{TokenKey, WeakTokenKey};
pub use text::InvalidToken;

/// A position in the log of one database or several, after which a read has to be.
///
/// [`Committed::token`](crate::Committed::token) is the position of a unit of work, [`Registry::token`](crate::Registry::token)
/// that of the primary at the moment. [`Reader::after`](crate::Reader::after) reads after it: from a replica that has
/// replayed it, or else from the primary.
///
/// The text of a token (`Display`, `FromStr`, serde) can be stored, or sent along with a message. It is short: about 30 bytes
/// for each database, and one that was [merged](Self::merge) may have many. It tells nothing of the data. One that an untrusted client keeps is [`signed`](Self::signed), because a forged one could send all reads to
/// the primary.
///
/// Binds without replicas, and SQLite, have no positions: their tokens are empty, and all reads are after them. That holds in
/// one process. Another process whose settings do have replicas may read from one of them after an empty token. So where
/// tokens are handed on, give the replicas to the processes that write, too.
///
/// ```
/// use registry_core::{Error, Registry, Token};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// let token = registry.begin().commit().await?.token();
/// assert!(token.is_empty(), "nothing was written, and a file has no replicas");
/// let read: Token = token.to_string().parse().expect("a token");
/// let reader = registry.reader().after(&read);
/// # let _ = reader;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Token(BTreeMap<Place, Option<Position>>);

/// The database that a position is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    key: BindKey,
    tenant: Option<Arc<str>>,
}

/// What a token says about one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenPosition<'t> {
    /// Nothing: any position will do.
    None,
    /// Something was written, and it is not known where.
    Unknown,
    At(&'t Position),
}

impl Token {
    /// The token of one database. Without a position, it is not known where it is.
    pub(crate) fn of(key: BindKey, tenant: Option<Arc<str>>, position: Option<Position>) -> Self {
        Self(BTreeMap::from([(Place { key, tenant }, position)]))
    }

    /// Whether it says nothing: every read is after it.
    ///
    /// ```
    /// assert!(registry_core::Token::default().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes this the token after both.
    ///
    /// ```
    /// use registry_core::Token;
    ///
    /// let mut both: Token = "shop:p1f.1.16b3748".parse()?;
    /// both.merge(&"shop:p1f.1.16b3800~crm:p2a.1.9f0".parse()?);
    /// assert_eq!(both.to_string(), "crm:p2a.1.9f0~shop:p1f.1.16b3800");
    /// # Ok::<(), registry_core::InvalidToken>(())
    /// ```
    pub fn merge(&mut self, other: &Self) {
        for (place, later) in &other.0 {
            match self.0.get_mut(place) {
                None => {
                    self.0.insert(place.clone(), later.clone());
                }
                Some(own) => {
                    // Where one of them is unknown, what is after both is unknown.
                    *own = match (&*own, later) {
                        (Some(own), Some(later)) => Some(own.merged(later)),
                        _ => None,
                    };
                }
            }
        }
    }

    /// The token after both.
    ///
    /// ```
    /// use registry_core::Token;
    ///
    /// let one: Token = "shop:p1f.1.16b3748".parse()?;
    /// let both = one.merged(&"crm:p2a.1.9f0".parse()?);
    /// assert_eq!(both.to_string(), "crm:p2a.1.9f0~shop:p1f.1.16b3748");
    /// # Ok::<(), registry_core::InvalidToken>(())
    /// ```
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }

    /// Its databases and their positions.
    #[cfg(feature = "axum")]
    pub(crate) fn entries(
        &self,
    ) -> impl Iterator<Item = (BindKey, Option<&Arc<str>>, Option<&Position>)> {
        self.0.iter().map(|(place, position)| (place.key, place.tenant.as_ref(), position.as_ref()))
    }

    /// The short token that says of each database only that something was written there.
    #[cfg(feature = "axum")]
    pub(crate) fn without_positions(self) -> Self {
        Self(self.0.into_keys().map(|place| (place, None)).collect())
    }

    /// What it says about a database.
    pub(crate) fn position(&self, key: BindKey, tenant: Option<&Arc<str>>) -> TokenPosition<'_> {
        let found =
            self.0.iter().find(|(place, _)| place.key == key && place.tenant.as_ref() == tenant);
        match found {
            None => TokenPosition::None,
            Some((_, None)) => TokenPosition::Unknown,
            Some((_, Some(position))) => TokenPosition::At(position),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_unknown_stays_so() {
        let mut both = token("shop:p1.1.9");
        both.merge(&token("shop:?"));
        assert_eq!(both, token("shop:?"));
        both.merge(&token("shop:p1.1.a"));
        assert_eq!(both, token("shop:?"));
    }

    #[test]
    fn each_tenant_has_a_position_of_its_own() {
        let both = token("shop@acme:p1.1.9").merged(&token("shop:p1.1.5"));
        let key = BindKey::new("shop").unwrap();
        let at = |tenant: Option<&str>| match both.position(key, tenant.map(Arc::from).as_ref()) {
            TokenPosition::At(position) => position.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(at(None), "p1.1.5");
        assert_eq!(at(Some("acme")), "p1.1.9");
        assert_eq!(at(Some("other")), "None");
    }
}
