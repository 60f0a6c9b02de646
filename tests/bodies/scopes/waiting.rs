//! Waiting for the unit of work of a scope: for another task, and, as a deadlock, for the own one.

use registry_core::{AnyExecutor, Scope, WorkError};

use super::*;

#[tokio::test]
async fn second_request_of_a_task_for_its_work_is_an_error_and_no_deadlock() {
    let options =
        EngineOptions { acquire_timeout: Duration::from_millis(50), ..Default::default() };
    let builder = Registry::builder().options(options).bind("default", database());
    let registry = builder.build().expect("good settings");
    registry
        .scope(async {
            let _work = UnitOfWork::current().await.expect("the first");
            let error = UnitOfWork::current().await.expect_err("the second");
            assert!(matches!(error, WorkError::InUse { .. }), "{error}");
            assert!(!error.is_transient(), "{error}");
        })
        .await;
}

/// A registry with an `acquire_timeout` that is longer than any test takes.
async fn patient() -> Registry {
    registry_with(Duration::from_secs(120)).await
}

/// The limit for things that are due immediately, far below that `acquire_timeout`.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Asserts that the error is that of a task that waits for itself, and has the line where the task took the work.
fn is_for_itself(error: &WorkError, line: u32) {
    assert!(matches!(error, WorkError::InUse { held_by_caller: true, .. }), "{error}");
    assert!(!error.is_transient());
    let text = error.to_string();
    let place = format!("already, taken at {}:{line}:", file!());
    assert!(text.starts_with("this task has the unit of work of this scope"), "{text}");
    assert!(text.contains(&place), "{text}");
}

#[tokio::test]
async fn task_waiting_for_its_own_work_gets_an_error_with_the_place() {
    let registry = patient().await;
    let started = tokio::time::Instant::now();
    registry
        .scope(async {
            note(1).await.expect("a row");
            let work = UnitOfWork::current().await.expect("the first");
            let line = line!() - 1;
            let scope = Scope::current().expect("in one");
            is_for_itself(&UnitOfWork::current().await.expect_err("the second"), line);
            is_for_itself(&scope.work().await.expect_err("the second"), line);
            is_for_itself(&scope.rollback().await.expect_err("it is taken"), line);
            match scope.commit().await.expect_err("it is taken") {
                Error::Work(error) => is_for_itself(&error, line),
                error => panic!("{error}"),
            }
            match note(2).await.expect_err("a function that is called asks as well") {
                Error::Work(error) => is_for_itself(&error, line),
                error => panic!("{error}"),
            }
            // Each of several waits fails, and so does one inside a nested scope.
            let (one, two) = tokio::join!(UnitOfWork::current(), scope.work());
            is_for_itself(&one.expect_err("in vain"), line);
            is_for_itself(&two.expect_err("in vain"), line);
            let inner = registry.scope(scope.work()).await;
            is_for_itself(&inner.expect_err("in vain"), line);
            drop(work);
            note(3).await.expect("it is free again");
            scope.commit().await.expect("committed");
        })
        .await;
    assert!(started.elapsed() < AT_ONCE);
    assert_eq!(committed(&registry).await, [1, 3], "nothing was spoilt");
}

#[tokio::test]
async fn task_waiting_for_its_own_work_gets_the_error_within_an_outer_timeout() {
    let registry = patient().await;
    registry
        .scope(async {
            let _work = UnitOfWork::current().await.expect("the first");
            let line = line!() - 1;
            let second = tokio::time::timeout(AT_ONCE, UnitOfWork::current()).await;
            is_for_itself(&second.expect("told before").expect_err("the second"), line);
        })
        .await;
}

