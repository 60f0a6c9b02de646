//! Each kind of write takes a turn, on each executor that acquires a session by itself.

use std::pin::pin;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::upsert::excluded;
use registry_core::settings::BindSettings;
use registry_core::{
    AnyExecutor, BindDsl, Error, InsertBatchedDsl, Registry, RunQueryDsl, SaveChangesDsl, Tenant,
    UnitOfWork, WorkOptions, bind_tables,
};
use tempfile::TempDir;

use super::on_both_runtimes;
use super::writers::assert_waits;

diesel::table! { notes (id) { id -> Integer, text -> Text, } }
diesel::table! { papers (id) { id -> Integer, text -> Text, } }

bind_tables!(db = "default", backend = Sqlite; notes);
bind_tables!(db = "files", backend = Sqlite; papers);

#[derive(Queryable, Identifiable, AsChangeset, Debug, PartialEq)]
struct Note {
    id: i32,
    text: String,
}

#[derive(Queryable, Identifiable, AsChangeset, Debug, PartialEq)]
struct Paper {
    id: i32,
    text: String,
}

/// A bind and a tenant with the same file. Nothing waits in SQLite's lock for longer than 1 ms.
async fn one_file() -> (TempDir, Registry, Tenant) {
    let folder = tempfile::tempdir().unwrap();
    let bind = |name| {
        let url = format!("sqlite://{}/{name}.db", folder.path().display());
        BindSettings::new(url).busy_timeout(Duration::from_millis(1))
    };
    let registry = Registry::builder()
        .bind("default", bind("acme"))
        .bind("files", bind("{tenant}"))
        .build()
        .unwrap();
    for table in ["notes", "papers"] {
        let create = format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
        sql_query(create).bound_to::<notes::table>().execute(&registry).await.unwrap();
    }
    let tenant = registry.tenant("acme").unwrap();
    assert_eq!(papers::table.count().get_result::<i64>(&tenant).await.unwrap(), 0);
    (folder, registry, tenant)
}

on_both_runtimes! {
    each_kind_of_write_waits_for_its_turn,
    each_executor_waits_for_its_turn,
}

async fn each_kind_of_write_waits_for_its_turn() {
    let (_folder, registry, tenant) = one_file().await;
    let mut work = tenant.begin();
    work.session_for::<papers::table>().await.unwrap();
    let row = |id: i32| (notes::id.eq(id), notes::text.eq("a"));
    let rows: Vec<_> = (0..40).map(row).collect();
    let note = Note { id: 1, text: "b".to_owned() };
    let upsert = || {
        let insert = diesel::insert_into(notes::table).values(row(1)).on_conflict(notes::id);
        insert.do_update().set(notes::text.eq(excluded(notes::text)))
    };
    let delete = || diesel::delete(notes::table.filter(notes::id.eq(1)));
    assert_waits(&registry, pin!(note.save_changes::<Note>(&registry))).await;
    assert_waits(&registry, pin!(upsert().execute(&registry))).await;
    assert_waits(&registry, pin!(upsert().returning(notes::id).get_result::<i32>(&registry))).await;
    let replace = diesel::replace_into(notes::table).values(row(1));
    assert_waits(&registry, pin!(replace.execute(&registry))).await;
    let ignore = diesel::insert_or_ignore_into(notes::table).values(row(1));
    assert_waits(&registry, pin!(ignore.execute(&registry))).await;
    let insert = diesel::insert_into(notes::table).values(&rows);
    assert_waits(&registry, pin!(insert.execute(&registry))).await;
    let select = notes::table.select((notes::id + 1, notes::text));
    let select = diesel::insert_into(notes::table).values(select).into_columns(notes::all_columns);
    assert_waits(&registry, pin!(select.execute(&registry))).await;
    assert_waits(&registry, pin!(delete().into_boxed().execute(&registry))).await;
    assert_waits(&registry, pin!(delete().returning(notes::id).load_stream::<i32>(&registry)))
        .await;
    let batched = notes::table.insert_batched(&rows);
    assert_waits(&registry, pin!(batched.execute(&registry))).await;
    for sql in [
        "/* SELECT */ REPLACE INTO notes VALUES (1, 'a')",
        "-- SELECT\nDELETE FROM notes",
        "; DELETE FROM notes",
        "with a as (select 1) delete from notes",
        "VACUUM",
        "PRAGMA wal_checkpoint",
        "CREATE TABLE more (id)",
    ] {
        let text = sql_query(sql).bound_to::<notes::table>();
        assert_waits(&registry, pin!(text.execute(&registry))).await;
    }

    // Reads.
    let select = || notes::table.select(notes::id);
    assert!(select().load::<i32>(&registry).await.unwrap().is_empty());
    assert!(select().into_boxed().load::<i32>(&registry).await.unwrap().is_empty());
    assert!(select().union(select()).load::<i32>(&registry).await.unwrap().is_empty());
    select().find(1).first::<i32>(&registry).await.unwrap_err();
    assert!(
        !diesel::select(diesel::dsl::exists(select())).get_result::<bool>(&registry).await.unwrap()
    );
    for sql in
        ["/* DELETE */ SELECT 1", "VALUES (1)", "with a as (select 'delete') select 1 from a"]
    {
        sql_query(sql).bound_to::<notes::table>().execute(&registry).await.unwrap();
    }
    work.commit().await.unwrap();
    assert_eq!(notes::table.count().get_result::<i64>(&registry).await.unwrap(), 0);
}

async fn each_executor_waits_for_its_turn() {
    let (_folder, registry, tenant) = one_file().await;
    let mut work = registry.begin();
    work.session_for::<notes::table>().await.unwrap();
    let new =
        || diesel::insert_into(papers::table).values((papers::id.eq(1), papers::text.eq("a")));
    assert_waits(&registry, pin!(new().execute(&tenant))).await;
    assert_waits(&registry, pin!(new().execute(tenant.clone()))).await;
    assert_waits(&registry, pin!(new().execute(&mut AnyExecutor::from(&tenant)))).await;
    let paper = Paper { id: 1, text: "b".to_owned() };
    assert_waits(&registry, pin!(paper.save_changes::<Paper>(&tenant))).await;
    assert_waits(&registry, pin!(paper.save_changes::<Paper>(tenant.clone()))).await;
    assert_waits(&registry, pin!(tenant.begin().session_for::<papers::table>())).await;
    let closure = tenant.transaction(async |work| new().execute(work).await);
    assert_waits(&registry, pin!(closure)).await;
    let scope = tenant.try_scope(async {
        let mut work = UnitOfWork::current().await?;
        new().execute(&mut *work).await?;
        Ok::<_, Error>(())
    });
    assert_waits(&registry, pin!(scope)).await;

    assert_eq!(papers::table.count().get_result::<i64>(&tenant).await.unwrap(), 0);
    assert_eq!(papers::table.count().get_result::<i64>(tenant.clone()).await.unwrap(), 0);
    let mut reads = tenant.begin_with(WorkOptions::new().read_only(true));
    assert_eq!(papers::table.count().get_result::<i64>(&mut reads).await.unwrap(), 0);
    reads.rollback().await.unwrap();
    work.commit().await.unwrap();
    new().execute(&tenant).await.unwrap();
}
