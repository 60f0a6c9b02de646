//! A distinctive password, bound value, literal and number through everything that tells of queries, on each backend.

mod statements;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get as get_route;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use diesel_migrations::FileBasedMigrations;
use registry_core::web::ScopeLayer;
use registry_core::{
    BindDsl, BindSettings, Bound, Error, RecordOptions, Registry, RunQueryDsl, Scope, SqlTags,
    WhenPending, assert_queries, bind_tables,
};

use super::{Backend, NAME, database, tenant_settings};
use crate::listeners;
use crate::rig::{get, page_of, read_until, sent, serve};
use crate::support::{fresh_folder, mariadb, postgres, run_sql};

diesel::table! { orders (id) { id -> Integer, buyer -> Text, } }
diesel::table! { invoices (id) { id -> Integer, } }
bind_tables!(db = "shop", connection = super::Backend; orders);
bind_tables!(db = "crm", connection = super::Backend; invoices);

type Shop = <orders::table as Bound>::Bind;
type Crm = <invoices::table as Bound>::Bind;

/// A password that no server takes, a bound value, a literal, a number as it is and as text, the value of a tag, and the password
/// of the servers.
const SECRETS: [&str; 6] = ["zebrapass", "quagga", "okapi", "47110815", "evil*/", "sesame"];

/// What was told, with the name of who tells it.
#[derive(Default)]
struct Told(Vec<(String, String)>);

impl Told {
    fn add(&mut self, who: &str, text: impl std::fmt::Display) {
        self.0.push((who.to_owned(), text.to_string()));
    }

    /// The response to an error. The error itself has all words of the database.
    async fn answer(&mut self, what: &str, error: impl IntoResponse) {
        let (head, body) = error.into_response().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        self.add(what, format!("{head:?} {}", String::from_utf8_lossy(&body)));
    }
}

/// A value that cannot be read: its error has the value.
#[derive(Debug)]
struct Unreadable;

impl Queryable<Text, <Backend as AsyncConnectionCore>::Backend> for Unreadable {
    type Row = String;

    fn build(row: String) -> diesel::deserialize::Result<Self> {
        Err(format!("no good: {row}").into())
    }
}

fn wrong_password() -> String {
    match NAME {
        "postgres" => postgres().url_with_password("zebrapass"),
        "mysql" => mariadb().url_with_password("zebrapass"),
        _ => "sqlite:///there/is/no/such/folder.db".to_owned(),
    }
}

fn unreachable() -> String {
    match NAME {
        "postgres" => "postgres://user:zebrapass@127.0.0.1:1/shop".to_owned(),
        "mysql" => "mysql://user:zebrapass@127.0.0.1:1/shop".to_owned(),
        _ => "sqlite:///nor/this/one.db".to_owned(),
    }
}

/// A migration that fails at a value, as files.
fn failing_migrations() -> FileBasedMigrations {
    let folder = fresh_folder().join("migrations");
    let first = folder.join("1_invoices");
    std::fs::create_dir_all(&first).expect("a folder");
    let up = "CREATE TABLE names (name VARCHAR(20) NOT NULL UNIQUE); INSERT INTO names VALUES ('okapi'); \
              INSERT INTO names VALUES ('okapi');";
    std::fs::write(first.join("up.sql"), up).expect("a file");
    std::fs::write(first.join("down.sql"), "SELECT 1").expect("a file");
    FileBasedMigrations::from_path(&folder).expect("one migration")
}

fn registry() -> Registry {
    let bind =
        |url: String| BindSettings::new(url.as_str()).echo(true).log_slow_queries(Duration::ZERO);
    let tags = SqlTags::new().application("shop").bind(true).tenant(true).route(true);
    Registry::builder()
        .bind("shop", bind(database()))
        .bind("crm", tenant_settings(["acme"]).echo(true).when_pending(WhenPending::Migrate))
        .bind("refused", bind(wrong_password()).required(false))
        .bind("down", bind(unreachable()).required(false))
        .bind("unprepared", bind(database()).required(false).on_connect(["SELECT okapi('okapi')"]))
        .migrations::<Crm>(failing_migrations())
        .record_queries(RecordOptions::new().warn_repeated(2))
        .sql_tags(tags)
        .build()
        .expect("good settings")
}

