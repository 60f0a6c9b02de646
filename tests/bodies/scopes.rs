//! Scopes: the current unit of work of a task, on each backend.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{
    EngineOptions, Error, Registry, RunQueryDsl, Scope, UnitOfWork, WorkError, WorkOptions,
    bind_tables,
};
use tokio::sync::Notify;

use super::{NAME, database};
use crate::support::eventually;
use crate::support::log::own_log;

diesel::table! {
    notes (id) {
        id -> Integer,
    }
}
diesel::table! {
    #[sql_name = "notes"]
    others (id) {
        id -> Integer,
    }
}
bind_tables!(db = "default", connection = super::Backend; notes);
bind_tables!(db = "other", connection = super::Backend; others);

type Main = <notes::table as registry_core::Bound>::Bind;

async fn registry() -> Registry {
    let options = EngineOptions { acquire_timeout: Duration::from_secs(2), ..Default::default() };
    let builder = Registry::builder().options(options).bind("default", database());
    let registry = builder.build().expect("good settings");
    let mut session = registry.session::<Main>().await.expect("a session");
    let create = "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL)";
    session.batch_execute(create).await.expect("a table");
    registry
}

/// What a function deep in a program does, which is handed nothing.
async fn note(id: i32) -> Result<(), Error> {
    let mut work = UnitOfWork::current().await?;
    diesel::insert_into(notes::table).values(notes::id.eq(id)).execute(&mut *work).await?;
    Ok(())
}

async fn seen() -> Result<i64, Error> {
    let mut work = UnitOfWork::current().await?;
    notes::table.count().get_result(&mut *work).await
}

async fn committed(registry: &Registry) -> Vec<i32> {
    notes::table.select(notes::id).order(notes::id).load(registry).await.expect("rows")
}

