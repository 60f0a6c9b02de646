//! The error for keys in the options of a unit of work that no bind has.

use std::error::Error as StdError;
use std::fmt;

use super::unknown_bind::{UnknownBind, write_list};
use crate::bind_key::BindKey;

/// An order of commits, or the options of a unit of work, name keys that no bind has, or one key twice.
///
/// Such an order is refused, because if the key were ignored, another database would be committed first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrongKeys {
    /// The keys that no bind has, with `***` for one that looks like a URL, which may have a password in it.
    pub unknown: Vec<String>,
    /// The keys that an order has more than once.
    pub repeated: Vec<String>,
    /// The existing keys.
    pub known: Vec<BindKey>,
}

impl WrongKeys {
    /// Fails if an order of commits has unknown keys, or one key twice.
    pub(crate) fn check_commit_order<K: AsRef<str>>(
        keys: &[K],
        known: &[BindKey],
    ) -> Result<(), Self> {
        let is_repeated = |at: usize, key: &str| {
            keys[..at].iter().filter(|before| before.as_ref() == key).count() == 1
        };
        let known_and_repeated = keys
            .iter()
            .enumerate()
            .filter(|(at, key)| is_known(key.as_ref(), known) && is_repeated(*at, key.as_ref()));
        let repeated = known_and_repeated.map(|(_, key)| key.as_ref().to_owned()).collect();
        Self::unless_empty(unknown(keys, known), repeated, known)
    }

    /// Fails if there are unknown ones among the keys.
    pub(in crate::settings) fn check_known<K: AsRef<str>>(
        keys: &[K],
        known: &[BindKey],
    ) -> Result<(), Self> {
        Self::unless_empty(unknown(keys, known), Vec::new(), known)
    }

    fn unless_empty(
        unknown: Vec<String>,
        repeated: Vec<String>,
        known: &[BindKey],
    ) -> Result<(), Self> {
        if unknown.is_empty() && repeated.is_empty() {
            return Ok(());
        }
        Err(Self { unknown, repeated, known: known.to_vec() })
    }
}

fn is_known(key: &str, known: &[BindKey]) -> bool {
    known.iter().any(|known| *known == *key)
}

fn unknown<K: AsRef<str>>(keys: &[K], known: &[BindKey]) -> Vec<String> {
    let mut unknown = Vec::new();
    for key in keys.iter().map(AsRef::as_ref).filter(|key| !is_known(key, known)) {
        // `UnknownBind` redacts a key that looks like a URL.
        let UnknownBind { key, .. } = UnknownBind::new(key, []);
        if !unknown.contains(&key) {
            unknown.push(key);
        }
    }
    unknown
}

impl fmt::Display for WrongKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.unknown.iter().enumerate() {
            f.write_str(if at == 0 { "the settings have no bind " } else { ", nor " })?;
            write!(f, "`{key}`")?;
            let nearest = UnknownBind::new(key, self.known.iter().copied());
            if let Some(nearest) = nearest.nearest() {
                write!(f, " (did you mean `{nearest}`?)")?;
            }
        }
        if !self.unknown.is_empty() {
            f.write_str("; they have ")?;
            write_list(f, &self.known)?;
        }
        for (at, key) in self.repeated.iter().enumerate() {
            f.write_str(if at == 0 && self.unknown.is_empty() { "" } else { "; " })?;
            write!(f, "`{key}` is in the order of commits more than once")?;
        }
        Ok(())
    }
}

impl StdError for WrongKeys {}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<BindKey> {
        ["analytics", "default", "other"].map(|key| BindKey::new(key).expect("a key")).to_vec()
    }

    #[test]
    fn all_unknown_keys_are_named_with_the_nearest_and_those_there_are() {
        let error =
            WrongKeys::check_commit_order(&["defualt", "other", "othr", "defualt"], &known());
        let error = error.expect_err("two are unknown");
        assert_eq!(error.unknown, ["defualt", "othr"]);
        assert_eq!(
            error.to_string(),
            "the settings have no bind `defualt` (did you mean `default`?), nor `othr` (did you mean \
             `other`?); they have `analytics`, `default` and `other`"
        );
    }

    #[test]
    fn a_repeated_key_in_an_order_is_an_error() {
        let error =
            WrongKeys::check_commit_order(&["other", "default", "other", "other"], &known());
        let error = error.expect_err("one is there thrice");
        assert_eq!(
            (error.unknown.len(), error.repeated.as_slice()),
            (0, &["other".to_owned()][..])
        );
        assert_eq!(error.to_string(), "`other` is in the order of commits more than once");
        assert_eq!(WrongKeys::check_commit_order::<&str>(&[], &known()), Ok(()));
        assert_eq!(WrongKeys::check_commit_order(&["other", "default"], &known()), Ok(()));
    }

    #[test]
    fn a_url_in_place_of_a_key_is_not_shown() {
        let keys = ["postgres://app:zauber@db/app"];
        let error = WrongKeys::check_known(&keys, &known()).expect_err("no key");
        assert!(!format!("{error} {error:?}").contains("zauber"));
    }
}
