//! Where the comment with the tags of a statement may stand, and the statement without it.

use super::dialect::Dialect;
use super::keyword::{self as word, keyword};
use super::lexer::{Kind, Lexer};

/// Whether a comment with tags may be put behind a statement.
///
/// Not behind one that has a comment already: sqlcommenter's specification leaves such a statement as it is, and a hint may be
/// in the comment. Nor behind one with a semicolon, after which the comment would be a statement of its own; nor behind
/// `CREATE` and `ALTER`, whose text some databases keep in their catalog; nor behind text that is not understood, which may
/// be the inside of a literal.
pub(crate) fn takes_tags(dialect: Dialect, sql: &str) -> bool {
    let mut lexer = Lexer::new(dialect, sql);
    let mut end_of_last = 0;
    let mut is_first = true;
    loop {
        let token = lexer.next();
        // Between two tokens there are comments and white space alone.
        let gap = sql.get(end_of_last..token.start).unwrap_or_default();
        if gap.contains(['-', '/', '#']) {
            return false;
        }
        match token.kind {
            Kind::End => return !is_first,
            Kind::Unknown | Kind::Semicolon => return false,
            Kind::Word if is_first => {
                if matches!(keyword(lexer.bytes(token)), word::CREATE | word::ALTER) {
                    return false;
                }
            }
            _ => {}
        }
        is_first = false;
        end_of_last = token.end;
    }
}

/// The statement without the comment with tags at its end, so that statements that differ in their tags alone are the same
/// text for a cache. A comment of any other form stays: a database may execute what is in it.
pub(crate) fn without_tags(sql: &str) -> &str {
    let Some(open) = sql.strip_suffix("*/") else { return sql };
    match open.rfind(" /*") {
        Some(at) if open[at + 3..].split(',').all(is_pair) => &sql[..at],
        _ => sql,
    }
}

/// Whether this is a key and its value, `route='%2Forders'`, in which nothing but unreserved characters and escapes is. Its
/// quotes come in a pair, so a comment with such pairs is in a literal only if the literal has no end.
fn is_pair(pair: &str) -> bool {
    let is_encoded = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| is_unreserved(byte) || byte == b'%')
    };
    let value = pair.split_once("='").and_then(|(key, rest)| Some((key, rest.strip_suffix('\'')?)));
    value.is_some_and(|(key, value)| is_encoded(key) && is_encoded(value))
}

/// Whether a byte stands for itself in the URL encoding (RFC 3986, section 2.3).
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Dialect; 3] = [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite];

    #[test]
    fn statements_with_comments_semicolons_or_definitions_take_no_tags() {
        for dialect in ALL {
            for taken in [
                "SELECT 1",
                "  select a - b / c FROM t",
                "SELECT '/* no comment */', '-- neither', ';'",
                "(SELECT 1) UNION (SELECT 2)",
                "SET x = 1",
            ] {
                assert!(takes_tags(dialect, taken), "{dialect:?}: {taken}");
            }
            for refused in [
                "",
                " \n",
                "SELECT 1 /* why */",
                "/* why */ SELECT 1",
                "SELECT /*+ hint */ 1",
                "SELECT 1 -- why",
                "SELECT 1 -- why\n",
                "SELECT 1;",
                "SELECT 1; SELECT 2",
                "SELECT 'open",
                "SELECT 1 /* open",
                "create view v AS SELECT 1",
                "ALTER TABLE t ADD c int",
            ] {
                assert!(!takes_tags(dialect, refused), "{dialect:?}: {refused}");
            }
        }
        assert!(!takes_tags(Dialect::Mysql, "SELECT 1 # why"));
        assert!(!takes_tags(Dialect::Mysql, "SELECT 1 /*! , 2 */"));
        assert!(takes_tags(Dialect::Postgres, "SELECT 5 # 3, '{}'::json #> '{a}'"));
    }

    #[test]
    fn tags_alone_are_taken_off() {
        assert_eq!(without_tags("SELECT 1 /*a='b',c='%2Fd'*/"), "SELECT 1");
        for kept in [
            "SELECT 1",
            "SELECT 1 /* why */",
            "SELECT 1 /*a='b'*/ + 1",
            "SELECT 1 /*!a='b'*/",
            "SELECT 1 /*a='b' x*/",
            "SELECT 1 /*a='b',*/",
            "SELECT 1 /*a='b'c='d'*/",
            "SELECT 1 /**/",
            "*/",
        ] {
            assert_eq!(without_tags(kept), kept);
        }
    }
}
