//! Whether a statement has rows, and whether it only reads.

use super::dialect::Dialect;
use super::keyword::{self as word, Keyword, keyword};
use super::lexer::{Kind, Lexer};

/// Whether a statement may return so many rows that some are left unread.
///
/// Judged by the first word, if statements with that word return rows only with `RETURNING`. In MySQL, no function returns
/// rows, so a `SELECT` is judged by whether it has a `FROM`.
pub(crate) fn may_return_rows(dialect: Dialect, sql: &str) -> bool {
    let mut lexer = Lexer::new(dialect, sql);
    match first_word(&mut lexer) {
        word::BEGIN
        | word::COMMIT
        | word::DELETE
        | word::INSERT
        | word::RELEASE
        | word::REPLACE
        | word::ROLLBACK
        | word::SAVEPOINT
        | word::SET
        | word::START
        | word::UPDATE => may_have_word(lexer, word::RETURNING),
        word::SELECT if dialect == Dialect::Mysql => may_have_word(lexer, word::FROM),
        _ => true,
    }
}

/// Whether a statement of SQLite may write. Also true for statements that are neither known to write nor known to read.
pub(crate) fn may_write(sql: &str) -> bool {
    let mut lexer = Lexer::new(Dialect::Sqlite, sql);
    match first_word(&mut lexer) {
        word::SELECT | word::VALUES => false,
        word::WITH => {
            let writes =
                |word| matches!(word, word::INSERT | word::REPLACE | word::UPDATE | word::DELETE);
            may_have_word_that(lexer, writes)
        }
        _ => true,
    }
}

/// Whether a statement of SQLite is known to change nothing.
///
/// A statement that returns rows and changes something has the word `RETURNING`, or its first word is not on the list here.
#[cfg(feature = "sqlite")]
pub(crate) fn only_reads(sql: &str) -> bool {
    let mut lexer = Lexer::new(Dialect::Sqlite, sql);
    match first_word(&mut lexer) {
        word::SELECT | word::VALUES => true,
        word::WITH => !may_have_word(lexer, word::RETURNING),
        _ => false,
    }
}

/// [`word::NONE`] if the text does not begin with a word.
fn first_word(lexer: &mut Lexer<'_>) -> Keyword {
    let first = lexer.next();
    if first.kind == Kind::Word { keyword(lexer.bytes(first)) } else { word::NONE }
}

/// Whether the rest of the text contains the word or an unknown token.
fn may_have_word(lexer: Lexer<'_>, wanted: Keyword) -> bool {
    may_have_word_that(lexer, |word| word == wanted)
}

/// Whether the rest of the text contains a word that `is_wanted` accepts, or an unknown token.
fn may_have_word_that(mut lexer: Lexer<'_>, is_wanted: impl Fn(Keyword) -> bool) -> bool {
    loop {
        let token = lexer.next();
        match token.kind {
            Kind::End => return false,
            Kind::Unknown => return true,
            Kind::Word if is_wanted(keyword(lexer.bytes(token))) => return true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_may_leave_rows_are_told_from_others() {
        let with_rows = [
            "SELECT a FROM t",
            "INSERT INTO t VALUES (1) RETURNING id",
            "delete from t returning id",
            "/* SELECT */ CALL p()",
            "SELECT 1 /*! FROM t */",
            "SHOW TABLES",
            "INSERT INTO t VALUES ('\\') RETURNING id",
            "",
        ];
        let without = [
            "SELECT 1",
            "SELECT 'from here'",
            "INSERT INTO t VALUES ('RETURNING')",
            "/* why */ UPDATE t SET a = 1",
            "BEGIN",
        ];
        for sql in with_rows {
            assert!(may_return_rows(Dialect::Mysql, sql), "{sql}");
        }
        for sql in without {
            assert!(!may_return_rows(Dialect::Mysql, sql), "{sql}");
        }
        assert!(may_return_rows(Dialect::Postgres, "SELECT generate_series(1, 1000000)"));
    }

    #[test]
    #[cfg(feature = "sqlite")]
    fn a_statement_that_may_write_is_not_taken_for_one_that_reads() {
        let reads = [
            "SELECT 1",
            "select(1)",
            "VALUES (1)",
            "WITH n AS (SELECT 1) SELECT * FROM n",
            "WITH n AS (SELECT 'returning') SELECT * FROM n",
            " -- why\n /* what */\tSELECT 'returning'",
        ];
        let may_write = [
            "INSERT INTO t VALUES (1) RETURNING id",
            "WITH n AS (SELECT 1) DELETE FROM t returning id",
            "/* SELECT */ UPDATE t SET a = 1 RETURNING a",
            "-- SELECT",
            "PRAGMA journal_mode = WAL",
            "",
        ];
        for sql in reads {
            assert!(only_reads(sql), "{sql}");
        }
        for sql in may_write {
            assert!(!only_reads(sql), "{sql}");
        }
    }
}