async fn set_up(registry: &Registry) {
    let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY NOT NULL, buyer VARCHAR(50) NOT NULL UNIQUE, \
                  CHECK (id > 0))";
    run_sql::<Shop>(registry, create).await;
    if NAME == "sqlite" {
        for sql in [
            "CREATE TABLE strict (id INTEGER) STRICT",
            "CREATE TABLE refused (name TEXT)",
            "CREATE TRIGGER refuses BEFORE INSERT ON refused BEGIN SELECT RAISE(ABORT, 'no such okapi'); END",
        ] {
            run_sql::<Shop>(registry, sql).await;
        }
    }
}

/// Each statement as each kind of caller runs it.
async fn run_all(registry: &Registry, told: &mut Told) {
    for sql in statements::statements() {
        let query = || diesel::sql_query(sql).bound_to::<Shop>();
        if let Err(error) = query().execute(registry).await {
            told.answer(sql, error).await;
        }
        if let Err(error) = query().execute(registry).await {
            told.answer(sql, error).await;
        }
        let mut session = registry.session::<Shop>().await.expect("a session");
        if let Err(error) = session.batch_execute(sql).await {
            told.answer(sql, Error::from(error)).await;
        }
        let _ = query().execute(&mut session).await;
        drop(session);
        let mut work = registry.begin();
        let failed = query().execute(&mut work).await;
        if let Err(error) = failed {
            told.answer(sql, error).await;
        }
        if let Err(error) = work.commit().await {
            told.answer(sql, error).await;
        }
    }
    for buyer in
        ["quagga", "quagga", "quagga\nquagga", "quagga\nquagga", "it's a quagga \\' -- binds: ["]
    {
        let values = (orders::id.eq(5), orders::buyer.eq(buyer));
        if let Err(error) =
            diesel::insert_into(orders::table).values(values).execute(registry).await
        {
            told.answer("insert", error).await;
        }
        let found =
            orders::table.filter(orders::buyer.eq(buyer)).or_filter(orders::id.eq(47110815));
        found.limit(47110815).load::<(i32, String)>(registry).await.expect("rows");
        let rows = orders::table.load::<(i32, String)>(&registry.reader()).await;
        rows.expect("rows");
    }
    let unreadable = orders::table.select(orders::buyer).load::<Unreadable>(registry).await;
    told.answer("unreadable", unreadable.expect_err("it cannot be read")).await;
    let long = "quagga".repeat(20);
    let bound = diesel::sql_query(match NAME {
        "postgres" => "INSERT INTO orders (id, buyer) VALUES (8, $1)",
        _ => "INSERT INTO orders (id, buyer) VALUES (8, ?)",
    });
    if let Err(error) = bound.bind::<Text, _>(long).bound_to::<Shop>().execute(registry).await {
        told.answer("too long", error).await;
    }
    let typed = diesel::dsl::sql::<Integer>("SELECT id FROM orders WHERE buyer <> 'okapi'");
    let _ = typed.bound_to::<Shop>().load::<i32>(registry).await;
}

async fn tell_all(registry: &Registry, scope: &Scope, told: &mut Told) {
    for key in ["refused", "down", "unprepared"] {
        let error = registry.session_by_key::<Backend>(key).await.expect_err("it cannot be opened");
        told.add("acquire", format!("{error:?} {:?}", crate::support::causes(&error)));
        told.answer("acquire", error).await;
    }
    let tenant = registry.tenant("acme").expect("a good name");
    let error =
        invoices::table.count().get_result::<i64>(&tenant).await.expect_err("no migrations");
    told.answer("migrations", error).await;

    for queries in [scope.queries(), registry.queries()] {
        assert!(queries.total() > 10, "{queries}");
        told.add("queries", format!("{queries} {queries:?}"));
        told.add("queries as JSON", serde_json::to_string(&queries).expect("JSON"));
        told.add("slowest", format!("{:?}", queries.slowest()));
    }
    let failed =
        catch_unwind(AssertUnwindSafe(|| assert_queries!(scope, 9999))).expect_err("fewer");
    told.add("assert_queries!", failed.downcast_ref::<String>().expect("its text"));

    let status = registry.status();
    told.add("status", format!("{status} {status:?} {}", status.for_terminal()));
    told.add("status as JSON", serde_json::to_string(&status).expect("JSON"));
    let report = registry.check(Duration::from_secs(5)).await;
    told.add("check", format!("{report} {report:?} {} {:?}", report.public(), report.public()));
    told.add("check as JSON", serde_json::to_string(&report).expect("JSON"));
    match registry.verify().await {
        Ok(report) => told.add("verify", format!("{report:?}")),
        Err(error) => told.add("verify", format!("{error} {error:?}")),
    }
    told.add("registry", format!("{registry:?} {scope:?} {tenant:?}"));
    let session = registry.session::<Shop>().await.expect("a session");
    told.add("session", format!("{session:?}"));
}

