//! Closed connections from the server's point of view: each one sends a goodbye message.

use diesel_async::SimpleAsyncConnection;

use super::rig::{acquire, assert_answers, connect, number, registry};
use super::{CONNECTIONS, LOST, account, as_account, mortal};
use crate::support::proxy::soon;

#[tokio::test]
async fn every_connection_says_goodbye_to_the_server() {
    // On a server that no other test uses meanwhile, as its counters are server-wide.
    let server = mortal().await;
    let url = server.database("polite");
    let mut admin = connect(&url).await;
    for statement in account("polite", 50) {
        admin.batch_execute(&statement).await.expect("an admin may");
    }
    let polite = registry(&as_account(&url, "polite"), |bind| bind.max_connections(4));
    let lost = number(&mut admin, LOST).await;
    // A session with an open transaction, one in a task that panics, and one dropped on a thread without a runtime:
    // the connection of each is closed.
    let mut session = acquire(&polite).await.expect("a session");
    session.batch_execute("BEGIN").await.expect("begun");
    drop(session);
    let session = acquire(&polite).await.expect("a session");
    let panic = tokio::spawn(async move {
        let _session = session;
        panic!("a mistake of the program's");
    });
    panic.await.expect_err("it panics");
    let mut sessions = Vec::new();
    for number in 5..8 {
        let mut session = acquire(&polite).await.expect("a session");
        assert_answers(&mut session, number).await;
        sessions.push(session);
    }
    let apart = sessions.split_off(2);
    std::thread::spawn(move || drop(apart)).join().expect("no panic");
    let registry = polite.clone();
    let closing = tokio::spawn(async move { registry.close().await });
    drop(sessions);
    assert!(soon(closing).await.expect("no panic").is_complete());
    soon(async { while number(&mut admin, CONNECTIONS).await > 0 {} }).await;
    assert_eq!(number(&mut admin, LOST).await, lost);
}

#[tokio::test]
async fn idle_connections_closed_without_a_runtime_say_goodbye() {
    let server = mortal().await;
    let url = server.database("leaving");
    let mut admin = connect(&url).await;
    for statement in account("leaving", 50) {
        admin.batch_execute(&statement).await.expect("an admin may");
    }
    let lost = number(&mut admin, LOST).await;
    let leaving = registry(&as_account(&url, "leaving"), |bind| bind);
    drop((acquire(&leaving).await, acquire(&leaving).await));
    assert_eq!(leaving.status().engines[0].idle, 2);
    std::thread::spawn(move || drop(leaving)).join().expect("no panic");
    soon(async { while number(&mut admin, CONNECTIONS).await > 0 {} }).await;
    assert_eq!(number(&mut admin, LOST).await, lost);
}