#[tokio::test]
async fn scope_that_returns_its_unit_of_work_is_not_committed() {
    let registry = patient().await;
    let returned = registry.try_scope(async {
        note(1).await?;
        Ok::<_, Error>(UnitOfWork::current().await?)
    });
    let line = line!() - 2;
    let outcome = tokio::time::timeout(AT_ONCE, returned).await.expect("told before");
    match outcome.expect_err("it is still in use") {
        Error::Work(error) => is_for_itself(&error, line),
        error => panic!("{error}"),
    }
    is_at_rest(&registry).await;
    assert_eq!(committed(&registry).await, Vec::<i32>::new());
}

/// The holder of the unit of work may pause for longer than it takes to detect a task that waits for itself.
#[tokio::test]
async fn concurrent_futures_of_a_task_wait_for_each_other() {
    let registry = patient().await;
    let slowly = async |id: i32| {
        let mut work = UnitOfWork::current().await?;
        diesel::insert_into(notes::table).values(notes::id.eq(id)).execute(&mut *work).await?;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let seen: i64 = notes::table.count().get_result(&mut *work).await?;
        Ok::<_, Error>(seen)
    };
    let both = async { tokio::try_join!(slowly(1), slowly(2)) };
    registry.try_scope(both).await.expect("committed");
    let three = futures_util::future::try_join_all([slowly(3), slowly(4), slowly(5)]);
    registry.try_scope(three).await.expect("committed");
    let many: futures_util::stream::FuturesUnordered<_> =
        [slowly(6), slowly(7)].into_iter().collect();
    let each = futures_util::TryStreamExt::try_collect::<Vec<i64>>(many);
    registry.try_scope(each).await.expect("committed");
    assert_eq!(committed(&registry).await, [1, 2, 3, 4, 5, 6, 7]);
}

/// Also if both futures are woken at the same time and the waiting one is polled first, and for longer than any limit
/// of the detection of a task that waits for itself.
#[tokio::test]
async fn futures_that_wake_together_wait_for_each_other() {
    let registry = patient().await;
    let gate = tokio::sync::Notify::new();
    let (gate, long) = (&gate, Duration::from_millis(6500));
    let both = registry.try_scope(async {
        let slow = async {
            let mut work = UnitOfWork::current().await?;
            gate.notified().await;
            tokio::time::sleep(long).await;
            diesel::insert_into(notes::table).values(notes::id.eq(1)).execute(&mut *work).await?;
            Ok::<_, Error>(())
        };
        let quick = async {
            gate.notified().await;
            note(2).await
        };
        tokio::try_join!(slow, quick)
    });
    let opens = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.notify_waiters();
    };
    // A second pair in the opposite order, so that in one of the pairs the waiting future is polled first.
    let other = registry.try_scope(async {
        let work = UnitOfWork::current().await?;
        let beside = async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(work);
            Ok(())
        };
        tokio::try_join!(note(3), beside)
    });
    let (both, other, ()) = tokio::join!(both, other, opens);
    both.expect("committed");
    other.expect("committed");
    assert_eq!(committed(&registry).await, [1, 2, 3]);
}

/// A task that the unit of work was moved to is its holder once it has run a query, on any executor.
#[tokio::test]
async fn task_that_waits_for_the_work_in_its_own_executor_gets_an_error_at_once() {
    let registry = patient().await;
    let started = tokio::time::Instant::now();
    registry
        .scope(async {
            let scope = Scope::current().expect("in one");
            let mut work = scope.work().await.expect("it is free");
            let line = line!() - 1;
            let mut on: AnyExecutor<'_, Main> = (&mut work).into();
            let waiting = async {
                let count: i64 = notes::table.count().get_result(&mut on).await.expect("a count");
                assert_eq!(count, 0);
                scope.work().await
            };
            is_for_itself(&waiting.await.expect_err("in vain"), line);
            let row = diesel::insert_into(notes::table).values(notes::id.eq(1));
            row.execute(&mut on).await.expect("a row");
            drop(work);
            scope.commit().await.expect("committed");
        })
        .await;
    assert!(started.elapsed() < AT_ONCE);
    assert_eq!(committed(&registry).await, [1]);
}

