//! Scopes of requests, tested with real requests over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use diesel::prelude::*;
use registry_core::web::{ScopeLayer, SessionFor};
use registry_core::{
    BindSettings, CurrentWork, EngineOptions, Error, Registry, RunQueryDsl, Scope, UnitOfWork,
    WorkOptions, bind_tables,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use support::answer::Answer;
use support::log::captured_log;
use support::{eventually, postgres, run_sql};

mod errors;
mod example;
mod example_ends;
#[path = "../support/mount.rs"]
mod mount;
mod pages;
mod read_your_writes;
mod server_timing;
mod sql_tags;
#[path = "../support/mod.rs"]
mod support;
mod tenants;

mount::mount!(streamed);

mod schema {
    diesel::table! {
        notes (id) {
            id -> Integer,
            parent -> Nullable<Integer>,
        }
    }
}

use schema::notes;

bind_tables!(db = "default", backend = Postgres; schema::notes);

type Main = <notes::table as registry_core::Bound>::Bind;

/// Sends a request and reads the whole response.
async fn request(address: &str, method: &str, path: &str, json: &str) -> Answer {
    Answer::read_from(sent(address, method, path, json).await).await
}

/// The same with header lines instead of a body.
async fn request_by(address: &str, method: &str, path: &str, head: &str) -> Answer {
    Answer::read_from(sent_by(address, method, path, head).await).await
}

async fn sent(address: &str, method: &str, path: &str, json: &str) -> TcpStream {
    let head = format!("content-type: application/json\r\ncontent-length: {}\r\n", json.len());
    let mut stream = sent_by(address, method, path, &head).await;
    stream.write_all(json.as_bytes()).await.expect("sent");
    stream
}

async fn sent_by(address: &str, method: &str, path: &str, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{head}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

/// A function that handlers call, which takes the current unit of work.
async fn note(id: i32, parent: Option<i32>) -> Result<(), Error> {
    let mut work = UnitOfWork::current().await?;
    let row = (notes::id.eq(id), notes::parent.eq(parent));
    diesel::insert_into(notes::table).values(row).execute(&mut *work).await?;
    Ok(())
}

/// Inserts a row and responds with the status in the path.
async fn answer(Path((id, status)): Path<(i32, u16)>) -> Result<StatusCode, Error> {
    note(id, None).await?;
    Ok(StatusCode::from_u16(status).expect("a status"))
}

async fn fails(Path(id): Path<i32>) -> Result<StatusCode, Error> {
    note(id, None).await?;
    note(id, None).await?;
    Ok(StatusCode::CREATED)
}

/// Inserts a row without its parent, which only the commit notices.
async fn orphan(Path(id): Path<i32>) -> Result<StatusCode, Error> {
    note(id, Some(-1)).await?;
    Ok(StatusCode::CREATED)
}

async fn commits(Path(id): Path<i32>, scope: Scope) -> Result<StatusCode, Error> {
    note(id, None).await?;
    scope.commit().await?;
    note(id + 1, None).await?;
    Ok(StatusCode::CREATED)
}

async fn by_argument(Path(id): Path<i32>, mut work: CurrentWork) -> Result<StatusCode, Error> {
    diesel::insert_into(notes::table).values(notes::id.eq(id)).execute(&mut *work).await?;
    Ok(StatusCode::CREATED)
}

async fn count(mut session: SessionFor<notes::table>) -> Result<String, Error> {
    let count: i64 = notes::table.count().get_result(&mut **session).await?;
    Ok(count.to_string())
}

async fn one(Path(id): Path<i32>, mut session: SessionFor<notes::table>) -> Result<String, Error> {
    let id: i32 = notes::table.find(id).select(notes::id).first(&mut *session).await?;
    Ok(id.to_string())
}

/// Reads on a session beside the unit of work, which sees only committed rows.
async fn beside(
    Path(id): Path<i32>,
    mut session: SessionFor<notes::table>,
    mut work: CurrentWork,
) -> Result<String, Error> {
    let before: i64 = notes::table.count().get_result(&mut *session).await?;
    drop(session);
    diesel::insert_into(notes::table).values(notes::id.eq(id)).execute(&mut *work).await?;
    Ok(before.to_string())
}

/// Needs a connection for each of its two arguments.
async fn twice(_: SessionFor<notes::table>, _: SessionFor<notes::table>) {}

async fn registry(url: &str) -> Registry {
    let options = EngineOptions { acquire_timeout: Duration::from_secs(2), ..Default::default() };
    let settings = BindSettings::new(url).max_connections(2);
    let builder = Registry::builder().options(options).bind("default", settings);
    builder.build().expect("good settings")
}

async fn prepared() -> Registry {
    with_notes(registry(&postgres().database("web")).await).await
}

/// Creates the table of notes.
async fn with_notes(registry: Registry) -> Registry {
    let create = "CREATE TABLE notes (id INTEGER PRIMARY KEY, \
                  parent INTEGER REFERENCES notes DEFERRABLE INITIALLY DEFERRED)";
    run_sql::<Main>(&registry, create).await;
    registry
}

/// Serves in the background until the test ends. Returns the address.
async fn serve(layer: ScopeLayer, slow: Arc<Notify>) -> String {
    let began = Arc::clone(&slow);
    let endless = move |Path(id): Path<i32>| async move {
        note(id, None).await?;
        began.notify_one();
        std::future::pending::<Result<StatusCode, Error>>().await
    };
    let app = Router::new()
        .route("/notes", get(count))
        .route("/notes/{id}", get(one).put(by_argument))
        .route("/answer/{id}/{status}", put(answer))
        .route("/fails/{id}", put(fails))
        .route("/orphan/{id}", put(orphan))
        .route("/commits/{id}", put(commits))
        .route("/endless/{id}", put(endless))
        .route("/beside/{id}", put(beside))
        .route("/twice", get(twice))
        .layer(layer);
    listening(app).await
}

async fn listening(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn served() -> (Registry, String, Arc<Notify>) {
    let registry = prepared().await;
    let slow = Arc::new(Notify::new());
    let address = serve(ScopeLayer::new(registry.clone()), Arc::clone(&slow)).await;
    (registry, address, slow)
}

async fn committed(registry: &Registry) -> Vec<i32> {
    notes::table.select(notes::id).order(notes::id).load(registry).await.expect("rows")
}

#[tokio::test]
async fn only_successful_responses_are_committed_before_they_are_sent() {
    let (registry, address, _) = served().await;
    for (id, status) in [(1, 200), (2, 204), (3, 302), (4, 400), (5, 404), (6, 500), (7, 503)] {
        let answer = request(&address, "PUT", &format!("/answer/{id}/{status}"), "").await;
        assert_eq!(answer.status, status);
        assert_eq!(committed(&registry).await.contains(&id), status < 400, "{status}");
    }
    assert_eq!(request(&address, "PUT", "/notes/8", "").await.status, 201);
    assert_eq!(request(&address, "PUT", "/fails/9", "").await.status, 500);
    assert_eq!(committed(&registry).await, [1, 2, 3, 8]);
    assert_eq!(request(&address, "GET", "/notes", "").await.body, "4");
    assert_eq!(request(&address, "GET", "/notes/8", "").await.body, "8");
    assert_eq!(request(&address, "GET", "/notes/99", "").await.status, 404);
}

#[tokio::test]
async fn failed_commit_replaces_the_response() {
    let (registry, address, _) = served().await;
    let answer = request(&address, "PUT", "/orphan/1", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (500, "Internal Server Error"));
    assert_eq!(committed(&registry).await, Vec::<i32>::new());
}

/// A middleware that holds the unit of work of the request while the handler runs.
async fn audit(mut work: CurrentWork, request: Request, next: Next) -> Response {
    let row = diesel::insert_into(notes::table).values(notes::id.eq(900));
    row.execute(&mut *work).await.expect("a row");
    next.run(request).await
}

/// The same, but it returns the unit of work before the handler runs.
async fn audit_before(mut work: CurrentWork, request: Request, next: Next) -> Response {
    let row = diesel::insert_into(notes::table).values(notes::id.eq(900));
    row.execute(&mut *work).await.expect("a row");
    drop(work);
    next.run(request).await
}

/// A response that holds the unit of work for as long as it lives.
async fn keeps(work: CurrentWork) -> Response {
    let mut response = StatusCode::OK.into_response();
    response.extensions_mut().insert(Arc::new(std::sync::Mutex::new(work)));
    response
}

#[tokio::test]
async fn handler_waiting_for_its_own_middleware_fails_immediately() {
    let log = captured_log();
    let settings = BindSettings::new(postgres().database("web")).max_connections(4);
    let options = EngineOptions { acquire_timeout: Duration::from_secs(60), ..Default::default() };
    let builder = Registry::builder().options(options).bind("default", settings);
    let registry = with_notes(builder.build().expect("good settings")).await;
    let app = Router::new()
        .route("/twice/{id}/{status}", put(answer).layer(from_fn(audit)))
        .route("/argument/{id}", put(by_argument).layer(from_fn(audit)))
        .route("/keeps", put(keeps))
        .route("/before/{id}/{status}", put(answer).layer(from_fn(audit_before)))
        .layer(ScopeLayer::new(registry.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    for path in ["/twice/1/200", "/argument/1", "/keeps"] {
        let answered = request(&address, "PUT", path, "{}");
        let answer = tokio::time::timeout(Duration::from_secs(20), answered).await;
        let answer = answer.expect("at once, as it would wait for 60 s otherwise");
        assert_eq!((answer.status, answer.body.as_str()), (500, "Internal Server Error"), "{path}");
        assert!(!answer.head.contains("retry-after"), "{}", answer.head);
    }
    let told = log.lines_with("this task has the unit of work of this scope already");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().all(|line| line.contains("taken as an argument of a handler")), "{told:?}");
    assert_eq!(committed(&registry).await, Vec::<i32>::new());
    assert_eq!(request(&address, "PUT", "/before/1/200", "").await.status, 200);
    assert_eq!(committed(&registry).await, [1, 900]);
}

/// A middleware that holds the unit of work of the request while the handler runs in another task.
async fn audit_apart(mut work: CurrentWork, request: Request, next: Next) -> Response {
    let row = diesel::insert_into(notes::table).values(notes::id.eq(900));
    row.execute(&mut *work).await.expect("a row");
    tokio::spawn(next.run(request)).await.expect("no panic")
}

#[tokio::test]
async fn response_to_a_request_that_deadlocked_itself_has_no_retry_after() {
    let registry = prepared().await;
    let app = Router::new()
        .route("/argument/{id}", put(by_argument).layer(from_fn(audit_apart)))
        .layer(ScopeLayer::new(registry.clone()));
    let address = listening(app).await;
    let answer = request(&address, "PUT", "/argument/1", "{}").await;
    assert_eq!((answer.status, answer.body.as_str()), (500, "Internal Server Error"));
    assert!(!answer.head.contains("retry-after"), "{}", answer.head);
    assert_eq!(committed(&registry).await, Vec::<i32>::new());
}

#[tokio::test]
async fn options_of_a_layer_apply_to_its_units_of_work() {
    let registry = prepared().await;
    let layer = |options| ScopeLayer::new(registry.clone()).work_options(options);
    let reads = serve(layer(WorkOptions::new().read_only(true)), Arc::default()).await;
    assert_eq!(request(&reads, "PUT", "/answer/1/200", "").await.status, 500);
    let order = WorkOptions::new().commit_order(["defualt"]);
    let wrong = serve(layer(order), Arc::default()).await;
    assert_eq!(request(&wrong, "PUT", "/answer/2/200", "").await.status, 500);
    let right = serve(layer(WorkOptions::new().serializable()), Arc::default()).await;
    assert_eq!(request(&right, "PUT", "/answer/3/200", "").await.status, 200);
    assert_eq!(committed(&registry).await, [3]);
}

#[tokio::test]
async fn layer_can_leave_commits_to_handlers() {
    let registry = prepared().await;
    let layer = ScopeLayer::new(registry.clone()).commit_on_success(false);
    let address = serve(layer, Arc::default()).await;
    assert_eq!(request(&address, "PUT", "/answer/1/200", "").await.status, 200);
    assert_eq!(request(&address, "PUT", "/commits/2", "").await.status, 201);
    assert_eq!(committed(&registry).await, [2]);
}

#[tokio::test]
async fn disconnected_client_leaves_nothing_open() {
    let (registry, address, slow) = served().await;
    let stream = sent(&address, "PUT", "/endless/1", "").await;
    slow.notified().await;
    assert_eq!(registry.status().engines[0].in_use, 1);
    drop(stream);
    eventually(|| registry.status().engines[0].in_use == 0).await;
    assert_eq!(committed(&registry).await, Vec::<i32>::new());
}

#[tokio::test]
async fn exhausted_pool_answers_503_with_retry_after() {
    let (registry, address, _) = served().await;
    let lent = [
        registry.session::<Main>().await.expect("a session"),
        registry.session::<Main>().await.expect("a session"),
    ];
    for (method, path) in [("GET", "/notes"), ("PUT", "/notes/1"), ("PUT", "/answer/1/200")] {
        let answer = request(&address, method, path, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (503, "Service Unavailable"));
        assert!(answer.head.contains("\r\nretry-after: 1"), "{}", answer.head);
    }
    drop(lent);
    assert_eq!(request(&address, "GET", "/notes", "").await.status, 200);
}

#[tokio::test]
async fn unreachable_server_answers_503_without_secrets() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    drop(taken);
    let registry = registry(&format!("postgres://app:zauber@127.0.0.1:{port}/db")).await;
    let address = serve(ScopeLayer::new(registry.clone()), Arc::default()).await;
    for (method, path) in [("GET", "/notes"), ("PUT", "/notes/1"), ("PUT", "/answer/1/200")] {
        let answer = request(&address, method, path, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (503, "Service Unavailable"));
        assert!(answer.head.contains("\r\nretry-after: 1"), "{}", answer.head);
        assert!(!answer.head.contains("zauber") && !answer.head.contains("app"));
    }
}

/// The application itself, on an isolated registry.
#[tokio::test]
async fn requests_can_be_tested_in_isolation() {
    let application = prepared().await;
    let registry = application.test_isolation().await.expect("a registry");
    let address = serve(ScopeLayer::new(registry.clone()), Arc::default()).await;
    assert_eq!(request(&address, "PUT", "/answer/1/200", "").await.status, 200);
    assert_eq!(request(&address, "PUT", "/answer/2/500", "").await.status, 500);
    assert_eq!(request(&address, "PUT", "/fails/3", "").await.status, 500);
    assert_eq!(request(&address, "PUT", "/notes/4", "").await.status, 201);
    assert_eq!(request(&address, "GET", "/notes", "").await.body, "2");
    assert_eq!(committed(&registry).await, [1, 4]);
    assert_eq!(committed(&application).await, Vec::<i32>::new());
}

#[tokio::test]
async fn concurrent_requests_wait_for_each_other_in_isolation() {
    let builder = Registry::builder().bind("default", postgres().database("web"));
    let application = with_notes(builder.build().expect("good settings")).await;
    let registry = application.test_isolation().await.expect("a registry");
    let address = serve(ScopeLayer::new(registry.clone()), Arc::default()).await;
    let requests = (0..30).map(|id| {
        let (address, kind) = (address.clone(), ["notes", "beside", "answer"][id % 3]);
        tokio::spawn(async move {
            let path = if kind == "answer" {
                format!("/answer/{id}/201")
            } else {
                format!("/{kind}/{id}")
            };
            request(&address, "PUT", &path, "").await.status
        })
    });
    for status in futures_util::future::join_all(requests).await {
        assert!([200, 201].contains(&status.expect("no panic")));
    }
    assert_eq!(committed(&registry).await, (0..30).collect::<Vec<_>>());
    assert_eq!(committed(&application).await, Vec::<i32>::new());
    // A request that deadlocks itself is a mistake of the program, and must not look like load.
    let answer = request(&address, "GET", "/twice", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (500, "Internal Server Error"));
    assert!(!answer.head.contains("retry-after"), "{}", answer.head);
}

#[tokio::test]
async fn request_that_holds_all_connections_itself_is_not_answered_as_load() {
    let settings = BindSettings::new(postgres().database("web")).max_connections(1);
    let settings = settings.acquire_timeout(Duration::from_millis(100));
    let registry = Registry::builder().bind("default", settings).build().expect("good settings");
    let address = serve(ScopeLayer::new(registry), Arc::default()).await;
    let answer = request(&address, "GET", "/twice", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (500, "Internal Server Error"));
    assert!(!answer.head.contains("retry-after"), "{}", answer.head);
}

#[tokio::test]
async fn extractors_without_the_layer_are_an_error() {
    let address = listening(Router::new().route("/notes", get(count))).await;
    assert_eq!(request(&address, "GET", "/notes", "").await.status, 500);
}
