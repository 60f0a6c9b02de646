//! Migrations that rebuild a table to which other tables refer.

use registry_core::{MigrateError, MigrateReport};

use super::*;
use crate::support::steps::{Step, Steps, alone, step};
use crate::support::{causes, fresh_folder};

on_both_runtimes!(
    rebuilt_table_keeps_rows_that_refer_to_it,
    foreign_keys_are_enforced_after_migrations,
    migration_that_breaks_a_foreign_key_is_rolled_back_with_an_error,
    dangling_references_from_before_a_migration_are_not_its_error,
    foreign_key_broken_outside_a_transaction_is_reported,
    broken_rows_without_rowids_are_found,
    invalid_foreign_key_does_not_hide_the_others,
    new_foreign_key_does_not_turn_an_old_broken_row_into_a_new_one,
    bind_without_foreign_key_enforcement_is_not_checked,
    connection_state_left_by_a_migration_is_undone,
    concurrent_writer_does_not_fail_a_migration_that_reads_first,
);

const FIRST: Step = step(
    "1_first",
    "CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT);
     CREATE TABLE book (
         id INTEGER PRIMARY KEY,
         author_id INTEGER NOT NULL REFERENCES author (id) ON DELETE CASCADE
     );
     INSERT INTO author VALUES (1, 'Le Guin');
     INSERT INTO book VALUES (1, 1), (2, 1);",
);

/// The procedure of SQLite's manual, except for the transaction.
const REBUILD: &str = "PRAGMA foreign_keys=OFF;
     CREATE TABLE author_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
     INSERT INTO author_new SELECT * FROM author;
     DROP TABLE author;
     ALTER TABLE author_new RENAME TO author;
     PRAGMA foreign_keys=ON;";

/// The same with a transaction of its own.
const REBUILD_ALONE: &str = "PRAGMA foreign_keys=OFF;
     BEGIN;
     CREATE TABLE author_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
     INSERT INTO author_new SELECT * FROM author;
     DROP TABLE author;
     ALTER TABLE author_new RENAME TO author;
     COMMIT;
     PRAGMA foreign_keys=ON;";

const ORPHAN: &str = "INSERT INTO book VALUES (7, 5)";
const IS_REFUSED: &str = "FOREIGN KEY constraint failed";

/// A new database in a file, and one in memory, whose only connection runs the migrations too.
fn registries() -> [Registry; 2] {
    let file = format!("sqlite://{}/app.db", fresh_folder().display());
    [registry(file.as_str()), registry("sqlite::memory:")]
}

async fn migrate(registry: &Registry, steps: &[Step]) -> Result<MigrateReport, MigrateError> {
    registry.migrate::<Main>(Steps(steps.to_vec())).await
}

async fn books(registry: &Registry) -> i32 {
    let count = sql_query("SELECT count(*) AS value FROM book");
    count.get_result::<Number>(&mut session(registry).await).await.expect("a number").value
}

async fn execute(registry: &Registry, sql: &str) -> Result<usize, String> {
    let execute = sql_query(sql).execute(&mut session(registry).await).await;
    execute.map_err(|error| error.to_string())
}

async fn rebuilt_table_keeps_rows_that_refer_to_it() {
    for rebuild in [step("2_rebuild", REBUILD), alone("2_rebuild", REBUILD_ALONE)] {
        for registry in registries() {
            migrate(&registry, &[FIRST, rebuild]).await.expect("they run");
            assert_eq!(books(&registry).await, 2);
            assert_eq!(execute(&registry, ORPHAN).await, Err(IS_REFUSED.to_owned()));
        }
    }
}

async fn foreign_keys_are_enforced_after_migrations() {
    for registry in registries() {
        for step in [
            step("2_last", "SELECT 1"),
            alone("3_off", "PRAGMA foreign_keys=OFF"),
            step("4_fails", "nonsense"),
            alone("4_fails", "PRAGMA foreign_keys=OFF; nonsense"),
            step("4_panics", "CREATE TABLE gone (id INTEGER); panic"),
            alone("4_panics", "BEGIN; CREATE TABLE gone (id INTEGER); panic"),
        ] {
            let done = migrate(&registry, &[FIRST, step]).await;
            assert_eq!(done.is_ok(), !step.name.starts_with('4'), "{done:?}");
            assert_eq!(
                execute(&registry, ORPHAN).await,
                Err(IS_REFUSED.to_owned()),
                "{}",
                step.name
            );
            assert!(execute(&registry, "SELECT 1 FROM gone").await.is_err(), "it was rolled back");
            assert_eq!(books(&registry).await, 2);
        }
    }
}

