//! Units of work over two databases, on each backend.

use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel_async::SimpleAsyncConnection;
use registry_core::{
    BindSettings, CommitError, Error, Registry, RunQueryDsl, UnitOfWork, WorkError, WorkOptions,
    bind_tables,
};

use super::{database, tenants};
use crate::support::{causes, is_at_rest, run_sql};

diesel::table! {
    users (id) {
        id -> Integer,
        name -> Text,
    }
}
diesel::table! {
    events (id) {
        id -> Integer,
        what -> Text,
    }
}
bind_tables!(db = "default", connection = super::Backend; users);
bind_tables!(db = "analytics", connection = super::Backend; events);

type Main = <users::table as registry_core::Bound>::Bind;
type Analytics = <events::table as registry_core::Bound>::Bind;

/// A registry of two databases with one table each.
async fn registry() -> Registry {
    let settings = |url: String| BindSettings::new(url).max_connections(2);
    let registry = Registry::builder()
        .bind("default", settings(database()))
        .bind("analytics", settings(database()))
        .build()
        .expect("good settings");
    let create = "CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(80) NOT NULL)";
    run_sql::<Main>(&registry, create).await;
    let create = "CREATE TABLE events (id INTEGER PRIMARY KEY NOT NULL, what VARCHAR(80) NOT NULL)";
    run_sql::<Analytics>(&registry, create).await;
    registry
}

async fn add_user(work: &mut UnitOfWork, id: i32) -> Result<(), Error> {
    let row = (users::id.eq(id), users::name.eq("ann"));
    diesel::insert_into(users::table).values(row).execute(work).await?;
    Ok(())
}

async fn add_event(work: &mut UnitOfWork, id: i32) -> Result<(), Error> {
    let row = (events::id.eq(id), events::what.eq("sign-up"));
    diesel::insert_into(events::table).values(row).execute(work).await?;
    Ok(())
}

/// The committed ids in both databases.
async fn committed(registry: &Registry) -> (Vec<i32>, Vec<i32>) {
    let users = users::table.select(users::id).order(users::id).load(registry).await;
    let events = events::table.select(events::id).order(events::id).load(registry).await;
    (users.expect("rows"), events.expect("rows"))
}

#[tokio::test]
async fn each_bind_is_begun_once_on_first_use() {
    let registry = registry().await;
    let mut work = registry.begin();
    assert!(registry.status().engines.iter().all(|engine| engine.in_use == 0));
    add_user(&mut work, 1).await.expect("a row");
    add_user(&mut work, 2).await.expect("a row");
    let session = work.session_for::<users::table>().await.expect("a session");
    assert_eq!(session.key(), "default");
    let in_use: Vec<u32> = registry.status().engines.iter().map(|engine| engine.in_use).collect();
    assert_eq!(in_use, [0, 1], "analytics was not touched");
    assert_eq!(work.touched().map(|key| key.to_string()).collect::<Vec<_>>(), ["default"]);
    work.commit().await.expect("committed");
    is_at_rest(&registry).await;
}

#[tokio::test]
async fn commit_covers_every_touched_bind() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_event(&mut work, 1).await.expect("a row");
    add_user(&mut work, 1).await.expect("a row");
    let own: i64 = users::table.count().get_result(&mut work).await.expect("a count");
    assert_eq!(own, 1, "it sees its own");
    let done = work.commit().await.expect("committed");
    assert_eq!(done.keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["analytics", "default"]);
    assert_eq!(committed(&registry).await, (vec![1], vec![1]));
    is_at_rest(&registry).await;
}

#[tokio::test]
async fn rollback_covers_every_touched_bind_and_keeps_connections() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("a row");
    add_event(&mut work, 1).await.expect("a row");
    work.rollback().await.expect("told");
    let idle: Vec<u32> = registry.status().engines.iter().map(|engine| engine.idle).collect();
    assert_eq!(idle, [1, 1]);
    assert_eq!(committed(&registry).await, (vec![], vec![]));
}

