//! When a scope and its unit of work begin and end.

use registry_core::{Scope, WorkError};

use super::*;

#[tokio::test]
async fn everything_in_a_scope_shares_one_unit_of_work() {
    let registry = registry().await;
    registry
        .scope(async {
            assert_eq!(registry.status().engines[0].in_use, 0, "begun on first use");
            note(1).await.expect("a row");
            let (one, two) = tokio::join!(note(2), note(3));
            one.expect("a row");
            two.expect("a row");
            assert_eq!(seen().await.expect("a count"), 3);
            assert_eq!(registry.status().engines[0].in_use, 1);
            let done = Scope::current().expect("in one").commit().await.expect("committed");
            assert_eq!(done.keys.len(), 1);
        })
        .await;
    assert_eq!(committed(&registry).await, [1, 2, 3]);
}

#[tokio::test]
async fn uncommitted_work_is_rolled_back_at_the_end_of_a_scope() {
    let registry = registry().await;
    let value = registry
        .scope(async {
            note(1).await.expect("a row");
            Scope::current().expect("in one").commit().await.expect("committed");
            note(2).await.expect("a row of the next");
            7
        })
        .await;
    assert_eq!(value, 7);
    assert_eq!(registry.status().engines[0].in_use, 0, "it waited for the rollback");
    assert_eq!(committed(&registry).await, [1]);
}

#[tokio::test]
async fn try_scope_commits_on_ok_and_rolls_back_on_err() {
    let registry = registry().await;
    registry.try_scope(note(1)).await.expect("committed");
    let failed = registry
        .try_scope(async {
            note(2).await?;
            Err::<(), Error>(diesel::result::Error::NotFound.into())
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(committed(&registry).await, [1]);
}

#[tokio::test]
async fn nested_scopes_have_separate_units_of_work() {
    let registry = registry().await;
    registry
        .scope(async {
            assert_eq!(seen().await.expect("a count"), 0);
            Scope::current().expect("in one").rollback().await.expect("nothing was written");
            registry.try_scope(note(1)).await.expect("committed by itself");
            note(2).await.expect("a row");
        })
        .await;
    assert_eq!(committed(&registry).await, [1], "the outer one was rolled back");
}

#[tokio::test]
async fn current_work_outside_a_scope_is_an_error() {
    let error = UnitOfWork::current().await.expect_err("there is none");
    assert!(matches!(error, WorkError::NoScope));
    assert_eq!(error.to_string(), "this task is in no scope, and has no current unit of work");
    assert!(Scope::current().is_err());
    assert!(matches!(note(1).await, Err(Error::Work(WorkError::NoScope))));
}

#[tokio::test]
async fn spawned_task_is_in_no_scope_until_it_enters_one() {
    let registry = registry().await;
    registry
        .try_scope(async {
            note(1).await?;
            let alone = tokio::spawn(note(2)).await.expect("no panic");
            assert!(matches!(alone, Err(Error::Work(WorkError::NoScope))));
            let scope = Scope::current()?;
            let handed = tokio::spawn(async move { scope.enter(note(3)).await });
            handed.await.expect("no panic")
        })
        .await
        .expect("committed");
    assert_eq!(committed(&registry).await, [1, 3]);
}

#[tokio::test]
async fn dropped_scope_future_is_rolled_back() {
    let registry = registry().await;
    let endless = registry.scope(async {
        note(1).await.expect("a row");
        std::future::pending::<()>().await
    });
    assert!(tokio::time::timeout(Duration::from_millis(200), endless).await.is_err());
    is_at_rest(&registry).await;
    assert_eq!(committed(&registry).await, Vec::<i32>::new());
    assert_eq!(registry.status().engines[0].idle, 1, "its connection was kept");
}

#[tokio::test]
async fn ended_scope_commits_nothing() {
    let registry = registry().await;
    let scope = registry
        .scope(async {
            note(1).await.expect("a row");
            Scope::current().expect("in one")
        })
        .await;
    assert!(matches!(scope.work().await, Err(WorkError::ScopeEnded)));
    assert!(scope.commit().await.is_err());
    // A task that holds the unit of work at the end of the scope cannot commit it afterwards.
    let (held, ended) = (tokio::sync::oneshot::channel(), tokio::sync::oneshot::channel::<()>());
    let task = registry
        .scope(async {
            let scope = Scope::current().expect("in one");
            let (has_it, may_go) = (held.0, ended.1);
            let task = tokio::spawn(async move {
                let mut work = scope.work().await.expect("it is free");
                has_it.send(()).expect("somebody waits");
                may_go.await.expect("told");
                let row = diesel::insert_into(notes::table).values(notes::id.eq(2));
                row.execute(&mut *work).await.expect("a row");
                drop(work);
                scope.commit().await
            });
            held.1.await.expect("told");
            Some(task)
        })
        .await
        .expect("the task");
    ended.0.send(()).expect("it waits");
    assert!(task.await.expect("no panic").is_err());
    is_at_rest(&registry).await;
    assert_eq!(committed(&registry).await, Vec::<i32>::new());
}

#[tokio::test]
async fn scopes_can_be_keyed_by_something_else_than_the_task() {
    tokio::task_local! { static REQUEST: u32; }
    let registry = registry().await;
    let scopes = registry.scopes_by(|| REQUEST.with(|number| *number));
    let in_request = async |request: u32, id: i32| {
        REQUEST
            .scope(request, async {
                let mut work = scopes.current().work().await.expect("a unit of work");
                // Committed one after the other, as SQLite has one writer at a time.
                let row = diesel::insert_into(notes::table).values(notes::id.eq(id));
                row.execute(&mut *work).await.expect("a row");
            })
            .await;
    };
    in_request(1, 1).await;
    in_request(1, 2).await;
    REQUEST.scope(1, async { scopes.current().commit().await }).await.expect("committed");
    in_request(2, 3).await;
    REQUEST.scope(2, scopes.remove()).await;
    in_request(2, 4).await;
    REQUEST.scope(2, async { scopes.current().commit().await }).await.expect("committed");
    REQUEST.scope(1, scopes.remove()).await;
    assert_eq!(committed(&registry).await, [1, 2, 4]);
}

/// A task that waits for the unit of work when the scope ends gets an error, and the work is rolled back.
#[tokio::test]
async fn scope_that_ends_while_another_task_waits_is_rolled_back() {
    let registry = registry().await;
    let (task, stop) = registry
        .scope(async {
            note(1).await.expect("a row");
            let work = UnitOfWork::current().await.expect("it is free");
            let scope = Scope::current().expect("in one");
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let task = tokio::spawn(async move {
                let outcome = scope.work().await.map(drop);
                // The task continues, with its handle to the scope.
                let _ = stopped.await;
                drop(scope);
                outcome
            });
            tokio::task::yield_now().await;
            drop(work);
            (Some(task), stop)
        })
        .await;
    is_at_rest(&registry).await;
    stop.send(()).expect("it waits");
    let outcome = task.expect("spawned").await.expect("no panic");
    assert!(matches!(outcome, Err(WorkError::ScopeEnded)));
    assert_eq!(committed(&registry).await, Vec::<i32>::new());
}