async fn migration_that_breaks_a_foreign_key_is_rolled_back_with_an_error() {
    for registry in registries() {
        let delete = step("2_delete", "DELETE FROM author");
        let error = migrate(&registry, &[FIRST, delete]).await.expect_err("two books are orphans");
        assert_eq!(
            causes(&error),
            [
                "bind `default`: the migration `2_delete` failed, after 1 had been run",
                "a foreign key is broken after it: the row 1 of `book` refers to a row of `author` that is not \
                 there; so it is with 1 more row",
            ]
        );
        assert_eq!(execute(&registry, "UPDATE author SET name = 'Lem'").await, Ok(1));
        assert_eq!(books(&registry).await, 2);
    }
}

async fn dangling_references_from_before_a_migration_are_not_its_error() {
    for registry in registries() {
        migrate(&registry, &[FIRST]).await.expect("it runs");
        let mut session = session(&registry).await;
        for sql in ["PRAGMA foreign_keys = OFF", ORPHAN, "PRAGMA foreign_keys = ON"] {
            sql_query(sql).execute(&mut session).await.expect("it runs");
        }
        drop(session);
        migrate(&registry, &[FIRST, step("2_rebuild", REBUILD)]).await.expect("it runs");
        assert_eq!(books(&registry).await, 3);
        let more = step("3_more", "INSERT INTO book VALUES (8, 5)");
        let error = migrate(&registry, &[more]).await.expect_err("one more");
        assert_eq!(
            causes(&error)[1],
            "a foreign key is broken after it: the row 8 of `book` refers to a row of `author` that is not there"
        );
        // A foreign key to a column that is not unique, which SQLite reports as a mismatch.
        let odd = "CREATE TABLE odd (id INTEGER REFERENCES author (name))";
        let error = migrate(&registry, &[step("4_odd", odd)]).await.expect_err("no such key");
        assert!(causes(&error)[1].contains("foreign key mismatch"), "{error:?}");
        execute(&registry, odd).await.expect("a table");
        migrate(&registry, &[step("5_more", "SELECT 1")]).await.expect("it was there before");
    }
}

async fn foreign_key_broken_outside_a_transaction_is_reported() {
    for registry in registries() {
        let delete = alone("2_delete", "DELETE FROM author");
        let error = migrate(&registry, &[FIRST, delete]).await.expect_err("two books are orphans");
        assert_eq!(
            error.to_string(),
            "bind `default`: the migration `2_delete` failed, after 1 had been run; a part of it may have been \
             applied, and stays"
        );
        assert!(causes(&error)[1].starts_with("a foreign key is broken after it"), "{error:?}");
        assert_eq!(books(&registry).await, 2);
    }
}

/// Runs `sql` on a connection that does not enforce foreign keys.
async fn unenforced(registry: &Registry, sql: &str) {
    let mut session = session(registry).await;
    for sql in ["PRAGMA foreign_keys = OFF", sql, "PRAGMA foreign_keys = ON"] {
        sql_query(sql).execute(&mut session).await.expect("it runs");
    }
}

const TAGS: Step = step(
    "2_tags",
    "CREATE TABLE tag (name TEXT PRIMARY KEY, author_id INTEGER REFERENCES author (id)) WITHOUT ROWID;
     INSERT INTO tag VALUES ('taoist', 1);
     DELETE FROM book",
);

async fn broken_rows_without_rowids_are_found() {
    for registry in registries() {
        migrate(&registry, &[FIRST, TAGS]).await.expect("they run");
        unenforced(&registry, "INSERT INTO tag VALUES ('unknown', 99)").await;
        migrate(&registry, &[step("3_rebuild", REBUILD)]).await.expect("nothing is broken by it");
        let delete = step("4_delete", "DELETE FROM author");
        let error = migrate(&registry, &[delete]).await.expect_err("a tag refers to it");
        assert_eq!(
            causes(&error)[1],
            "a foreign key is broken after it: a row of `tag` refers to a row of `author` that is not there"
        );
    }
}

