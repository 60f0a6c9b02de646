//! Bind keys: the rule for keys, and a key as a type.

use proc_macro2::{Literal, Span, TokenStream};
use quote::quote_spanned;
use syn::LitStr;

/// The same as `registry_core::BindKey::MAX_LEN`, which a macro crate cannot name.
const MAX_LEN: usize = 32;

/// A checked bind key.
#[derive(Clone)]
pub(crate) struct Key {
    text: String,
    span: Span,
}

impl Key {
    /// The key of the default bind. Arguments without a key mean this one.
    pub(crate) fn default_at(span: Span) -> Self {
        Self { text: "default".to_owned(), span }
    }

    pub(crate) fn new(literal: &LitStr) -> syn::Result<Self> {
        let text = literal.value();
        match fault(&text) {
            None => Ok(Self { text, span: literal.span() }),
            Some(fault) => Err(syn::Error::new(literal.span(), fault)),
        }
    }

    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The key as a type, `Name<'a', ..>`, without the path of the module `private` in front.
    pub(crate) fn name(&self) -> TokenStream {
        let letters = self.text.chars().map(|letter| {
            let mut literal = Literal::character(letter);
            literal.set_span(self.span);
            literal
        });
        quote_spanned!(self.span=> Name<#(#letters),*>)
    }
}

/// Whether `text` is a bind key, by the rule of `registry_core::BindKey::new`. Both change together.
fn is_key(text: &str) -> bool {
    (1..=MAX_LEN).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(is_allowed)
}

fn is_allowed(letter: char) -> bool {
    matches!(letter, 'a'..='z' | '0'..='9' | '_')
}

/// The reason why `text` is not a bind key. `None` if it is one.
fn fault(text: &str) -> Option<String> {
    const RULE: &str = "a bind key has only a-z, 0-9 and _, and begins with a letter";

    if is_key(text) {
        return None;
    }
    let Some(first) = text.chars().next() else {
        return Some("a bind key cannot be empty; the default database is \"default\"".to_owned());
    };
    if let Some(letter) = text.chars().find(|letter| !is_allowed(*letter)) {
        let guess =
            repaired(text).map(|guess| format!(", did you mean {guess:?}?")).unwrap_or_default();
        return Some(format!("{letter:?} cannot be in a bind key{guess} ({RULE})"));
    }
    if !first.is_ascii_lowercase() {
        return Some(format!("a bind key cannot begin with {first:?} ({RULE})"));
    }
    let len = text.len();
    Some(format!("a bind key has at most {MAX_LEN} characters, this one has {len}"))
}

/// `text` with its case and its separators changed, if the result is a bind key.
fn repaired(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase().replace(['-', ' ', '.', '/', ':'], "_");
    is_key(&text).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_settings_can_have_are_faultless() {
        for key in ["a", "default", "log_book_2", &"a".repeat(32)] {
            assert_eq!(fault(key), None, "{key}");
        }
    }

    #[test]
    fn a_fault_names_the_character() {
        for (key, character) in [
            ("log-book", "'-'"),
            ("größe", "'ö'"),
            ("a b", "' '"),
            ("9lives", "'9'"),
            ("_a", "'_'"),
            ("tab\t", "'\\t'"),
        ] {
            let fault = fault(key).expect(key);
            assert!(fault.contains(character), "{key}: {fault}");
        }
    }

    #[test]
    fn a_key_in_other_spelling_is_repaired() {
        assert_eq!(repaired("Log-Book").as_deref(), Some("log_book"));
        assert_eq!(repaired("größe"), None);
        assert_eq!(repaired("9-lives"), None);
    }

    #[test]
    fn length_counts_to_32() {
        assert_eq!(fault(&"a".repeat(32)), None);
        assert_eq!(
            fault(&"a".repeat(33)).as_deref(),
            Some("a bind key has at most 32 characters, this one has 33")
        );
    }

    #[test]
    fn a_name_is_spelled_out() {
        let key = Key::default_at(Span::call_site());
        assert_eq!(key.name().to_string().replace(' ', ""), "Name<'d','e','f','a','u','l','t'>");
    }
}
