//! What compiles on a reader although it writes, and is refused by the server.

use diesel::dsl::sql;
use diesel::sql_types::BigInt;

use super::*;

/// A row of which nothing is read.
#[derive(QueryableByName)]
struct AnyRow {}

/// A sequence, and a function that writes.
async fn with_functions() -> Registry {
    let registry = registry().await;
    let setup: &[&str] = match NAME {
        "postgres" => &[
            "CREATE SEQUENCE numbers",
            "CREATE FUNCTION note(i INTEGER) RETURNS BIGINT LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO orders VALUES (i, i, NULL); RETURN i; END $$",
        ],
        "mysql" => &[
            "CREATE SEQUENCE numbers",
            "CREATE FUNCTION note(i INTEGER) RETURNS BIGINT MODIFIES SQL DATA \
             BEGIN INSERT INTO orders VALUES (i, i, NULL); RETURN i; END",
        ],
        _ => &[],
    };
    let mut session = registry.session::<Shop>().await.expect("a session");
    for statement in setup {
        session.batch_execute(statement).await.expect("a database as it should be");
    }
    drop(session);
    registry
}

/// The words by which the server refuses a write.
const REFUSED: &[&str] =
    &["in a read-only transaction", "READ ONLY transaction", "readonly database"];

fn is_refused_by_the_server(error: &(dyn StdError + 'static), sql: &str) {
    let cause = cause(error);
    assert!(REFUSED.iter().any(|words| cause.contains(words)), "{sql}: {cause}");
}

/// Statements that write, or lock rows, with the claim of the program that they only read.
const WRITES: &[&str] = match NAME.as_bytes() {
    b"postgres" => &[
        "INSERT INTO orders VALUES (3, 9, NULL)",
        "DELETE FROM orders",
        "WITH n AS (DELETE FROM orders RETURNING id) SELECT id FROM n",
        "SELECT nextval('numbers')",
        "SELECT setval('numbers', 5)",
        "SELECT note(3)",
        "SELECT id INTO copied FROM orders",
        "SELECT id FROM orders FOR UPDATE",
        "SELECT id FROM orders FOR SHARE",
        "SELECT * FROM (SELECT id FROM orders FOR UPDATE) o",
        "CREATE TABLE t (id INTEGER)",
        "CREATE TEMP TABLE t (id INTEGER)",
        "TRUNCATE orders",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "DO $$ BEGIN DELETE FROM orders; END $$",
    ],
    b"mysql" => &[
        "INSERT INTO orders VALUES (3, 9, NULL)",
        "DELETE FROM orders",
        "REPLACE INTO orders VALUES (1, 9, NULL)",
        "SELECT NEXTVAL(numbers)",
        "SELECT NEXT VALUE FOR numbers",
        "SELECT SETVAL(numbers, 5)",
        "SELECT note(3)",
        "SELECT id FROM orders FOR UPDATE",
        "SELECT * FROM (SELECT id FROM orders FOR UPDATE) o",
        "CREATE TABLE t (id INTEGER)",
        "CREATE TEMPORARY TABLE t (id INTEGER)",
        "TRUNCATE orders",
        "LOCK TABLES orders WRITE",
        "ANALYZE DELETE FROM orders",
    ],
    _ => &[
        "INSERT INTO orders VALUES (3, 9, NULL) RETURNING id",
        "DELETE FROM orders",
        "WITH n AS (SELECT 1) DELETE FROM orders",
        "CREATE TABLE t (id INTEGER)",
        "CREATE TEMP TABLE t (id INTEGER)",
        "PRAGMA user_version = 5",
        "VACUUM",
    ],
};

#[tokio::test]
async fn the_server_refuses_a_write_that_the_program_claims_to_read() {
    let registry = with_functions().await;
    let reader = registry.reader();
    let mut session = reader.session::<Shop>().await.expect("a session");
    for text in WRITES {
        let claimed = || diesel::sql_query(*text).reads::<Shop>();
        let Err(error) = claimed().load::<AnyRow>(&reader).await else { panic!("{text}") };
        is_refused_by_the_server(&error, text);
        let Err(error) = claimed().load::<AnyRow>(&mut session).await else { panic!("{text}") };
        is_refused_by_the_server(&error, text);
        let mut on = AnyExecutor::<Shop>::from(&mut session);
        let Err(error) = claimed().load::<AnyRow>(&mut on).await else { panic!("{text}") };
        is_refused_by_the_server(&error, text);
        let in_snapshot = session
            .snapshot(async |session| claimed().load::<AnyRow>(session).await.map(|_| ()))
            .await;
        assert!(in_snapshot.is_err(), "{text}");
        let count: i64 = orders::table.count().get_result(&mut session).await.expect("a count");
        assert_eq!(count, 2, "{text}");
    }
    drop(session);
    is_untouched(&registry).await;
}

#[tokio::test]
async fn the_server_refuses_a_function_that_writes_in_a_query_of_diesel() {
    if NAME == "sqlite" {
        return; // It has neither sequences nor functions of its own that write.
    }
    let registry = with_functions().await;
    let reader = registry.reader();
    let next = if NAME == "postgres" { "nextval('numbers')" } else { "NEXTVAL(numbers)" };
    let mut session = reader.session::<Shop>().await.expect("a session");
    for text in [next, "note(3)"] {
        let selected = || orders::table.select(sql::<BigInt>(text));
        let error = selected().load::<i64>(&reader).await.expect_err("a write");
        is_refused_by_the_server(&error, text);
        let error = selected().into_boxed::<Db>().load::<i64>(&reader).await.expect_err("a write");
        is_refused_by_the_server(&error, text);
        let without_table = || diesel::select(sql::<BigInt>(text));
        let error = without_table().get_result::<i64>(&mut session).await.expect_err("a write");
        is_refused_by_the_server(&error, text);
        let error =
            without_table().get_result::<i64>(&mut AnyExecutor::<Shop>::from(&mut session)).await;
        is_refused_by_the_server(&error.expect_err("a write"), text);
    }
    drop(session);
    is_untouched(&registry).await;
    let mut session = registry.session::<Shop>().await.expect("a session");
    let number: i64 =
        diesel::select(sql::<BigInt>(next)).get_result(&mut session).await.expect("a number");
    assert_eq!(number, 1);
}

/// A statement of the program can make the session writable, which is a false claim as well. Another borrower does not get
/// that session, and a snapshot stays read-only.
#[tokio::test]
async fn a_session_that_was_made_writable_is_reset_for_the_next_borrower() {
    let registry = registry_at(BindSettings::new(database()).max_connections(1)).await;
    let reader = registry.reader();
    let make_writable = match NAME {
        "postgres" => "SELECT set_config('default_transaction_read_only', 'off', false)",
        "mysql" => "SET SESSION TRANSACTION READ WRITE",
        _ => "PRAGMA query_only = OFF",
    };
    let make_writable = || diesel::sql_query(make_writable).reads::<Shop>();
    let delete = || diesel::sql_query("DELETE FROM orders").reads::<Shop>();
    make_writable().execute(&reader).await.expect("no write of rows");
    is_refused_by_the_server(&delete().execute(&reader).await.expect_err("a write"), "DELETE");
    let mut session = reader.session::<Shop>().await.expect("a session");
    make_writable().execute(&mut session).await.expect("no write of rows");
    drop(session);
    let mut session = reader.session::<Shop>().await.expect("a session");
    let error = delete().execute(&mut session).await.expect_err("a write");
    is_refused_by_the_server(&error, "DELETE");
    drop(session);
    is_untouched(&registry).await;
}