/// The future or task that the unit of work was moved to is its holder.
#[tokio::test]
async fn current_work_can_be_moved_to_another_future_or_task() {
    let registry = patient().await;
    let insert = async |work: &mut UnitOfWork, id: i32| {
        let row = diesel::insert_into(notes::table).values(notes::id.eq(id));
        row.execute(work).await.expect("a row");
    };
    registry
        .try_scope(async {
            let mut work = UnitOfWork::current().await?;
            let task = tokio::spawn(async move {
                insert(&mut work, 1).await;
                tokio::time::sleep(Duration::from_millis(1500)).await;
                insert(&mut work, 2).await;
            });
            note(3).await?;
            task.await.expect("no panic");
            let mut work = UnitOfWork::current().await?;
            let beside = async move {
                insert(&mut work, 4).await;
                tokio::time::sleep(Duration::from_millis(1500)).await;
                insert(&mut work, 5).await;
            };
            // The future that asks is polled first.
            let (asked, ()) = tokio::join!(biased; note(6), beside);
            asked
        })
        .await
        .expect("committed");
    assert_eq!(committed(&registry).await, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn wait_for_work_of_another_task_times_out_as_transient_with_the_place() {
    let registry = registry().await;
    let scope = registry.new_scope();
    let (has_it, told) = tokio::sync::oneshot::channel();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let other = tokio::spawn({
        let scope = scope.clone();
        async move {
            let _work = scope.work().await.expect("it is free");
            has_it.send(line!() - 1).expect("somebody waits");
            let _ = released.await;
        }
    });
    let line = told.await.expect("it has it");
    let error = scope.work().await.expect_err("another task has it");
    let text = format!("was in use for 2s, taken at {}:{line}:", file!());
    assert!(error.to_string().contains(&text), "{error}");
    assert!(error.is_transient());
    release.send(()).expect("it waits");
    other.await.expect("no panic");
}

/// The deadlock goes through another task, so it is not detected before the time-out.
#[tokio::test]
async fn deadlock_with_an_awaited_task_is_not_transient() {
    let registry = registry().await;
    let error = registry.scope(async {
        let _work = UnitOfWork::current().await.expect("it is free");
        let (line, scope) = (line!() - 1, Scope::current().expect("in one"));
        let asks = async move { scope.enter(UnitOfWork::current()).await.map(drop) };
        (line, tokio::spawn(asks).await.expect("no panic").expect_err("in vain"))
    });
    let (line, error) = error.await;
    let place = format!("which has done nothing with it, taken at {}:{line}:", file!());
    assert!(error.to_string().contains(&place), "{error}");
    assert!(matches!(error, WorkError::InUse { held_by_caller: false, is_kept: true, .. }));
    assert!(!error.is_transient());
}

/// The holder, in the same task or in another one, runs a statement for longer than the time-out of the waiting one.
#[tokio::test]
async fn wait_for_a_running_statement_times_out_as_transient() {
    let sleep = match NAME {
        "postgres" => "SELECT pg_sleep(4)",
        "mysql" => "SELECT SLEEP(4)",
        _ => return,
    };
    let registry = registry().await;
    registry
        .scope(async {
            let slow = async {
                let mut work = UnitOfWork::current().await.expect("it is free");
                let session = work.session::<Main>().await.expect("a session");
                session.batch_execute(sleep).await.expect("an answer");
            };
            let scope = Scope::current().expect("in one");
            let other = async {
                tokio::task::yield_now().await;
                let asks = async move { scope.enter(UnitOfWork::current()).await.map(drop) };
                tokio::spawn(asks).await.expect("no panic").expect_err("in use")
            };
            let beside = async {
                tokio::task::yield_now().await;
                UnitOfWork::current().await.map(drop).expect_err("in use")
            };
            let ((), other, beside) = tokio::join!(slow, other, beside);
            assert!(other.is_transient(), "{other}");
            assert!(beside.is_transient(), "{beside}");
        })
        .await;
}
