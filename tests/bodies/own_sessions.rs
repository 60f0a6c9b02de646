//! Closing a registry in a task that still holds sessions of it, on each backend.

use std::future::Future;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use futures_util::TryStreamExt;
use registry_core::{CloseReport, Registry, RunQueryDsl, Tenant, UnitOfWork, bind_tables};

use super::{database, tenants};
use crate::support::log::own_log;

diesel::table! {
    notes (id) {
        id -> Integer,
    }
}
bind_tables!(db = "default", connection = super::Backend; notes);

diesel::table! {
    #[sql_name = "notes"]
    invoices (id) {
        id -> Integer,
    }
}
bind_tables!(db = "crm", connection = super::Backend; invoices);

/// The limit for things that are due immediately.
const AT_ONCE: Duration = Duration::from_secs(30);

const CREATE: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL)";

async fn registry() -> Registry {
    let builder = Registry::builder().bind("default", database());
    let registry = builder.build().expect("good settings");
    let mut session = registry.session_for::<notes::table>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("a table");
    session.batch_execute("INSERT INTO notes VALUES (1), (2), (3)").await.expect("rows");
    registry
}

/// Asserts that the report names one session that was not waited for.
fn told(report: &CloseReport, key: &str) {
    assert!(!report.is_complete());
    assert_eq!(
        report.to_string(),
        format!(
            "closed, with sessions still lent:\n  bind `{key}`: 1, of which the task that closes has 1 itself"
        )
    );
    assert_eq!(report.held_by_caller, report.lent);
}

async fn at_once<T>(closing: impl Future<Output = T>) -> T {
    tokio::time::timeout(AT_ONCE, closing).await.expect("it does not wait for itself")
}

#[tokio::test]
async fn closing_skips_the_tasks_own_session_and_logs_the_place() {
    let (log, _guard) = own_log();
    let registry = registry().await;
    let mut session = registry.session_for::<notes::table>().await.expect("a session");
    let closing = registry.close();
    let line = line!() - 1;
    told(&at_once(closing).await, "default");
    let events = log.lines_with(&format!("place={}:{line}:", file!()));
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].contains("ERROR registry: not all sessions are waited for"), "{events:?}");
    assert!(events[0].contains("bind=default"), "{events:?}");
    // The session stays usable until it is dropped.
    session.batch_execute("SELECT 1").await.expect("an answer");
    told(&at_once(registry.close_within(Duration::from_secs(300))).await, "default");
    drop(session);
    let report = at_once(registry.close()).await;
    assert!(report.is_complete() && report.held_by_caller.is_empty());
}

#[tokio::test]
async fn closing_skips_the_tasks_own_unit_of_work_and_streams() {
    let registry_of_work = registry().await;
    let mut work = registry_of_work.begin();
    notes::table.load::<(i32,)>(&mut work).await.expect("rows");
    told(&at_once(registry_of_work.close()).await, "default");
    work.commit().await.expect("it works to its end");
    assert!(at_once(registry_of_work.close()).await.is_complete());

    let registry_of_scope = registry().await;
    registry_of_scope
        .scope(async {
            let mut work = UnitOfWork::current().await.expect("it is free");
            notes::table.load::<(i32,)>(&mut *work).await.expect("rows");
            drop(work);
            told(&at_once(registry_of_scope.close()).await, "default");
        })
        .await;

    let registry_of_rows = registry().await;
    let mut rows = notes::table.load_stream::<(i32,)>(&registry_of_rows).await.expect("rows");
    assert!(rows.try_next().await.expect("a row").is_some());
    told(&at_once(registry_of_rows.close()).await, "default");
    assert_eq!(rows.try_collect::<Vec<_>>().await.expect("the rest").len(), 2);
    assert!(at_once(registry_of_rows.close()).await.is_complete());
}