async fn invalid_foreign_key_does_not_hide_the_others() {
    for registry in registries() {
        migrate(&registry, &[FIRST]).await.expect("it runs");
        let odd = "CREATE TABLE a_odd (id INTEGER REFERENCES author (name))";
        execute(&registry, odd).await.expect("a table");
        let delete = step("2_delete", "DELETE FROM author");
        let error = migrate(&registry, &[delete]).await.expect_err("two books are orphans");
        assert!(causes(&error)[1].starts_with("a foreign key is broken after it"), "{error:?}");
        assert_eq!(books(&registry).await, 2);
    }
}

async fn new_foreign_key_does_not_turn_an_old_broken_row_into_a_new_one() {
    for registry in registries() {
        migrate(&registry, &[FIRST]).await.expect("it runs");
        unenforced(&registry, ORPHAN).await;
        let add = "ALTER TABLE book ADD COLUMN editor_id INTEGER REFERENCES Author (id)";
        migrate(&registry, &[step("2_add", add)]).await.expect("it breaks nothing");
        let more = step("3_more", "INSERT INTO book (id, author_id, editor_id) VALUES (8, 1, 6)");
        let error = migrate(&registry, &[more]).await.expect_err("one more");
        assert!(causes(&error)[1].contains("the row 8 of `book`"), "{error:?}");
    }
}

async fn bind_without_foreign_key_enforcement_is_not_checked() {
    let settings = BindSettings::new("sqlite::memory:").on_connect(["PRAGMA foreign_keys = OFF"]);
    let registry = registry(settings);
    let delete = step("2_delete", "DELETE FROM author");
    migrate(&registry, &[FIRST, delete]).await.expect("nobody enforces anything");
    assert_eq!(execute(&registry, ORPHAN).await, Ok(1));
}

async fn connection_state_left_by_a_migration_is_undone() {
    for registry in registries() {
        let leaves = alone(
            "2_leaves",
            "PRAGMA case_sensitive_like = ON; PRAGMA max_page_count = 100; PRAGMA writable_schema = ON;
             ATTACH ':memory:' AS \"other one\"; CREATE TEMP TABLE book (id INTEGER);
             CREATE TEMP VIEW author AS SELECT 1 AS id; CREATE TEMP TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT);
             CREATE TEMP TRIGGER gone AFTER INSERT ON main.author BEGIN SELECT 1; END",
        );
        migrate(&registry, &[FIRST, leaves, step("3_more", "INSERT INTO book VALUES (3, 1)")])
            .await
            .expect("the table is the one of the first");
        assert_eq!(books(&registry).await, 3);
        let left = "SELECT (SELECT count(*) FROM pragma_database_list WHERE name NOT IN ('main', 'temp')) \
                    + (SELECT count(*) FROM temp.sqlite_schema WHERE name NOT LIKE 'sqlite%') \
                    + (SELECT max_page_count < 1000 FROM pragma_max_page_count) \
                    + (SELECT writable_schema FROM pragma_writable_schema) + ('a' NOT LIKE 'A') AS value";
        let left = sql_query(left).get_result::<Number>(&mut session(&registry).await).await;
        assert_eq!(left.expect("a number").value, 0);
    }
}

async fn concurrent_writer_does_not_fail_a_migration_that_reads_first() {
    let [registry, _] = registries();
    migrate(&registry, &[FIRST]).await.expect("it runs");
    let busy = registry.clone();
    let (stop, mut is_stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        while is_stopped.try_recv().is_err() {
            execute(&busy, "UPDATE author SET name = name || 'x'").await.expect("it waits");
            tokio::task::yield_now().await;
        }
    });
    let names = (2..40).map(|number| step(format!("{number:03}_read").leak(), "SELECT 1"));
    migrate(&registry, &names.collect::<Vec<_>>()).await.expect("each has its turn");
    stop.send(()).expect("it writes");
    writing.await.expect("no panic");
}
