//! What the page says, and what it never says.

use std::time::Duration;

use axum::Router;
use diesel::sql_query;
use diesel::sql_types::Text;
use registry_core::settings::BindSettings;
use registry_core::web::{DashboardOptions, dashboard_with};
use registry_core::{AsyncSqliteConnection, BindDsl, EngineOptions, Registry, RunQueryDsl, binds};

use crate::rig::{get, page_of, read_until, sent, serve};
use crate::support::{eventually, fresh_folder, mariadb, mortal_postgres, postgres};

binds! {
    Main: Sqlite = "default";
    Sales: Mysql = "sales";
    Orders: Postgres = "orders";
}

/// The text of the element that shows a figure of the first bind.
fn figure<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("data-figure=\"{name}\">")).expect("a figure");
    rest.split('<').next().expect("its text")
}

#[tokio::test]
async fn figures_are_those_of_the_status() {
    let settings = BindSettings::new(crate::support::sqlite_file()).max_connections(3);
    let registry = Registry::builder().bind("default", settings).build().expect("good settings");
    let address = serve(page_of(&registry)).await;
    let lent = [
        registry.session::<Main>().await.expect("a session"),
        registry.session::<Main>().await.expect("a session"),
    ];
    let page = get(address, "/databases", "").await.body;
    let status = registry.status();
    let engine = &status.engines[0];
    assert_eq!((engine.in_use, engine.max), (2, 3));
    assert_eq!(figure(&page, "in-use"), engine.in_use.to_string());
    assert_eq!(figure(&page, "idle"), engine.idle.to_string());
    assert_eq!(figure(&page, "max"), engine.max.to_string());
    assert_eq!(figure(&page, "direct"), engine.direct.to_string());
    assert!(page.contains("The database answers."), "{page}");
    drop(lent);
}

#[tokio::test]
async fn database_with_all_connections_in_use_is_not_asked() {
    let registry = Registry::builder().bind("default", "sqlite::memory:").build();
    let registry = registry.expect("good settings");
    let address = serve(page_of(&registry)).await;
    let lent = registry.session::<Main>().await.expect("a session");
    let page = get(address, "/databases", "").await.body;
    assert!(page.contains("not asked: all connections are in use"), "{page}");
    // The question would be one more caller that waits, and that times out.
    let engine = &registry.status().engines[0];
    assert_eq!((engine.direct, engine.waited, engine.timed_out), (1, 0, 0));
    drop(lent);
}

#[tokio::test]
async fn neither_passwords_nor_users_are_on_the_page() {
    let url = postgres().database("page");
    let wrong = postgres().url_with_password("dist1nctive");
    let options = EngineOptions { acquire_timeout: Duration::from_secs(5), ..Default::default() };
    let builder = Registry::builder().options(options).bind("default", url.as_str());
    let registry = builder.bind("refused", wrong.as_str()).build().expect("good settings");
    let address = serve(page_of(&registry)).await;
    for path in ["/databases?verify", "/databases"] {
        let page = get(address, path, "").await.body;
        assert!(!page.contains("dist1nctive"), "{page}");
        assert!(!page.contains(postgres().password()), "{page}");
        assert!(!page.contains("admin@") && !page.contains("admin:"), "{page}");
        let database = url.rsplit('/').next().expect("a name");
        assert!(page.contains(&format!("127.0.0.1:{}/{database}", postgres().port())), "{page}");
        assert!(page.contains("1 of 2 databases does not answer: <b>refused</b>"), "{page}");
        assert!(page.contains("password authentication failed"), "{page}");
    }
}

#[tokio::test]
async fn hostile_names_and_statements_are_text() {
    let folder = fresh_folder();
    let hostile = "<img src=x onerror=alert(1)>&'";
    let builder = Registry::builder().bind("default", "sqlite::memory:").record_queries(true);
    let registry = builder.build().expect("good settings");
    let file = format!("sqlite://{}/{hostile}.db", folder.display());
    let session = registry.session_by_url::<Main>(file).await.expect("a session");
    let select = format!("SELECT 1 AS \"{hostile}\" FROM \"{hostile}\"");
    let failed = sql_query(select).bound_to::<Main>().execute(&registry).await;
    assert!(failed.is_err(), "there is no such table");
    let address = serve(page_of(&registry)).await;
    let page = get(address, "/databases", "").await.body;
    assert!(!page.contains("<img"), "{page}");
    let text = "&#60;img src=x onerror=alert(1)&#62;&#38;&#39;";
    assert!(page.contains(&format!("{text}.db")), "the name of a file: {page}");
    assert!(page.contains(&format!("FROM &#34;{text}&#34;")), "a statement: {page}");
    drop(session);
}

#[tokio::test]
async fn recorded_queries_are_shown_without_their_values() {
    let unrecorded = Registry::builder().bind("default", "sqlite::memory:").build();
    let address = serve(page_of(&unrecorded.expect("good settings"))).await;
    let page = get(address, "/databases", "").await.body;
    assert!(page.contains("<code>record_queries(true)</code>"), "{page}");

    let builder = Registry::builder().bind("default", "sqlite::memory:").record_queries(true);
    let registry = builder.build().expect("good settings");
    let query = sql_query("SELECT 'dist1nctive', ? AS bound").bind::<Text, _>("dist1nctive");
    query.bound_to::<Main>().execute(&registry).await.expect("it runs");
    let address = serve(page_of(&registry)).await;
    let page = get(address, "/databases", "").await.body;
    assert!(page.contains("AS bound</code>") && page.contains("<b>1</b> recorded"), "{page}");
    assert!(page.contains("content.rs:"), "the place: {page}");
    assert!(!page.contains("dist1nctive"), "{page}");
}

