//! Transient errors that only PostgreSQL has, and the one of SQLite. Those of all servers: `bodies/transient.rs`.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{
    BindSettings, Error, Isolation, Registry, RunQueryDsl, WorkOptions, bind_tables,
};

use crate::support::{causes, postgres, sqlite_file};

diesel::table! {
    counters (id) {
        id -> Integer,
        value -> Integer,
    }
}
diesel::table! {
    pages (id) {
        id -> Integer,
    }
}
bind_tables!(db = "crm", backend = Postgres; counters);
bind_tables!(db = "files", backend = Sqlite; pages);

type Crm = <counters::table as registry_core::Bound>::Bind;
type Files = <pages::table as registry_core::Bound>::Bind;

async fn registry(settings: impl FnOnce(BindSettings) -> BindSettings) -> Registry {
    let url = postgres().database("transient");
    postgres().execute_in(
        &url,
        "CREATE TABLE counters (id INTEGER PRIMARY KEY, value INTEGER NOT NULL); \
         INSERT INTO counters VALUES (1, 0), (2, 0)",
    );
    let bind = settings(BindSettings::new(url).max_connections(4));
    Registry::builder().bind("crm", bind).build().expect("good settings")
}

#[tokio::test]
async fn serialization_failure_is_transient() {
    let registry = registry(|bind| bind).await;
    let options = || WorkOptions::new().isolation(Isolation::Serializable);
    let (mut one, mut two) = (registry.begin_with(options()), registry.begin_with(options()));
    for work in [&mut one, &mut two] {
        counters::table.load::<(i32, i32)>(work).await.expect("rows");
    }
    let bump = |id| {
        diesel::update(counters::table.filter(counters::id.eq(id))).set(counters::value.eq(id))
    };
    bump(1).execute(&mut one).await.expect("nobody has it");
    one.commit().await.expect("the first");
    let outcome: Result<(), Error> = async {
        bump(1).execute(&mut two).await?;
        two.commit().await?;
        Ok(())
    }
    .await;
    let error = outcome.expect_err("it has read what is no longer so");
    assert!(error.is_transient(), "{:?}", causes(&error));
    assert!(error.to_string().contains("bind `crm`"), "{error}");
}

#[tokio::test]
async fn error_has_the_reason_for_a_terminated_idle_transaction() {
    let registry =
        registry(|bind| bind.on_connect(["SET idle_in_transaction_session_timeout = '100ms'"]))
            .await;
    let mut work = registry.begin();
    counters::table.load::<(i32, i32)>(&mut work).await.expect("rows");
    // Waits until the server has terminated it, which only the server itself can show.
    let mut observer = registry.session::<Crm>().await.expect("a session");
    let open = diesel::dsl::sql::<diesel::sql_types::BigInt>(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND state = 'idle in transaction'",
    );
    let ended = async {
        while diesel_async::RunQueryDsl::get_result::<i64>(open.clone(), &mut *observer)
            .await
            .expect("a number")
            > 0
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("after a tenth of a second");
    let outcome = counters::table.load::<(i32, i32)>(&mut work).await;
    let error = outcome.expect_err("its transaction is gone");
    let words = "terminating connection due to idle-in-transaction timeout";
    assert!(causes(&error).join(": ").contains(words), "{:?}", causes(&error));
    assert!(error.is_transient(), "{:?}", causes(&error));
}

#[tokio::test]
async fn locked_sqlite_file_is_transient() {
    let bind = BindSettings::new(sqlite_file()).busy_timeout(Duration::from_millis(50));
    let registry = Registry::builder().bind("files", bind).build().expect("good settings");
    let mut holder = registry.session::<Files>().await.expect("a session");
    holder.batch_execute("CREATE TABLE pages (id INTEGER PRIMARY KEY)").await.expect("a table");
    holder.batch_execute("BEGIN IMMEDIATE").await.expect("a transaction");
    let insert = || diesel::insert_into(pages::table).values(pages::id.eq(1));
    let error = insert().execute(&registry).await.expect_err("it is locked");
    assert!(error.is_transient(), "{:?}", causes(&error));
    assert!(error.to_string().contains("bind `files`"), "{error}");
    holder.batch_execute("ROLLBACK").await.expect("its transaction");
    insert().execute(&registry).await.expect("it is free");
}