async fn is_at_rest(registry: &Registry) {
    eventually(|| registry.status().engines[0].in_use == 0).await;
}

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
async fn what_is_left_open_is_rolled_back_at_the_end() {
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
async fn a_scope_that_may_fail_commits_what_went_well() {
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
async fn nested_scopes_have_each_their_own() {
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
async fn outside_of_a_scope_there_is_an_error_and_no_panic() {
    let error = UnitOfWork::current().await.expect_err("there is none");
    assert!(matches!(error, WorkError::NoScope));
    assert_eq!(error.to_string(), "this task is in no scope, and has no current unit of work");
    assert!(Scope::current().is_err());
    assert!(matches!(note(1).await, Err(Error::Work(WorkError::NoScope))));
}

#[tokio::test]
async fn a_spawned_task_is_in_no_scope_unless_it_is_handed_one() {
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
async fn a_scope_whose_future_is_dropped_is_rolled_back() {
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
async fn after_the_end_of_a_scope_nothing_is_committed_in_it() {
    let registry = registry().await;
    let scope = registry
        .scope(async {
            note(1).await.expect("a row");
            Scope::current().expect("in one")
        })
        .await;
    assert!(matches!(scope.work().await, Err(WorkError::ScopeEnded)));
    assert!(scope.commit().await.is_err());
    // Whoever has the unit of work at the end can do nothing with it afterwards.
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
async fn asking_twice_in_one_task_is_an_error_and_no_deadlock() {
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

/// A registry whose patience is longer than any test's.
async fn patient() -> Registry {
    let options = EngineOptions { acquire_timeout: Duration::from_secs(120), ..Default::default() };
    let builder = Registry::builder().options(options).bind("default", database());
    let registry = builder.build().expect("good settings");
    let mut session = registry.session::<Main>().await.expect("a session");
    let create = "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL)";
    session.batch_execute(create).await.expect("a table");
    registry
}

/// Far longer than it takes, and far shorter than the patience.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Asserts that it is the error of somebody who waits for itself, and names the line.
fn is_for_itself(error: &WorkError, line: u32) {
    assert!(matches!(error, WorkError::InUse { held_by_caller: true, .. }), "{error}");
    assert!(!error.is_transient());
    let text = error.to_string();
    let place = format!("already, taken at {}:{line}:", file!());
    assert!(text.starts_with("this task has the unit of work of this scope"), "{text}");
    assert!(text.contains(&place), "{text}");
}

#[tokio::test]
async fn whoever_would_wait_for_itself_is_told_at_once_and_why() {
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
            // Several that wait wait all in vain, and so does who waits in a scope inside of it.
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
async fn whoever_would_wait_for_itself_is_told_within_a_time_out_of_its_own() {
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
async fn a_scope_that_returns_its_unit_of_work_is_not_committed() {
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

/// Whoever has the unit of work may wait for anything, for longer than those have to wait who wait in vain.
#[tokio::test]
async fn those_beside_each_other_wait_for_each_other() {
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

/// Also if one wakes together with the other, in the middle of what it does, and is polled first; for longer than any
/// of the times after which somebody is said to wait for itself.
#[tokio::test]
async fn those_that_wake_together_wait_for_each_other() {
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
    // One of them is polled before the other, whichever way round they are.
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

/// What was handed the unit of work has it, be it beside the one who asks or in another task.
#[tokio::test]
async fn a_unit_of_work_may_be_handed_on() {
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
            // The one who asks is polled first.
            let (asked, ()) = tokio::join!(biased; note(6), beside);
            asked
        })
        .await
        .expect("committed");
    assert_eq!(committed(&registry).await, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn who_waits_for_somebody_else_hears_who_that_is_and_may_try_again() {
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

/// Be it by way of another task: nobody can tell before the end of the time what the scope waits for.
#[tokio::test]
async fn who_awaits_another_task_that_waits_for_it_is_not_told_to_try_again() {
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

/// Of one task or of two: the one that has the unit of work is at a statement for longer than that is waited for.
#[tokio::test]
async fn who_waits_for_a_statement_may_try_again() {
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

/// Two binds, and tenants of a third, in one database each.
async fn divided() -> Registry {
    let builder = Registry::builder().bind("default", database()).bind("other", database());
    let registry = builder.build().expect("good settings");
    for key in ["default", "other"] {
        let session = registry.session_by_key::<super::Backend>(key).await;
        let create = "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL)";
        session.expect("a session").batch_execute(create).await.expect("a table");
    }
    registry
}

/// A debug build and a release build say the same.
#[tokio::test]
async fn queries_beside_the_unit_of_work_of_a_scope_are_warned_of_with_their_place() {
    let (log, _guard) = own_log();
    let registry = divided().await;
    let tenant = registry.tenant("acme").expect("a name");
    let warnings = |line: u32| {
        let place = format!("scopes.rs:{line}:");
        let lines = log.lines_with(&place);
        lines.iter().filter(|line| line.contains("WARN registry:")).cloned().collect::<Vec<_>>()
    };
    let all = || notes::table.select(notes::id);
    let (outside, rows) = (line!(), all().load::<i32>(&registry));
    rows.await.expect("rows");
    assert!(warnings(outside).is_empty());
    registry
        .scope(async {
            // Even if there is nothing in the unit of work yet.
            for _ in 0..2 {
                let (line, rows) = (line!(), all().load::<i32>(&registry));
                rows.await.expect("rows");
                let told = warnings(line);
                assert_eq!(told.len(), 1, "once for each place: {told:?}");
                assert!(told[0].contains("no part of its unit of work"), "{told:?}");
                assert!(told[0].contains("bind=\"default\""), "{told:?}");
                let (line, rows) = (line!(), all().load::<i32>(&tenant));
                rows.await.expect("rows");
                assert_eq!(warnings(line).len(), 1);
                let (line, rows) = (line!(), others::table.load::<(i32,)>(&registry));
                rows.await.expect("rows");
                assert!(warnings(line)[0].contains("bind=\"other\""));
                seen().await.expect("a count");
            }
            // What is in the unit of work is right, and so is a session that is asked for.
            let mut work = UnitOfWork::current().await.expect("it is free");
            let (line, rows) = (line!(), all().load::<i32>(&mut *work));
            rows.await.expect("rows");
            assert!(warnings(line).is_empty());
            drop(work);
            let mut session = registry.session::<Main>().await.expect("a session");
            let (line, rows) = (line!(), all().load::<i32>(&mut session));
            rows.await.expect("rows");
            assert!(warnings(line).is_empty());
            // Another registry has nothing to do with this scope.
            let another = divided().await;
            let (line, rows) = (line!(), all().load::<i32>(&another));
            rows.await.expect("rows");
            assert!(warnings(line).is_empty());
        })
        .await;
}

/// Outside of a scope, which takes longer to find out.
#[cfg(debug_assertions)]
#[tokio::test]
async fn queries_beside_a_unit_of_work_are_warned_of_whichever_bind() {
    let (log, _guard) = own_log();
    let registry = divided().await;
    let warnings = |line: u32| log.lines_with(&format!("scopes.rs:{line}:"));
    let mut work = registry.begin();
    let (line, rows) = (line!(), others::table.load::<(i32,)>(&registry));
    rows.await.expect("rows");
    assert!(warnings(line).is_empty(), "nothing was touched");
    notes::table.load::<(i32,)>(&mut work).await.expect("rows");
    for _ in 0..2 {
        let (line, rows) = (line!(), others::table.load::<(i32,)>(&registry));
        rows.await.expect("rows");
        assert_eq!(warnings(line).len(), 1);
        assert!(warnings(line)[0].contains("by a task that has a unit of work"));
    }
    // Another task has none.
    let other = registry.clone();
    let elsewhere = tokio::spawn(async move {
        let (line, rows) = (line!(), others::table.load::<(i32,)>(&other));
        rows.await.expect("rows");
        line
    });
    assert!(warnings(elsewhere.await.expect("no panic")).is_empty());
    work.rollback().await.expect("told");
    let (line, rows) = (line!(), others::table.load::<(i32,)>(&registry));
    rows.await.expect("rows");
    assert!(warnings(line).is_empty(), "it is over");
}

/// Where it was begun, which may be far from where it was forgotten.
#[tokio::test]
async fn a_unit_of_work_that_is_forgotten_is_told_of_with_the_place_of_its_begin() {
    let (log, _guard) = own_log();
    let registry = divided().await;
    let tenant = registry.tenant("acme").expect("a name");
    let told = || log.lines_with("was dropped without a commit or a rollback");
    let insert = async |work: &mut UnitOfWork, id: i32| {
        diesel::insert_into(notes::table).values(notes::id.eq(id)).execute(&mut *work).await?;
        diesel::insert_into(others::table).values(others::id.eq(id)).execute(work).await
    };
    let first = line!() + 2;
    let begun = [
        registry.begin(),
        registry.begin_with(WorkOptions::new()),
        tenant.begin(),
        tenant.begin_with(WorkOptions::new()),
    ];
    for (at, mut work) in begun.into_iter().enumerate() {
        insert(&mut work, at as i32).await.expect("two rows");
        drop(work);
        is_at_rest(&registry).await;
        let told = told();
        assert_eq!(told.len(), at + 1, "{told:?}");
        let place = format!("began={}:{}:", file!(), first + at as u32);
        assert!(told[at].contains("DEBUG registry:") && told[at].contains(&place), "{told:?}");
        assert!(told[at].contains("touched=`default`, `other`"), "{told:?}");
    }
    // The future of a transaction that is dropped, and that of a scope.
    let touched = Notify::new();
    let line = line!() + 1;
    let endless = registry.transaction(async |work| {
        insert(work, 1).await?;
        touched.notify_one();
        std::future::pending::<Result<(), Error>>().await
    });
    tokio::select! {
        _ = endless => panic!("it has no end"),
        () = touched.notified() => {}
    }
    assert!(told()[4].contains(&format!("began={}:{line}:", file!())));
    is_at_rest(&registry).await;
    let line = line!() + 1;
    let endless = registry.scope(async {
        insert(&mut *UnitOfWork::current().await.expect("it is free"), 1).await.expect("two rows");
        touched.notify_one();
        std::future::pending::<()>().await
    });
    tokio::select! {
        () = endless => panic!("it has no end"),
        () = touched.notified() => {}
    }
    assert!(told()[5].contains(&format!("began={}:{}:", file!(), line + 1)));
    assert!(told()[5].contains(&format!("scope={}:{line}:", file!())));
    is_at_rest(&registry).await;
    // Nothing was touched, or somebody has said what is to become of it.
    drop(registry.begin());
    let mut work = registry.begin();
    insert(&mut work, 1).await.expect("two rows");
    work.rollback().await.expect("told");
    let refused = registry.transaction(async |work| {
        insert(work, 1).await?;
        Err::<(), Error>(diesel::result::Error::RollbackTransaction.into())
    });
    refused.await.expect_err("its own");
    registry.scope(note(1)).await.expect("rolled back at its end");
    registry.try_scope(note(1)).await.expect("committed");
    assert_eq!(told().len(), 6);
}

#[tokio::test]
async fn scopes_may_go_by_another_key_than_the_task() {
    tokio::task_local! { static REQUEST: u32; }
    let registry = registry().await;
    let scopes = registry.scopes_by(|| REQUEST.with(|number| *number));
    let in_request = async |request: u32, id: i32| {
        REQUEST
            .scope(request, async {
                let mut work = scopes.current().work().await.expect("a unit of work");
                // SQLite has one that writes at a time.
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

/// Whoever waits for the unit of work when the scope ends is the one who has it then.
#[tokio::test]
async fn a_scope_that_ends_under_others_is_rolled_back_all_the_same() {
    let registry = registry().await;
    let (task, stop) = registry
        .scope(async {
            note(1).await.expect("a row");
            let work = UnitOfWork::current().await.expect("it is free");
            let scope = Scope::current().expect("in one");
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let task = tokio::spawn(async move {
                let outcome = scope.work().await.map(drop);
                // It goes on, and so does its handle to the scope.
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
