//! A small parser of sqlcommenter's format, which shares nothing with the code that writes it.

/// The tags in the comment at the end of a statement, in their order, and the statement before it.
///
/// # Panics
///
/// If there is no such comment, or it is not in the format.
pub(crate) fn tags_of(sql: &str) -> (&str, Vec<(String, String)>) {
    let inside = sql.trim_end().strip_suffix("*/").unwrap_or_else(|| panic!("no comment: {sql}"));
    let (statement, comment) = inside.rsplit_once("/*").expect("the start of the comment");
    let tags = comment.split(',').map(|pair| {
        let (key, value) = pair.split_once('=').expect("a key and a value");
        let value = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
        (decoded(key), decoded(&value.expect("a value in quotes").replace("\\'", "'")))
    });
    (statement.trim_end(), tags.collect())
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next(), rest.next()].map(|digit| digit.expect("two digits"));
            let digits = std::str::from_utf8(&digits).expect("ASCII");
            bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn parser_reads_the_example_of_the_specification() {
    let sql = "SELECT * FROM FOO /*action='%2Fparam*d',framework='it\\'s'*/";
    let tags = [("action", "/param*d"), ("framework", "it's")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(tags_of(sql), ("SELECT * FROM FOO", tags.to_vec()));
}
