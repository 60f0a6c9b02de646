//! Commits that fail: whether the transaction is retried.

use std::sync::atomic::{AtomicU32, Ordering};

use diesel::prelude::*;
use registry_core::{Bound, Error, Registry, RunQueryDsl, UnitOfWork, WorkOptions, bind_tables};

use crate::support::proxy::Proxy;
use crate::support::{postgres, run_sql};

use super::cut_commits::{CREATE_USERS, SLOW_COMMITS, cut_in_commit};

diesel::table! {
    users (id) {
        id -> Integer,
        friend -> Nullable<Integer>,
    }
}
bind_tables!(db = "default", backend = Postgres; users);

type Main = <users::table as Bound>::Bind;

/// A registry in whose database a user without an existing friend violates a constraint only at the commit.
async fn registry(url: &str) -> Registry {
    let registry = Registry::builder().bind("default", url).build().expect("good settings");
    run_sql::<Main>(&registry, CREATE_USERS).await;
    registry
}

/// Counts the users and adds one. Two concurrent transactions that do so cannot be serialized.
async fn add(work: &mut UnitOfWork, id: i32, friend: Option<i32>) -> Result<(), Error> {
    let _: i64 = users::table.count().get_result(&mut *work).await?;
    let row = (users::id.eq(id), users::friend.eq(friend));
    diesel::insert_into(users::table).values(row).execute(work).await?;
    Ok(())
}

async fn committed(registry: &Registry) -> Vec<i32> {
    users::table.select(users::id).order(users::id).load(registry).await.expect("rows")
}

/// The closure has returned `Ok` when the commit fails.
#[tokio::test]
async fn conflict_noticed_at_the_commit_is_retried() {
    let registry = registry(&postgres().database("work")).await;
    let runs = AtomicU32::new(0);
    let options = WorkOptions::new().serializable().retries(3);
    registry
        .transaction_with(options.clone(), async |work| {
            add(work, 1, None).await?;
            if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                let other = async |work: &mut UnitOfWork| add(work, 2, None).await;
                registry.transaction_with(options.clone(), other).await?;
            }
            Ok::<_, Error>(())
        })
        .await
        .expect("committed");
    assert_eq!(runs.swap(0, Ordering::SeqCst), 2);
    assert_eq!(committed(&registry).await, [1, 2]);
}

#[tokio::test]
async fn permanent_failure_of_a_commit_is_not_retried() {
    let registry = registry(&postgres().database("work")).await;
    let runs = AtomicU32::new(0);
    let outcome = registry.transaction_with(WorkOptions::new().retries(3), async |work| {
        runs.fetch_add(1, Ordering::SeqCst);
        add(work, 1, Some(-1)).await
    });
    assert!(matches!(outcome.await, Err(Error::Commit(error)) if error.is_rolled_back()));
    assert_eq!(runs.swap(0, Ordering::SeqCst), 1);
}

/// The connection breaks while the server runs the commit, which it completes.
#[tokio::test]
async fn commit_in_doubt_is_not_retried() {
    let database = postgres().database("work");
    let proxy = Proxy::before(postgres().port()).await;
    let registry = registry(&proxy.url(&database)).await;
    run_sql::<Main>(&registry, SLOW_COMMITS).await;
    let runs = AtomicU32::new(0);
    let run = registry.transaction_with(WorkOptions::new().retries(3), async |work| {
        let run = runs.fetch_add(1, Ordering::SeqCst) as i32;
        add(work, run, None).await
    });
    let outcome = cut_in_commit(&database, &proxy, run).await;
    assert!(matches!(outcome, Err(Error::Commit(error)) if error.in_doubt().is_some()));
    assert_eq!(runs.swap(0, Ordering::SeqCst), 1);
    assert_eq!(committed(&registry).await, [0], "the server had heard of it");
}

/// The connection was lost before the commit, so nothing on it was committed.
#[tokio::test]
async fn connection_lost_in_a_transaction_is_replaced_and_the_transaction_retried() {
    let database = postgres().database("work");
    let proxy = Proxy::before(postgres().port()).await;
    let registry = registry(&proxy.url(&database)).await;
    let runs = AtomicU32::new(0);
    registry
        .transaction_with(WorkOptions::new().retries(3), async |work| {
            add(work, 1, None).await?;
            if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                proxy.cut();
            }
            add(work, 2, None).await
        })
        .await
        .expect("committed");
    assert_eq!(runs.swap(0, Ordering::SeqCst), 2);
    assert_eq!(committed(&registry).await, [1, 2]);
}
