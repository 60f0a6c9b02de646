//! The text of the comment, as sqlcommenter's specification has it
//! (<https://google.github.io/sqlcommenter/spec/>).

use std::fmt::Write;

use crate::sql::is_unreserved;

/// A key and its value, as they are in the comment: `route='%2Forders'`.
///
/// Everything but unreserved characters is URL-encoded, also the quote, for which the specification has a backslash otherwise.
/// So the pair ends neither its quotes nor the comment, whatever the value is, and no server reads a hint or a placeholder
/// in it.
pub(super) fn pair(key: &str, value: &str) -> String {
    let mut pair = String::with_capacity(key.len() + value.len() + 8);
    encode(key, &mut pair);
    pair.push_str("='");
    encode(value, &mut pair);
    pair.push('\'');
    pair
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The comment with these pairs, in the order of the specification, and the space before it.
pub(super) fn comment(pairs: &mut [&str]) -> String {
    pairs.sort_unstable();
    format!(" /*{}*/", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::without_tags;

    #[test]
    fn pairs_are_sorted_and_encoded() {
        let (route, bind) = (pair("route", "/orders/{id} first"), pair("bind", "default"));
        assert_eq!(
            comment(&mut [&route, &bind]),
            " /*bind='default',route='%2Forders%2F%7Bid%7D%20first'*/"
        );
    }

    #[test]
    fn nothing_breaks_out_of_the_comment() {
        for hostile in [
            "*/ DROP TABLE t; /*",
            "it's",
            "\\'",
            "\0",
            "a\r\nb",
            "ü – 💥",
            "-- x",
            "!50000 1",
            "?",
            "$1",
        ] {
            let (key, value) = (pair(hostile, "v"), pair("k", hostile));
            let comment = comment(&mut [&key, &value]);
            let body = comment.strip_prefix(" /*").and_then(|rest| rest.strip_suffix("*/"));
            let body = body.expect("a comment");
            assert!(body.is_ascii() && !body.contains(['*', '/', '\\', '\0', '\n', '?', '$', '!']));
            assert_eq!(body.matches('\'').count(), 4, "{body}");
            assert_eq!(without_tags(&format!("SELECT 1{comment}")), "SELECT 1");
        }
    }
}
