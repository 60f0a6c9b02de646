//! Futures of a unit of work that are dropped at any of their await points, on each backend.

use std::future::Future;
use std::pin::pin;

use diesel::prelude::*;
use registry_core::{BindSettings, Error, Registry, RunQueryDsl, UnitOfWork, bind_tables};

use super::database;
use crate::support::{is_at_rest, run_sql};

diesel::table! {
    one (id) {
        id -> Integer,
    }
}
diesel::table! {
    other (id) {
        id -> Integer,
    }
}
bind_tables!(db = "default", connection = super::Backend; one);
bind_tables!(db = "analytics", connection = super::Backend; other);

type Left = <one::table as registry_core::Bound>::Bind;
type Right = <other::table as registry_core::Bound>::Bind;

async fn registry(urls: &[String; 2]) -> Registry {
    let settings = |url: &str| BindSettings::new(url).max_connections(1);
    let registry = Registry::builder()
        .bind("default", settings(&urls[0]))
        .bind("analytics", settings(&urls[1]))
        .build()
        .expect("good settings");
    run_sql::<Left>(&registry, "CREATE TABLE one (id INTEGER PRIMARY KEY NOT NULL)").await;
    run_sql::<Right>(&registry, "CREATE TABLE other (id INTEGER PRIMARY KEY NOT NULL)").await;
    registry
}

/// Does everything that a unit of work can do, and ends it with a commit or a rollback.
async fn everything(registry: &Registry, id: i32, commits: bool) -> Result<(), Error> {
    let mut work = registry.begin();
    diesel::insert_into(one::table).values(one::id.eq(id)).execute(&mut work).await?;
    work.savepoint(async |work| {
        diesel::insert_into(other::table).values(other::id.eq(id)).execute(&mut *work).await?;
        work.savepoint(async |work| {
            diesel::insert_into(one::table).values(one::id.eq(-id)).execute(work).await?;
            Err::<(), Error>(diesel::result::Error::RollbackTransaction.into())
        })
        .await
        .or_else(|_| Ok::<(), Error>(()))
    })
    .await?;
    if commits {
        work.commit().await?;
    } else {
        work.rollback().await?;
    }
    Ok(())
}

/// The same in a scope, by functions that take the current unit of work.
async fn in_scope(registry: &Registry, id: i32, commits: bool) -> Result<(), Error> {
    let outcome = registry
        .try_scope(async {
            let mut work = UnitOfWork::current().await?;
            diesel::insert_into(one::table).values(one::id.eq(id)).execute(&mut *work).await?;
            drop(work);
            let mut work = UnitOfWork::current().await?;
            diesel::insert_into(other::table).values(other::id.eq(id)).execute(&mut *work).await?;
            drop(work);
            if commits { Ok(()) } else { Err(diesel::result::Error::RollbackTransaction.into()) }
        })
        .await;
    if commits { outcome } else { Ok(()) }
}

/// Polls `future` at most `polls` times. `None`: it was dropped before it completed.
async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

async fn dropped_everywhere(scoped: bool, commits: bool) {
    let urls = [database(), database()];
    let registry = registry(&urls).await;
    let mut ends = 0;
    let mut dropped = 0;
    for polls in 0..200 {
        let id = i32::try_from(polls).expect("a small number") + 1;
        let done = if scoped {
            polled(in_scope(&registry, id, commits), polls).await
        } else {
            polled(everything(&registry, id, commits), polls).await
        };
        match done {
            Some(done) => {
                done.expect("done");
                ends += 1;
            }
            None => dropped += 1,
        }
        is_at_rest(&registry).await;
        // The only connection of each engine can be acquired and has no open transaction: neither one sees uncommitted
        // rows, and both can write.
        let seen = |count: i64| assert_eq!(count, 0, "after {polls} polls");
        seen(
            one::table
                .filter(one::id.eq(-id))
                .count()
                .get_result(&registry)
                .await
                .expect("a count"),
        );
        if !commits {
            seen(
                one::table
                    .filter(one::id.eq(id))
                    .count()
                    .get_result(&registry)
                    .await
                    .expect("a count"),
            );
            seen(
                other::table
                    .filter(other::id.eq(id))
                    .count()
                    .get_result(&registry)
                    .await
                    .expect("a count"),
            );
        }
        let id = 1_000 + id;
        diesel::insert_into(one::table)
            .values(one::id.eq(id))
            .execute(&registry)
            .await
            .expect("a row");
        diesel::insert_into(other::table)
            .values(other::id.eq(id))
            .execute(&registry)
            .await
            .expect("a row");
        if ends > 2 {
            break;
        }
    }
    assert!(ends > 2 && dropped > 0, "{ends} came to their end, {dropped} did not");
    for url in urls {
        assert!(!super::has_transaction(&url).await, "asked of the server");
    }
}

#[tokio::test]
async fn commit_dropped_at_any_await_leaves_no_transaction_open() {
    dropped_everywhere(false, true).await;
}

#[tokio::test]
async fn rollback_dropped_at_any_await_leaves_no_transaction_open() {
    dropped_everywhere(false, false).await;
}

#[tokio::test]
async fn scope_dropped_at_any_await_leaves_no_transaction_open() {
    dropped_everywhere(true, true).await;
}

#[tokio::test]
async fn failing_scope_dropped_at_any_await_leaves_no_transaction_open() {
    dropped_everywhere(true, false).await;
}
