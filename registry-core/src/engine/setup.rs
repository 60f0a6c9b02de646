//! The setup of a connection that was just opened or reset: options, `on_connect` and its errors.
//!
//! An `on_connect` statement may contain a secret (`PRAGMA key = '..'`), and databases repeat parts of a statement in
//! their errors. So the statements are never shown, and [`redact`] removes them from error messages.

use std::collections::HashSet;

use diesel::connection::CacheSize;

use crate::backend::{Backend, ConnectError};
use crate::cause::DriverError;
use crate::settings::{EngineOptions, EngineSettings};

/// Replaces the parts of an error message that may repeat a secret.
const REDACTED: &str = "***";

/// Words of the databases' own messages, which are kept although they may stand in a statement.
const DATABASE_VOCABULARY: [&str; 11] = [
    "column", "database", "function", "index", "key", "line", "role", "schema", "table", "type",
    "user",
];

/// Empties Diesel's cache of prepared statements, so that it prepares them anew.
pub(super) fn forget_statements<C: Backend>(connection: &mut C) {
    connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    connection.set_prepared_statement_cache_size(CacheSize::Unbounded);
}

/// Sets up a connection: the options, unless the backend has set them when it opened the connection, then `on_connect`.
/// The same is needed after a full reset.
pub(super) async fn set_up<C: Backend>(
    connection: &mut C,
    settings: &EngineSettings,
    options: &EngineOptions,
) -> Result<(), ConnectError> {
    if settings.connector.is_some() {
        let set = connection.set_options(options).await;
        set.map_err(|(statement, error)| setup_error::<C>(&statement, error))?;
    }
    run_on_connect(connection, &options.on_connect).await
}

/// Whether [`set_up`] runs any statement.
pub(super) fn has_setup(settings: &EngineSettings) -> bool {
    settings.connector.is_some() || !settings.options.on_connect.is_empty()
}

/// The error of a setup `statement` on an open connection.
pub(super) fn setup_error<C: Backend>(
    statement: &str,
    error: diesel::result::Error,
) -> ConnectError {
    if C::is_fatal(&error) {
        return ConnectError::Unreachable(error.into());
    }
    ConnectError::Setup { statement: statement.to_owned(), source: error.into() }
}

/// Runs the statements of `on_connect` one after another. An error names the statement by its index.
async fn run_on_connect<C: Backend>(
    connection: &mut C,
    statements: &[String],
) -> Result<(), ConnectError> {
    for (index, statement) in statements.iter().enumerate() {
        connection.batch_execute(statement).await.map_err(|error| {
            match setup_error::<C>(&format!("on_connect[{index}]"), error) {
                ConnectError::Setup { statement: place, source } => ConnectError::Setup {
                    statement: place,
                    source: DriverError::from(redact(statement, &source.to_string())),
                },
                error => error,
            }
        })?;
    }
    Ok(())
}

/// `message` without the words that it repeats from `statement`.
///
/// PostgreSQL writes `at or near "zauber"`, MariaDB `near 'zauber'' at line 1`, where the quotes need not be in pairs,
/// and SQLite also `no such column: zauber`, without quotes. So everything from the first quote to the last is removed,
/// and each word that is in the statement.
fn redact(statement: &str, message: &str) -> String {
    let statement_words: HashSet<String> = words(statement)
        .map(str::to_lowercase)
        .filter(|word| !DATABASE_VOCABULARY.contains(&word.as_str()))
        .collect();
    let (before, after) = around_quoted(message);
    let mut shown = String::with_capacity(message.len());
    write_redacted(&statement_words, before, &mut shown);
    if let Some(after) = after {
        shown.push_str(REDACTED);
        write_redacted(&statement_words, after, &mut shown);
    }
    shown
}

fn write_redacted(statement_words: &HashSet<String>, text: &str, shown: &mut String) {
    for piece in text.split_inclusive(|c| !is_part_of_word(c)) {
        let end = piece.trim_end_matches(|c| !is_part_of_word(c)).len();
        let (word, rest) = piece.split_at(end);
        shown.push_str(if statement_words.contains(&word.to_lowercase()) {
            REDACTED
        } else {
            word
        });
        shown.push_str(rest);
    }
}

/// The parts of a message before its first quote and after its last one, quotes included.
fn around_quoted(message: &str) -> (&str, Option<&str>) {
    // Servers quote as the language of their messages does.
    const QUOTES: [char; 10] = [
        '\'', '"', '`', '\u{ab}', '\u{bb}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}',
        '\u{201e}',
    ];
    let first = message.char_indices().find(|(_, c)| QUOTES.contains(c));
    let last = message.char_indices().rfind(|(_, c)| QUOTES.contains(c));
    match (first, last) {
        (Some((first, quote)), Some((last, _))) if first < last => {
            (&message[..first + quote.len_utf8()], Some(&message[last..]))
        }
        // A single quote may open a quotation that was cut off, so nothing after it is shown.
        (Some((first, quote)), _) => (&message[..first + quote.len_utf8()], Some("")),
        _ => (message, None),
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_part_of_word(c)).filter(|word| !word.is_empty())
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_does_not_repeat_words_of_the_statement() {
        for (statement, message, shown) in [
            ("PRAGMA key == 'zauber'", "near \"=\": syntax error", "near \"***\": syntax error"),
            ("SELECT zauber", "no such column: zauber", "no such column: ***"),
            ("SELECT 'zauber", "unrecognized token: \"'zauber\"", "unrecognized token: \"***\""),
            (
                "SET PASSWORT 'zauber'",
                "You have an error in your SQL syntax; check the manual for the right syntax to use \
                 near ''zauber'' at line 1",
                "You have an error in your SQL syntax; check the manual for the right syntax to use \
                 near '***' at line 1",
            ),
            (
                "SET role zauber",
                "Rolle \u{201e}zauber\u{201c} existiert nicht",
                "Rolle \u{201e}***\u{201c} existiert nicht",
            ),
            ("SET a = zau.ber", "ZAU is not there, nor (ber)", "*** is not there, nor (***)"),
            ("SET a = 'zauber'", "odd: 'zauber", "odd: '***"),
            ("CREATE TABLE zauber", "table zauber already exists", "table *** already exists"),
            ("SELECT f()", "permission denied", "permission denied"),
        ] {
            assert_eq!(redact(statement, message), shown);
        }
    }
}
