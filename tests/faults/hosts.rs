//! Several hosts in a URL, of which the first is reachable and does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use registry_core::{BindSettings, Postgres, Registry};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::postgres;

const CONNECT: Duration = Duration::from_secs(4);

/// Listens on a port, accepts connections, sends `words` on each, and then nothing more.
async fn silent(words: &'static [u8]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            client.write_all(words).await.expect("room for a few bytes");
            held.push(client);
        }
    });
    (port, accepted)
}

/// A port whose accept queue is full, so that the kernel drops the packets of new connections.
async fn full() -> (u16, TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("bound");
    let mut held = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        held.push(connected.expect("a connection that is not accepted yet"));
        assert!(held.len() < 100, "its backlog has no end");
    }
    (address.port(), listener, held)
}

fn registry(first: u16) -> Registry {
    let url = postgres().database("second");
    let second = format!("127.0.0.1:{}", postgres().port());
    let url = url.replacen(&second, &format!("127.0.0.1:{first},{second}"), 1);
    let bind = BindSettings::new(url).connect_timeout(CONNECT).acquire_timeout(CONNECT * 2);
    Registry::builder().bind("default", bind).build().expect("good settings")
}

/// The second host is reached within `connect_timeout`, and the first is not tried again for a while.
async fn assert_second_is_reached(first: u16) {
    let registry = registry(first);
    let acquire = || registry.session_by_key::<Postgres>("default");
    let one = acquire().await.expect("a session of the second host");
    let started = Instant::now();
    let two = acquire().await.expect("a session of the second host");
    assert!(started.elapsed() < CONNECT / 2, "the first one was waited for again");
    drop((one, two));
}

#[tokio::test]
async fn silent_host_leaves_time_for_the_next() {
    let (port, accepted) = silent(b"").await;
    assert_second_is_reached(port).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn host_that_sends_half_a_message_leaves_time_for_the_next() {
    let (port, accepted) = silent(b"R\0\0").await;
    assert_second_is_reached(port).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn host_that_drops_packets_leaves_time_for_the_next() {
    let (port, _listener, _held) = full().await;
    assert_second_is_reached(port).await;
}
