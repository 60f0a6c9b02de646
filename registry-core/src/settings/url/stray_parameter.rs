//! Parameters that stand where none can be: `postgres://h/app;password=..` or `?user=app;password=..`.
//!
//! A driver takes them for a part of a name, and so would every text that shows the name.

/// What separates parameters somewhere, or is mistaken for it.
const SEPARATORS: [char; 8] = [';', '&', '?', '#', ',', '|', ' ', '\t'];

/// What the names of parameters have in them whose values are nobody's business.
const SECRETIVE: [&str; 9] =
    ["pass", "pwd", "pw", "secret", "token", "key", "auth", "cred", "user"];

/// Whether `text`, decoded, has something like `password=..` in it, at its beginning or elsewhere.
pub(super) fn has_secretive_parameter(text: &str) -> bool {
    text.split(SEPARATORS).any(is_secretive_parameter)
}

/// The same behind a separator: a path may well begin with `key=7/`.
pub(super) fn has_secretive_parameter_behind(text: &str) -> bool {
    text.split(SEPARATORS).skip(1).any(is_secretive_parameter)
}

fn is_secretive_parameter(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        let name = name.to_ascii_lowercase();
        SECRETIVE.iter().any(|secretive| name.contains(secretive))
    })
}

/// Whether `text`, decoded, is surely one value, and not several parameters in one.
pub(super) fn is_one_value(text: &str) -> bool {
    let is_login = text.contains('@') && text.contains(':');
    !text.contains(['=', ';', '&', '?']) && !is_login
}
