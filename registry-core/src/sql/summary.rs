//! What a statement does, and to which table: for events and metrics.

use std::borrow::Cow;
use std::sync::Arc;

use super::dialect::Dialect;
use super::keyword::{self as word, Keyword, keyword};
use super::lexer::{Kind, Lexer, Token, unquoted};

/// What a statement does, as far as its text tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Summary {
    /// The first word, in upper case: `SELECT`. Of a `WITH`, the word of the statement behind it.
    pub(crate) operation: Option<Arc<str>>,
    /// The first table that is read, or the one that is changed, with its schema if the text has it, and without quotes.
    pub(crate) table: Option<Arc<str>>,
}

impl Summary {
    /// Whether the statement only begins or ends a transaction, or a part of it.
    pub(crate) fn is_transaction_control(&self) -> bool {
        const WORDS: [&str; 9] =
            ["ABORT", "BEGIN", "COMMIT", "END", "RELEASE", "ROLLBACK", "SAVEPOINT", "START", "XA"];
        self.operation.as_deref().is_some_and(|operation| WORDS.contains(&operation))
    }
}

/// The longest name, in characters. PostgreSQL's names have 63 bytes at most, and MySQL's 64 characters, each of two.
const LONGEST_NAME: usize = 129;

/// The longest operation, in bytes. A longer word is no keyword.
const LONGEST_OPERATION: usize = 16;

/// The operation and the table of a statement.
pub(crate) fn summary(dialect: Dialect, sql: &str) -> Summary {
    let mut lexer = Lexer::new(dialect, sql);
    let mut reader = Reader { lexer: lexer.clone(), depth: 0 };
    let Some(first) = first_word(&mut lexer) else { return Summary::default() };
    let mut verb = keyword(lexer.bytes(first));
    let mut operation = operation_of(lexer.text(first));
    reader.lexer = lexer;
    if verb == word::WITH {
        let verbs =
            [word::SELECT, word::INSERT, word::REPLACE, word::UPDATE, word::DELETE, word::MERGE];
        match reader.find(&verbs) {
            Some(token) => {
                verb = keyword(reader.lexer.bytes(token));
                operation = operation_of(reader.lexer.text(token));
            }
            None => return Summary { operation, table: None },
        }
    }
    let table = match verb {
        word::SELECT | word::DELETE => reader.find(&[word::FROM]).and_then(|_| reader.name()),
        word::INSERT | word::REPLACE | word::MERGE => {
            reader.find(&[word::INTO]).and_then(|_| reader.name())
        }
        word::UPDATE => reader.name(),
        word::CREATE | word::DROP | word::ALTER => {
            reader.find(&[word::TABLE]).and_then(|_| reader.name())
        }
        TRUNCATE => reader.name(),
        _ => None,
    };
    Summary { operation, table: table.map(Into::into) }
}

const TRUNCATE: Keyword = keyword(b"TRUNCATE");

/// The words between a verb and the name of its table.
const BEFORE_NAMES: [Keyword; 14] = [
    word::ONLY,
    word::TABLE,
    word::LATERAL,
    word::LOW_PRIORITY,
    word::IGNORE,
    word::OR,
    word::REPLACE,
    word::ROLLBACK,
    word::ABORT,
    word::FAIL,
    word::NOT,
    word::EXISTS,
    keyword(b"IF"),
    word::DELAYED,
];

fn first_word(lexer: &mut Lexer<'_>) -> Option<Token> {
    loop {
        let token = lexer.next();
        match token.kind {
            Kind::Open => {}
            Kind::Word => return Some(token),
            _ => return None,
        }
    }
}

fn operation_of(text: &str) -> Option<Arc<str>> {
    let is_keyword =
        text.len() <= LONGEST_OPERATION && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_keyword.then(|| text.to_ascii_uppercase().into())
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    depth: u32,
}

