//! Names of tenants.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The name of a tenant, checked: it can be inserted into a URL or a path without changing any other part of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct TenantName(Arc<str>);

/// Why a text is not the name of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// It is empty.
    #[error("the name of a tenant is not empty")]
    Empty,
    /// It is too long.
    #[error(
        "the name of a tenant has at most {} characters, and this has {len}",
        TenantName::MAX_LEN
    )]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// It has a character that no name can have.
    #[error(
        "the name of a tenant is of letters, digits, `-`, `_` and `.`, and neither begins nor ends with \
         `.`: character {} is {found:?}",
        at + 1
    )]
    Character {
        /// The position of the character, from 0.
        at: usize,
        /// That character.
        found: char,
    },
}

impl TenantName {
    /// The longest name of a database in PostgreSQL (NAMEDATALEN less one).
    const MAX_LEN: usize = 63;

    pub(crate) fn new(name: &str) -> Result<Self, TenantError> {
        if name.is_empty() {
            return Err(TenantError::Empty);
        }
        if name.len() > Self::MAX_LEN {
            return Err(TenantError::TooLong { len: name.len() });
        }
        let is_inner =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let ends = [name.as_bytes()[0], name.as_bytes()[name.len() - 1]];
        if name.as_bytes().iter().all(is_inner) && !ends.contains(&b'.') {
            return Ok(Self(name.into()));
        }
        let last = name.chars().count() - 1;
        let is_wrong = |(at, c): &(usize, char)| {
            !c.is_ascii() || !is_inner(&(*c as u8)) || *c == '.' && (*at == 0 || *at == last)
        };
        match name.chars().enumerate().find(is_wrong) {
            Some((at, found)) => Err(TenantError::Character { at, found }),
            None => unreachable!("a character was found to be wrong"),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl Deref for TenantName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_letters_digits_and_little_else() {
        for name in ["acme", "A", "7", "a.b", "acme-corp_7", "CA", "-", "_", &"x".repeat(63)] {
            assert_eq!(&*TenantName::new(name).unwrap(), name);
        }
    }

    #[test]
    fn what_could_change_a_url_or_a_path_is_refused_at_its_place() {
        for (name, at) in [
            (".", 0),
            ("..", 0),
            (".a", 0),
            ("a.", 1),
            ("../a", 0),
            ("a/b", 1),
            ("a\\b", 1),
            ("a@b", 1),
            ("a?b", 1),
            ("a#b", 1),
            ("a%2fb", 1),
            ("a:b", 1),
            ("a b", 1),
            ("a\0", 1),
            ("a\n", 1),
            ("\r\na", 0),
            ("é", 0),
            ("a🦀", 1),
            ("{tenant}", 0),
            ("a\"b", 1),
            ("a'b", 1),
            ("a;b", 1),
        ] {
            let found = name.chars().nth(at).unwrap();
            assert_eq!(
                TenantName::new(name).err(),
                Some(TenantError::Character { at, found }),
                "{name:?}"
            );
        }
        assert_eq!(TenantName::new("").err(), Some(TenantError::Empty));
        let long = "a".repeat(10_000);
        assert_eq!(TenantName::new(&long).err(), Some(TenantError::TooLong { len: 10_000 }));
    }

    #[test]
    fn an_error_shows_what_is_wrong_in_one_line() {
        assert_eq!(
            TenantName::new("a\nb").err().unwrap().to_string(),
            "the name of a tenant is of letters, digits, `-`, `_` and `.`, and neither begins nor ends \
             with `.`: character 2 is '\\n'"
        );
    }
}
