//! Notifications that a borrower has received and not read.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use registry_core::ResetOnReturn;

use super::rig::{How, Rig, run, session};

/// Ways to receive a notification and leave it unread.
const LEAVE: [(&str, &[&str], &[&str]); 6] = [
    ("read from the socket", &["LISTEN acme"], &["SELECT 1"]),
    ("never read from the socket", &["LISTEN acme"], &[]),
    ("behind a comment", &["/* x */ LISTEN acme"], &["SELECT 1"]),
    ("no longer listened to", &["LISTEN acme"], &["SELECT 1", "UNLISTEN *"]),
    ("no longer listened to, by a reset of its own", &["LISTEN acme"], &["DISCARD ALL"]),
    ("in a transaction", &["BEGIN; LISTEN acme; COMMIT"], &["BEGIN", "SELECT 1"]),
];

async fn next_of(session: &mut super::rig::Session) -> Option<(String, String)> {
    let mut stream = Box::pin(session.notifications_stream());
    let next = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
    let next = next.expect("a notification is due")?.expect("no error");
    Some((next.channel, next.payload))
}

#[tokio::test]
async fn notification_reaches_the_borrower_that_listens() {
    let mut rig = Rig::new(&[]).await;
    let registry = rig.registry(|bind| bind);
    let mut session = session(&registry).await.expect("a session");
    run(&mut session, &["LISTEN acme"], How::Batch).await.expect("it may listen");
    rig.prepare("NOTIFY acme, 'mine'").await;
    assert_eq!(next_of(&mut session).await, Some(("acme".to_owned(), "mine".to_owned())));
}

#[tokio::test]
async fn unread_notification_never_reaches_the_next_borrower() {
    let mut rig = Rig::new(&[]).await;
    for reset in [ResetOnReturn::Auto, ResetOnReturn::Full] {
        for (what, listen, after) in LEAVE {
            let registry = rig.registry(|bind| bind.reset_on_return(reset));
            let mut first = session(&registry).await.expect("a session");
            run(&mut first, listen, How::Batch).await.expect("it may listen");
            rig.prepare("NOTIFY acme, 'secret'").await;
            run(&mut first, after, How::Batch).await.expect("statements");
            drop(first);
            let mut next = session(&registry).await.expect("a session");
            run(&mut next, &["LISTEN globex"], How::Batch).await.expect("it may listen");
            rig.prepare("NOTIFY globex, 'mine'").await;
            let received = next_of(&mut next).await;
            if received != Some(("globex".to_owned(), "mine".to_owned())) {
                rig.fault(format!("{reset:?}, {what}: {received:?}"));
            }
        }
    }
    rig.finish();
}

#[tokio::test]
async fn borrower_that_does_not_listen_receives_no_notification() {
    let mut rig = Rig::new(&[]).await;
    for reset in [ResetOnReturn::Auto, ResetOnReturn::Full] {
        let registry = rig.registry(|bind| bind.reset_on_return(reset));
        let mut first = session(&registry).await.expect("a session");
        run(&mut first, &["LISTEN acme"], How::Batch).await.expect("it may listen");
        rig.prepare("NOTIFY acme, 'secret'").await;
        run(&mut first, &["SELECT 1"], How::Batch).await.expect("a statement");
        drop(first);
        let mut next = session(&registry).await.expect("a session");
        rig.prepare("NOTIFY acme, 'another'").await;
        run(&mut next, &["SELECT 1"], How::Batch).await.expect("a statement");
        let waiting = Box::pin(next.notifications_stream()).next().now_or_never();
        if let Some(received) = waiting {
            rig.fault(format!("{reset:?}: {received:?}"));
        }
    }
    rig.finish();
}
