//! Clients that read from a replica and carry the token of their writes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use futures_util::{FutureExt, StreamExt};
use registry_core::web::{InvalidReadYourWrites, ReadYourWrites, ScopeLayer, SessionFor};
use registry_core::{
    BindDsl, BindSettings, CurrentWork, Error, Reader, Registry, RunQueryDsl, Scope, Tenant, Token,
    TokenKey, UnitOfWork, bind_tables,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::block_in_place;

use super::{Answer, listening};
use crate::support::fresh_folder;
use crate::support::log::captured_log;
use crate::support::replicas::Cluster;

mod layers;

diesel::table! {
    pairs (id) {
        id -> BigInt,
    }
}
diesel::table! {
    papers (id) {
        id -> BigInt,
    }
}
bind_tables!(db = "default", backend = Postgres; pairs);
bind_tables!(db = "files", backend = Sqlite; papers);

const CREATE: &str = "CREATE TABLE pairs (id BIGINT NOT NULL PRIMARY KEY)";
const SECRET: &str = "0123456789abcdef";

fn key() -> TokenKey {
    TokenKey::new(SECRET).expect("long enough")
}

fn insert(
    id: i64,
) -> diesel::query_builder::InsertStatement<
    pairs::table,
    <diesel::dsl::Eq<pairs::id, i64> as Insertable<pairs::table>>::Values,
> {
    diesel::insert_into(pairs::table).values(pairs::id.eq(id))
}

async fn by_work(Path(id): Path<i64>, mut work: CurrentWork) -> Result<StatusCode, Error> {
    insert(id).execute(&mut *work).await?;
    Ok(StatusCode::CREATED)
}

async fn undone(path: Path<i64>, work: CurrentWork) -> Result<StatusCode, Error> {
    by_work(path, work).await?;
    Ok(StatusCode::CONFLICT)
}

async fn by_session(
    Path(id): Path<i64>,
    mut session: SessionFor<pairs::table>,
) -> Result<StatusCode, Error> {
    insert(id).execute(&mut *session).await?;
    Ok(StatusCode::CREATED)
}

/// Commits, and fails afterwards.
async fn committed_in_vain(Path(id): Path<i64>, scope: Scope) -> Result<StatusCode, Error> {
    insert(id).execute(&mut *scope.work().await?).await?;
    scope.commit().await?;
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn panics(path: Path<i64>, scope: Scope) -> Result<StatusCode, Error> {
    committed_in_vain(path, scope).await?;
    panic!("a handler that panics");
}

/// Writes in a task of its own, which has a handle to the scope and has not entered it.
async fn by_task(Path(id): Path<i64>, scope: Scope) -> Result<StatusCode, Error> {
    let task = tokio::spawn(async move {
        insert(id).execute(&mut *scope.work().await?).await?;
        Ok::<_, Error>(())
    });
    task.await.expect("no panic")?;
    Ok(StatusCode::CREATED)
}

/// A response whose body arrives in pieces.
async fn streamed(path: Path<i64>, work: CurrentWork) -> Result<Response, Error> {
    by_work(path, work).await?;
    let pieces = futures_util::stream::iter(["a", "b"]).map(|it| Ok::<_, Error>(Bytes::from(it)));
    Ok(Body::from_stream(pieces).into_response())
}

async fn count_by_work(mut work: CurrentWork) -> Result<String, Error> {
    let count: i64 = pairs::table.count().get_result(&mut *work).await?;
    Ok(count.to_string())
}

async fn count_by_session(mut session: SessionFor<pairs::table>) -> Result<String, Error> {
    let count: i64 = pairs::table.count().get_result(&mut *session).await?;
    Ok(count.to_string())
}

/// The port of the server that has answered, and whether it has the row.
async fn seen(reader: &Reader, id: i64) -> Result<String, Error> {
    let columns = sql::<(diesel::sql_types::Text, BigInt)>(&format!(
        "current_setting('port'), (SELECT count(*) FROM pairs WHERE id = {id})"
    ));
    let seen = diesel::select(columns).reads::<pairs::table>();
    let (port, found): (String, i64) = seen.get_result(reader).await?;
    Ok(format!("{port} {found}"))
}

fn stale(reader: Reader) -> Reader {
    reader.max_lag(None)
}

fn routes(registry: &Registry) -> Router {
    let reader = stale(registry.reader());
    let (queries, own) = (registry.clone(), registry.clone());
    Router::new()
        .route("/work/{id}", put(by_work))
        .route("/undone/{id}", put(undone))
        .route("/session/{id}", put(by_session))
        .route("/in-vain/{id}", put(committed_in_vain))
        .route("/panics/{id}", put(panics))
        .route("/task/{id}", put(by_task))
        .route("/streamed/{id}", put(streamed))
        .route("/count-by-work", get(count_by_work))
        .route("/count-by-session", get(count_by_session))
        .route(
            "/query/{id}",
            put(async move |Path(id): Path<i64>| {
                insert(id).execute(&queries).await?;
                Ok::<_, Error>(StatusCode::CREATED)
            }),
        )
        .route(
            "/own/{id}",
            put(async move |Path(id): Path<i64>| {
                let mut work = own.begin();
                insert(id).execute(&mut work).await?;
                work.commit().await?;
                Ok::<_, Error>(StatusCode::CREATED)
            }),
        )
        .route("/seen/{id}", get(async move |Path(id): Path<i64>| seen(&reader, id).await))
}

/// A server with one replica, an application, and what its clients may see.
struct Rig {
    cluster: Cluster,
    registry: Registry,
}

impl Rig {
    async fn new() -> Self {
        let cluster = block_in_place(|| Cluster::postgres(1)).proxied().await;
        let url = block_in_place(|| {
            let url = cluster.database("test");
            cluster.execute_in(&url, CREATE);
            cluster.wait_until_caught_up();
            url
        });
        let bind = bind(&url).replica(cluster.node(1).at(&url));
        let builder = Registry::builder().bind("default", bind).token_key(SECRET);
        let rig = Self { cluster, registry: builder.build().expect("good settings") };
        rig.replica_is_read(&stale(rig.registry.reader())).await;
        rig
    }

    async fn replica_is_read(&self, reader: &Reader) {
        let replica = self.replica(0);
        let read = async {
            while seen(reader, 0).await.expect("a server answers") != replica {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("the replica is used");
    }

    async fn serve(&self) -> String {
        self.serve_with(ReadYourWrites::new()).await
    }

    async fn serve_with(&self, carried: ReadYourWrites) -> String {
        let layer = ScopeLayer::new(self.registry.clone()).read_your_writes(carried);
        listening(routes(&self.registry).layer(layer.expect("good settings"))).await
    }

    fn pause(&self) {
        block_in_place(|| self.cluster.node(1).pause_replay());
    }

    fn resume(&self) {
        block_in_place(|| self.cluster.node(1).resume_replay());
    }

    /// An answer of the primary, or of the replica.
    fn primary(&self, found: i64) -> String {
        format!("{} {found}", self.cluster.node(0).server().port())
    }

    fn replica(&self, found: i64) -> String {
        format!("{} {found}", self.cluster.node(1).server().port())
    }
}

fn bind(url: &str) -> BindSettings {
    BindSettings::new(url)
        .probe_interval(Duration::from_millis(20))
        .connect_timeout(Duration::from_secs(2))
}

async fn asked(address: &str, method: &str, path: &str, head: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n")
            .into_bytes();
    request.extend_from_slice(head.as_ref());
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.expect("sent");
    Answer::read_from(stream).await
}

/// The value of a header of the answer.
fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn token_of(answer: &Answer) -> &str {
    header(answer, "x-read-after").expect("a token")
}

fn in_header(token: &str) -> String {
    format!("x-read-after: {token}\r\n")
}

fn in_cookie(token: &str) -> String {
    format!("cookie: theme=dark; read_after={token}; x=y\r\n")
}

fn verified(text: &str) -> Token {
    Token::verified(text, &key()).expect("signed with the key")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_sees_what_it_has_written_if_it_carries_the_token() {
    let rig = Rig::new().await;
    let address = rig.serve().await;
    rig.pause();
    let kinds = ["work", "session", "query", "own", "task", "in-vain", "streamed"];
    for (id, kind) in (1..).zip(kinds) {
        let written = asked(&address, "PUT", &format!("/{kind}/{id}"), "").await;
        let status = if kind == "in-vain" { 500 } else { written.status };
        assert_eq!(written.status, status, "{kind}");
        let token = token_of(&written);
        assert!(!token.contains('?'), "{token}");
        let cookie = header(&written, "set-cookie").expect("a cookie");
        let attributes = "path=/; max-age=60; httponly; samesite=lax";
        assert_eq!(cookie, format!("read_after={token}; {attributes}"), "{kind}");

        let path = format!("/seen/{id}");
        let both = format!("{}{}", in_header(token), in_cookie(token));
        for head in [both, in_header(token), in_cookie(token)] {
            let answer = asked(&address, "GET", &path, &head).await;
            assert_eq!(answer.body, rig.primary(1), "{kind}: {head}");
            assert_eq!(header(&answer, "x-read-after"), None, "nothing was written");
            assert_eq!(header(&answer, "set-cookie"), None, "nothing was written");
        }
        // Without the token, the client sees what it sees.
        let answer = asked(&address, "GET", &path, "").await;
        assert_eq!(answer.body, rig.replica(0), "{kind}");
        let last = in_header(token);
        if id == 7 {
            rig.resume();
            let mut body = String::new();
            while body != rig.replica(1) {
                body = asked(&address, "GET", &path, &last).await.body;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_that_writes_nothing_gets_no_token() {
    let rig = Rig::new().await;
    let address = rig.serve().await;
    let written = asked(&address, "PUT", "/work/1", "").await;
    let token = in_header(token_of(&written));
    for head in ["", token.as_str()] {
        for (method, path, status) in [
            ("GET", "/count-by-work", 200),
            ("GET", "/count-by-session", 200),
            ("GET", "/seen/1", 200),
            ("PUT", "/undone/2", 409),
            ("GET", "/nowhere", 404),
        ] {
            let answer = asked(&address, method, path, head).await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(header(&answer, "x-read-after"), None, "{path}");
            assert_eq!(header(&answer, "set-cookie"), None, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_that_was_not_signed_with_the_key_is_ignored() {
    let log = captured_log();
    let rig = Rig::new().await;
    let address = rig.serve().await;
    rig.pause();
    let written = asked(&address, "PUT", "/work/1", "").await;
    let signed = token_of(&written);
    let token = verified(signed);
    let other = TokenKey::new("another secret, of another service").expect("long enough");
    let ignored: Vec<Vec<u8>> = vec![
        token.to_string().into(),
        token.signed(&other).into(),
        signed[..signed.len() - 1].into(),
        signed[1..].into(),
        signed.replacen(':', ":?", 1).into(),
        format!("{}{signed}", "x".repeat(4200)).into(),
        "?".into(),
        "*".into(),
        "".into(),
        vec![0xff, 0xfe],
    ];
    for value in ignored {
        for name in ["x-read-after: ", "cookie: read_after="] {
            let head = [name.as_bytes(), &value, b"\r\n"].concat();
            let answer = asked(&address, "GET", "/seen/1", &head).await;
            assert_eq!(answer.body, rig.replica(0), "{name}{}", String::from_utf8_lossy(&value));
        }
    }
    // The good one counts beside bad ones, and beside cookies that are not ASCII.
    let mut head = b"cookie: na\xffme=v\xff; read_after=*; read_after=\"".to_vec();
    head.extend_from_slice(signed.as_bytes());
    head.extend_from_slice(b"\"\r\nx-read-after: *\r\n");
    assert_eq!(asked(&address, "GET", "/seen/1", &head).await.body, rig.primary(1));
    let joined = in_header(&format!("*, {signed}"));
    assert_eq!(asked(&address, "GET", "/seen/1", &joined).await.body, rig.primary(1));
    let told = log.lines_with("a request brought a token that is ignored");
    assert!(told.iter().all(|line| line.contains(" DEBUG ")), "{told:?}");
}

/// Of two tabs with a cookie and a header of their own, neither can take the other's position back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_token_never_replaces_a_newer_one() {
    let rig = Rig::new().await;
    let address = rig.serve().await;
    let older = token_of(&asked(&address, "PUT", "/work/1", "").await).to_owned();
    let mut body = String::new();
    while body != rig.replica(1) {
        body = asked(&address, "GET", "/seen/1", in_header(&older)).await.body;
    }
    rig.pause();
    let newer = token_of(&asked(&address, "PUT", "/work/2", "").await).to_owned();
    assert_eq!(asked(&address, "GET", "/seen/2", in_header(&older)).await.body, rig.replica(0));
    for head in [
        format!("{}{}", in_header(&newer), in_cookie(&older)),
        format!("{}{}", in_header(&older), in_cookie(&newer)),
        in_cookie(&format!("{newer}; read_after={older}")),
        format!("{}{}", in_header(&newer), in_header(&older)),
    ] {
        assert_eq!(asked(&address, "GET", "/seen/2", &head).await.body, rig.primary(1), "{head}");
    }
    // What a write hands out is after what its request has brought.
    let third = asked(&address, "PUT", "/work/3", in_header(&newer)).await;
    let merged = verified(token_of(&third));
    assert_eq!(merged.clone().merged(&verified(&newer)), merged);
    assert_ne!(merged, verified(&newer));
}

/// Another service with the same key may have handed it out. Its cookie is replaced by the response.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_of_foreign_binds_are_handed_on() {
    let rig = Rig::new().await;
    let address = rig.serve().await;
    let foreign: Token = "crm@acme:p2a.1.9f0~other:?".parse().expect("a token");
    let foreign = in_cookie(&foreign.signed(&key()));
    assert_eq!(asked(&address, "GET", "/seen/1", &foreign).await.body, rig.replica(0));
    for path in ["/work/1", "/session/2"] {
        let written = asked(&address, "PUT", path, &foreign).await;
        let text = verified(token_of(&written)).to_string();
        assert!(text.starts_with("crm@acme:p2a.1.9f0~default:p"), "{text}");
        assert!(text.ends_with("~other:?"), "{text}");
    }
}

/// A client that has been to very many databases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_that_is_too_long_to_keep_says_only_where_something_was_written() {
    let log = captured_log();
    let rig = Rig::new().await;
    let address = rig.serve().await;
    let brought = |count: u32| {
        let places = (0..count).map(|at| format!("crm@t{at}:p5f5e1005f5e100f.1.5f5e10"));
        let text = places.collect::<Vec<_>>().join("~");
        let token: Token = text.parse().expect("a token");
        in_header(&token.signed(&key()))
    };
    let written = asked(&address, "PUT", "/work/1", brought(119)).await;
    let text = verified(token_of(&written)).to_string();
    assert!(text.contains("~default:?") || text.starts_with("default:?"), "{text}");
    assert!(text.contains("crm@t118:?"), "{text}");
    // Nothing of it can be kept.
    let unknown = |at: u32| format!("crm@tenant-{at:04}:?");
    let many = (0..200).map(unknown).collect::<Vec<_>>().join("~");
    let more = (200..400).map(unknown).collect::<Vec<_>>().join("~");
    let signed = |text: &str| text.parse::<Token>().expect("a token").signed(&key());
    let head = format!("{}{}", in_header(&signed(&many)), in_header(&signed(&more)));
    let written = asked(&address, "PUT", "/work/2", head).await;
    assert_eq!((written.status, header(&written, "x-read-after")), (201, None));
    assert_eq!(log.lines_with("a response has no token").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_says_that_a_position_is_unknown_if_the_primary_does_not_answer() {
    let rig = Rig::new().await;
    rig.pause();
    let gates = Arc::new((Notify::new(), Notify::new()));
    let (of_handler, registry) = (Arc::clone(&gates), rig.registry.clone());
    let held = async move |Path(id): Path<i64>| {
        insert(id).execute(&registry).await?;
        of_handler.0.notify_one();
        of_handler.1.notified().await;
        Ok::<_, Error>(StatusCode::CREATED)
    };
    let layer = ScopeLayer::new(rig.registry.clone()).read_your_writes(ReadYourWrites::new());
    let app = routes(&rig.registry).route("/held/{id}", put(held));
    let address = listening(app.layer(layer.expect("a key"))).await;
    let request = async {
        let answer = asked(&address, "PUT", "/held/1", "").await;
        (answer.status, token_of(&answer).to_owned())
    };
    let meanwhile = async {
        gates.0.notified().await;
        rig.cluster.node(0).proxy().lose_everything();
        gates.1.notify_one();
    };
    let ((status, token), ()) = tokio::join!(request, meanwhile);
    assert_eq!(status, 201);
    assert_eq!(verified(&token).to_string(), "default:?");
    rig.cluster.node(0).proxy().heal().await;
    let answer = asked(&address, "GET", "/seen/1", in_header(&token)).await;
    assert_eq!((answer.status, answer.body), (200, rig.primary(1)));
    // A write to the database tells its position: what was unknown before is before it.
    let written = asked(&address, "PUT", "/session/2", in_header(&token)).await;
    assert!(!verified(token_of(&written)).to_string().contains('?'));
}

/// Two reads that run at the same time, and ask for the position of the same write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_at_the_same_time_are_all_after_the_writes_of_their_request() {
    let rig = Rig::new().await;
    rig.pause();
    let reader = stale(rig.registry.reader());
    let both = async move |Path(id): Path<i64>, mut session: SessionFor<pairs::table>| {
        insert(id).execute(&mut *session).await?;
        drop(session);
        let (one, other) = tokio::try_join!(seen(&reader, id), seen(&reader, id))?;
        Ok::<_, Error>(format!("{one}, {other}"))
    };
    let layer = ScopeLayer::new(rig.registry.clone());
    let address = listening(Router::new().route("/both/{id}", put(both)).layer(layer)).await;
    for id in 1..=5 {
        let answer = asked(&address, "PUT", &format!("/both/{id}"), "").await;
        assert_eq!(answer.body, format!("{0}, {0}", rig.primary(1)));
    }
}

/// Turns a panic into a response.
async fn catches(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_before_a_panic_is_in_the_token_if_the_panic_becomes_a_response() {
    let rig = Rig::new().await;
    let address = rig.serve().await;
    rig.pause();
    let mut stream = TcpStream::connect(&address).await.expect("it listens");
    stream.write_all(b"PUT /panics/1 HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
    let mut text = String::new();
    let read = stream.read_to_string(&mut text).await;
    assert!(read.is_err() || text.is_empty(), "no response: {text}");
    // The application goes on.
    assert_eq!(asked(&address, "PUT", "/work/2", "").await.status, 201);

    let layer = ScopeLayer::new(rig.registry.clone()).read_your_writes(ReadYourWrites::new());
    let app = routes(&rig.registry).layer(from_fn(catches)).layer(layer.expect("a key"));
    let address = listening(app).await;
    let answer = asked(&address, "PUT", "/panics/3", "").await;
    assert_eq!(answer.status, 500);
    let token = in_header(token_of(&answer));
    assert_eq!(asked(&address, "GET", "/seen/3", &token).await.body, rig.primary(1));
}
