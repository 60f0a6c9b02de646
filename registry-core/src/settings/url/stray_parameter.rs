//! Parameters where none can be, such as in `postgres://h/app;password=..` or `?user=app;password=..`.
//!
//! A driver treats them as a part of a name, and a message with the name would show the password as well.

/// Characters that separate parameters in some notation, or are mistaken for one that does.
const SEPARATORS: [char; 8] = [';', '&', '?', '#', ',', '|', ' ', '\t'];

/// Parts of the names of parameters whose values are secret.
const SECRETIVE: [&str; 9] =
    ["pass", "pwd", "pw", "secret", "token", "key", "auth", "cred", "user"];

/// Whether `text`, which is decoded, contains something like `password=..`.
pub(super) fn has_secretive_parameter(text: &str) -> bool {
    text.split(SEPARATORS).any(is_secretive_parameter)
}

/// The same, but only after a separator: a path may well begin with `key=7/`.
pub(super) fn has_secretive_parameter_after_separator(text: &str) -> bool {
    text.split(SEPARATORS).skip(1).any(is_secretive_parameter)
}

fn is_secretive_parameter(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        let name = name.to_ascii_lowercase();
        SECRETIVE.iter().any(|secretive| name.contains(secretive))
    })
}

/// Whether `text`, which is decoded, certainly is one value, and not several parameters.
pub(super) fn is_one_value(text: &str) -> bool {
    let is_login = text.contains('@') && text.contains(':');
    !text.contains(['=', ';', '&', '?']) && !is_login
}
