//! Known words: lists of them for messages, and suggestions for a misspelt word.

/// The known word nearest to `word`, if one is near enough for a suggestion.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&lower, &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `` , did you mean `a`? ``, or a full stop if there is no suggestion.
pub(crate) fn did_you_mean(guess: Option<&str>) -> String {
    match guess {
        Some(guess) => format!(", did you mean `{guess}`?"),
        None => ".".to_owned(),
    }
}
