//! Which tables are found, in tables of statements.

use super::*;

/// With the dialect that the quotes belong to.
fn found(sql: &str) -> Vec<Cow<'_, str>> {
    names(if sql.contains('`') { Dialect::Mysql } else { Dialect::Postgres }, sql)
}

fn names(dialect: Dialect, sql: &str) -> Vec<Cow<'_, str>> {
    tables(dialect, Names::Quoted, sql).into_iter().map(|table| table.name).collect()
}

#[test]
fn tables_are_found_where_diesel_writes_them() {
    assert_eq!(found(r#"SELECT "a"."id" FROM "a" WHERE ("a"."id" = $1)"#), ["a"]);
    assert_eq!(
        found("SELECT `x`.`id` FROM (`x` INNER JOIN `s`.`y` AS `z` ON (`x`.`id` = `z`.`id`))"),
        ["x", "s.y"]
    );
    assert_eq!(found(r#"INSERT INTO "a" ("id") SELECT "b"."id" FROM ONLY "b""#), ["a", "b"]);
    assert_eq!(found(r#"UPDATE "a" SET "n" = (SELECT "b"."n" FROM "b" LIMIT $1)"#), ["a", "b"]);
    assert_eq!(found(r#"DELETE FROM "a" WHERE EXISTS (SELECT * FROM "b")"#), ["a", "b"]);
    assert_eq!(found(r#"(SELECT "a"."id" FROM "a") UNION (SELECT "b"."id" FROM "b")"#), ["a", "b"]);
}

#[test]
fn what_is_no_table_is_passed_over() {
    assert_eq!(found(r#"SELECT 'FROM "x"', 'it''s FROM "y"' FROM "a""#), ["a"]);
    assert_eq!(found(r#"SELECT EXTRACT(DAY FROM "a"."at") FROM "b""#), ["b"]);
    assert_eq!(found(r#"SELECT TRIM(BOTH 'x' FROM "a"), SUBSTRING("a" FROM "i") FROM "b""#), ["b"]);
    assert_eq!(found(r#"SELECT ("a"."x" IS DISTINCT FROM "c"."x") FROM "a""#), ["a"]);
    assert_eq!(
        found(r#"SELECT "x"."id" FROM "a" AS "x" JOIN "b" AS "y" ON "x"."i" = "y"."i""#),
        ["a", "b"]
    );
    assert_eq!(found(r#"SELECT 1 FROM "a" ORDER BY "b", "c""#), ["a"]);
    assert_eq!(
        found(
            r#"INSERT INTO "a" ("x", "y") VALUES ($1, $2) ON CONFLICT ("x") DO UPDATE SET "y" = $3, "z" = $4"#
        ),
        ["a"]
    );
    assert_eq!(found(r#"SELECT 1 FROM "od""d""#), [r#"od"d"#]);
    assert_eq!(found("INSERT INTO `a` (`b`) VALUES (?) ON DUPLICATE KEY UPDATE `b` = ?"), ["a"]);
    assert_eq!(found(r#"SELECT "a"."b" FROM "a" FOR UPDATE"#), ["a"]);
    assert!(found("SELECT 1").is_empty());
    assert!(found(r#"SELECT "a"#).is_empty());
}

#[test]
fn tables_behind_comments_and_odd_literals_are_found() {
    assert_eq!(found("SELECT 1 -- it's a comment\nFROM \"a\""), ["a"]);
    assert_eq!(found("SELECT 1 /* it's /* a */ comment */ FROM /* x */ \"a\""), ["a"]);
    assert_eq!(found("SELECT $$it's$$, E'it\\'s' FROM \"a\""), ["a"]);
    assert_eq!(found("SELECT \"it's\" # it's\n FROM `a` -- it's\n JOIN `b`"), ["a", "b"]);
    assert_eq!(found("SELECT 1 /*!40000 FROM `a` */"), ["a"]);
    assert_eq!(found("from \"a\""), ["a"]);
    let sqlite = "SELECT 1 FROM [a]]  -- it's\n, (select * from `b`) JOIN \"c\" /* it's";
    assert_eq!(names(Dialect::Sqlite, sqlite), ["a", "b", "c"]);
    assert_eq!(found("SELECT 'it\\'s FROM `x` ' FROM `a`"), ["a"]);
    assert_eq!(found("SELECT \"\\\" FROM `x` \", '\\\\' FROM `a`"), ["a"]);
    assert_eq!(found("SELECT 1 FROM ) ) \"a\""), Vec::<String>::new());
    assert_eq!(found(") SELECT 1 FROM \"a\""), ["a"]);
}

#[test]
fn all_tables_of_a_list_are_found() {
    assert_eq!(found(r#"SELECT 1 FROM "a", "b" AS "x", "c" WHERE "d", "e""#), ["a", "b", "c"]);
    assert_eq!(found(r#"DELETE FROM "a" USING "b""#), ["a", "b"]);
    assert_eq!(found(r#"SELECT 1 FROM "a" JOIN "b" USING ("c", "d")"#), ["a", "b"]);
    assert_eq!(
        found(r#"SELECT 1 FROM (SELECT 1 FROM "a") AS "t" JOIN "b" ON f("x", "y")"#),
        ["a", "b"]
    );
}

#[test]
fn named_results_are_no_tables_where_they_have_that_name() {
    let all = r#"WITH "a" AS (SELECT 1 FROM "b"), "c" ("x", "y") AS MATERIALIZED (SELECT 1 FROM "a") SELECT 1 FROM "c" JOIN "a""#;
    assert_eq!(found(all), ["b"]);
    assert_eq!(found(r#"WITH a AS (SELECT 1) SELECT 1 FROM "a""#), Vec::<String>::new());
    // A name is in scope after the expression, or within it if it is recursive.
    let within = r#"AS (SELECT 1 FROM "a") SELECT 1 FROM "a""#;
    assert_eq!(found(&format!(r#"WITH "a" {within}"#)), ["a"]);
    assert_eq!(found(&format!(r#"WITH RECURSIVE "a" {within}"#)), Vec::<String>::new());
    assert_eq!(names(Dialect::Sqlite, &format!(r#"WITH "a" {within}"#)), Vec::<String>::new());
}

#[test]
fn a_table_in_a_subquery_of_a_query_of_its_own_is_told_apart() {
    let around = |sql| -> Vec<bool> {
        tables(Dialect::Sqlite, Names::Quoted, sql)
            .iter()
            .map(|table| table.is_in_outer_query)
            .collect()
    };
    let nested = r#"SELECT 1 FROM "a" WHERE "x" IN (SELECT "x" FROM "a")"#;
    assert_eq!(around(nested), [false, true]);
    assert_eq!(around(r#"SELECT (SELECT 1 FROM "a") FROM "a""#), [true, false]);
    assert_eq!(around(r#"UPDATE "a" SET "x" = (SELECT 1 FROM "a")"#), [false, true]);
    assert_eq!(
        around(r#"DELETE FROM "a" WHERE EXISTS (SELECT (SELECT 1 FROM "a") FROM "b")"#),
        [false, true, false]
    );
    // Side by side, under an alias, or as a target.
    assert_eq!(
        around(
            r#"SELECT 1 FROM "b" WHERE EXISTS (SELECT 1 FROM "a") AND EXISTS (SELECT 1 FROM "a")"#
        ),
        [false; 3]
    );
    assert_eq!(
        around(r#"SELECT 1 FROM "a" UNION SELECT 1 FROM "b" WHERE EXISTS (SELECT 1 FROM "a")"#),
        [false; 3]
    );
    assert_eq!(around(r#"SELECT 1 FROM "a" WHERE EXISTS (SELECT 1 FROM "a" AS "x")"#), [false; 2]);
    assert_eq!(around(r#"SELECT 1 FROM "a" AS "x" WHERE EXISTS (SELECT 1 FROM "a")"#), [false; 2]);
    assert_eq!(around(r#"INSERT INTO "a" SELECT "x" FROM "a""#), [false; 2]);
    assert_eq!(around(r#"INSERT INTO "a" VALUES ((SELECT "x" FROM "a"))"#), [false; 2]);
    // In the `SET` and `RETURNING` of an `INSERT`.
    assert_eq!(
        around(r#"INSERT INTO "a" VALUES (1) RETURNING "x", (SELECT 1 FROM "a")"#),
        [false, true]
    );
    assert_eq!(
        around(
            r#"INSERT INTO "a" SELECT 1 FROM "b" ON CONFLICT ("x") DO UPDATE SET "x" = (SELECT 1 FROM "a") RETURNING (SELECT 1 FROM "b")"#
        ),
        [false, false, true, false]
    );
}

#[test]
fn what_is_selected_is_told_apart() {
    let selected = |sql: &str| -> Vec<bool> {
        tables(Dialect::Sqlite, Names::Quoted, sql).iter().map(|table| table.is_selected).collect()
    };
    assert_eq!(
        selected(
            r#"SELECT (SELECT 1 FROM "a" WHERE EXISTS (SELECT 1 FROM "b")) FROM ("c" JOIN "d" ON EXISTS (SELECT 1 FROM "e")) WHERE EXISTS (SELECT (SELECT 1 FROM "f")) ORDER BY (SELECT 1 FROM "g")"#
        ),
        [true, true, false, false, false, false, false]
    );
    assert_eq!(
        selected(
            r#"SELECT * FROM (SELECT (SELECT 1 FROM "a") FROM "b" WHERE EXISTS (SELECT 1 FROM "c")) UNION SELECT * FROM (SELECT (SELECT 1 FROM "d"))"#
        ),
        [true, false, false, true]
    );
    assert_eq!(
        selected(r#"INSERT INTO "a" VALUES ((SELECT 1 FROM "b")) RETURNING (SELECT 1 FROM "c")"#),
        [false, false, true]
    );
}

#[test]
fn what_is_set_or_inserted_is_told_apart() {
    let set = |sql: &str| -> Vec<bool> {
        let dialect = if sql.contains('`') { Dialect::Mysql } else { Dialect::Sqlite };
        tables(dialect, Names::Quoted, sql).iter().map(|table| table.is_set).collect()
    };
    assert_eq!(
        set(
            r#"UPDATE "a" SET "x" = (SELECT 1 FROM "b" WHERE EXISTS (SELECT 1 FROM "c")), "y" = (SELECT 1 FROM "d") WHERE EXISTS (SELECT 1 FROM "e")"#
        ),
        [false, true, true, true, false]
    );
    assert_eq!(
        set(
            r#"INSERT INTO "a" VALUES (1, (SELECT 1 FROM "b")) ON CONFLICT ("x") DO UPDATE SET "x" = (SELECT 1 FROM "c") RETURNING (SELECT 1 FROM "d")"#
        ),
        [false, true, true, false]
    );
    assert_eq!(
        set("INSERT INTO `a` SELECT 1 FROM `b` ON DUPLICATE KEY UPDATE `x` = (SELECT 1 FROM `c`)"),
        [false, false, true]
    );
}

/// The names with and without quotes, in the form in which they are compared.
fn written(dialect: Dialect, sql: &str) -> Vec<Cow<'_, str>> {
    tables(dialect, Names::All, sql).into_iter().map(|table| table.name).collect()
}

const DIALECTS: [Dialect; 3] = [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite];

#[test]
fn names_without_quotes_are_found_where_people_write_them() {
    let on_each = |sql: &'static str, expected: &[&str]| {
        for dialect in DIALECTS {
            assert_eq!(written(dialect, sql), expected, "{dialect:?}: {sql}");
        }
    };
    on_each("select * from a where id = 1", &["a"]);
    on_each(
        "SELECT 1 FROM a x, b AS y JOIN s.c z ON (z.i = x.i), (d CROSS JOIN e)",
        &["a", "b", "s.c", "d", "e"],
    );
    on_each("INSERT INTO a (b, c) VALUES (1, 2)", &["a"]);
    on_each("INSERT INTO a(b, c) SELECT d, e FROM f", &["a", "f"]);
    on_each("REPLACE INTO a VALUES (1)", &["a"]);
    on_each("UPDATE a SET b = (SELECT max(c) FROM d), e = 2", &["a", "d"]);
    on_each("DELETE FROM a WHERE EXISTS (SELECT 1 FROM b)", &["a", "b"]);
    on_each("(SELECT 1 FROM a) UNION ALL SELECT 1 FROM b", &["a", "b"]);
    on_each("WITH x AS (SELECT 1 FROM a) DELETE FROM b WHERE i IN (SELECT 1 FROM x)", &["a", "b"]);
    on_each("EXPLAIN SELECT 1 FROM a", &["a"]);
    on_each("TRUNCATE TABLE a", &["a"]);
    on_each("SELECT (TABLE a)", &["a"]);
    on_each("/* it's */ SELECT 1 -- FROM b\nFROM a", &["a"]);

    let postgres = |sql| written(Dialect::Postgres, sql);
    assert_eq!(
        postgres(r#"SELECT 1 FROM Events, "Events", public."a", ONLY b *"#),
        ["events", "Events", "public.a", "b"]
    );
    assert_eq!(postgres("TRUNCATE a, ONLY b"), ["a", "b"]);
    assert_eq!(
        postgres("MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN UPDATE SET x = 1"),
        ["a", "b"]
    );
    assert_eq!(postgres("DELETE FROM ONLY a USING b, c WHERE true"), ["a", "b", "c"]);
    assert_eq!(
        postgres("SELECT 1 FROM a LEFT JOIN LATERAL (SELECT 1 FROM b) x ON true"),
        ["a", "b"]
    );

    let mysql = |sql| written(Dialect::Mysql, sql);
    assert_eq!(mysql("SELECT 1 FROM `A` STRAIGHT_JOIN b, \"c\""), ["a", "b", "c"]);
    assert_eq!(mysql("INSERT LOW_PRIORITY IGNORE a (b) VALUES (1)"), ["a"]);
    assert_eq!(mysql("UPDATE IGNORE a, b SET a.x = b.x"), ["a", "b"]);
    assert_eq!(mysql("SELECT 1 /*!40000 FROM a */"), ["a"]);

    let sqlite = |sql| written(Dialect::Sqlite, sql);
    assert_eq!(sqlite("SELECT 1 FROM 'a' JOIN [b] JOIN `C` JOIN \"d\""), ["a", "b", "c", "d"]);
    assert_eq!(sqlite("UPDATE OR REPLACE a SET x = 1"), ["a"]);
    assert_eq!(sqlite("INSERT OR IGNORE INTO a VALUES (1)"), ["a"]);
}

#[test]
fn other_names_without_quotes_are_passed_over() {
    let on_each = |sql: &'static str, expected: &[&str]| {
        for dialect in DIALECTS {
            assert_eq!(written(dialect, sql), expected, "{dialect:?}: {sql}");
        }
    };
    // Columns, aliases, functions, literals and parameters.
    on_each("SELECT x, a.x, x AS y FROM a AS x WHERE x.y = 'FROM z' ORDER BY x, y", &["a"]);
    on_each("SELECT 1 FROM a x GROUP BY x, y HAVING x > 1 LIMIT 1", &["a"]);
    on_each("SELECT x(1), replace(y, 'a', 'b') FROM a, x(1, y)", &["a"]);
    on_each("UPDATE a SET x = 1, y = 2 WHERE z IN (x, y)", &["a"]);
    on_each("INSERT INTO a (x, y) VALUES (x, y), (1, 2)", &["a"]);
    on_each("SELECT 1 FROM a JOIN b USING (x, y)", &["a", "b"]);
    on_each("SELECT extract(day FROM x), trim(both FROM y), substring(x FROM 1) FROM a", &["a"]);
    on_each("SELECT 1 FROM a WHERE x IS DISTINCT FROM y", &["a"]);
    on_each("SELECT sum(x) OVER (PARTITION BY y, z ORDER BY x) FROM a", &["a"]);
    // The names of common table expressions, before and after them, and in any case of letters.
    on_each("WITH x AS (SELECT 1 FROM a), Y (i) AS (SELECT 1 FROM x) SELECT 1 FROM y, X", &["a"]);
    on_each(
        "WITH RECURSIVE x AS (SELECT 1 FROM y), y AS (SELECT 1 FROM a UNION SELECT 1 FROM x) SELECT 1 FROM x",
        &["a"],
    );
    // Statements that neither read nor change rows.
    on_each("CREATE TABLE a (x integer)", &[]);
    on_each("DROP TABLE a", &[]);
    on_each("FETCH NEXT FROM a", &[]);
    on_each("REVOKE SELECT ON x FROM a", &[]);
    on_each("SHOW TABLES FROM a", &[]);

    let postgres = |sql| written(Dialect::Postgres, sql);
    assert_eq!(postgres("SELECT 1 FROM a FOR UPDATE OF x, y SKIP LOCKED"), ["a"]);
    assert_eq!(postgres("SELECT 1 FROM a FETCH FIRST ROW ONLY"), ["a"]);
    assert_eq!(
        postgres("INSERT INTO a VALUES (1) ON CONFLICT (x) DO UPDATE SET x = 1, y = 2"),
        ["a"]
    );
    assert_eq!(postgres("SELECT * INTO TEMP x FROM a"), ["a"]);
    assert_eq!(
        postgres("SELECT 1 FROM \"x\"(1) WITH ORDINALITY AS y (i, j), LATERAL z(1), a"),
        ["a"]
    );
    assert_eq!(postgres("SELECT $$ FROM x $$, E'\\' FROM y' FROM a"), ["a"]);
    assert_eq!(postgres("SELECT 1 FROM (VALUES (1), (2)) x (i), a"), ["a"]);

    let mysql = |sql| written(Dialect::Mysql, sql);
    assert_eq!(
        mysql("INSERT INTO a SELECT x FROM b ON DUPLICATE KEY UPDATE x = 1, y = VALUES(y)"),
        ["a", "b"]
    );
    assert_eq!(mysql("SELECT x, y INTO @x, @y FROM a"), ["a"]);
    assert_eq!(mysql("SELECT convert(x USING utf8mb4) FROM a"), ["a"]);
    assert_eq!(mysql("SELECT insert(x, 1, 2, y), truncate(x, 1) FROM a"), ["a"]);
}
