//! A collector: a server that takes OTLP over HTTP.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What the collector has got: the bodies of the requests.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) traces: Vec<Bytes>,
    pub(crate) metrics: Vec<Bytes>,
    /// What the program has written to standard error.
    pub(crate) log: String,
}

type Shared = Arc<Mutex<Received>>;

/// A collector on a free port of this machine, until it is stopped.
pub(crate) struct Collector {
    endpoint: String,
    received: Shared,
    /// Its server ends with it.
    runtime: Runtime,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let received = Shared::default();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new()
            .route("/v1/traces", post(take_traces))
            .route("/v1/metrics", post(take_metrics))
            .with_state(Arc::clone(&received));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { endpoint, received, runtime }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Ends the collector. `log` is what the program that has sent to it has logged.
    pub(crate) fn stop(self, log: String) -> Received {
        self.runtime.shutdown_background();
        let received = std::mem::take(&mut *self.received.lock().expect("what was received"));
        Received { log, ..received }
    }
}

async fn take_traces(State(all): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    take(&headers, || all.lock().expect("what was received").traces.push(body))
}

async fn take_metrics(State(all): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    take(&headers, || all.lock().expect("what was received").metrics.push(body))
}

/// An answer without a body is an answer in which all fields have their defaults: everything was taken.
fn take(headers: &HeaderMap, keep: impl FnOnce()) -> StatusCode {
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "application/x-protobuf") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    keep();
    StatusCode::OK
}
