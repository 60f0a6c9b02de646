//! Accounts whose connection limit is lower than that of the engine.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use futures_util::future::join_all;
use tokio::sync::Barrier;
use tokio::time::timeout;

use super::rig::{acquire, assert_answers, connect, registry};
use super::{SECOND, account, as_account, server};
use crate::support::proxy::{Proxy, soon};

const ALLOWED: usize = 3;

async fn url(name: &str, allowed: usize) -> String {
    let url = server().database(name);
    let mut admin = connect(&url).await;
    for statement in account(name, allowed) {
        admin.batch_execute(&statement).await.expect("an admin may");
    }
    as_account(&url, name)
}

#[tokio::test]
async fn engine_larger_than_its_accounts_limit_serves_every_caller() {
    let scarce = registry(&url("scarce", ALLOWED).await, |bind| bind.max_connections(10));
    let start = Arc::new(Barrier::new(30));
    let tasks = (0..30).map(|number| {
        let (registry, start) = (scarce.clone(), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            let mut session = acquire(&registry).await.expect("a session");
            assert_answers(&mut session, number).await;
        })
    });
    for task in join_all(tasks).await {
        task.expect("no panic");
    }
    let status = &scarce.status().engines[0];
    assert_eq!((status.in_use, status.waiting), (0, 0));
    assert!((1..=ALLOWED as u32).contains(&status.idle), "{}", status.idle);
    assert!(soon(scarce.close()).await.is_complete());
}

#[tokio::test]
async fn failed_warm_up_is_not_repeated_at_each_acquire() {
    let proxy = Proxy::before(server().port()).await;
    let url = proxy.url(&url("frugal", ALLOWED).await);
    let frugal = registry(&url, |bind| bind.max_connections(10).min_idle(5));
    for number in 0..200 {
        let mut session = acquire(&frugal).await.expect("a session");
        assert_answers(&mut session, number).await;
    }
    // Those that the account may have, and a few that were refused.
    assert!(proxy.accepted() < 20, "{}", proxy.accepted());
}

#[tokio::test]
async fn connection_that_the_server_still_counts_is_waited_for() {
    let lonely = registry(&url("counted", 1).await, |bind| bind.max_connections(1));
    for number in 0..4 {
        let mut session = acquire(&lonely).await.expect("a session");
        assert_answers(&mut session, number).await;
        // The connection is closed while the server still runs its statement.
        let statement = session.batch_execute(SECOND);
        timeout(Duration::from_millis(5), statement).await.expect_err("it takes a second");
    }
}
