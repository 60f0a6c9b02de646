//! Options of units of work in the dialect of each backend.

use diesel::dsl::sql;
use diesel::sql_types::Text;
use registry_core::{Isolation, Registry, RunQueryDsl, WorkError, WorkOptions, binds};

use crate::innodb;
use crate::support::{mariadb, postgres, sqlite_file};

binds! {
    Main: Postgres = "default";
    Analytics: Mysql = "analytics";
    Files: Sqlite = "files";
}

fn registry() -> Registry {
    Registry::builder()
        .bind("default", postgres().database("work"))
        .bind("analytics", mariadb().database("work"))
        .bind("files", sqlite_file())
        .build()
        .expect("good settings")
}

const ALL: [(Isolation, &str); 4] = [
    (Isolation::ReadUncommitted, "read uncommitted"),
    (Isolation::ReadCommitted, "read committed"),
    (Isolation::RepeatableRead, "repeatable read"),
    (Isolation::Serializable, "serializable"),
];

#[tokio::test]
async fn isolation_level_applies_to_the_transaction_only() {
    let registry = registry();
    for (isolation, name) in ALL {
        assert_eq!(isolation.to_string(), name);
        let options = WorkOptions::new().isolation(isolation);
        let mut work = registry.begin_with(options.clone());
        let session = work.session::<Main>().await.expect("a session");
        let shown = diesel::select(sql::<Text>("current_setting('transaction_isolation')"));
        assert_eq!(shown.get_result::<String>(session).await.expect("a row"), name);
        let session = work.session::<Analytics>().await.expect("a session");
        // InnoDB lists a transaction that has read something.
        diesel::sql_query("CREATE TABLE IF NOT EXISTS t (id INTEGER) ENGINE = InnoDB")
            .execute(&mut *registry.session::<Analytics>().await.expect("another"))
            .await
            .expect("a table");
        diesel::sql_query("SELECT * FROM t FOR UPDATE").execute(&mut *session).await.expect("read");
        let shown = diesel::select(sql::<Text>(
            "lower(trx_isolation_level) FROM information_schema.innodb_trx \
             WHERE trx_mysql_thread_id = connection_id()",
        ));
        let listed = innodb::list(shown.get_result::<String>(session)).await;
        assert_eq!(listed.expect("a row"), name);
        work.commit().await.expect("committed");
    }
    let mut work = registry.begin();
    let session = work.session::<Main>().await.expect("a session");
    let shown = diesel::select(sql::<Text>("current_setting('transaction_isolation')"));
    assert_eq!(shown.get_result::<String>(session).await.expect("a row"), "read committed");
}

#[tokio::test]
async fn deferrable_transactions_exist_on_postgresql_only() {
    let registry = registry();
    let options =
        WorkOptions::new().isolation(Isolation::Serializable).read_only(true).deferrable(true);
    let mut work = registry.begin_with(options);
    let session = work.session::<Main>().await.expect("a session");
    let shown = diesel::select(sql::<Text>("current_setting('transaction_deferrable')"));
    assert_eq!(shown.get_result::<String>(session).await.expect("a row"), "on");
    let error = work.session::<Analytics>().await.expect_err("MySQL has no such thing");
    assert_eq!(error.to_string(), "bind `analytics`: MySQL has no deferrable transactions");
    let error = work.session::<Files>().await.expect_err("SQLite has no such thing");
    assert_eq!(error.to_string(), "bind `files`: SQLite has no deferrable transactions");
    work.commit().await.expect("what was touched");
}

#[tokio::test]
async fn sqlite_accepts_serializable_only() {
    let registry = registry();
    for (isolation, name) in ALL {
        let mut work = registry.begin_with(WorkOptions::new().isolation(isolation));
        match work.session::<Files>().await {
            Ok(_) => assert_eq!(isolation, Isolation::Serializable),
            Err(error) => {
                assert!(matches!(error, WorkError::Unsupported { .. }));
                let expected = format!("bind `files`: SQLite has no transactions that are {name}");
                assert_eq!(error.to_string(), expected);
            }
        }
    }
    let own = WorkOptions::new()
        .isolation(Isolation::ReadCommitted)
        .for_bind("files", WorkOptions::new());
    registry.begin_with(own).session::<Files>().await.expect("its own options");
}
