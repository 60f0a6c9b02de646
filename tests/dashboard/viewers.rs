//! What viewers do to the program, and to each other.

use std::time::Duration;

use axum::Router;
use diesel::sql_query;
use registry_core::settings::BindSettings;
use registry_core::web::{DashboardOptions, dashboard, dashboard_with};
use registry_core::{BindDsl, EngineOptions, Registry, RunQueryDsl, binds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::rig::{get, page_of, read_until, sent, serve};
use crate::support::{eventually, fresh_folder, sqlite_file};

binds! {
    Main: Sqlite = "default";
    Orders: Postgres = "orders";
}

fn registry() -> Registry {
    let settings = BindSettings::new(sqlite_file()).max_connections(3);
    Registry::builder().bind("default", settings).build().expect("good settings")
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// A registry of a database that accepts connections and never answers, and those that it was asked for.
async fn hung() -> (Registry, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let hour = Duration::from_secs(3600);
    let options =
        EngineOptions { acquire_timeout: hour, connect_timeout: hour, ..Default::default() };
    let url = format!("postgres://nobody:nothing@127.0.0.1:{port}/none?sslmode=disable");
    let builder = Registry::builder().options(options).bind("orders", url);
    (builder.build().expect("good settings"), listener)
}

#[tokio::test]
async fn page_is_no_look_of_the_status() {
    let registry = registry();
    let address = serve(page_of(&registry)).await;
    let _ = registry.status();
    drop(registry.session::<Main>().await.expect("a session"));
    let mut stream = sent(address, "/databases?live", "").await;
    read_until(&mut stream, "The database answers.").await;
    get(address, "/databases", "").await;
    let since = registry.status().engines[0].since_last.expect("the second look");
    // The page's own questions count, too.
    assert!(since.direct >= 2, "{since:?}");
}

#[tokio::test]
async fn viewer_of_a_full_pool_is_no_further_caller_in_its_queue() {
    let registry = Registry::builder().bind("default", "sqlite::memory:").build();
    let registry = registry.expect("good settings");
    let address = serve(page_of(&registry)).await;
    let lent = registry.session::<Main>().await.expect("a session");
    let mut stream = sent(address, "/databases?live", "").await;
    for _ in 0..3 {
        read_until(&mut stream, "event: at").await;
        assert_eq!(registry.status().engines[0].waiting, 0);
    }
    let before = registry.status().engines[0].waited;
    drop(lent);
    read_until(&mut stream, "last at <time").await;
    assert_eq!(registry.status().engines[0].waited, before);
}

#[tokio::test]
async fn verification_of_a_database_that_hangs_holds_nobody_and_goes_on_without_viewers() {
    let (registry, listener) = hung().await;
    let address = serve(page_of(&registry)).await;
    let page = get(address, "/databases?verify", "").await.body;
    assert!(page.contains("<span class=\"pill off\">running</span>"), "{page}");
    // Whoever asks next, and viewers that come and go, share that run.
    let mut stream = sent(address, "/databases?live", "").await;
    read_until(&mut stream, "1 of 1 database does not answer").await;
    drop(stream);
    let page = get(address, "/databases?verify", "").await.body;
    assert!(page.contains("<span class=\"pill off\">running</span>"), "{page}");
    assert!(page.contains("not run yet"), "{page}");
    drop(listener);
    registry.close().await;
    eventually(|| tasks() <= 1).await;
}

#[tokio::test]
async fn fifty_viewers_that_vanish_leave_nothing_behind() {
    let registry = registry();
    let address = serve(page_of(&registry)).await;
    drop(registry.session::<Main>().await.expect("a session"));
    let before = tasks();
    let direct = |registry: &Registry| registry.status().engines[0].direct;
    let began = (std::time::Instant::now(), direct(&registry));
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = sent(address, "/databases?live", "").await;
        read_until(&mut stream, "event: at").await;
        streams.push(stream);
    }
    assert!(tasks() <= before + 52, "{} tasks", tasks());
    // One question about each 800 ms, and one verification, for all of them.
    let limit = began.0.elapsed().as_millis() as u64 / 800 + 3;
    assert!(direct(&registry) - began.1 <= limit, "asked too often");
    drop(streams);
    eventually(|| tasks() == before).await;
}

#[tokio::test]
async fn viewer_that_never_reads_does_not_keep_the_page_asking() {
    let registry = Registry::builder().bind("default", sqlite_file()).record_queries(true);
    let registry = registry.build().expect("good settings");
    // A large page, so that what is sent does not fit between the two.
    for count in 0..60 {
        let long = format!("SELECT {count} AS \"{}\"", "é".repeat(3_000));
        sql_query(long).bound_to::<Main>().execute(&registry).await.expect("it runs");
    }
    let address = serve(page_of(&registry)).await;
    let before = tasks();
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(2_048).expect("a size");
        let mut stream = socket.connect(address).await.expect("it listens");
        let request = format!("GET /databases?live HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        stuck.push(stream);
    }
    eventually(|| registry.status().engines[0].direct > 61).await;
    eventually(|| tasks() > before + 3).await;
    let load = async {
        loop {
            let long = format!("SELECT 1 AS \"{}\"", "é".repeat(3_000));
            sql_query(long).bound_to::<Main>().execute(&registry).await.expect("it runs");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // Their connections stay, and nobody looks for them.
    let ended = eventually(|| tasks() <= before + 3);
    tokio::select! {
        () = load => {}
        () = ended => {}
    }
    println!("{} tasks before, {} now", before, tasks());
    drop(stuck);
    eventually(|| tasks() == before).await;
}

#[tokio::test]
async fn two_pages_and_two_registries_do_not_mix() {
    let one = registry();
    let other = Registry::builder().bind("other", "sqlite::memory:").build().expect("settings");
    let titled = dashboard_with(one.clone(), DashboardOptions::new().title("Again"));
    let app = Router::new()
        .nest("/one", dashboard(one.clone()))
        .nest("/again", titled)
        .nest("/other", dashboard(other.clone()));
    let address = serve(app).await;
    other.close().await;
    for (path, has, has_not) in [
        ("/one", "bind-default", "bind-other"),
        ("/again", "bind-default", "bind-other"),
        ("/other", "The registry is closed.", "bind-default"),
    ] {
        let page = get(address, path, "").await.body;
        assert!(page.contains(has) && !page.contains(has_not), "{path}: {page}");
    }
}

#[tokio::test]
async fn page_asks_no_tenant_and_opens_no_engine_on_demand() {
    let folder = fresh_folder();
    let shops = format!("sqlite://{}/{{tenant}}.db?mode=rwc", folder.display());
    let builder = Registry::builder().bind("default", sqlite_file()).bind("shops", shops);
    let registry = builder.build().expect("good settings");
    let address = serve(page_of(&registry)).await;
    get(address, "/databases?verify", "").await;
    let mut stream = sent(address, "/databases?live", "").await;
    read_until(&mut stream, "last at <time").await;
    let status = registry.status();
    assert_eq!((status.on_demand.misses, status.on_demand.hits), (0, 0));
    assert_eq!(std::fs::read_dir(folder).expect("a folder").count(), 0);
}

#[tokio::test]
async fn other_methods_change_nothing_and_heads_end() {
    let registry = registry();
    let address = serve(page_of(&registry)).await;
    for (method, path, status) in [
        ("HEAD", "/databases", "200"),
        ("HEAD", "/databases?live", "200"),
        ("POST", "/databases?verify", "405"),
        ("OPTIONS", "/databases", "405"),
        ("DELETE", "/databases", "405"),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it ends");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{method} {path}: {answer}");
    }
    let page = get(address, "/databases", "").await.body;
    assert!(!page.contains("last at <time") || page.contains("took"), "{page}");
}

#[tokio::test]
async fn proxies_that_speak_http_1_0_are_refused() {
    let address = serve(page_of(&registry())).await;
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // What nginx sends with `proxy_pass` and nothing else.
    let request =
        format!("GET /databases HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it ends");
    assert!(answer.starts_with("HTTP/1.0 403") || answer.starts_with("HTTP/1.1 403"), "{answer}");
    let other = get(address, "/databases", "x-forwarded-server: shop\r\n").await;
    assert_eq!(other.status, 403);
}
