//! Servers that become replicas while connections to them are open.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use registry_core::{Backend, BindSettings, ByKey, Mysql, Postgres, Registry, Session};

use crate::support::{Server, mortal_mariadb, own_postgres};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

async fn session<C: Backend>(registry: &Registry) -> Session<ByKey<C>> {
    registry.session_by_key::<C>("default").await.expect("a session")
}

/// The port of the server that a session is on.
async fn port(session: &mut Session<ByKey<Postgres>>) -> i64 {
    let query = sql_query("SELECT current_setting('port')::bigint AS value");
    let number: Number = query.get_result(&mut **session).await.expect("a row");
    number.value
}

fn is_read_only(error: &diesel::result::Error) -> bool {
    error.to_string().contains("read-only transaction")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_reach_the_new_primary_after_a_postgresql_failover() {
    let (one, two) = tokio::task::block_in_place(|| (own_postgres(), own_postgres()));
    for server in [&one, &two] {
        server.execute("CREATE DATABASE app");
        let url = server.url().replace("/postgres", "/app");
        server.execute_in(&url, "CREATE TABLE t (v TEXT)");
    }
    let url = format!(
        "postgres://{}:{}@127.0.0.1:{},127.0.0.1:{}/app?target_session_attrs=read-write",
        one.user(),
        one.password(),
        one.port(),
        two.port()
    );
    // No connection is checked before it is lent: a check would succeed on a replica too.
    let bind = BindSettings::new(url).max_connections(4).check_idle_after(Duration::from_secs(60));
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut session = session::<Postgres>(&registry).await;
        assert_eq!(port(&mut session).await, i64::from(one.port()));
        session.batch_execute("INSERT INTO t VALUES ('before')").await.expect("the primary");
        open.push(session);
    }
    let mut lent = open.split_off(2);
    drop(open);

    let one = &one;
    one.execute("ALTER SYSTEM SET default_transaction_read_only = on");
    one.execute("SELECT pg_reload_conf()");
    // Each server process learns of it by a signal.
    let settled = async {
        while lent[0].batch_execute("INSERT INTO t VALUES ('meanwhile')").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), settled).await.expect("it is read-only");

    let mut refused = 1;
    let error = lent[1].batch_execute("INSERT INTO t VALUES ('late')").await;
    refused += u32::from(error.is_err_and(|error| is_read_only(&error)));
    drop(lent);
    for turn in 0..12 {
        // Several sessions at a time, so that every connection is lent.
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(session::<Postgres>(&registry).await);
        }
        for session in &mut sessions {
            match session.batch_execute("INSERT INTO t VALUES ('after')").await {
                Ok(()) => assert_eq!(port(session).await, i64::from(two.port())),
                Err(error) => {
                    assert!(is_read_only(&error), "{error}");
                    refused += 1;
                    assert!(refused <= 4, "turn {turn}: more refusals than connections");
                }
            }
        }
    }
    assert!(registry.close().await.is_complete());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_to_a_mariadb_turned_read_only_is_not_lent_again() {
    let turn = mortal_mariadb().await;
    let server: &Server = &turn;
    let direct = server.database("failover");
    server.execute_in(&direct, "CREATE TABLE t (v VARCHAR(100))");
    server.execute("CREATE USER IF NOT EXISTS plain@'127.0.0.1' IDENTIFIED BY 'sesame'");
    server.execute("GRANT SELECT, INSERT, CREATE ON *.* TO plain@'127.0.0.1'");
    let url = direct.replace(server.user(), "plain");
    let bind = BindSettings::new(url).max_connections(1).check_idle_after(Duration::from_secs(60));
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let id = async |session: &mut Session<ByKey<Mysql>>| {
        let query = sql_query("SELECT CAST(CONNECTION_ID() AS SIGNED) AS value");
        let number: Number = query.get_result(&mut **session).await.expect("a row");
        number.value
    };
    let mut first = session::<Mysql>(&registry).await;
    let before = id(&mut first).await;
    first.batch_execute("INSERT INTO t VALUES ('before')").await.expect("the primary");
    server.execute("SET GLOBAL read_only = 1");
    let refused = first.batch_execute("INSERT INTO t VALUES ('a')").await;
    drop(first);
    let mut next = session::<Mysql>(&registry).await;
    let after = id(&mut next).await;
    server.execute("SET GLOBAL read_only = 0");
    let refused = refused.expect_err("it is read-only").to_string();
    assert!(refused.contains("read-only"), "{refused}");
    assert_ne!(before, after, "the connection that was refused");
    next.batch_execute("INSERT INTO t VALUES ('b')").await.expect("the primary again");
}
