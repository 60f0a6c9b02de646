//! Closing a registry.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use registry_core::AcquireError;

use super::*;

#[tokio::test]
async fn closing_refuses_new_sessions_and_waits_for_lent_ones() {
    let registry = registry_with(|bind| bind.max_connections(1));
    let clone = registry.clone();
    let mut lent = registry.session_for::<Event>().await.expect("a session");
    let mut waiting = registry.session_for::<Event>();
    assert!(futures_util::poll!(&mut waiting).is_pending());

    let report = registry.close_within(Duration::from_millis(20)).await;
    assert!(!report.is_complete());
    assert_eq!(report.to_string(), "closed, with sessions still lent:\n  bind `default`: 1");
    assert!(matches!(waiting.await, Err(AcquireError::Closed { .. })));
    let error = clone.session_for::<Event>().await.expect_err("it is closed");
    assert_eq!(error.to_string(), "bind `default`: the registry is closed");

    lent.batch_execute("SELECT 1").await.expect("a lent session works to its end");
    let closing = tokio::spawn(async move { clone.close().await });
    tokio::task::yield_now().await;
    drop(lent);
    assert!(closing.await.expect("no panic").is_complete());
    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.idle), (0, 0));
}

#[tokio::test]
async fn closing_closes_idle_connections() {
    let registry = registry_with(|bind| bind.max_connections(2));
    let two = (
        registry.session_for::<Event>().await.expect("a session"),
        registry.session_for::<Event>().await.expect("a session"),
    );
    drop(two);
    assert_eq!(registry.status().engines[0].idle, 2);
    assert!(registry.close().await.is_complete());
    assert_eq!(registry.status().engines[0].idle, 0);
}
