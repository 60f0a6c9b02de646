//! The reason that PostgreSQL gives when it closes a connection.

use diesel::result::DatabaseErrorKind;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{BindDsl, Postgres, Registry, RunQueryDsl, binds};

use crate::support::{self, causes, eventually};

binds! { Main: Postgres = "default"; }

const SAID: &str = "terminating connection due to idle-in-transaction timeout";

/// By itself, the driver only reports that the connection is closed.
#[tokio::test]
async fn error_has_the_servers_reason_for_closing_the_connection() {
    let url = support::postgres().database("farewell");
    let bind = BindSettings::new(url.as_str())
        .on_connect(["SET idle_in_transaction_session_timeout = '100ms'"]);
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let one = || diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("1"));
    let mut observer = Postgres::establish(&url).await.expect("it is up");
    let mut session = registry.session::<Main>().await.expect("a session");
    session.batch_execute("BEGIN").await.expect("a transaction");
    let mut work = registry.begin();
    one().bound_to::<Main>().get_result::<i32>(&mut work).await.expect("a row");
    let others = "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()) \
                  LOOP PERFORM pg_sleep(0.02), pg_stat_clear_snapshot(); END LOOP; END $$";
    observer.batch_execute(others).await.expect("both are ended");
    let error = one().get_result::<i32>(&mut session).await.expect_err("it is ended");
    assert_eq!(error.to_string(), SAID);
    let is_closed = |error: &diesel::result::Error| {
        matches!(
            error,
            diesel::result::Error::DatabaseError(DatabaseErrorKind::ClosedConnection, _)
        )
    };
    assert!(is_closed(&error), "{error:?}");
    let failed = work.commit().await.expect_err("it is ended");
    assert!(causes(&failed).iter().any(|cause| cause == SAID), "{:?}", causes(&failed));
    drop(session);
    let in_use = || registry.status().engines[0].in_use;
    eventually(|| in_use() == 0).await;
    let found = one().bound_to::<Main>().get_result::<i32>(&registry).await;
    assert_eq!(found.expect("another connection"), 1);
}
