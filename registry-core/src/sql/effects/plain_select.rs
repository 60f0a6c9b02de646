//! Whether a statement is a plain `SELECT`: one that can be run twice, because it writes nothing.
//!
//! Judged by allowlists, of words and of functions. A `SELECT` can write by a function, by `INTO`, by a locking clause, by
//! another statement in its `WITH`, and in MySQL by a user variable. None of these has a place on the lists. A word that is
//! on neither list, such as an identifier without quotes, makes the answer "no".
//!
//! As everywhere in this folder, the effects of a view, an operator, a policy or the check of a domain are not visible in
//! the text.

use super::effect::Effects;
use super::{effects, functions};
use crate::sql::dialect::Dialect;
use crate::sql::keyword::{self as word, keyword};
use crate::sql::lexer::{Kind, Lexer};

/// Whether `sql` is one `SELECT` that is known to write nothing, to lock no row and to leave the session unchanged.
pub(crate) fn is_plain_select(dialect: Dialect, sql: &str) -> bool {
    // Finds the calls of unknown functions. Words before a parenthesis need a context to be understood.
    effects(dialect, sql) == Effects::NONE && has_only_reading_words(dialect, sql)
}

fn has_only_reading_words(dialect: Dialect, sql: &str) -> bool {
    let mut lexer = Lexer::new(dialect, sql);
    let mut is_first = true;
    loop {
        let token = lexer.next();
        let bytes = lexer.bytes(token);
        match token.kind {
            Kind::End => return !is_first,
            Kind::Word if is_first && keyword(bytes) != word::SELECT => return false,
            Kind::Word if is_reading_word(bytes) || functions::only_reads(dialect, bytes) => {}
            // `(SELECT ..) UNION (SELECT ..)`: the first word decides.
            Kind::Open if is_first => continue,
            Kind::Quoted
            | Kind::Text
            | Kind::Number
            | Kind::Parameter
            | Kind::Open
            | Kind::Close
            | Kind::Comma
            | Kind::Dot
            | Kind::Operator
                if !is_first => {}
            _ => return false,
        }
        is_first = false;
    }
}

fn is_reading_word(name: &[u8]) -> bool {
    WORDS
        .binary_search_by(|known| known.bytes().cmp(name.iter().map(u8::to_ascii_lowercase)))
        .is_ok()
}

/// The keywords of queries that read. In none of the dialects does one of them let a `SELECT` write. `FOR` is not listed,
/// because of `FOR UPDATE` and `NEXT VALUE FOR`.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "all", "and", "any", "array", "as", "asc", "at", "between", "both", "by", "case", "collate",
    "cross", "current", "desc", "distinct", "div", "else", "end", "escape", "except", "exclude",
    "exists", "false", "filter", "first", "following", "from", "full", "group", "grouping",
    "groups", "having", "ilike", "in", "inner", "intersect", "is", "isnull", "join", "last",
    "lateral", "leading", "left", "like", "limit", "natural", "not", "notnull", "null", "nulls",
    "offset", "on", "only", "or", "order", "others", "outer", "over", "overlaps", "partition",
    "preceding", "precision", "range", "regexp", "right", "rlike", "row", "rows", "select",
    "separator", "sets", "similar", "some", "symmetric", "tablesample", "then", "ties", "to",
    "trailing", "true", "unbounded", "union", "unknown", "using", "values", "when", "where",
    "window", "with", "within", "without", "xor", "zone",
];

#[cfg(test)]
mod tests {
    use super::*;
    use Dialect::{Mysql, Postgres, Sqlite};

    #[test]
    fn words_are_sorted_so_that_they_can_be_searched() {
        assert!(WORDS.is_sorted());
    }

