//! What Diesel's query builder writes leaves nothing behind, as every query goes that way.

use super::super::Dialect;
use super::{HARMLESS, assert_all};

/// Statements of all three dialects, with PostgreSQL's quotes and parameters.
const COMMON: &[&str] = &[
    r#"SELECT "users"."id", "users"."name" FROM "users""#,
    r#"SELECT "users"."id" FROM "users" WHERE ("users"."id" = $1) LIMIT $2"#,
    r#"SELECT "users"."id" FROM "users" WHERE (("users"."id" = $1) AND (("users"."name" != $2) OR ("users"."age" IS NULL))) ORDER BY "users"."name" ASC, "users"."id" DESC LIMIT $3 OFFSET $4"#,
    r#"SELECT DISTINCT "users"."id" FROM "users" WHERE ("users"."id" IN ($1, $2, $3))"#,
    r#"SELECT "users"."id" FROM "users" WHERE ("users"."id" NOT IN ($1, $2)) AND 1=1"#,
    r#"SELECT "users"."id" FROM "users" WHERE ("users"."id" IN (SELECT "posts"."author" FROM "posts"))"#,
    r#"SELECT "users"."id" FROM "users" WHERE (("users"."id" BETWEEN $1 AND $2) AND  NOT (("users"."name" LIKE $3)))"#,
    r#"SELECT "users"."name", "posts"."into" FROM ("users" INNER JOIN "posts" ON ("posts"."author" = "users"."id"))"#,
    r#"SELECT "users"."name" FROM (("users" LEFT OUTER JOIN "posts" ON (("posts"."author" = "users"."id") AND ("posts"."id" > $1))) INNER JOIN "tags" ON ("tags"."post" = "posts"."id"))"#,
    r#"SELECT "others"."name" FROM ("users" INNER JOIN "users" AS "others" ON ("others"."id" = "users"."id"))"#,
    r#"SELECT "users"."id" FROM "users" WHERE EXISTS (SELECT "posts"."id" FROM "posts" WHERE ("posts"."author" = "users"."id"))"#,
    r#"SELECT EXISTS (SELECT "users"."id" FROM "users" WHERE ("users"."age" > $1))"#,
    r#"SELECT "users"."age", max("users"."id"), sum("users"."id"), avg("users"."id"), min("users"."id") FROM "users" GROUP BY "users"."age" HAVING (COUNT(*) > $1)"#,
    r#"SELECT COUNT(*) FROM "users""#,
    r#"SELECT COUNT(DISTINCT "users"."name") FROM "users""#,
    r#"SELECT lower("users"."name") FROM "users" WHERE (lower("users"."name") = $1)"#,
    r#"SELECT row_number() OVER (PARTITION BY "users"."age" ORDER BY "users"."id" ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM "users""#,
    r#"SELECT lag("users"."id", $1) OVER () , first_value("users"."id") OVER (ORDER BY "users"."id") FROM "users""#,
    r#"SELECT CASE WHEN ("users"."id" = $1) THEN $2 WHEN ("users"."id" = $3) THEN $4 ELSE $5 END FROM "users""#,
    r#"SELECT (("users"."id" * $1) - $2), ("users"."id" / $3) FROM "users""#,
    r#"SELECT CAST("users"."id" AS Decimal) FROM "users""#,
    r#"SELECT CURRENT_TIMESTAMP, CURRENT_DATE"#,
    r#"(SELECT "users"."id" FROM "users") UNION (SELECT "posts"."author" FROM "posts")"#,
    r#"(SELECT "users"."id" FROM "users") UNION ALL (SELECT "users"."id" FROM "users") LIMIT $1"#,
    r#"SELECT "users"."name" FROM "users" WHERE ("users"."id" = (SELECT "posts"."author" FROM "posts" WHERE ("posts"."id" = $1) LIMIT $2))"#,
    r#"INSERT INTO "users" ("id", "name") VALUES ($1, $2)"#,
    r#"INSERT INTO "users" ("id", "name") VALUES ($1, $2), ($3, $4), ($5, $6)"#,
    r#"INSERT INTO "app"."users" ("id", "name") SELECT "posts"."id", "posts"."into" FROM "posts""#,
    r#"UPDATE "users" SET "name" = $1, "age" = $2 WHERE ("users"."id" = $3)"#,
    r#"UPDATE "users" SET "id" = ("users"."id" + $1)"#,
    r#"DELETE  FROM "users" WHERE ("users"."id" = $1)"#,
    r#"DELETE  FROM "users""#,
    r#"SELECT 1 FROM "users" LIMIT 0"#,
    "SAVEPOINT diesel_savepoint_1",
    "RELEASE SAVEPOINT diesel_savepoint_1",
    "ROLLBACK TO SAVEPOINT diesel_savepoint_1",
];

/// [`COMMON`] with other quotes and parameters.
fn common(quote: &str) -> Vec<String> {
    let numbered = |text: &str| {
        ('1'..='6').fold(text.replace('"', quote), |text, n| text.replace(&format!("${n}"), "?"))
    };
    COMMON.iter().map(|text| numbered(text)).collect()
}