#[tokio::test]
async fn failed_query_is_shown_where_nothing_is_recorded() {
    let registry = Registry::builder().bind("default", "sqlite::memory:").build();
    let registry = registry.expect("good settings");
    let address = serve(page_of(&registry)).await;
    // Failures are kept from the first look on.
    get(address, "/databases", "").await;
    let select = sql_query("SELECT 'dist1nctive' FROM nothing").bound_to::<Main>();
    assert!(select.execute(&registry).await.is_err(), "there is no such table");
    let page = get(address, "/databases", "").await.body;
    assert!(page.contains("SELECT ? FROM nothing") && page.contains("content.rs:"), "{page}");
    assert!(!page.contains("dist1nctive"), "{page}");
}

#[tokio::test]
async fn verification_is_run_when_it_is_asked_for() {
    let registry = Registry::builder().bind("default", "sqlite::memory:").build();
    let registry = registry.expect("good settings");
    let address = serve(page_of(&registry)).await;
    let page = get(address, "/databases", "").await.body;
    assert!(page.contains("not run yet"), "{page}");
    let page = get(address, "/databases?verify", "").await.body;
    // Models of this test binary are bound to a bind that this registry does not have.
    assert!(page.contains("last at <time") && !page.contains("not run yet"), "{page}");
}

#[tokio::test]
async fn page_of_a_closed_registry_says_so() {
    let registry = Registry::builder().bind("default", "sqlite::memory:").build();
    let registry = registry.expect("good settings");
    let session = registry.session_by_key::<AsyncSqliteConnection>("default").await;
    drop(session);
    let address = serve(page_of(&registry)).await;
    registry.close().await;
    let page = get(address, "/databases", "").await.body;
    assert!(page.contains("The registry is closed."), "{page}");
}

#[tokio::test]
async fn texts_of_any_size_and_kind_stay_in_their_place() {
    let builder = Registry::builder().bind("default", "sqlite::memory:").record_queries(true);
    let registry = builder.build().expect("good settings");
    let hostile =
        "</script></style><script>alert(1)</script>\u{202e}\u{2066}\r\ndata: x\n\nevent: y";
    let select = format!("SELECT 1 AS \"{hostile}\" FROM \"{}\"", "ü".repeat(500_000));
    let failed = sql_query(select).bound_to::<Main>().execute(&registry).await;
    assert!(failed.is_err(), "there is no such table");
    let title = "</title><script>alert(1)</script>\" onload=\"x";
    let options = DashboardOptions::new().title(title);
    let page = Router::new().nest("/databases", dashboard_with(registry, options));
    let address = serve(page).await;
    let page = get(address, "/databases", "").await.body;
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(!page.contains("\" onload"), "{page}");
    assert!(page.len() < 100_000, "{} bytes", page.len());
    assert!(page.contains("\\u{202e}\\u{2066}"), "they are shown, and turn nothing: {page}");
    assert!(!page.contains(['\u{202e}', '\u{2066}']), "{page}");
    let mut stream = sent(address, "/databases?live", "").await;
    let events = read_until(&mut stream, "event: at").await;
    assert!(!events.contains("\nevent: y") && !events.contains("\ndata: x"), "{events}");
    assert!(!events.contains("<script"), "{events}");
}

#[tokio::test]
async fn values_that_only_one_server_takes_for_values_are_not_on_the_page() {
    let builder = Registry::builder().record_queries(true);
    let builder = builder.bind("sales", mariadb().database("page"));
    let builder = builder.bind("orders", postgres().database("page"));
    let registry = builder.build().expect("good settings");
    let address = serve(page_of(&registry)).await;
    // Failures are kept from the first look on.
    get(address, "/databases", "").await;
    let select = "SELECT * FROM nothing WHERE a = \"dist1nctive\" AND b = x'd1571c' # dist1nctive";
    assert!(sql_query(select).bound_to::<Sales>().execute(&registry).await.is_err());
    let select = "SELECT $tag$dist1nctive$tag$, E'\\'dist1nctive', U&'dist1nctive' FROM nothing";
    assert!(sql_query(select).bound_to::<Orders>().execute(&registry).await.is_err());
    let cast = sql_query("SELECT CAST($1 AS integer)").bind::<Text, _>("dist1nctive");
    assert!(cast.bound_to::<Orders>().execute(&registry).await.is_err());
    let page = get(address, "/databases", "").await.body;
    assert!(page.contains("FROM nothing"), "{page}");
    assert!(!page.contains("dist1nctive") && !page.contains("d1571c"), "{page}");
}

#[tokio::test]
async fn database_that_is_gone_is_said_to_be_gone_while_its_pool_is_exhausted() {
    let server = mortal_postgres().await;
    let options = EngineOptions { acquire_timeout: Duration::from_secs(60), ..Default::default() };
    let settings = BindSettings::new(server.database("page")).max_connections(2);
    let builder = Registry::builder().options(options).bind("orders", settings);
    let registry = builder.build().expect("good settings");
    let address = serve(page_of(&registry)).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let registry = registry.clone();
        running.spawn(async move {
            loop {
                let sleep = sql_query("SELECT pg_sleep(0.05)").bound_to::<Orders>();
                let _ = sleep.execute(&registry).await;
            }
        });
    }
    eventually(|| registry.status().engines[0].waiting > 0).await;
    server.kill9();
    let mut page = String::new();
    while !page.contains("1 of 1 database does not answer: <b>orders</b>") {
        page = get(address, "/databases", "").await.body;
    }
    running.shutdown().await;
    server.start();
    while !page.contains("answers again") {
        page = get(address, "/databases", "").await.body;
    }
}