async fn ask_for_pages(registry: &Registry, told: &mut Told) {
    let shown = registry.clone();
    let fails = move || {
        let registry = shown.clone();
        async move {
            let query = diesel::sql_query("INSERT INTO orders (id, buyer) VALUES (1, 'okapi', 2)");
            query.bound_to::<Shop>().execute(&registry).await?;
            Ok::<_, Error>("done")
        }
    };
    let layer = ScopeLayer::new(registry.clone()).server_timing(true);
    let layer = layer.route(|parts| parts.uri.query().map(str::to_owned));
    let app = page_of(registry).merge(Router::new().route("/fails", get_route(fails)).layer(layer));
    let address = serve(app).await;
    for path in ["/fails?evil*/", "/databases", "/databases?verify", "/databases"] {
        let answer = get(address, path, "").await;
        told.add(path, format!("{} {}", answer.head, answer.body));
    }
    let mut stream = sent(address, "/databases?live", "").await;
    told.add("live", read_until(&mut stream, "event: at").await);
}

#[tokio::test]
async fn neither_a_password_nor_a_value_is_told() {
    let (log, metrics) = listeners();
    let registry = registry();
    set_up(&registry).await;
    let mut told = Told::default();
    let scope = registry.new_scope();
    scope.set_tag("route", "evil*/ '; DROP TABLE orders; --");
    scope.enter(run_all(&registry, &mut told)).await;
    tell_all(&registry, &scope, &mut told).await;
    ask_for_pages(&registry, &mut told).await;
    told.add("metrics", metrics.render());
    assert!(metrics.render().contains("registry_query_duration_seconds"), "{}", metrics.render());

    for line in records(log.lines_with("")) {
        // What drivers log by themselves is theirs, see the next test.
        if !is_of_driver(&line) {
            told.add("log", line);
        }
    }
    let mut leaks: Vec<String> = Vec::new();
    for (who, text) in &told.0 {
        for secret in SECRETS.iter().filter(|secret| text.contains(**secret)) {
            let at = text.find(secret).expect("it is there");
            let from = text[..at].char_indices().rev().nth(160).map_or(0, |(at, _)| at);
            let to = text[at..].char_indices().nth(60).map_or(text.len(), |(end, _)| at + end);
            leaks.push(format!("{NAME}: {who}: {}", &text[from..to]));
        }
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

fn is_of_driver(line: &str) -> bool {
    [" tokio_postgres", " mysql_async", " mysql_common"].iter().any(|target| line.contains(target))
}

/// The events of a log. What a driver logs may have several lines, and each event begins with its time.
fn records(lines: Vec<String>) -> Vec<String> {
    let mut records: Vec<String> = Vec::new();
    for line in lines {
        let begins =
            line.get(..4).is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit()))
                && line.as_bytes().get(4) == Some(&b'-');
        match records.last_mut() {
            Some(record) if !begins => {
                record.push('\n');
                record.push_str(&line);
            }
            _ => records.push(line),
        }
    }
    records
}

#[tokio::test]
async fn drivers_log_values_at_debug_level_only_and_no_passwords() {
    let (log, _) = listeners();
    let registry = registry();
    set_up(&registry).await;
    run_all(&registry, &mut Told::default()).await;
    let lines = records(log.lines_with(""));
    let of_drivers: Vec<_> = lines.iter().filter(|line| is_of_driver(line)).collect();
    for secret in SECRETS {
        for line in of_drivers.iter().filter(|line| line.contains(secret)) {
            let is_debug = line.contains(" DEBUG ") || line.contains(" TRACE ");
            assert!(is_debug && !["zebrapass", "sesame"].contains(&secret), "{line}");
            assert!(line.contains("tokio_postgres"), "the guide names no other: {line}");
        }
    }
}