#[test]
fn what_diesel_writes_for_postgres_leaves_nothing_behind() {
    assert_all(Dialect::Postgres, HARMLESS, COMMON);
    assert_all(
        Dialect::Postgres,
        HARMLESS,
        &[
            r#"SELECT "users"."id" FROM "users" WHERE ("users"."id" = ANY($1)) OR ("users"."id" != ALL($2))"#,
            r#"SELECT "users"."id" FROM "users" WHERE ("users"."name" ILIKE $1) FOR UPDATE SKIP LOCKED"#,
            r#"SELECT "users"."id" FROM "users" FOR NO KEY UPDATE NOWAIT"#,
            r#"SELECT DISTINCT ON ("users"."age", "users"."id") "users"."age", lower("users"."name") FROM "users""#,
            r#"SELECT "users"."id" FROM  ONLY "users" TABLESAMPLE BERNOULLI(10) REPEATABLE(42)"#,
            r#"SELECT "users"."id" FROM "users" ORDER BY "users"."age" DESC NULLS LAST"#,
            r#"SELECT ("users"."a" @> $1), ("users"."b" -> $2), ("users"."b" #>> $3), ("users"."c" ?| $4), ("users"."d" || $5) FROM "users""#,
            r#"SELECT ARRAY[$1, $2], ARRAY(SELECT "users"."id" FROM "users"), "users"."tags"[$3] FROM "users""#,
            r#"SELECT ("users"."at" AT TIME ZONE $1), ("users"."name" IS DISTINCT FROM $2), ROW($1, $2) FROM "users""#,
            r#"SELECT sum("users"."id") FILTER (WHERE ("users"."id" > $1)) OVER (ORDER BY "users"."id") FROM "users""#,
            r#"SELECT array_append("users"."tags", $1), jsonb_set("users"."b", $2, $3), to_tsvector($4), upper("users"."range") FROM "users""#,
            r#"INSERT INTO "users" ("id", "name") VALUES ($1, $2), (DEFAULT, $3) ON CONFLICT ("id", "name") DO UPDATE SET "name" = excluded."name" RETURNING "users"."id", lower("users"."name")"#,
            r#"INSERT INTO "users" ("id") VALUES ($1) ON CONFLICT DO NOTHING"#,
            r#"INSERT INTO "users" ("id") VALUES ($1) ON CONFLICT ON CONSTRAINT "users_pkey" DO NOTHING"#,
            r#"INSERT INTO "users" DEFAULT VALUES RETURNING "users"."id""#,
            r#"UPDATE "users" SET "id" = $1 RETURNING "users"."id""#,
            r#"COPY "t" ("a") FROM STDIN WITH (FORMAT binary)"#,
            r#"COPY "t" ("a", "b") TO STDOUT WITH (FORMAT csv, FREEZE 0, DELIMITER ',', NULL '', QUOTE '"', HEADER 1)"#,
            "SET CONSTRAINTS ALL IMMEDIATE",
        ],
    );
}

#[test]
fn what_diesel_writes_for_mysql_leaves_nothing_behind() {
    let texts = common("`");
    assert_all(Dialect::Mysql, HARMLESS, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    assert_all(
        Dialect::Mysql,
        HARMLESS,
        &[
            "SELECT `users`.`id` FROM `users` FOR SHARE NOWAIT",
            "SELECT `users`.`id` FROM `users` LIMIT 18446744073709551615  OFFSET ?",
            "SELECT CAST(`users`.`id` AS signed), CONCAT(`users`.`name` , ?) FROM `users`",
            "INSERT INTO `users` () VALUES ()",
            "INSERT IGNORE INTO `users` (`id`) VALUES (?), (DEFAULT)",
            "REPLACE INTO `users` (`id`) VALUES (?)",
            "INSERT INTO `users` (`id`) VALUES (?) ON DUPLICATE KEY UPDATE `name` = VALUES(`name`)",
        ],
    );
}

#[test]
fn what_diesel_writes_for_sqlite_leaves_nothing_behind() {
    let texts = common("`");
    let texts: Vec<_> =
        texts.iter().map(String::as_str).filter(|text| !text.contains("SAVEPOINT")).collect();
    assert_all(Dialect::Sqlite, HARMLESS, &texts);
    assert_all(
        Dialect::Sqlite,
        HARMLESS,
        &[
            "SELECT `users`.`id` FROM `users` LIMIT -1  OFFSET ?",
            "SELECT (`users`.`name` IS ?), json(`users`.`b`), jsonb_extract(`users`.`b`, ?) FROM `users`",
            "INSERT OR IGNORE INTO `users` (`id`) VALUES (?)",
            "REPLACE INTO `users` (`id`) VALUES (?)",
            "INSERT INTO `users` DEFAULT VALUES",
            "INSERT INTO `users` (`id`) VALUES (?) ON CONFLICT (`id`) DO UPDATE SET `name` = excluded.`name` RETURNING `id`",
        ],
    );
}
