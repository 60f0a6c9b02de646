//! Rows that are streamed as the body of a response, from a registry or a session by value.

use std::future::ready;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use diesel::prelude::*;
use futures_util::{Stream, StreamExt, TryStreamExt};
use registry_core::{BindSettings, Error, Registry, RunQueryDsl, bind_tables};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{eventually, is_at_rest, run_sql};

diesel::table! {
    numbers (id) {
        id -> Integer,
    }
}
bind_tables!(db = "default", connection = super::Backend; numbers);

type Main = <numbers::table as registry_core::Bound>::Bind;

const ROWS: i32 = 100_000;

/// A registry of one connection, with a table of the numbers from 1 to [`ROWS`].
async fn registry() -> Registry {
    let bind = BindSettings::new(super::database()).max_connections(1);
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    run_sql::<Main>(&registry, "CREATE TABLE digits (d INTEGER NOT NULL)").await;
    let digits = "INSERT INTO digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)";
    run_sql::<Main>(&registry, digits).await;
    run_sql::<Main>(&registry, "CREATE TABLE numbers (id INTEGER PRIMARY KEY NOT NULL)").await;
    let all = "INSERT INTO numbers (id) \
               SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d \
               FROM digits a, digits b, digits c, digits e, digits f";
    run_sql::<Main>(&registry, all).await;
    registry
}

/// A body with a line for each row. The lines are long, so that the whole does not fit into the buffers of a socket.
fn lines<E>(rows: impl Stream<Item = Result<i32, E>> + Send + 'static) -> Response
where
    E: std::error::Error + Send + Sync + 'static,
{
    Body::from_stream(rows.map_ok(|id| format!("{id:>400}\n"))).into_response()
}

async fn by_registry(State(registry): State<Registry>) -> Result<Response, Error> {
    let all = numbers::table.order(numbers::id).select(numbers::id);
    Ok(lines(all.load_stream::<i32>(registry).await?))
}

async fn by_session(State(registry): State<Registry>) -> Result<Response, Error> {
    let session = registry.session::<Main>().await?;
    let all = numbers::table.order(numbers::id).select(numbers::id);
    Ok(lines(all.load_stream::<i32>(session).await?))
}

/// A server of both handlers, and its address. It ends with the runtime of the test.
async fn served(registry: &Registry) -> String {
    let router = Router::new()
        .route("/registry", get(by_registry))
        .route("/session", get(by_session))
        .with_state(registry.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn asked(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // HTTP 1.0 has no chunks: the body ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_has_every_row_and_gives_the_connection_back() {
    let registry = registry().await;
    let address = served(&registry).await;
    for path in ["/registry", "/session"] {
        let mut answer = String::new();
        let mut stream = asked(&address, path).await;
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        let ids = body.lines().map(|line| line.trim().parse::<i32>().expect("a number"));
        assert!(ids.eq(1..=ROWS), "{path}");
        is_at_rest(&registry).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_hangs_up_gives_the_connection_back() {
    let registry = registry().await;
    let address = served(&registry).await;
    for path in ["/registry", "/session", "/registry"] {
        let mut stream = asked(&address, path).await;
        let mut buffer = [0; 4096];
        stream.read_exact(&mut buffer).await.expect("the first rows");
        assert_eq!(registry.status().engines[0].in_use, 1, "the rest waits for the client");
        drop(stream);
        eventually(|| registry.status().engines[0].in_use == 0).await;
        let count: i64 = numbers::table.count().get_result(&registry).await.expect("a count");
        assert_eq!(count, i64::from(ROWS), "{path}");
    }
}

#[tokio::test]
async fn queries_take_a_registry_a_tenant_and_a_session_by_value() {
    let registry = registry().await;
    let all = || numbers::table.order(numbers::id).select(numbers::id);
    let first: i32 = all().first(registry.clone()).await.expect("a row");
    assert_eq!(first, 1);
    let session = registry.session::<Main>().await.expect("a session");
    let deleted = diesel::delete(numbers::table.filter(numbers::id.gt(3))).execute(session).await;
    assert_eq!(deleted.expect("rows"), ROWS as usize - 3);
    // The session was returned at the end: there is only one connection.
    assert_eq!(all().load::<i32>(registry.clone()).await.expect("rows"), [1, 2, 3]);
    let loading = tokio::spawn(all().load::<i32>(registry.clone()));
    assert_eq!(loading.await.expect("no panic").expect("rows"), [1, 2, 3]);
    let rows = all().load_stream::<i32>(registry.session::<Main>().await.expect("a session"));
    let odd = rows.await.expect("rows").try_filter(|id| ready(id % 2 == 1)).boxed();
    let odd = tokio::spawn(odd.try_collect::<Vec<_>>());
    assert_eq!(odd.await.expect("no panic").expect("rows"), [1, 3]);
    is_at_rest(&registry).await;
}

#[tokio::test]
async fn tenant_is_streamed_by_value() {
    let bind = BindSettings::new(super::tenants(["acme"]));
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let tenant = registry.tenant("acme").expect("a good name");
    let mut session = tenant.session::<Main>().await.expect("a session");
    let create = "CREATE TABLE numbers (id INTEGER PRIMARY KEY NOT NULL)";
    diesel::sql_query(create).execute(&mut session).await.expect("a new table");
    drop(session);
    let insert = diesel::insert_into(numbers::table).values(numbers::id.eq(7));
    assert_eq!(insert.execute(tenant.clone()).await.expect("a row"), 1);
    let rows = numbers::table.select(numbers::id).load_stream::<i32>(tenant).await.expect("rows");
    let rows = tokio::spawn(rows.try_collect::<Vec<_>>());
    assert_eq!(rows.await.expect("no panic").expect("rows"), [7]);
}