#[tokio::test]
async fn dropped_unit_of_work_is_rolled_back_and_keeps_connections() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("a row");
    add_event(&mut work, 1).await.expect("a row");
    drop(work);
    is_at_rest(&registry).await;
    let idle: Vec<u32> = registry.status().engines.iter().map(|engine| engine.idle).collect();
    assert_eq!(idle, [1, 1], "they were worth keeping");
    assert_eq!(committed(&registry).await, (vec![], vec![]));
}

#[tokio::test]
async fn sessions_of_two_binds_can_be_borrowed_together() {
    let registry = registry().await;
    let mut work = registry.begin();
    let (main, analytics) =
        work.sessions_for::<(users::table, events::table)>().await.expect("two sessions");
    let user = (users::id.eq(1), users::name.eq("ann"));
    let event = (events::id.eq(1), events::what.eq("sign-up"));
    let (user, event) = tokio::join!(
        diesel::insert_into(users::table).values(user).execute(main),
        diesel::insert_into(events::table).values(event).execute(analytics),
    );
    assert_eq!((user.expect("a row"), event.expect("a row")), (1, 1));
    let error = work.sessions_for::<(Main, Main)>().await.expect_err("there is one session");
    assert!(matches!(error, WorkError::Twice { key } if key == "default"), "{error}");
    work.commit().await.expect("committed");
    assert_eq!(committed(&registry).await, (vec![1], vec![1]));
}

#[tokio::test]
async fn transaction_commits_on_ok() {
    let registry = registry().await;
    let name = String::from("ann");
    let count = registry
        .transaction(async |work| {
            add_user(work, 1).await?;
            add_event(work, 1).await?;
            assert_eq!(name, "ann", "it can borrow");
            Ok::<_, Error>(2)
        })
        .await
        .expect("committed");
    assert_eq!(count, 2);
    assert_eq!(committed(&registry).await, (vec![1], vec![1]));
    // In another task too.
    let other = registry.clone();
    tokio::spawn(async move {
        other.transaction(async |work| add_user(work, 2).await).await.expect("committed");
    })
    .await
    .expect("no panic");
    assert_eq!(committed(&registry).await.0, [1, 2]);
}

#[tokio::test]
async fn transaction_rolls_back_on_an_error_and_on_a_panic() {
    let registry = registry().await;
    let failed = registry
        .transaction(async |work| {
            add_user(work, 1).await?;
            add_event(work, 1).await?;
            Err::<(), Error>(DieselError::NotFound.into())
        })
        .await;
    assert!(
        matches!(failed, Err(Error::Query(e)) if matches!(e.as_diesel(), DieselError::NotFound))
    );
    let other = registry.clone();
    let panicked = tokio::spawn(async move {
        other
            .transaction(async |work| {
                add_user(work, 1).await?;
                add_event(work, 1).await?;
                if work.touched().count() == 2 {
                    panic!("as a bug would");
                }
                Ok::<_, Error>(())
            })
            .await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    is_at_rest(&registry).await;
    assert_eq!(committed(&registry).await, (vec![], vec![]));
}

#[tokio::test]
async fn savepoint_keeps_or_undoes_its_statements() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("a row");
    let kept = work.savepoint(async |work| add_user(work, 2).await).await;
    kept.expect("kept");
    let undone = work
        .savepoint(async |work| {
            add_user(work, 3).await?;
            // This bind is touched for the first time inside the savepoint.
            add_event(work, 3).await?;
            Err::<(), Error>(DieselError::RollbackTransaction.into())
        })
        .await;
    assert!(
        matches!(undone, Err(Error::Query(e)) if matches!(e.as_diesel(), DieselError::RollbackTransaction))
    );
    add_event(&mut work, 4).await.expect("a row");
    work.commit().await.expect("committed");
    assert_eq!(committed(&registry).await, (vec![1, 2], vec![4]));
}

#[tokio::test]
async fn savepoints_nest_across_databases() {
    let registry = registry().await;
    let mut work = registry.begin();
    work.savepoint(async |work| {
        add_user(work, 1).await?;
        let inner = work
            .savepoint(async |work| {
                add_event(work, 1).await?;
                add_user(work, 2).await?;
                Err::<(), Error>(DieselError::RollbackTransaction.into())
            })
            .await;
        assert!(inner.is_err());
        work.savepoint(async |work| add_event(work, 2).await).await
    })
    .await
    .expect("kept");
    let outer = work
        .savepoint(async |work| {
            work.savepoint(async |work| add_event(work, 3).await).await?;
            add_user(work, 3).await?;
            Err::<(), Error>(DieselError::RollbackTransaction.into())
        })
        .await;
    assert!(outer.is_err());
    work.commit().await.expect("committed");
    assert_eq!(committed(&registry).await, (vec![1], vec![2]));
}

#[tokio::test]
async fn failed_statement_in_a_savepoint_leaves_the_rest_usable() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("a row");
    let error = work.savepoint(async |work| add_user(work, 1).await).await.unwrap_err();
    assert!(
        matches!(error.database_kind(), Some(diesel::result::DatabaseErrorKind::UniqueViolation)),
        "{error}"
    );
    add_user(&mut work, 2).await.expect("a row");
    work.commit().await.expect("committed");
    assert_eq!(committed(&registry).await.0, [1, 2]);
}

