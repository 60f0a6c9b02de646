//! Whether a statement has rows, and whether it only reads.

use super::dialect::Dialect;
use super::keyword::{self as word, Keyword, keyword};
use super::lexer::{Kind, Lexer};
#[cfg(feature = "sqlite")]
use super::summary::summary;

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

/// Whether a statement may write or lock rows. Also true for statements that are neither known to write nor known to read.
///
/// What a function, an operator or a view does is not seen.
pub(crate) fn may_write(dialect: Dialect, sql: &str) -> bool {
    let mut lexer = Lexer::new(dialect, sql);
    match first_word_in_parentheses(&mut lexer) {
        word::SELECT | word::VALUES if dialect == Dialect::Sqlite => false,
        word::SELECT | word::VALUES => may_write_inside(lexer, |_| false),
        word::WITH => {
            let writes = |word| {
                matches!(
                    word,
                    word::INSERT | word::REPLACE | word::UPDATE | word::DELETE | word::MERGE
                )
            };
            may_write_inside(lexer, writes)
        }
        word::SHOW => false,
        _ => true,
    }
}

/// Whether the rest of a query stores its rows in a table or in a file (`INTO`) or locks them, at any depth, or has a word that
/// `writes` accepts.
fn may_write_inside(mut lexer: Lexer<'_>, writes: impl Fn(Keyword) -> bool) -> bool {
    let mut last = word::NONE;
    loop {
        let token = lexer.next();
        let current = match token.kind {
            Kind::End => return false,
            Kind::Unknown => return true,
            Kind::Word => keyword(lexer.bytes(token)),
            _ => word::NONE,
        };
        let locks = match last {
            word::FOR => ROW_LOCKS.contains(&current),
            word::LOCK => current == word::IN,
            _ => false,
        };
        if locks || current == word::INTO || writes(current) {
            return true;
        }
        last = current;
    }
}

/// What follows `FOR` in a locking clause.
pub(super) const ROW_LOCKS: [Keyword; 4] = [word::UPDATE, word::NO, word::KEY, keyword(b"SHARE")];

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

/// Whether SQLite counts the rows that a statement changes. After any other, `sqlite3_changes` is still that of an earlier
/// statement (<https://sqlite.org/c3ref/changes.html>). Also true for a `WITH` of which it is not known.
#[cfg(feature = "sqlite")]
pub(crate) fn counts_changes(sql: &str) -> bool {
    match first_word(&mut Lexer::new(Dialect::Sqlite, sql)) {
        word::INSERT | word::REPLACE | word::UPDATE | word::DELETE => true,
        word::WITH => summary(Dialect::Sqlite, sql).operation.as_deref() != Some("SELECT"),
        _ => false,
    }
}

/// [`word::NONE`] if the text does not begin with a word.
fn first_word(lexer: &mut Lexer<'_>) -> Keyword {
    let first = lexer.next();
    if first.kind == Kind::Word { keyword(lexer.bytes(first)) } else { word::NONE }
}

/// The first word after any number of `(`. [`word::NONE`] if there is something else.
fn first_word_in_parentheses(lexer: &mut Lexer<'_>) -> Keyword {
    loop {
        let first = lexer.next();
        match first.kind {
            Kind::Open => {}
            Kind::Word => return keyword(lexer.bytes(first)),
            _ => return word::NONE,
        }
    }
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
    fn what_may_write_or_lock_is_told_from_what_reads() {
        use Dialect::{Mysql, Postgres, Sqlite};
        let all = [Postgres, Mysql, Sqlite];
        let reads = [
            (&all[..], "SELECT * FROM t"),
            (&all[..], "(SELECT 1) UNION (SELECT 2)"),
            (&all[..], "VALUES (1)"),
            (&all[..], "SELECT 'FOR UPDATE', \"into\" FROM t -- INTO"),
            (&all[..], "WITH n AS (SELECT 1) SELECT * FROM n"),
            (&[Postgres], "SELECT substring(a FOR 3) FROM t"),
            (&[Postgres, Mysql], "SHOW TIME ZONE"),
        ];
        let may_write = [
            (&all[..], "INSERT INTO t VALUES (1)"),
            (&all[..], "WITH n AS (SELECT 1) DELETE FROM t"),
            (&all[..], "CREATE TABLE t (a INT)"),
            (&all[..], "EXPLAIN ANALYZE SELECT 1"),
            (&all[..], ""),
            (&[Postgres], "WITH n AS (DELETE FROM t RETURNING a) SELECT * FROM n"),
            (
                &[Postgres],
                "WITH n AS (SELECT 1) MERGE INTO t USING n ON true WHEN MATCHED THEN DELETE",
            ),
            (&[Postgres, Mysql], "SELECT a INTO u FROM t"),
            (&[Postgres, Mysql], "SELECT a FROM t FOR UPDATE"),
            (&[Postgres, Mysql], "SELECT * FROM (SELECT a FROM t for share) u"),
            (&[Postgres, Mysql], "(SELECT a FROM t FOR UPDATE SKIP LOCKED) UNION (SELECT 1)"),
            (&[Postgres, Mysql], "WITH n AS (SELECT a FROM t FOR KEY SHARE) SELECT * FROM n"),
            (&[Mysql], "SELECT a FROM t LOCK IN SHARE MODE"),
            (&[Mysql], "SELECT a /*! INTO OUTFILE 'f' */ FROM t"),
        ];
        for (dialects, sql) in reads {
            assert!(dialects.iter().all(|dialect| !super::may_write(*dialect, sql)), "{sql}");
        }
        for (dialects, sql) in may_write {
            assert!(dialects.iter().all(|dialect| super::may_write(*dialect, sql)), "{sql}");
        }
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

    #[cfg(feature = "sqlite")]
    #[test]
    fn statements_of_sqlite_that_count_their_changes_are_known() {
        for sql in [
            "INSERT INTO t VALUES (1)",
            "-- why\nreplace INTO t VALUES (1)",
            "WITH n AS (SELECT 1) UPDATE t SET a = 1",
            "WITH n AS (SELECT 1) REPLACE INTO t SELECT * FROM n",
            "DELETE FROM t RETURNING a",
        ] {
            assert!(counts_changes(sql), "{sql}");
        }
        for sql in [
            "SELECT replace('a', 'b', 'c')",
            "WITH n AS (SELECT 1) SELECT replace('a', 'b', 'c') FROM n",
            "CREATE TABLE t AS SELECT 1",
            "DROP INDEX i",
            "PRAGMA cache_size = 10",
            "EXPLAIN DELETE FROM t",
            "BEGIN",
            "",
        ] {
            assert!(!counts_changes(sql), "{sql}");
        }
    }
}
