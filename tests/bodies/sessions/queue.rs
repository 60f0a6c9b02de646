//! The queue for an engine's connections.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use registry_core::AcquireError;

use super::*;
use crate::support::eventually;

#[tokio::test]
async fn returned_connection_is_lent_again() {
    let registry = registry_with(|bind| bind.max_connections(3));
    for _ in 0..5 {
        registry.session_for::<Event>().await.expect("a session");
    }
    let two = (
        registry.session_for::<Event>().await.expect("a session"),
        registry.session_for::<Event>().await.expect("a session"),
    );
    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.idle, status.max), (2, 0, 3));
    assert_eq!((status.direct, status.waited, status.timed_out), (7, 0, 0));
    drop(two);
    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.idle, status.max), (0, 2, 3));
}

#[tokio::test]
async fn timed_out_acquire_says_how_busy_the_engine_is() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let held = registry.session_for::<Event>().await.expect("a session");
    let limit = Duration::from_millis(30);
    let error = registry.session_for::<Event>().within(limit).await.expect_err("none is free");
    assert!(error.is_timeout() && error.is_transient());
    assert_eq!(
        error.to_string(),
        "bind `default`: timed out after 30ms waiting for a connection: 1/1 in use, 0 idle, 0 waiting; \
         the waiting task holds 1 of them itself: drop them before acquiring another"
    );
    assert_eq!(registry.status().engines[0].timed_out, 1);

    // The timed-out acquire has not taken a permit with it.
    drop(held);
    registry.session_for::<Event>().within(limit).await.expect("it is free again");
}

#[tokio::test]
async fn timed_out_acquire_does_not_blame_the_caller_for_sessions_of_others() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let (sender, lent) = tokio::sync::oneshot::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let other = tokio::spawn({
        let registry = registry.clone();
        async move {
            let session = registry.session_for::<Event>().await.expect("a session");
            sender.send(()).expect("somebody waits");
            ended.await.expect("it is told to end");
            drop(session);
        }
    });
    lent.await.expect("the other task has it");
    let limit = Duration::from_millis(30);
    let error = registry.session_for::<Event>().within(limit).await.expect_err("none is free");
    assert!(error.to_string().ends_with("0 waiting"), "{error}");
    end.send(()).expect("it waits");
    other.await.expect("no panic");
}

#[tokio::test]
async fn returned_session_goes_to_a_waiting_caller() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let held = registry.session_for::<Event>().await.expect("a session");
    let waiting = tokio::spawn({
        let registry = registry.clone();
        async move { registry.session_for::<Event>().await.map(|session| session.key().to_owned()) }
    });
    eventually(|| registry.status().engines[0].waiting == 1).await;
    drop(held);
    assert_eq!(waiting.await.expect("no panic").expect("a session"), "default");
    let status = &registry.status().engines[0];
    assert_eq!((status.waiting, status.direct, status.waited), (0, 1, 1));
}

#[tokio::test]
async fn abandoned_acquire_leaves_the_queue() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let held = registry.session_for::<Event>().await.expect("a session");
    for _ in 0..3 {
        let mut acquire = registry.session_for::<Event>();
        assert!(futures_util::poll!(&mut acquire).is_pending());
        assert_eq!(registry.status().engines[0].waiting, 1);
        drop(acquire);
        assert_eq!(registry.status().engines[0].waiting, 0);
    }
    drop(held);
    registry.session_for::<Event>().await.expect("it is free again");
}

#[tokio::test]
async fn full_queue_refuses_immediately() {
    let registry = registry_with(|bind| bind.max_connections(1).queue_limit(1));
    let held = registry.session_for::<Event>().await.expect("a session");
    let mut first = registry.session_for::<Event>();
    assert!(futures_util::poll!(&mut first).is_pending());
    let error = registry.session_for::<Event>().await.expect_err("the queue is full");
    assert!(matches!(error, AcquireError::QueueFull { limit: 1, .. }));
    assert_eq!(
        error.to_string(),
        "bind `default`: the connection queue is full: 1/1 (queue_limit) waiting"
    );
    assert!(error.is_transient() && !error.is_timeout());
    assert_eq!(registry.status().engines[0].waiting, 1);
    drop(held);
    first.await.expect("the first in the queue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_few_connections() {
    let registry = registry_with(|bind| bind.max_connections(4));
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let registry = registry.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    let mut session = registry.session_for::<Event>().await.expect("a session");
                    session.batch_execute("SELECT 1").await.expect("an answer");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.waiting, status.timed_out), (0, 0, 0));
    assert!((1..=4).contains(&status.idle), "{status:?}");
    assert_eq!(status.direct + status.waited, 320);
}
