use proptest::prelude::*;
use proptest::sample::select;

use super::super::Dialect::{self, Mysql, Postgres, Sqlite};
use super::super::keyword::keyword;
use super::super::lexer::{Kind, Lexer};
use super::super::masked;
use super::super::summary;
use super::super::tables::{Names, tables};
use super::{effects, mysql, postgres, sqlite};

fn any_dialect() -> impl Strategy<Value = Dialect> {
    select(&[Postgres, Mysql, Sqlite][..])
}

/// Statements that leave something behind, or may.
const CHANGES: &[(Dialect, &str)] = &[
    (Postgres, "SELECT set_config('a.b', 'c', false)"),
    (Postgres, "SELECT pg_advisory_lock(1)"),
    (Postgres, "CREATE OR REPLACE TEMP VIEW users AS SELECT 1"),
    (Postgres, "SELECT * INTO TEMP users FROM t"),
    (Postgres, "CREATE TABLE pg_temp.x (i INTEGER)"),
    (Postgres, "SET app.tenant = 'acme'"),
    (Postgres, "BEGIN TRANSACTION READ ONLY"),
    (Postgres, "COMMIT AND CHAIN"),
    (Postgres, "ROLLBACK AND NO CHAIN"),
    (Postgres, "DISCARD ALL"),
    (Postgres, "SELECT set_config('a.b', 'c', true)"),
    (Mysql, "SELECT GET_LOCK('a', 1)"),
    (Mysql, "CREATE OR REPLACE TEMPORARY TABLE t (i INTEGER)"),
    (Mysql, "SELECT 1 INTO @a"),
    (Mysql, "SET TRANSACTION READ ONLY"),
    (Mysql, "START TRANSACTION"),
    (Mysql, "SELECT LAST_INSERT_ID(5), LAST_INSERT_ID()"),
    (Sqlite, "EXPLAIN PRAGMA foreign_keys = OFF"),
    (Sqlite, "CREATE TABLE temp.y (i)"),
    (Sqlite, "SELECT load_extension('x')"),
    (Sqlite, "SAVEPOINT a"),
];

fn any_statement() -> impl Strategy<Value = (Dialect, &'static str)> {
    let plain = [(Postgres, postgres::PLAIN), (Mysql, mysql::PLAIN), (Sqlite, sqlite::PLAIN)]
        .into_iter()
        .flat_map(|(dialect, texts)| texts.iter().map(move |text| (dialect, *text)));
    select(plain.chain(CHANGES.iter().copied()).collect::<Vec<_>>())
}

fn any_gap(dialect: Dialect) -> impl Strategy<Value = &'static str> {
    let gaps: &[&str] = match dialect {
        Postgres => {
            &[" ", "\n", "\t\r\n", "/* it's; */", "-- it's \"; $$\n", "/* /* ' */ ( */", "/**/"]
        }
        Mysql => {
            &[" ", "\n", "\t\r\n", "/* it's; */", "-- it's `;\n", "# it's (\n", "/* /* */", "/**/"]
        }
        Sqlite => &[" ", "\n", "\t\r\n", "/* it's; */", "-- it's [;\n", "/* /* */", "/**/"],
    };
    select(gaps)
}

/// The statement with other gaps between its tokens, and with its words in another case.
fn respelled(
    dialect: Dialect,
    sql: &str,
    mut gap: impl FnMut() -> &'static str,
    mut is_upper: impl FnMut() -> bool,
) -> String {
    let mut lexer = Lexer::new(dialect, sql);
    let (mut text, mut end) = (String::new(), 0);
    loop {
        let token = lexer.next();
        // Tokens without a gap may mean something else with one: `E''`, `@@`, `1.5`.
        let is_free = token.start > end || token.kind == Kind::Open || text.ends_with('(');
        if is_free || end == 0 {
            text.push_str(gap());
        }
        if token.kind == Kind::End {
            return text;
        }
        for c in lexer.text(token).chars() {
            text.push(match token.kind {
                Kind::Word if is_upper() => c.to_ascii_uppercase(),
                Kind::Word => c.to_ascii_lowercase(),
                _ => c,
            });
        }
        end = token.end;
    }
}

/// Literals, with comments among them, that have a word or digits which `masked` must not show.
fn any_literal(dialect: Dialect) -> impl Strategy<Value = &'static str> {
    const EVERYWHERE: &[&str] = &[
        "'zebra'",
        "'it''s zebra'",
        "''",
        "'zebra\nzebra'",
        "'-- zebra'",
        "'/* zebra'",
        "'zebra */'",
        "'\"zebra'",
        "'`zebra'",
        "'[zebra'",
        "'$$zebra'",
        "'zebra -- binds: [47]'",
        "47",
        "-4.7",
        "4.7e-4",
        ".47",
        "47e4",
        "0x47",
        "x'47'",
        "NULL /* zebra */",
        "NULL -- zebra\n",
        "cast('zebra' AS text)",
    ];
    let own: &[&str] = match dialect {
        Postgres => &[
            r"E'zebra\'zebra'",
            r"e'\\' || 'zebra'",
            r"E'\''||'zebra'",
            "$$zebra$$",
            "$q$zebra $$ ' zebra$q$",
            "U&'zebra'",
            r"u&'\0061zebra'",
            "B'101'::text||'zebra'",
            "'zebra'\n'zebra'",
            "E'a'\n'zebra\\'zebra'",
            "4_7",
            "0b10||'zebra'",
            r"'\'",
            r"'zebra\\'",
            r"'\', 'zebra'",
            "ARRAY[47, 4]",
            "'{zebra}'::text[]",
            "47$$zebra$$",
            "/* /* zebra */ zebra */ 'zebra'",
        ],
        Mysql => &[
            "\"zebra\"",
            r"'it\'s zebra'",
            "\"a\\\"zebra\"",
            r"'zebra\\'",
            r"'\', zebra, '",
            "N'zebra'",
            "_latin1'zebra'",
            "_binary 0x47",
            "b'101'",
            "NULL # zebra\n",
            "/*! 'zebra' */",
            "/*M!100100 zebra */",
            "4--47",
            "DATE '4747'",
        ],
        Sqlite => &[
            "\"zebra\"",
            "a IS DISTINCT FROM \"zebra\"",
            "a IS NOT DISTINCT\nFROM/* */\"zebra\"",
            r"'zebra\'",
            "X'47'",
            "4_7",
            "\"ze\"\"bra zebra\"",
            "max(\"zebra\", \"zebra\")",
        ],
    };
    select([EVERYWHERE, own].concat())
}

