//! The live stream: what it sends, and when it ends.

use std::net::SocketAddr;

use registry_core::{Registry, binds};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::rig::{page_of, read_until, sent, serve};
use crate::support::eventually;

binds! { Main: Sqlite = "default"; }

fn registry() -> Registry {
    let settings = registry_core::BindSettings::new(crate::support::sqlite_file());
    Registry::builder().bind("default", settings).build().expect("good settings")
}

#[tokio::test]
async fn stream_sends_each_section_and_then_what_has_changed() {
    let registry = registry();
    let address = serve(page_of(&registry)).await;
    let mut stream = sent(address, "/databases?live", "").await;
    let first = read_until(&mut stream, "event: at").await;
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    assert!(first.contains("cache-control: no-store"), "{first}");
    for id in ["summary", "binds", "tenants", "queries", "errors", "verification"] {
        assert!(first.contains(&format!("event: {id}\n")), "{id}: {first}");
    }
    read_until(&mut stream, "The database answers.").await;
    let session = registry.session::<Main>().await.expect("a session");
    let changed = read_until(&mut stream, "<dd data-figure=\"in-use\">1</dd>").await;
    assert!(!changed.contains("event: tenants"), "{changed}");
    drop(session);
}

#[tokio::test]
async fn stream_ends_when_the_registry_is_closed_and_lets_the_server_end() {
    let registry = registry();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = page_of(&registry).into_make_service_with_connect_info::<SocketAddr>();
    let ends = std::sync::Arc::new(Notify::new());
    let told = std::sync::Arc::clone(&ends);
    let server = tokio::spawn(async move {
        axum::serve(listener, service)
            .with_graceful_shutdown(async move { told.notified().await })
            .await
    });
    let mut stream = sent(address, "/databases?live", "").await;
    read_until(&mut stream, "event: at").await;
    ends.notify_one();
    registry.close().await;
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("it ends");
    assert!(rest.contains("event: closed"), "{rest}");
    assert!(rest.contains("The registry is closed."), "{rest}");
    server.await.expect("no panic").expect("it has ended");

    let mut late = tokio::net::TcpStream::connect(address).await;
    assert!(late.as_mut().is_err(), "the server has ended");
}

#[tokio::test]
async fn one_task_looks_for_all_viewers_and_ends_with_the_last() {
    let registry = registry();
    let address = serve(page_of(&registry)).await;
    // The tasks of the engine itself begin with its first connection.
    drop(registry.session::<Main>().await.expect("a session"));
    let before = tasks();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = sent(address, "/databases?live", "").await;
        read_until(&mut stream, "event: at").await;
        streams.push(stream);
    }
    // Those of the two connections, and one that looks for both. That of the verification ends by itself.
    eventually(|| tasks() == before + 3).await;
    drop(streams);
    eventually(|| tasks() == before).await;
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