#[tokio::test]
async fn abandoned_savepoint_prevents_the_commit() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("a row");
    {
        let abandoned = work.savepoint(async |work| {
            add_user(work, 2).await?;
            std::future::pending::<Result<(), Error>>().await
        });
        let waited = tokio::time::timeout(Duration::from_millis(50), abandoned).await;
        assert!(waited.is_err());
    }
    let error = work.commit().await.unwrap_err();
    assert!(error.is_rolled_back());
    assert_eq!(
        causes(&error),
        [
            "nothing was committed: bind `default` failed and is rolled back",
            "a savepoint was interrupted before its end, so the unit of work can only be rolled back"
        ]
    );
    is_at_rest(&registry).await;
    assert_eq!(committed(&registry).await, (vec![], vec![]));
}

#[tokio::test]
async fn dropped_inner_transaction_prevents_the_outer_commit() {
    let registry = registry().await;
    let mut work = registry.begin();
    let session = work.session_for::<users::table>().await.expect("a session");
    let inner = session.transaction(async |session| {
        let row = (users::id.eq(1), users::name.eq("ann"));
        diesel::insert_into(users::table).values(row).execute(session).await?;
        std::future::pending::<QueryResult<()>>().await
    });
    assert!(tokio::time::timeout(Duration::from_millis(50), inner).await.is_err());
    let error = work.commit().await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    is_at_rest(&registry).await;
    assert_eq!(committed(&registry).await.0, Vec::<i32>::new());
}

#[tokio::test]
async fn read_only_work_refuses_writes_and_leaves_the_connection_writable() {
    let registry = registry().await;
    let mut work = registry.begin_with(WorkOptions::new().read_only(true));
    let error = add_user(&mut work, 1).await.unwrap_err();
    assert!(matches!(error, Error::Query(_)), "{error}");
    work.rollback().await.expect("told");
    let mut work = registry.begin_with(WorkOptions::new().read_only(true));
    let count: i64 = users::table.count().get_result(&mut work).await.expect("a count");
    assert_eq!(count, 0);
    work.commit().await.expect("committed");
    // On the same connection: no other one was ever opened.
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("a row");
    work.commit().await.expect("committed");
    assert_eq!(registry.engine("default").expect("there").status().idle, 1);
}