proptest! {
    #[test]
    fn no_literal_is_in_masked_text_or_in_a_summary(
        (dialect, literals, gaps) in any_dialect().prop_flat_map(|dialect| {
            let literals = prop::collection::vec(any_literal(dialect), 6);
            (Just(dialect), literals, prop::collection::vec(any_gap(dialect), 12))
        }),
        frame in select(&[
            "SELECT {} , a , {} FROM t WHERE b = {} AND c IN ( {} , {} ) LIMIT {}",
            "INSERT INTO t ( a , b ) VALUES ( {} , {} ) , ( {} , {} )",
            "UPDATE t SET a = {} WHERE b = {} OR b > {}",
            "DELETE FROM t WHERE a LIKE {} ; SELECT {}",
            "WITH x AS ( SELECT {} ) SELECT {} FROM x WHERE {} = {}",
            "CALL f ( {} , {} , {} )",
        ][..]),
    ) {
        let mut literals = literals.into_iter().cycle();
        let mut gaps = gaps.into_iter().cycle();
        let mut sql = String::new();
        for part in frame.split(' ') {
            sql.push_str(if part == "{}" { literals.next().unwrap() } else { part });
            sql.push_str(gaps.next().unwrap());
        }
        let shown = format!("{} {:?}", masked(dialect, &sql), summary(dialect, &sql));
        prop_assert!(!shown.contains("zebra"), "{}: {}", sql, shown);
        prop_assert!(!shown.contains(['4', '7']), "{}: {}", sql, shown);
    }

    #[test]
    fn comments_gaps_and_case_make_no_difference(
        ((dialect, sql), gaps) in any_statement().prop_flat_map(|(dialect, sql)| {
            (Just((dialect, sql)), prop::collection::vec(any_gap(dialect), 64))
        }),
        cases in prop::collection::vec(any::<bool>(), 64),
    ) {
        let (mut gaps, mut cases) = (gaps.into_iter().cycle(), cases.into_iter().cycle());
        let text = respelled(dialect, sql, || gaps.next().unwrap(), || cases.next().unwrap());
        prop_assert_eq!(effects(dialect, sql), effects(dialect, &text), "{} as {}", sql, text);
    }

    #[test]
    fn any_text_is_read_to_its_end(dialect in any_dialect(), sql in any::<String>()) {
        let mut lexer = Lexer::new(dialect, &sql);
        let mut end = 0;
        loop {
            let token = lexer.next();
            prop_assert!(token.start >= end);
            end = token.end;
            let _ = lexer.text(token);
            if token.kind == Kind::End {
                break;
            }
            prop_assert!(token.end > token.start);
        }
        prop_assert_eq!(end, sql.len());
        effects(dialect, &sql);
        for names in [Names::Quoted, Names::All] {
            let _ = tables(dialect, names, &sql);
        }
    }

    /// As above, with texts that are made of tokens.
    #[test]
    fn any_row_of_tokens_is_read_to_its_end(
        dialect in any_dialect(),
        parts in prop::collection::vec(
            select(&[
                "SELECT", "WITH", "INTO", "set_config", "'", "\"", "`", "$$", "$a$", "E'", "U&\"", "\\",
                "/*", "*/", "/*!", "--", "#", "\n", "(", ")", ",", ";", ".", "[", "]", "@", "@@", "$1",
                ":", "?", "1", "1e", "é", "\u{0}", " ", "EXPLAIN", "CREATE", "TABLE", "AS", "ON",
                "DISTINCT", "BEGIN", "ROLLBACK", "TO", "COPY", "FROM", "\"a\"", "u&'",
            ][..]),
            0..40,
        ),
    ) {
        let sql = parts.concat();
        effects(dialect, &sql);
        for names in [Names::Quoted, Names::All] {
            let _ = tables(dialect, names, &sql);
        }
    }

    #[test]
    fn words_are_the_same_keyword_if_they_differ_in_case_alone(
        one in "[a-zA-Z0-9_$]{1,16}",
        other in "[a-zA-Z0-9_$]{1,16}",
    ) {
        let is_same = one.eq_ignore_ascii_case(&other);
        prop_assert_eq!(keyword(one.as_bytes()) == keyword(other.as_bytes()), is_same);
        prop_assert_eq!(keyword(one.as_bytes()), keyword(one.to_ascii_uppercase().as_bytes()));
    }
}