    #[test]
    fn queries_that_only_read_are_plain() {
        let in_all = ["SELECT 1", "SELECT count(*), max(1) WHERE (1 = 1) AND 2 IN (SELECT 3)"];
        let in_postgres = [
            r#"SELECT "t"."a", "u"."b" FROM ("t" INNER JOIN "u" ON ("u"."t" = "t"."id")) WHERE ("t"."a" = $1) ORDER BY "t"."a" DESC NULLS LAST LIMIT $2 OFFSET $3"#,
            r#"(SELECT "a" FROM "t") UNION ALL (SELECT "a" FROM "u")"#,
            r#"SELECT DISTINCT ON ("t"."a") lower("t"."a") FROM "t" WHERE "t"."b" = ANY($1) AND NOT ("t"."c" IS NULL)"#,
            r#"SELECT CAST("a" AS text), CASE WHEN "a" ILIKE $1 ESCAPE '!' THEN 1 ELSE 2 END FROM "t""#,
            r#"SELECT row_number() OVER (PARTITION BY "a" ORDER BY "b" ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM "t""#,
            r#"SELECT "a" AT TIME ZONE 'UTC', now() FROM ONLY "t" -- FOR UPDATE"#,
            r#"SELECT EXISTS (SELECT "a" FROM "t" WHERE 'INTO' = $1)"#,
        ];
        let in_mysql = [
            "SELECT `t`.`a` FROM `t` LEFT OUTER JOIN `u` ON (`u`.`t` = `t`.`id`) WHERE `t`.`a` LIKE ? GROUP BY `t`.`a` HAVING count(*) > 1 LIMIT ?",
            "SELECT `for`, `update` FROM `into` WHERE `delete` IN (?, ?)",
        ];
        for (dialects, statements) in [
            (&[Postgres, Mysql, Sqlite][..], &in_all[..]),
            (&[Postgres][..], &in_postgres[..]),
            (&[Mysql][..], &in_mysql[..]),
        ] {
            for dialect in dialects {
                for sql in statements {
                    assert!(is_plain_select(*dialect, sql), "{dialect:?}: {sql}");
                }
            }
        }
    }

    #[test]
    fn what_may_write_is_not_plain() {
        let in_all = [
            "",
            "INSERT INTO t VALUES (1)",
            "UPDATE t SET a = 1",
            "EXPLAIN ANALYZE SELECT 1",
            "EXPLAIN SELECT 1",
            "SELECT 1; SELECT 2",
            "SELECT 1;",
            "SELECT my_function(1)",
            "SELECT a INTO b FROM t",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "CALL p()",
            "SELECT 'it",
            "((INSERT INTO t VALUES (1)))",
            "(",
        ];
        let in_postgres = [
            r#"SELECT "a" FROM "t" FOR UPDATE"#,
            r#"SELECT "a" FROM "t" FOR NO KEY UPDATE SKIP LOCKED"#,
            r#"SELECT "a" FROM "t" FOR KEY SHARE"#,
            r#"WITH "a" AS (DELETE FROM "t" RETURNING *) SELECT * FROM "a""#,
            "SELECT nextval($1)",
            "SELECT NextVal('s')",
            "SELECT pg_catalog.nextval('s')",
            "SELECT setval('s', 1)",
            "SELECT pg_notify('a', 'b')",
            "SELECT pg_terminate_backend(1)",
            "SELECT pg_advisory_xact_lock(1)",
            "SELECT set_config('a', 'b', true)",
            "SELECT lo_create(0)",
            "SELECT st_my_own(1)",
            r#"SELECT "lower"('a')"#,
            "SELECT my.lower('a')",
            "SELECT query_to_xml('DELETE FROM t', true, true, '')",
            "SELECT a FROM t",
            "TABLE t",
            "VALUES (1)",
        ];
        let in_mysql = [
            "SELECT `a` FROM `t` FOR UPDATE",
            "SELECT `a` FROM `t` LOCK IN SHARE MODE",
            "SELECT `a` FROM `t` INTO OUTFILE 'f'",
            "SELECT `a` FROM `t` INTO @a",
            "SELECT @a := `a` FROM `t`",
            "SELECT NEXT VALUE FOR `s`",
            "SELECT NEXTVAL(`s`)",
            "SELECT GET_LOCK('a', 1)",
            "SELECT LAST_INSERT_ID(5)",
            "SELECT BENCHMARK(1, 1)",
            "SELECT 1 /*! INTO @a */",
            "SELECT `my_function`(1)",
        ];
        for (dialects, statements) in [
            (&[Postgres, Mysql, Sqlite][..], &in_all[..]),
            (&[Postgres][..], &in_postgres[..]),
            (&[Mysql][..], &in_mysql[..]),
        ] {
            for dialect in dialects {
                for sql in statements {
                    assert!(!is_plain_select(*dialect, sql), "{dialect:?}: {sql}");
                }
            }
        }
    }
}