#[tokio::test]
async fn work_options_can_be_set_for_the_registry_and_for_a_bind() {
    let url = database();
    let build = |work: WorkOptions| {
        Registry::builder()
            .bind("default", url.as_str())
            .bind("analytics", database())
            .work(work)
            .build()
    };
    let registry = build(WorkOptions::new().read_only(true)).expect("good settings");
    let mut session = registry.session::<Main>().await.expect("a session");
    let create = "CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(80) NOT NULL)";
    session.batch_execute(create).await.expect("a table");
    drop(session);
    assert!(add_user(&mut registry.begin(), 1).await.is_err(), "it is read-only");
    let options = WorkOptions::new().read_only(true).for_bind("default", WorkOptions::new());
    let registry = build(options).expect("good settings");
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("that bind is not");
    work.commit().await.expect("committed");
}

#[tokio::test]
async fn work_of_a_tenant_reaches_its_database() {
    let registry = Registry::builder()
        .bind("default", database())
        .bind("analytics", tenants(["acme", "globex"]))
        .build()
        .expect("good settings");
    for name in ["acme", "globex"] {
        let tenant = registry.tenant(name).expect("a good name");
        let mut session = tenant.session::<Analytics>().await.expect("a session");
        let create =
            "CREATE TABLE events (id INTEGER PRIMARY KEY NOT NULL, what VARCHAR(80) NOT NULL)";
        session.batch_execute(create).await.expect("a table");
    }
    let (acme, globex) =
        (registry.tenant("acme").expect("good"), registry.tenant("globex").expect("good"));
    let mut work = acme.begin();
    add_event(&mut work, 1).await.expect("a row");
    work.commit().await.expect("committed");
    globex.transaction(async |work| add_event(work, 2).await).await.expect("committed");
    let of = async |tenant: &registry_core::Tenant| {
        let ids: Vec<i32> = events::table.select(events::id).load(tenant).await.expect("rows");
        ids
    };
    assert_eq!((of(&acme).await, of(&globex).await), (vec![1], vec![2]));
    let error = add_event(&mut registry.begin(), 3).await.unwrap_err();
    assert!(error.to_string().contains("a database for each tenant"), "{error}");
}

#[tokio::test]
async fn failed_acquire_leaves_the_rest_of_the_work_usable() {
    let registry = registry().await;
    let lent = [
        registry.session::<Analytics>().await.expect("a session"),
        registry.session::<Analytics>().await.expect("a session"),
    ];
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("a row");
    let waited = tokio::time::timeout(Duration::from_millis(30), add_event(&mut work, 1)).await;
    assert!(waited.is_err(), "both are lent");
    drop(lent);
    add_event(&mut work, 1).await.expect("a row");
    work.commit().await.expect("committed");
    assert_eq!(committed(&registry).await, (vec![1], vec![1]));
}

/// The order of the commits is reported, and can be changed.
#[tokio::test]
async fn commit_order_can_be_given() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("a row");
    add_event(&mut work, 1).await.expect("a row");
    let done = work.commit_in_order(&["analytics", "default"]).await.expect("committed");
    assert_eq!(done.keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["analytics", "default"]);
    let nothing: Result<_, CommitError> = registry.begin().commit().await;
    assert!(nothing.expect("nothing to commit").keys.is_empty());
    // A bind that was not touched is skipped.
    let mut work = registry.begin();
    add_user(&mut work, 2).await.expect("a row");
    let done = work.commit_in_order(&["analytics", "default"]).await.expect("committed");
    assert_eq!(done.keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["default"]);
}

/// The error for unknown keys in a commit order.
const WRONG_KEYS: &str = "the settings have no bind `defualt` (did you mean `default`?), nor `othr`; they have \
                          `analytics` and `default`";

