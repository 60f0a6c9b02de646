//! "Did you mean ..?"

/// The known word that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A quarter of the characters may be wrong, and always one: `uri` is taken for `url`, `x` for nothing.
    let tolerated = 1 + word.len() / 4;
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= tolerated && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "; did you mean `url`?", or an empty text if no known word is near enough.
pub(in crate::settings) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    nearest(word, known).map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_recognised_and_another_word_is_not() {
        let known = ["url", "max_connections", "min_idle"];
        assert_eq!(nearest("uri", known), Some("url"));
        assert_eq!(nearest("max_conections", known), Some("max_connections"));
        assert_eq!(nearest("server", known), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(did_you_mean("ulr", known), "; did you mean `url`?");
        assert_eq!(did_you_mean("server", known), "");
    }
}
