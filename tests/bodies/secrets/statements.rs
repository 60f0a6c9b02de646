//! Statements with a word and a number in them that nothing may tell.

use super::super::NAME;

/// Statements that succeed on the table `orders`, and statements that fail, most of them with the word in the database's message.
pub(super) fn statements() -> Vec<&'static str> {
    let mut all = vec![
        "SELECT id FROM orders WHERE buyer = 'okapi' -- okapi",
        "SELECT id /* okapi */ FROM orders WHERE id > 47110815 OR buyer LIKE '%it''s okapi%' LIMIT 47110815",
        "SELECT id FROM orders WHERE buyer IN ('okapi', '{\"a\": \"okapi\"}') OR id = -47110815",
        "INSERT INTO orders (id, buyer) VALUES (47110815, 'okapi')",
        "INSERT INTO orders (id, buyer) VALUES (47110815, 'okapi')",
        "INSERT INTO orders (id, buyer) VALUES (47110816, 'okapi')",
        "INSERT INTO orders (id, buyer) VALUES (47110817, 'okapi\nokapi')",
        "INSERT INTO orders (id, buyer) VALUES (47110818, 'okapi\nokapi')",
        "INSERT INTO orders (id, buyer) VALUES (-1, 'okapi')",
        "INSERT INTO orders (id, buyer) VALUES (47110815, NULL)",
        "INSERT INTO orders (id, buyer) VALUES (1, 'okapi', 'okapi')",
        "UPDATE orders SET id = -47110815 WHERE buyer = 'okapi'",
        "SELECT 'okapi' 'okapi FROM",
        "SELECT FROM WHERE 'okapi\nokapi' = 47110815",
    ];
    all.extend(match NAME {
        "postgres" => &POSTGRES[..],
        "mysql" => &MYSQL,
        _ => &SQLITE,
    });
    all
}

const POSTGRES: [&str; 30] = [
    "SELECT 'okapi'::int",
    "SELECT E'okapi\\n\\'okapi'::int",
    "SELECT 'okapi\n'::int",
    "SELECT $$okapi$$::date",
    "SELECT $q$okapi $$ $q$::uuid",
    "SELECT 'okapi'::json",
    "SELECT '{okapi'::int[]",
    "SELECT U&'okapi'::inet",
    "SELECT '47110815471108154711'::int",
    "SELECT 47110815::smallint",
    "SELECT 1 % (47110815 - 47110815)",
    "SELECT to_date('okapi', 'YYYY')",
    "SELECT set_config('okapi', 'okapi', false)",
    "SELECT jsonb_path_query('{}', 'okapi(')",
    "SELECT 'a' ~ 'okapi('",
    "SELECT id FROM orders WHERE buyer IS DISTINCT FROM 'okapi'",
    "INSERT INTO orders (id, buyer) VALUES (7, repeat('okapi', 40))",
    "SET statement_timeout = okapi",
    "SET app.okay = okapi",
    "SET app.okay TO 'okapi'",
    "DO $$ BEGIN RAISE NOTICE 'okapi'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'okapi'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'Incorrect okapi'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'column okapi is bad'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'relation okapi'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'function okapi(47110815)'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'connection of okapi refused'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'no such okapi' USING DETAIL = 'okapi', HINT = 'okapi'; END $$",
    "DO $$ BEGIN RAISE unique_violation USING MESSAGE = 'Table okapi'; END $$",
    "SELECT 4711_0815, 0x47110815, 'it\\', 'okapi'",
];

const MYSQL: [&str; 24] = [
    "SELECT id FROM orders WHERE buyer = \"okapi\" # okapi",
    "SELECT 'it\\'s okapi', \"a\\\"okapi\", N'okapi', _utf8mb4'okapi', 0x47110815",
    "SELECT 1 /*! , 'okapi' */",
    "INSERT INTO orders (id, buyer) VALUES ('okapi', 'x')",
    "INSERT INTO orders (id, buyer) VALUES ('okapi\nokapi', 'x')",
    "INSERT INTO orders (id, buyer) VALUES (7, REPEAT('okapi', 40))",
    "INSERT INTO orders (id, buyer) VALUES (4711081547110815, 'x')",
    "UPDATE orders SET id = 1 WHERE id = 'okapi'",
    "SELECT EXTRACTVALUE('<a/>', 'okapi(')",
    "SELECT 'a' REGEXP 'okapi('",
    "SELECT CAST('okapi' AS UNSIGNED INTEGER",
    "SELECT DATE 'okapi'",
    "SELECT TIMESTAMP '4711-08-15 okapi'",
    "SET sql_mode = okapi",
    "SET @okay = 'okapi'",
    "SET NAMES 'okapi'",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'okapi'",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Incorrect okapi'",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Table okapi'",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Column okapi'",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Field okapi'",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'connection okapi'",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Duplicate entry \\'okapi'",
    "SIGNAL SQLSTATE '23000' SET MESSAGE_TEXT = 'no such okapi'",
];

const SQLITE: [&str; 13] = [
    "SELECT id FROM orders WHERE buyer = \"okapi\"",
    "SELECT id FROM orders WHERE buyer IS NOT DISTINCT FROM \"okapi\"",
    "SELECT buyer IS DISTINCT FROM \"okapi\" FROM orders",
    "SELECT json('okapi')",
    "SELECT json_extract('{}', 'okapi')",
    "SELECT \"okapi\" 'okapi' \"okapi\"",
    "SELECT x'47110815', 0x47110815, 4711_0815",
    "SELECT 'okapi' FROM orders WHERE id LIKE '4711' ESCAPE 'okapi'",
    "SELECT strftime('okapi', 'okapi'), printf('okapi')",
    "PRAGMA user_version = okapi",
    "INSERT INTO refused VALUES ('okapi')",
    "INSERT INTO strict (id) VALUES ('okapi')",
    "CREATE TABLE again (id TEXT DEFAULT 'okapi' CHECK (id <> 'okapi'))",
];
