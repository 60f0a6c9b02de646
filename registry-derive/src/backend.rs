//! Backend words: `Postgres`, `Mysql`, `Sqlite`.

use syn::Ident;

use crate::words;

const KNOWN: [&str; 3] = ["Postgres", "Mysql", "Sqlite"];

/// Other names of the backends, and Diesel's.
const ALSO: [(&str, &str); 4] =
    [("pg", "Postgres"), ("psql", "Postgres"), ("mariadb", "Mysql"), ("maria", "Mysql")];

/// `word` as the name of a backend, if it is one.
pub(crate) fn check(word: Ident) -> syn::Result<Ident> {
    if KNOWN.iter().any(|known| word == known) {
        return Ok(word);
    }
    Err(syn::Error::new(word.span(), unknown_message(&word.to_string())))
}

/// The message for a word that is not a backend.
pub(crate) fn unknown_message(word: &str) -> String {
    format!(
        "unknown backend `{word}`{} Known are {}",
        words::did_you_mean(guess(word)),
        words::list(&KNOWN),
    )
}

/// The backend that was probably meant.
pub(crate) fn guess(word: &str) -> Option<&'static str> {
    let lower = word.to_lowercase();
    ALSO.iter()
        .find(|(also, _)| *also == lower)
        .map(|(_, known)| *known)
        .or_else(|| words::nearest(word, KNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_backend_is_guessed() {
        for (word, known) in [
            ("postgres", "Postgres"),
            ("Postgresql", "Postgres"),
            ("PostgreSQL", "Postgres"),
            ("Pg", "Postgres"),
            ("MySQL", "Mysql"),
            ("MariaDb", "Mysql"),
            ("SQLite", "Sqlite"),
            ("Sqlite3", "Sqlite"),
        ] {
            assert_eq!(guess(word), Some(known), "{word}");
        }
        assert_eq!(guess("Oracle"), None);
    }
}