impl Reader<'_> {
    /// The next of these words that is not deeper in parentheses than the reader is.
    fn find(&mut self, words: &[Keyword]) -> Option<Token> {
        let from = self.depth;
        let mut last = word::NONE;
        loop {
            let token = self.lexer.next();
            let this = if token.kind == Kind::Word {
                keyword(self.lexer.bytes(token))
            } else {
                word::NONE
            };
            let before = std::mem::replace(&mut last, this);
            match token.kind {
                Kind::End | Kind::Unknown | Kind::Semicolon => return None,
                Kind::Open => self.depth += 1,
                Kind::Close => self.depth = self.depth.saturating_sub(1),
                Kind::Word
                    // `IS DISTINCT FROM` stands before a value.
                    if self.depth <= from && words.contains(&this) && before != word::DISTINCT =>
                {
                    return Some(token);
                }
                _ => {}
            }
        }
    }

    /// The name that follows. `None` if something else does, such as a subquery.
    fn name(&mut self) -> Option<String> {
        let mut token = self.lexer.next();
        while token.kind == Kind::Word && BEFORE_NAMES.contains(&keyword(self.lexer.bytes(token))) {
            token = self.lexer.next();
        }
        let mut name = self.part(token)?.into_owned();
        loop {
            let mut ahead = self.lexer.clone();
            if ahead.next().kind != Kind::Dot {
                break;
            }
            let token = ahead.next();
            self.lexer = ahead;
            name.push('.');
            name.push_str(&self.part(token)?);
        }
        if let Some((end, _)) = name.char_indices().nth(LONGEST_NAME) {
            name.truncate(end);
        }
        Some(name)
    }

    fn part(&self, token: Token) -> Option<Cow<'_, str>> {
        let text = self.lexer.text(token);
        match token.kind {
            Kind::Word => Some(text.into()),
            Kind::Quoted => Some(unquoted(text)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use Dialect::{Mysql, Postgres, Sqlite};

    use super::*;

    fn parts(dialect: Dialect, sql: &str) -> (Option<String>, Option<String>) {
        let Summary { operation, table } = summary(dialect, sql);
        (operation.as_deref().map(str::to_owned), table.as_deref().map(str::to_owned))
    }

    #[track_caller]
    fn assert_summary(dialect: Dialect, sql: &str, operation: &str, table: Option<&str>) {
        assert_eq!(parts(dialect, sql), (Some(operation.to_owned()), table.map(str::to_owned)));
    }

    #[test]
    fn operation_and_table_are_read() {
        let sql = r#"SELECT (SELECT 1 FROM "x"), "a" FROM "shop"."orders" AS o JOIN "b" ON TRUE"#;
        assert_summary(Postgres, sql, "SELECT", Some("shop.orders"));
        assert_summary(Postgres, "SELECT extract(day FROM a) FROM t", "SELECT", Some("t"));
        assert_summary(Mysql, "insert into `o``o` (a) values (?)", "INSERT", Some("o`o"));
        assert_summary(Sqlite, "INSERT OR IGNORE INTO t VALUES (1)", "INSERT", Some("t"));
        assert_summary(Postgres, "UPDATE ONLY \"t\" SET a = 1", "UPDATE", Some("t"));
        assert_summary(Mysql, "DELETE FROM t WHERE a", "DELETE", Some("t"));
        assert_summary(Sqlite, "CREATE TABLE IF NOT EXISTS t (a)", "CREATE", Some("t"));
        assert_summary(Postgres, "(SELECT 1 FROM a) UNION (SELECT 1 FROM b)", "SELECT", Some("a"));
        let with = "WITH x AS (SELECT 1 FROM a) INSERT INTO b SELECT * FROM x";
        assert_summary(Postgres, with, "INSERT", Some("b"));
        let with = "WITH x AS (SELECT 1 FROM a) REPLACE INTO b SELECT * FROM x";
        assert_summary(Sqlite, with, "REPLACE", Some("b"));
        let distinct = "SELECT a IS DISTINCT FROM \"value\" FROM t";
        assert_summary(Sqlite, distinct, "SELECT", Some("t"));
        assert_summary(Postgres, "SELECT 1", "SELECT", None);
        assert_summary(Postgres, "SELECT 1 FROM (SELECT 2 FROM t) s", "SELECT", None);
        assert_summary(Postgres, "BEGIN; SELECT 1 FROM t", "BEGIN", None);
        assert_eq!(parts(Postgres, "'x"), (None, None));
        assert_eq!(parts(Postgres, ""), (None, None));
        assert_eq!(parts(Sqlite, "thisisnokeywordatall FROM t"), (None, None));
    }

    #[test]
    fn statements_of_transactions_are_told_from_others() {
        assert!(summary(Postgres, "COMMIT").is_transaction_control());
        assert!(summary(Mysql, "SAVEPOINT diesel_savepoint_1").is_transaction_control());
        assert!(!summary(Postgres, "SELECT 1").is_transaction_control());
    }
}
