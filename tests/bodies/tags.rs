//! Tags in SQL, on each backend.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use futures_util::TryStreamExt;
use registry_core::{
    BindDsl, BindSettings, Bound, Error, InsertBatchedDsl, Registry, RunQueryDsl, Scope, SqlTags,
    UnitOfWork, bind_tables,
};

use super::{NAME, database};
use crate::parser::tags_of;
use crate::sent::{kept_with, listen, sent_with};
use crate::support::run_sql;
use crate::traces::Spans;

diesel::table! { goods (id) { id -> Integer, name -> Text, note -> Nullable<Text>, } }
bind_tables!(db = "default", connection = super::Backend; goods);

type Main = <goods::table as Bound>::Bind;

#[derive(Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = goods)]
struct Item {
    id: i32,
    name: String,
    note: Option<String>,
}

#[derive(QueryableByName)]
struct Own {
    #[diesel(sql_type = Text)]
    own_text: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// A registry of one connection. `application` is the name by which its statements are found among those of all tests.
async fn registry(tags: SqlTags, application: &str) -> Registry {
    listen();
    let registry = Registry::builder()
        .bind("default", BindSettings::new(database()).max_connections(1))
        .record_queries(true)
        .sql_tags(tags.application(application_of(application)))
        .build()
        .expect("good settings");
    let create = "CREATE TABLE goods (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL, note VARCHAR(50))";
    run_sql::<Main>(&registry, create).await;
    registry
}

fn application_of(name: &str) -> String {
    format!("{name}-on-{NAME}")
}

fn sent_by(name: &str) -> Vec<String> {
    sent_with(&format!("application='{}'", application_of(name)))
}

/// How a connection finds the text of its own statement on the server. `None` if there is no server.
fn own_text() -> Option<&'static str> {
    match NAME {
        "postgres" => {
            Some("SELECT query AS own_text FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        }
        "mysql" => Some(
            "SELECT CAST(info AS CHAR) AS own_text FROM information_schema.processlist WHERE id = connection_id()",
        ),
        _ => None,
    }
}

fn item(id: i32, note: Option<&str>) -> Item {
    Item { id, name: format!("item {id}"), note: note.map(str::to_owned) }
}

fn pairs(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn each_kind_of_query_is_tagged() {
    let registry = registry(SqlTags::new().bind(true), "kinds").await;
    let on = &registry;
    let row = |id| (goods::id.eq(id), goods::name.eq("x"));
    diesel::insert_into(goods::table).values(row(1)).execute(on).await.expect("insert");
    let rows = [item(2, None), item(3, Some("x"))];
    diesel::insert_into(goods::table).values(&rows[..]).execute(on).await.expect("inserts");
    let rows: Vec<Item> = (4..10).map(|id| item(id, None)).collect();
    let parts = goods::table.insert_batched(&rows).rows_per_statement(4);
    parts.execute(on).await.expect("parts");
    let all: Vec<Item> = goods::table.select(Item::as_select()).load(on).await.expect("rows");
    assert_eq!(all.len(), 9);
    let boxed = goods::table.select(goods::name).into_boxed().filter(goods::id.eq(2));
    assert_eq!(boxed.first::<String>(on).await.expect("a row"), "item 2");
    let stream = goods::table.select(goods::id).load_stream::<i32>(on).await.expect("a stream");
    assert_eq!(stream.try_collect::<Vec<_>>().await.expect("rows").len(), 9);
    diesel::delete(goods::table.filter(goods::id.gt(8))).execute(on).await.expect("delete");
    let text = sql_query("SELECT name AS own_text FROM goods").bound_to::<goods::table>();
    text.load::<Own>(on).await.expect("rows");
    let explain = sql_query("EXPLAIN SELECT name FROM goods").bound_to::<goods::table>();
    explain.execute(on).await.expect("a plan");
    let mut work = on.begin();
    diesel::update(goods::table.find(1))
        .set(goods::name.eq("y"))
        .execute(&mut work)
        .await
        .expect("update");
    work.commit().await.expect("a commit");

    let sent = sent_by("kinds");
    let expected = pairs(&[("application", &application_of("kinds")), ("bind", "default")]);
    let mut heads: Vec<&str> = Vec::new();
    for sql in &sent {
        let (statement, tags) = tags_of(sql);
        assert_eq!(tags, expected);
        heads.push(statement.split_whitespace().next().expect("a word"));
    }
    // SQLite takes rows that leave out columns one by one.
    let count = |head| heads.iter().filter(|it| **it == head).count();
    let inserts = if NAME == "sqlite" { 3..=9 } else { 4..=4 };
    assert!(inserts.contains(&count("INSERT")), "{sent:#?}");
    assert_eq!((count("UPDATE"), count("DELETE"), count("EXPLAIN")), (1, 1, 1), "{sent:#?}");
    assert!(count("SELECT") >= 4, "{sent:#?}");

    let told = registry.queries();
    assert!(told.iter().any(|query| query.statement.contains("EXPLAIN")));
    assert!(told.iter().all(|query| !query.statement.contains("/*")), "{told}");
}

#[tokio::test]
async fn server_shows_tags_and_a_parser_reads_them() {
    let Some(own_text) = own_text() else { return };
    let hostile = "*/; DROP TABLE goods; /*' OR 1=1 -- \\ \0 \r\n ü 💥 %41 ? $1";
    let tags = SqlTags::new().bind(true).route(true).tag(hostile_key(), hostile).tag("!50000", "x");
    let registry = registry(tags, "server").await;
    let scope = registry.new_scope();
    scope.set_tag("route", "/orders/{id}");
    let own = || sql_query(own_text).bound_to::<goods::table>();
    let Own { own_text: shown } = scope.enter(own().get_result(&registry)).await.expect("a row");
    let (statement, tags) = tags_of(&shown);
    assert_eq!(statement, own_text);
    let application = application_of("server");
    let mut expected = pairs(&[
        (hostile_key(), hostile),
        ("!50000", "x"),
        ("application", &application),
        ("bind", "default"),
        ("route", "/orders/{id}"),
    ]);
    let mut sorted = tags.clone();
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected);
    let keys: Vec<&str> = shown
        .rsplit("/*")
        .next()
        .expect("it")
        .split(',')
        .map(|it| it.split('=').next().expect("it"))
        .collect();
    assert!(keys.is_sorted(), "{keys:?}");
    // A raw query is not cached, and one of Diesel's own is: both arrive.
    let ids =
        goods::table.select(goods::id).load::<i32>(&registry).await.expect("the table is there");
    assert!(ids.is_empty());
}

const fn hostile_key() -> &'static str {
    "it's a */ key, = %2F"
}

/// How many statements a connection of the server holds prepared, other than this one.
async fn prepared(session: &mut registry_core::Session<Main>) -> i64 {
    let query = match NAME {
        "postgres" => {
            "SELECT count(*) AS number FROM pg_prepared_statements WHERE statement LIKE '%goods%' /* */"
        }
        // Of this connection alone.
        _ => {
            "SELECT CAST(SUM(IF(variable_name = 'COM_STMT_CLOSE', -variable_value, variable_value)) AS INTEGER) AS number \
             FROM information_schema.session_status WHERE variable_name IN ('COM_STMT_PREPARE', 'COM_STMT_CLOSE') /* */"
        }
    };
    let number: Number = sql_query(query).get_result(session).await.expect("a count");
    number.number
}

#[tokio::test]
async fn tagged_statement_stays_prepared_and_a_traced_one_is_not_kept() {
    let spans = Arc::new(Spans::default());
    let current = Arc::clone(&spans);
    let tags = SqlTags::new().bind(true).traceparent(move || Some(current.traceparent()));
    let registry = registry(tags, "prepared").await;
    let mut session = registry.session::<Main>().await.expect("a session");
    let has_server = own_text().is_some();
    let before = if has_server { prepared(&mut session).await } else { 0 };
    let application = application_of("prepared");
    for _ in 0..20 {
        goods::table.find(1).load::<Item>(&mut session).await.expect("rows");
    }
    if has_server {
        assert_eq!(prepared(&mut session).await - before, 1, "it is prepared once");
    }
    assert_eq!(kept_with(&application).len(), 1);
    spans.are_sampled.store(true, Ordering::Relaxed);
    for id in 0..20 {
        goods::table.find(1).load::<Item>(&mut session).await.expect("rows");
        let row = (goods::id.eq(id), goods::name.eq("x"));
        diesel::insert_into(goods::table).values(row).execute(&mut session).await.expect("a row");
    }
    if has_server {
        assert_eq!(prepared(&mut session).await - before, 1, "none of the traced ones is kept");
    }
    assert_eq!(kept_with(&application).len(), 1);
    spans.are_sampled.store(false, Ordering::Relaxed);
    goods::table.find(1).load::<Item>(&mut session).await.expect("rows");
    assert_eq!(kept_with(&application).len(), 1);

    let sent = sent_by("prepared");
    let traced: Vec<&String> = sent.iter().filter(|sql| sql.contains("traceparent")).collect();
    assert_eq!((sent.len(), traced.len()), (61, 40));
    for sql in traced {
        let (_, tags) = tags_of(sql);
        assert_eq!(tags[2].0, "traceparent");
        assert!(tags[2].1.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{sql}");
        assert!(tags[2].1.ends_with("-01"), "{sql}");
    }
}

#[tokio::test]
async fn statements_that_may_take_no_tags_are_sent_as_they_are() {
    let registry = registry(SqlTags::new(), "bare").await;
    let mut session = registry.session::<Main>().await.expect("a session");
    let marked = format!("SELECT id FROM goods /* marked for {NAME} */");
    let ended = format!("SELECT id FROM goods WHERE name = 'ended for {NAME}';");
    let view = format!("CREATE VIEW goods_of_{NAME} AS SELECT id FROM goods");
    for sql in [&marked, &ended, &view] {
        sql_query(sql).execute(&mut session).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert_eq!(sent_with(&format!("marked for {NAME}")), [marked]);
    assert_eq!(sent_with(&format!("ended for {NAME}")), [ended]);
    assert_eq!(sent_with(&format!("goods_of_{NAME}")), [view]);
    assert!(sent_by("bare").is_empty());
}

#[tokio::test]
async fn tags_of_scopes_follow_their_statements() {
    let tags = SqlTags::new().route(true).controller(true).scope_tag("job");
    let registry = registry(tags, "scopes").await;
    let count = || goods::table.count();
    let outer = registry.new_scope();
    outer.set_tag("route", "/outer");
    outer.set_tag("unknown", "x");
    let work = async {
        let mut work = UnitOfWork::current().await?;
        count().get_result::<i64>(&mut *work).await?;
        let inner = registry.new_scope();
        inner.set_tag("route", "/inner");
        inner.set_tag("job", "j");
        inner.enter(count().get_result::<i64>(&mut *work)).await?;
        Scope::current()?.set_tag("controller", "c");
        // A task that is in no scope, on a connection of the scope.
        let task = async move { count().get_result::<i64>(&mut *work).await };
        tokio::spawn(task).await.expect("no panic")?;
        Ok::<_, Error>(())
    };
    outer.enter(work).await.expect("three counts");
    outer.end().await;
    count().get_result::<i64>(&registry).await.expect("a count");
    // An inner scope has the tags of the outer one, where it has none of its own.
    let inner = registry.new_scope();
    inner.set_tag("job", "inside");
    let inside = outer.enter(inner.enter(count().get_result::<i64>(&registry)));
    inside.await.expect("a count");
    let sent = sent_by("scopes");
    let application = application_of("scopes");
    let application = ("application", application.as_str());
    let expected = [
        pairs(&[application, ("route", "/outer")]),
        pairs(&[application, ("job", "j"), ("route", "/inner")]),
        pairs(&[application, ("controller", "c"), ("route", "/outer")]),
        pairs(&[application]),
        pairs(&[application, ("controller", "c"), ("job", "inside"), ("route", "/outer")]),
    ];
    let tags: Vec<_> = sent.iter().map(|sql| tags_of(sql).1).collect();
    assert_eq!(tags, expected);
}

#[tokio::test]
async fn registry_of_a_test_isolation_sends_tags_as_well() {
    let registry = registry(SqlTags::new().bind(true), "isolated").await;
    let isolated = registry.test_isolation().await.expect("an isolation");
    let count: i64 = goods::table.count().get_result(&isolated).await.expect("a count");
    assert_eq!((count, sent_by("isolated").len()), (0, 1));
}

#[tokio::test]
async fn query_that_is_run_again_keeps_its_tags() {
    // Elsewhere no statement becomes stale.
    if NAME != "postgres" {
        return;
    }
    let registry = registry(SqlTags::new().bind(true), "again").await;
    let names = || goods::table.select(goods::name).load::<String>(&registry);
    names().await.expect("rows");
    run_sql::<Main>(&registry, "ALTER TABLE goods ALTER COLUMN name TYPE text").await;
    names().await.expect("it is prepared again");
    let sent = sent_by("again");
    assert_eq!(sent.len(), 3, "one of the runs has failed: {sent:#?}");
    assert!(sent.iter().all(|sql| *sql == sent[0]));
}

#[tokio::test]
async fn without_tags_nothing_is_added() {
    listen();
    let registry = Registry::builder().bind("default", database()).build().expect("good settings");
    let mark = format!("plain for {NAME}");
    let query = sql_query(format!("SELECT '{mark}' AS own_text")).bound_to::<Main>();
    query.load::<Own>(&registry).await.expect("a row");
    assert_eq!(sent_with(&mark), [format!("SELECT '{mark}' AS own_text")]);
}
