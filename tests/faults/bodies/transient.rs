//! Transient errors, after which the same call may succeed a little later, and their texts.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::SimpleAsyncConnection;
use registry_core::{BindDsl, BindSettings, Error, Registry, RunQueryDsl, bind_tables};

use super::rig::{connect, create_things, number};
use super::{LONG, mortal, server};
use crate::support::causes;
use crate::support::proxy::soon;

diesel::table! {
    things (id) {
        id -> Integer,
        value -> Integer,
    }
}
bind_tables!(db = "crm", connection = super::Backend; things);

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres")
}

/// A registry with a new database that has two rows, and a connection outside the engine.
async fn prepared(
    url: &str,
    settings: impl FnOnce(BindSettings) -> BindSettings,
) -> (Registry, super::Backend) {
    let mut outside = connect(url).await;
    create_things(&mut outside).await;
    outside.batch_execute("INSERT INTO things VALUES (2, 0)").await.expect("a row");
    let bind = settings(BindSettings::new(url).max_connections(4));
    let registry = Registry::builder().bind("crm", bind).build().expect("good settings");
    (registry, outside)
}

fn assert_transient(error: &Error) {
    assert!(error.is_transient(), "{:?}", causes(error));
    assert_names_bind(error);
}

/// A log may have errors of many binds, so each one names its own.
fn assert_names_bind(error: &Error) {
    let text = error.to_string();
    assert!(text.contains("bind `crm`"), "{text}");
}

macro_rules! bump {
    ($id:expr, $on:expr) => {
        diesel::update(things::table.filter(things::id.eq($id)))
            .set(things::value.eq(things::value + 1))
            .execute($on)
    };
}

#[tokio::test]
async fn deadlock_victim_is_transient() {
    let url = server().database("transient");
    let (registry, _outside) = prepared(&url, |bind| bind).await;
    let (mut one, mut two) = (registry.begin(), registry.begin());
    bump!(1, &mut one).await.expect("nobody has it");
    bump!(2, &mut two).await.expect("nobody has it");
    let outcomes = soon(async {
        // The one that is not the victim continues only after the other has released its lock.
        let one = async {
            let outcome = bump!(2, &mut one).await;
            drop(one);
            outcome
        };
        let two = async {
            let outcome = bump!(1, &mut two).await;
            drop(two);
            outcome
        };
        tokio::join!(one, two)
    })
    .await;
    let errors: Vec<_> = [outcomes.0.err(), outcomes.1.err()].into_iter().flatten().collect();
    assert_eq!(errors.len(), 1, "one of them");
    assert_transient(&errors[0]);
}

#[tokio::test]
async fn lock_timeout_is_transient() {
    let url = server().database("transient");
    let statement = if is_postgres(&url) {
        "SET lock_timeout = '200ms'"
    } else {
        "SET innodb_lock_wait_timeout = 1"
    };
    let (registry, mut outside) = prepared(&url, |bind| bind.on_connect([statement])).await;
    outside.batch_execute("BEGIN").await.expect("a transaction");
    outside.batch_execute("UPDATE things SET value = 7 WHERE id = 1").await.expect("a row");
    let error = soon(async { bump!(1, &registry).await }).await.expect_err("it is locked");
    assert_transient(&error);
    let error = soon(registry.transaction(async |work| bump!(1, work).await));
    assert_transient(&error.await.expect_err("it is locked"));
    outside.batch_execute("ROLLBACK").await.expect("its transaction");
    bump!(1, &registry).await.expect("it is free");
}

#[tokio::test]
async fn query_on_a_connection_closed_by_the_server_is_transient() {
    let url = server().database("transient");
    let (registry, mut outside) = prepared(&url, |bind| bind).await;
    let query = tokio::spawn({
        let registry = registry.clone();
        async move { sql_query(LONG).bound_to::<things::table>().execute(&registry).await }
    });
    if is_postgres(&url) {
        let end = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS value \
                   FROM pg_stat_activity WHERE datname = current_database() \
                   AND query LIKE '%pg_sleep(30)' AND state = 'active' AND pid <> pg_backend_pid()";
        soon(async { while number(&mut outside, end).await == 0 {} }).await;
    } else {
        let find = "SELECT CAST(coalesce(max(id), 0) AS SIGNED) AS value \
                    FROM information_schema.processlist WHERE db = DATABASE() \
                    AND info LIKE 'SELECT SLEEP%' AND id <> CONNECTION_ID()";
        let id = soon(async {
            loop {
                let id = number(&mut outside, find).await;
                if id > 0 {
                    return id;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        outside.batch_execute(&format!("KILL {id}")).await.expect("an admin may");
    }
    let error = soon(query).await.expect("no panic").expect_err("its connection is gone");
    assert_transient(&error);
    if is_postgres(&url) {
        let words = "terminating connection due to administrator command";
        assert!(causes(&error).join(": ").contains(words), "{:?}", causes(&error));
    }
    bump!(1, &registry).await.expect("another connection");
}

#[tokio::test]
async fn refusal_of_a_read_only_server_is_transient() {
    let turn = mortal().await;
    let server: &crate::support::Server = &turn;
    let url = server.database("transient");
    let (url, lock, unlock) = if is_postgres(&url) {
        let name = url.rsplit('/').next().expect("a name").to_owned();
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only =");
        (url, format!("{set} on"), format!("{set} off"))
    } else {
        let user = "CREATE USER IF NOT EXISTS humble@'127.0.0.1' IDENTIFIED BY 'sesame'";
        server.execute(user);
        server.execute("GRANT SELECT, INSERT, UPDATE, CREATE ON *.* TO humble@'127.0.0.1'");
        let set = "SET GLOBAL read_only =";
        (url.replace(server.user(), "humble"), format!("{set} 1"), format!("{set} 0"))
    };
    let (registry, _outside) = prepared(&url, |bind| bind).await;
    server.execute(&lock);
    let outcome = bump!(1, &registry).await;
    server.execute(&unlock);
    assert_transient(&outcome.expect_err("it is read-only"));
    // Another test may kill the server after this one.
    assert!(registry.close().await.is_complete());
}

#[tokio::test]
async fn constraint_violation_is_permanent_and_names_its_bind() {
    let url = server().database("transient");
    let (registry, _outside) = prepared(&url, |bind| bind).await;
    let twice =
        || diesel::insert_into(things::table).values((things::id.eq(1), things::value.eq(1)));
    let error = twice().execute(&registry).await.expect_err("it is there");
    assert!(!error.is_transient());
    assert_names_bind(&error);
    let kind = error.database_kind();
    assert!(matches!(kind, Some(diesel::result::DatabaseErrorKind::UniqueViolation)), "{kind:?}");
    let mut work = registry.begin();
    let error = twice().execute(&mut work).await.expect_err("it is there");
    assert_names_bind(&error);
    drop(work);
    let tenant = registry.tenant("acme").expect("a good name");
    let error = twice().execute(&tenant).await.expect_err("it is there");
    assert_names_bind(&error);
    assert!(error.to_string().contains("acme"), "{error}");
    assert_eq!(causes(&error).len(), 2, "the server's words are its source");
}