#[tokio::test]
async fn commit_order_with_unknown_keys_commits_nothing() {
    let registry = registry().await;
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("a row");
    add_event(&mut work, 1).await.expect("a row");
    let error = work.commit_in_order(&["defualt", "analytics", "othr"]).await.expect_err("refused");
    assert!(error.is_rolled_back() && !error.is_transient() && error.failed().is_none());
    assert_eq!(error.rolled_back().collect::<Vec<_>>(), ["default", "analytics"]);
    assert_eq!(error.wrong_keys().expect("two").unknown, ["defualt", "othr"]);
    assert_eq!(
        causes(&error),
        [
            "the order of commits has wrong keys; nothing was committed: bind `default` is rolled back, bind \
             `analytics` is rolled back",
            WRONG_KEYS
        ]
    );
    let mut work = registry.begin();
    add_user(&mut work, 1).await.expect("a row");
    let error = work.commit_in_order(&["default", "default"]).await.expect_err("refused");
    assert!(error.is_rolled_back());
    assert_eq!(error.wrong_keys().expect("one").repeated, ["default"]);
    // Unknown keys are refused even if there is nothing to commit.
    let error = registry.begin().commit_in_order(&["othr"]).await.expect_err("refused");
    assert!(error.to_string().ends_with("nothing was committed"), "{error}");
    is_at_rest(&registry).await;
    assert_eq!(committed(&registry).await, (vec![], vec![]));

    let built = Registry::builder()
        .bind("default", "sqlite::memory:")
        .bind("analytics", "sqlite::memory:")
        .work(WorkOptions::new().commit_order(["defualt", "analytics", "othr"]))
        .build();
    assert_eq!(built.expect_err("refused").to_string(), format!("work: {WRONG_KEYS}"));
    let of_bind = WorkOptions::new().for_bind("analytcs", WorkOptions::new().serializable());
    let built = Registry::builder().bind("analytics", "sqlite::memory:").work(of_bind).build();
    assert!(built.expect_err("refused").to_string().contains("did you mean `analytics`?"));
}

#[tokio::test]
async fn commit_order_can_be_an_option() {
    let registry = registry().await;
    let options =
        WorkOptions::new().commit_order(vec!["analytics".to_owned(), "default".to_owned()]);
    let mut work = registry.begin_with(options.clone());
    add_user(&mut work, 1).await.expect("a row");
    add_event(&mut work, 1).await.expect("a row");
    let done = work.commit().await.expect("committed");
    assert_eq!(done.keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["analytics", "default"]);
    let scope = registry.new_scope_with(options.clone());
    let mut work = scope.work().await.expect("it is free");
    add_user(&mut work, 2).await.expect("a row");
    add_event(&mut work, 2).await.expect("a row");
    drop(work);
    let done = scope.commit().await.expect("committed");
    assert_eq!(done.keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["analytics", "default"]);

    let wrong = WorkOptions::new().commit_order(["defualt", "analytics", "othr"]);
    let is_refused = |error: Error| {
        assert!(!error.is_transient());
        assert_eq!(error.to_string(), WRONG_KEYS);
    };
    is_refused(add_user(&mut registry.begin_with(wrong.clone()), 3).await.expect_err("refused"));
    let run = registry.transaction_with(wrong.clone(), async |_| -> Result<(), Error> {
        panic!("it is refused before");
    });
    is_refused(run.await.expect_err("refused"));
    let scope = registry.try_scope_with(wrong.clone(), async {
        add_user(&mut *UnitOfWork::current().await?, 3).await
    });
    is_refused(scope.await.expect_err("refused"));
    let error = registry.begin_with(wrong).commit().await.expect_err("refused");
    assert!(error.wrong_keys().is_some());
    is_at_rest(&registry).await;
    assert_eq!(committed(&registry).await, (vec![1, 2], vec![1, 2]));
}

/// A transaction that reads before it writes waits for the other one, instead of failing because the database is
/// locked.
#[tokio::test]
async fn concurrent_read_then_write_transactions_wait_for_each_other() {
    let registry = registry().await;
    registry.transaction(async |work| add_user(work, 1).await).await.expect("committed");
    let tasks: Vec<_> = (0..8)
        .map(|at| {
            let registry = registry.clone();
            tokio::spawn(async move {
                registry
                    .transaction(async |work| {
                        let seen: i64 = users::table.count().get_result(&mut *work).await?;
                        assert!(seen > 0);
                        tokio::task::yield_now().await;
                        add_user(work, 10 + at).await
                    })
                    .await
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("committed");
    }
    assert_eq!(committed(&registry).await.0.len(), 9);
}
