//! How `examples/web.rs` ends by a signal.

use diesel::connection::SimpleConnection;
use diesel::dsl::exists;
use diesel::prelude::*;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Answer;
use crate::example::Example;
use crate::support::proxy::soon;

const BODY: &str = r#"{"flights": 999999}"#;

diesel::table! {
    routes (origin, destination) {
        origin -> Text,
        destination -> Text,
        flights -> Integer,
    }
}

/// A request whose handler runs, and waits for the body.
async fn in_flight(example: &Example) -> TcpStream {
    let mut stream = TcpStream::connect(&example.address).await.expect("it listens");
    let head = format!(
        "PUT /routes/ATL/XNA HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        example.address,
        BODY.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    // The server asks for the body when the handler reads it.
    let mut asked = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut asked).await.expect("an answer");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// Waits until nobody listens any more, which is when the signal has been noticed.
async fn refused(example: &Example) {
    let refused = async {
        while TcpStream::connect(&example.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon(refused).await;
}

async fn drains_by(signal: Signal) {
    let example = Example::started().await;
    let mut routes = example.routes();
    routes.batch_execute("BEGIN IMMEDIATE").expect("nobody writes");
    let mut request = in_flight(&example).await;
    example.signal(signal);
    refused(&example).await;
    // The query of the request waits for the lock.
    request.write_all(BODY.as_bytes()).await.expect("sent");
    routes.batch_execute("ROLLBACK").expect("it has a transaction");
    assert_eq!(Answer::read_from(request).await.status, 204);
    let added = routes::table.filter(routes::flights.eq(999_999));
    assert!(diesel::select(exists(added)).get_result::<bool>(&mut routes).expect("an answer"));
    let (code, printed) = example.end().await;
    assert_eq!(
        (code, printed.as_str()),
        (Some(0), "stopping: requests in flight have 5s; another signal ends it at once\n")
    );
}

#[tokio::test]
async fn web_example_answers_what_is_in_flight_when_it_is_terminated() {
    drains_by(Signal::SIGTERM).await;
}

#[tokio::test]
async fn web_example_answers_what_is_in_flight_when_it_is_interrupted() {
    drains_by(Signal::SIGINT).await;
}

#[tokio::test]
async fn web_example_ends_without_a_request_that_does_not() {
    let example = Example::started().await;
    let request = in_flight(&example).await;
    example.signal(Signal::SIGTERM);
    let (code, printed) = example.end().await;
    assert_eq!(code, Some(0));
    assert!(printed.ends_with("\nlate: requests were still in flight after 5s\n"), "{printed}");
    drop(request);
}

#[tokio::test]
async fn a_second_signal_ends_the_web_example_at_once() {
    let example = Example::started().await;
    let request = in_flight(&example).await;
    example.signal(Signal::SIGTERM);
    refused(&example).await;
    example.signal(Signal::SIGINT);
    let (code, printed) = example.end().await;
    assert_eq!(code, Some(130));
    assert!(!printed.contains("late"), "it did not wait: {printed}");
    drop(request);
}
