//! A server with the page, and requests to it.

use std::net::SocketAddr;

use axum::Router;
use registry_core::Registry;
use registry_core::web::{DashboardOptions, dashboard_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::answer::Answer;

/// Serves `app` until the test ends, and tells it the addresses of its peers.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// Serves `app` without telling it the addresses of its peers.
pub(crate) async fn serve_blindly(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// The page of a registry below `/databases`.
pub(crate) fn page_of(registry: &Registry) -> Router {
    let page = dashboard_with(registry.clone(), DashboardOptions::new());
    Router::new().nest("/databases", page)
}

/// The whole response to a request for `path`, with header lines of the caller's.
pub(crate) async fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    Answer::read_from(sent(address, path, headers).await).await
}

/// Sends a request for `path`. Without a `host` among the headers, it is for the address.
pub(crate) async fn sent(address: SocketAddr, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let host =
        if headers.contains("host:") { String::new() } else { format!("host: {address}\r\n") };
    let request = format!("GET {path} HTTP/1.1\r\n{host}connection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

/// Reads until `text` has come, and returns everything that has.
///
/// # Panics
///
/// If the stream ends before, or after twenty seconds.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            let count = stream.read_buf(&mut seen).await.expect("a stream");
            assert!(count > 0, "it ended before: {}", String::from_utf8_lossy(&seen));
        }
    };
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, reading).await.expect("it comes soon");
    String::from_utf8(seen).expect("UTF-8")
}
