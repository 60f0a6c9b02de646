//! Readers of a SQLite file, beside its one writer.

use diesel::prelude::*;
use registry_core::settings::BindSettings;
use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};

use super::on_both_runtimes;

diesel::table! { lines (id) { id -> Integer, } }

bind_tables!(db = "lines", backend = Sqlite; lines);

fn registry(url: &str) -> Registry {
    Registry::builder().bind("lines", BindSettings::new(url)).build().expect("good settings")
}

async fn count(registry: &Registry) -> Result<i64, Error> {
    lines::table.count().get_result(&registry.reader()).await
}

async fn add(registry: &Registry, id: i32) {
    let insert = diesel::insert_into(lines::table).values(lines::id.eq(id));
    insert.execute(registry).await.expect("it is stored");
}

on_both_runtimes! {
    reader_sees_each_commit_and_writes_nothing,
    file_that_is_only_read_has_readers,
}

async fn reader_sees_each_commit_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/lines.db", folder.path().display());
    let registry = registry(&url);
    // The file does not exist yet.
    let error = count(&registry).await.expect_err("there is no table");
    assert!(format!("{error:?}").contains("no such table"), "{error:?}");
    let create = "CREATE TABLE lines (id INTEGER PRIMARY KEY)";
    diesel::sql_query(create).bound_to::<lines::table>().execute(&registry).await.expect("a table");
    for id in 0..50 {
        add(&registry, id).await;
        assert_eq!(count(&registry).await.expect("a count"), i64::from(id) + 1);
    }
    // Beside a unit of work that holds the write lock.
    let mut work = registry.begin();
    diesel::insert_into(lines::table)
        .values(lines::id.eq(99))
        .execute(&mut work)
        .await
        .expect("a row");
    assert_eq!(count(&registry).await.expect("a count"), 50);
    let token = work.commit().await.expect("it is stored").token();
    assert!(token.is_empty(), "{token}");
    let reader = registry.reader().after(&token);
    let after: i64 = lines::table.count().get_result(&reader).await.expect("a count");
    assert_eq!(after, 51);

    for sql in ["DELETE FROM lines", "PRAGMA user_version = 7", "CREATE TABLE t (id INTEGER)"] {
        let write = diesel::sql_query(sql).reads::<lines::table>().execute(registry.reader());
        let error = format!("{:?}", write.await.expect_err("it writes"));
        assert!(error.contains("readonly"), "{sql}: {error}");
    }
    assert_eq!(count(&registry).await.expect("a count"), 51);
    let reads = registry.status().engines[0].reads.clone().expect("there were reads");
    assert_eq!((reads.on_replicas, reads.behind), (0, 0));
    assert!(reads.without_replicas > 50, "{reads:?}");
}

async fn file_that_is_only_read_has_readers() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/lines.db", folder.path().display());
    let writer = registry(&url);
    let create = "CREATE TABLE lines (id INTEGER PRIMARY KEY)";
    diesel::sql_query(create).bound_to::<lines::table>().execute(&writer).await.expect("a table");
    add(&writer, 1).await;
    let read_only = registry(&format!("{url}?mode=ro"));
    assert_eq!(count(&read_only).await.expect("a count"), 1);
    add(&writer, 2).await;
    assert_eq!(count(&read_only).await.expect("a count"), 2);
}
