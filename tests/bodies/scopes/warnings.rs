//! What is logged about queries beside a unit of work, and about one that was forgotten.

use registry_core::{AnyExecutor, WorkOptions};
use tokio::sync::Notify;

use super::*;
use crate::support::log::own_log;

/// Two binds with a database each.
async fn divided() -> Registry {
    let builder = Registry::builder().bind("default", database()).bind("other", database());
    let registry = builder.build().expect("good settings");
    run_sql::<Main>(&registry, CREATE_NOTES).await;
    run_sql::<<others::table as registry_core::Bound>::Bind>(&registry, CREATE_NOTES).await;
    registry
}

/// In debug and release builds alike.
#[tokio::test]
async fn query_beside_the_work_of_a_scope_logs_a_warning_with_its_place() {
    let (log, _guard) = own_log();
    let registry = divided().await;
    let tenant = registry.tenant("acme").expect("a name");
    let warnings = |line: u32| {
        let place = format!("{}:{line}:", file!());
        let lines = log.lines_with(&place);
        lines.iter().filter(|line| line.contains("WARN registry:")).cloned().collect::<Vec<_>>()
    };
    let all = || notes::table.select(notes::id);
    let (outside, rows) = (line!(), all().load::<i32>(&registry));
    rows.await.expect("rows");
    assert!(warnings(outside).is_empty());
    registry
        .scope(async {
            // Even if the unit of work has not been used yet.
            for _ in 0..2 {
                let (line, rows) = (line!(), all().load::<i32>(&registry));
                rows.await.expect("rows");
                let told = warnings(line);
                assert_eq!(told.len(), 1, "once for each place: {told:?}");
                assert!(told[0].contains("no part of its unit of work"), "{told:?}");
                assert!(told[0].contains("bind=default "), "{told:?}");
                let (line, rows) = (line!(), all().load::<i32>(&tenant));
                rows.await.expect("rows");
                assert_eq!(warnings(line).len(), 1);
                let (line, rows) = (line!(), others::table.load::<(i32,)>(&registry));
                rows.await.expect("rows");
                assert!(warnings(line)[0].contains("bind=other "));
                // Also on an executor that is made from the registry.
                let (line, rows) = (line!(), all().load::<i32>(AnyExecutor::from(&registry)));
                rows.await.expect("rows");
                assert_eq!(warnings(line).len(), 1);
                seen().await.expect("a count");
            }
            // No warning for a query in the unit of work, nor for one on an explicit session.
            let mut work = UnitOfWork::current().await.expect("it is free");
            let (line, rows) = (line!(), all().load::<i32>(&mut *work));
            rows.await.expect("rows");
            assert!(warnings(line).is_empty());
            let (line, rows) = (line!(), all().load::<i32>(AnyExecutor::from(&mut work)));
            rows.await.expect("rows");
            assert!(warnings(line).is_empty());
            drop(work);
            let mut session = registry.session::<Main>().await.expect("a session");
            let (line, rows) = (line!(), all().load::<i32>(&mut session));
            rows.await.expect("rows");
            assert!(warnings(line).is_empty());
            // No warning for another registry.
            let another = divided().await;
            let (line, rows) = (line!(), all().load::<i32>(&another));
            rows.await.expect("rows");
            assert!(warnings(line).is_empty());
        })
        .await;
}

/// Outside a scope the check is more expensive, so only debug builds have it.
#[cfg(debug_assertions)]
#[tokio::test]
async fn query_beside_a_unit_of_work_logs_a_warning_for_every_bind() {
    let (log, _guard) = own_log();
    let registry = divided().await;
    let warnings = |line: u32| {
        let mut lines = log.lines_with(&format!("{}:{line}:", file!()));
        lines.retain(|line| line.contains(" WARN "));
        lines
    };
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
    // Another task has no unit of work.
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

/// The place of its begin, which may be far from where it is dropped.
#[tokio::test]
async fn forgotten_unit_of_work_is_logged_with_the_place_of_its_begin() {
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
    // The dropped future of a transaction, and of a scope.
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
    // Nothing is logged if nothing was touched, or if the program has committed or rolled back.
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
