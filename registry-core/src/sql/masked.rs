//! The text of a statement without the values in it, for people who must not see them.

use super::dialect::Dialect;
use super::keyword::{self as word, Keyword, keyword};
use super::lexer::{Kind, Lexer, Token};

/// What stands in place of a value.
const MASK: &str = "?";

/// What stands in place of text that is not understood.
const CUT: &str = "…";

/// The statement without its literals and comments: `?` is in place of each literal.
///
/// Text that is not understood may be the inside of a literal, so the statement is cut there.
pub(crate) fn masked(dialect: Dialect, sql: &str) -> String {
    let mut lexer = Lexer::new(dialect, sql);
    let mut shown = String::with_capacity(sql.len());
    let mut last: Option<Token> = None;
    let mut last_word = word::NONE;
    let mut setting = Setting::Unknown;
    loop {
        let mut token = lexer.next();
        if token.kind == Kind::End {
            return shown;
        }
        let end_of_last = last.map_or(0, |last| last.end);
        if !shown.is_empty() {
            shown.push_str(gap(&sql[end_of_last..token.start]));
        }
        if token.kind == Kind::Unknown {
            shown.push_str(CUT);
            return shown;
        }
        let text = lexer.text(token);
        let continues_number =
            token.start == end_of_last && last.is_some_and(|last| last.kind == Kind::Number);
        match token.kind {
            Kind::Text | Kind::Number => shown.push_str(MASK),
            Kind::Word | Kind::Quoted if setting == Setting::Value => shown.push_str(MASK),
            // `0x1F` and `1_000`, of which the lexer sees a number and a word, or a word alone.
            Kind::Word if continues_number => token.kind = Kind::Number,
            Kind::Word if text.starts_with(|first: char| first.is_ascii_digit()) => {
                shown.push_str(MASK);
            }
            Kind::Quoted
                if dialect == Dialect::Sqlite
                    && text.starts_with('"')
                    && !is_name(last, last_word, &sql[token.end..]) =>
            {
                shown.push_str(MASK);
            }
            _ => shown.push_str(text),
        }
        let this = if token.kind == Kind::Word { keyword(lexer.bytes(token)) } else { word::NONE };
        setting = setting.after(token.kind, this, text);
        // `IS DISTINCT FROM` stands before a value.
        last_word = if last_word == word::DISTINCT { word::NONE } else { this };
        last = Some(token);
    }
}

/// Where the text is in a `SET` or a `PRAGMA`, whose value may be a text without quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// Before the first word.
    Unknown,
    /// In the name of the setting.
    Name {
        is_pragma: bool,
    },
    Value,
    /// It is another statement.
    No,
}

impl Setting {
    fn after(self, kind: Kind, this: Keyword, text: &str) -> Self {
        const PRAGMA: Keyword = keyword(b"PRAGMA");
        match self {
            _ if kind == Kind::Semicolon => Self::Unknown,
            Self::Unknown if this == word::SET => Self::Name { is_pragma: false },
            Self::Unknown if this == PRAGMA => Self::Name { is_pragma: true },
            Self::Unknown => Self::No,
            Self::Name { .. } if text == "=" || this == word::TO => Self::Value,
            Self::Name { is_pragma: true } if kind == Kind::Open => Self::Value,
            Self::Name { .. } | Self::Value | Self::No => self,
        }
    }
}

/// Whether double quotes in SQLite are around a name. Where no column has the name, SQLite takes it for a literal.
fn is_name(last: Option<Token>, last_word: Keyword, rest: &str) -> bool {
    const BEFORE_NAMES: [Keyword; 7] =
        [word::FROM, word::JOIN, word::INTO, word::UPDATE, word::TABLE, word::AS, word::INDEX];
    BEFORE_NAMES.contains(&last_word)
        || last.is_some_and(|last| last.kind == Kind::Dot)
        || rest.starts_with('.')
}

/// What stands between two tokens: the white space, or a space in place of a comment.
fn gap(between: &str) -> &str {
    if between.trim().is_empty() { between } else { " " }
}

#[cfg(test)]
mod tests {
    use Dialect::{Mysql, Postgres, Sqlite};

    use super::*;

    #[test]
    fn literals_are_masked() {
        let sql = "SELECT 'it''s', 12.5e3, E'a\\'b', $$x$$, $1 FROM \"t\" WHERE a = -7";
        assert_eq!(masked(Postgres, sql), "SELECT ?, ?, ?, ?, $1 FROM \"t\" WHERE a = -?");
        assert_eq!(masked(Mysql, "SELECT \"a\", 0x1F, `b` FROM t1"), "SELECT ?, ?, `b` FROM t1");
        assert_eq!(masked(Postgres, "SELECT 0x1F, 1_000, x1"), "SELECT ?, ?, x1");
        assert_eq!(masked(Sqlite, "SELECT x'ff', ?1, `a`"), "SELECT x?, ?1, `a`");
    }

    #[test]
    fn double_quotes_in_sqlite_may_be_values() {
        let sql = "SELECT \"t\".\"a\" FROM \"t\" WHERE b = \"value\"";
        assert_eq!(masked(Sqlite, sql), "SELECT \"t\".\"a\" FROM \"t\" WHERE b = ?");
        let sql = "SELECT a IS NOT DISTINCT FROM \"value\"";
        assert_eq!(masked(Sqlite, sql), "SELECT a IS NOT DISTINCT FROM ?");
    }

    #[test]
    fn values_of_settings_are_masked_without_quotes() {
        let sql = "SET LOCAL app.key TO secret; SELECT a FROM t";
        assert_eq!(masked(Postgres, sql), "SET LOCAL app.key TO ?; SELECT a FROM t");
        assert_eq!(masked(Postgres, "SET app.key = \"Secret\""), "SET app.key = ?");
        assert_eq!(masked(Mysql, "SET a = x, b = y"), "SET a = ?, ? = ?");
        assert_eq!(masked(Sqlite, "PRAGMA key = secret"), "PRAGMA key = ?");
        assert_eq!(masked(Sqlite, "PRAGMA key(secret)"), "PRAGMA key(?)");
        let sql = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
        assert_eq!(masked(Postgres, sql), sql);
        assert_eq!(masked(Postgres, "UPDATE t SET a = b"), "UPDATE t SET a = b");
    }

    #[test]
    fn comments_are_left_out() {
        assert_eq!(masked(Postgres, "SELECT 1 -- secret\n, 2 /* more */"), "SELECT ? , ?");
        assert_eq!(masked(Mysql, "SELECT 1 # secret\n FROM t"), "SELECT ? FROM t");
    }

    #[test]
    fn text_is_cut_where_it_is_not_understood() {
        assert_eq!(masked(Postgres, "SELECT 1, 'no end secret"), "SELECT ?, …");
        assert_eq!(masked(Mysql, "SELECT 1 /*!50000 'secret' */"), "SELECT ? …");
        for dialect in [Postgres, Mysql] {
            assert_eq!(masked(dialect, "SELECT 'a\\', secret, 'secret'"), "SELECT …");
            assert_eq!(masked(dialect, "SELECT 'it\\'s', 1"), "SELECT …");
        }
    }
}
