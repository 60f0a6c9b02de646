//! Cases of SQLite alone.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Integer, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{
    AcquireError, ConnectError, Registry, ResetOnReturn, Sqlite, Synchronous, bind,
};

use crate::support::{causes, fresh_folder};

#[bind(backend = Sqlite)]
struct Model;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    value: i32,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}

fn registry(bind: impl Into<BindSettings>) -> Registry {
    Registry::builder().bind("default", bind).build().expect("good settings")
}

async fn number(connection: &mut Sqlite, query: &str) -> i32 {
    let row: Number = sql_query(query).get_result(connection).await.expect("a row");
    row.value
}

#[tokio::test]
async fn connections_are_set_up_for_concurrent_use() {
    let url = format!("sqlite://{}", fresh_folder().join("set-up.db").display());
    let registry = registry(BindSettings::new(url).busy_timeout(Duration::from_millis(1234)));
    let mut session = registry.session_for::<Model>().await.expect("a session");
    let mode: Word = sql_query("SELECT journal_mode AS value FROM pragma_journal_mode")
        .get_result(&mut session)
        .await
        .expect("a row");
    assert_eq!(mode.value, "wal");
    let keys = number(&mut session, "SELECT foreign_keys AS value FROM pragma_foreign_keys").await;
    assert_eq!(keys, 1);
    let busy = number(&mut session, "SELECT timeout AS value FROM pragma_busy_timeout").await;
    assert_eq!(busy, 1234);
}

#[tokio::test]
async fn synchronous_is_full_unless_the_settings_say_otherwise() {
    let synchronous = async |bind: BindSettings| {
        let registry = registry(bind);
        let mut session = registry.session_for::<Model>().await.expect("a session");
        number(&mut session, "SELECT synchronous AS value FROM pragma_synchronous").await
    };
    let bind = || {
        let url = format!("sqlite://{}", fresh_folder().join("synchronous.db").display());
        BindSettings::new(url)
    };
    assert_eq!(synchronous(bind()).await, 2);
    let values = [Synchronous::Off, Synchronous::Normal, Synchronous::Full, Synchronous::Extra];
    for (number, value) in values.into_iter().enumerate() {
        let expected = i32::try_from(number).expect("small");
        assert_eq!(synchronous(bind().synchronous(value)).await, expected, "{value:?}");
    }
}

#[tokio::test]
async fn in_memory_database_is_shared_by_all_sessions() {
    let options = [ResetOnReturn::Auto, ResetOnReturn::Rollback, ResetOnReturn::Full];
    for reset in options {
        let registry = registry(BindSettings::new("sqlite::memory:").reset_on_return(reset));
        assert_eq!(registry.engine("default").expect("there").options().max_connections, 1);
        let mut session = registry.session_for::<Model>().await.expect("a session");
        session.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
        drop(session);
        let mut session = registry.session_for::<Model>().await.expect("a session");
        session.batch_execute("INSERT INTO t VALUES (1)").await.expect("the same database");
        // The only connection is the database and cannot be replaced, so an open transaction is rolled back.
        let cut = diesel_async::AsyncConnection::transaction(&mut session, async |session| {
            session.batch_execute("INSERT INTO t VALUES (2)").await?;
            std::future::pending::<diesel::QueryResult<()>>().await
        });
        tokio::time::timeout(Duration::from_millis(100), cut).await.expect_err("it never ends");
        drop(session);
        let mut session = registry.session_for::<Model>().await.expect("a session");
        assert_eq!(number(&mut session, "SELECT max(value) AS value FROM t").await, 1, "{reset:?}");
    }
}

#[tokio::test]
async fn folder_of_a_relative_path_is_created_and_that_of_an_absolute_path_is_not() {
    let folder = fresh_folder();
    let settings = registry_core::Settings::from_toml("url = 'sqlite://data/deep/app.db'")
        .expect("TOML")
        .relative_to(&folder);
    let relative = Registry::from_settings(settings).expect("good settings");
    relative.session_for::<Model>().await.expect("its folder is made");
    assert!(folder.join("data/deep/app.db").exists());

    let absolute = registry(format!("sqlite://{}", folder.join("unmounted/app.db").display()));
    let error = absolute.session_for::<Model>().await.expect_err("its folder is not made");
    assert!(!folder.join("unmounted").exists());
    let AcquireError::Connect { source, .. } = &error else { panic!("another variant: {error:?}") };
    assert!(matches!(**source, ConnectError::UnknownDatabase(_)), "{error:?}");
    assert_eq!(causes(&error)[2], "unable to open database file");
}

#[tokio::test]
async fn read_only_file_is_neither_created_nor_changed() {
    let path = fresh_folder().join("kept.db");
    let url = format!("sqlite://{}?mode=ro", path.display());
    registry(url.as_str()).session_for::<Model>().await.expect_err("it is not there");
    assert!(!path.exists());

    let writable = registry(format!("sqlite://{}", path.display()));
    let mut session = writable.session_for::<Model>().await.expect("a session");
    session.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    let read_only = registry(url);
    let mut session = read_only.session_for::<Model>().await.expect("a session");
    session.batch_execute("INSERT INTO t VALUES (1)").await.expect_err("it is read-only");
    assert_eq!(number(&mut session, "SELECT count(*) AS value FROM t").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_wait_for_each_other() {
    let url = format!("sqlite://{}", fresh_folder().join("busy.db").display());
    let registry = registry(url);
    let mut session = registry.session_for::<Model>().await.expect("a session");
    session.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    drop(session);
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let registry = registry.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    let mut session = registry.session_for::<Model>().await.expect("a session");
                    session.batch_execute("INSERT INTO t VALUES (1)").await.expect("it waits");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
    let mut session = registry.session_for::<Model>().await.expect("a session");
    assert_eq!(number(&mut session, "SELECT count(*) AS value FROM t").await, 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory_database_survives_an_abandoned_acquire() {
    let registry =
        registry(BindSettings::new("sqlite::memory:").check_idle_after(Duration::from_nanos(1)));
    let mut session = registry.session_for::<Model>().await.expect("a session");
    session.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    drop(session);
    for _ in 0..10 {
        let mut acquire = registry.session_for::<Model>();
        let _ = futures_util::poll!(&mut acquire);
        drop(acquire);
        // A health check that is cancelled too.
        let mut check = Box::pin(registry.check(Duration::from_secs(1)));
        let _ = futures_util::poll!(&mut check);
        drop(check);
        let _ = registry.session_for::<Model>().within(Duration::ZERO).await;
    }
    let mut session = registry.session_for::<Model>().await.expect("a session");
    session.batch_execute("INSERT INTO t VALUES (1)").await.expect("the same database");
}

#[tokio::test]
async fn first_connections_to_a_new_file_do_not_lock_each_other_out() {
    for _ in 0..20 {
        let registry = registry(crate::support::sqlite_file().as_str());
        let sessions = (0..8).map(|_| registry.session_for::<Model>());
        for session in futures_util::future::join_all(sessions).await {
            session.expect("a session");
        }
    }
}
