//! Backend words: `Postgres`, `Mysql`, `Sqlite`.

use syn::Ident;

use crate::words;

const KNOWN: [&str; 3] = ["Postgres", "Mysql", "Sqlite"];

/// What people also call them, and what Diesel does.
const ALSO: [(&str, &str); 4] =
    [("pg", "Postgres"), ("psql", "Postgres"), ("mariadb", "Mysql"), ("maria", "Mysql")];

/// `word`, if it is a backend.
pub(crate) fn check(word: Ident) -> syn::Result<Ident> {
    if KNOWN.iter().any(|known| word == known) {
        return Ok(word);
    }
    Err(syn::Error::new(word.span(), unknown(&word.to_string())))
}

/// What to say about a backend that there is none of.
pub(crate) fn unknown(word: &str) -> String {
    format!(
        "unknown backend `{word}`{} Known are {}",
        words::did_you_mean(guess(word)),
        words::list(&KNOWN),
    )
}

/// The backend that was meant.
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