/// In a spawned task, and although the task has begun to acquire a second session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_in_a_spawned_task_skips_that_tasks_session() {
    let registry = registry().await;
    let closing = async move {
        let session = registry.session_for::<notes::table>().await.expect("a session");
        let mut another = Box::pin(registry.session_for::<notes::table>());
        let connecting = futures_util::poll!(&mut another).is_pending();
        let report = at_once(registry.close()).await;
        assert!(report.held_by_caller[0].1 > u32::from(connecting), "{report}");
        drop((session, another));
        assert!(at_once(registry.close()).await.is_complete());
    };
    tokio::spawn(closing).await.expect("no panic");
}

/// Sessions of other tasks are waited for, also those that were moved to them, and also if the closing task holds
/// sessions itself.
#[tokio::test]
async fn closing_waits_for_sessions_of_other_tasks() {
    let registry = registry().await;
    let mut handed = registry.session_for::<notes::table>().await.expect("a session");
    let own = registry.session_for::<notes::table>().await.expect("a session");
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let (begun, began) = tokio::sync::oneshot::channel::<()>();
    let other = tokio::spawn(async move {
        handed.batch_execute("SELECT 1").await.expect("an answer");
        begun.send(()).expect("somebody waits");
        released.await.expect("released");
        drop(handed);
    });
    began.await.expect("it has begun");
    let mut closing = Box::pin(registry.close());
    let waited = tokio::time::timeout(Duration::from_millis(2500), &mut closing).await;
    assert!(waited.is_err(), "another task has one");
    release.send(()).expect("it waits");
    told(&at_once(closing).await, "default");
    other.await.expect("no panic");
    drop(own);
}

/// A session that a concurrent future of the same task uses is waited for.
#[tokio::test]
async fn closing_waits_for_a_session_used_concurrently_in_its_task() {
    let registry = registry().await;
    let mut session = registry.session_for::<notes::table>().await.expect("a session");
    let working = async {
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            session.batch_execute("SELECT 1").await.expect("an answer");
        }
        drop(session);
    };
    let (report, ()) = tokio::join!(registry.close(), working);
    assert!(report.is_complete(), "{report}");
}

/// Even if that future pauses before it returns its session.
#[tokio::test]
async fn closing_waits_for_a_session_that_pauses_in_its_task() {
    let registry = registry().await;
    let session = registry.session_for::<notes::table>().await.expect("a session");
    let pausing = async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop(session);
    };
    let (report, ()) = tokio::join!(registry.close(), pausing);
    assert!(report.is_complete(), "{report}");
}

/// With a limit, the task's own session is reported before the limit is over.
#[tokio::test]
async fn close_within_reports_the_tasks_own_session_in_time() {
    let registry = registry().await;
    let session = registry.session_for::<notes::table>().await.expect("a session");
    told(&registry.close_within(Duration::from_secs(3)).await, "default");
    drop(session);
}

#[tokio::test]
async fn closing_a_tenant_skips_the_tasks_own_session() {
    let (log, _guard) = own_log();
    let template = tenants(["acme", "globex"]);
    let registry = Registry::builder().bind("crm", template.as_str()).build().expect("settings");
    let open = |name| registry.tenant(name).expect("a name");
    let session_of =
        async |tenant: Tenant| tenant.session_for::<invoices::table>().await.expect("a session");
    let acme = session_of(open("acme")).await;
    let globex = session_of(open("globex")).await;
    let by_name = registry.close_tenant("acme");
    let line = line!() - 1;
    told(&at_once(by_name).await.expect("a good name"), "crm");
    assert_eq!(log.lines_with(&format!("own_sessions.rs:{line}:")).len(), 1);
    let by_url = registry.close_engine(template.replace("{tenant}", "globex"));
    let line = line!() - 1;
    told(&at_once(by_url).await.expect("a URL"), "crm");
    assert_eq!(log.lines_with(&format!("own_sessions.rs:{line}:")).len(), 1);
    drop((acme, globex));
    assert!(at_once(registry.close()).await.is_complete());
}
