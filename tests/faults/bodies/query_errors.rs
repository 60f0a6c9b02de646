//! How errors of queries are classified.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::SimpleAsyncConnection;
use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};

use super::rig::{Rig, UPDATE, create_things};
use super::{KILL_OTHERS, LOCK_IMPATIENCE};
use crate::support::causes;

diesel::table! {
    things (id) {
        id -> Integer,
        value -> Integer,
    }
}
bind_tables!(db = "default", connection = super::Backend; things);

async fn update(registry: &Registry) -> Result<usize, Error> {
    sql_query(UPDATE).bound_to::<things::table>().execute(registry).await
}

#[tokio::test]
async fn lock_timeout_is_transient_and_a_syntax_error_is_not() {
    let rig = Rig::new(|bind| bind.on_connect([LOCK_IMPATIENCE])).await;
    let mut observer = rig.observer().await;
    create_things(&mut observer).await;
    observer.batch_execute("BEGIN").await.expect("a transaction");
    observer.batch_execute(UPDATE).await.expect("a lock");
    let error = update(&rig.registry).await.expect_err("it is locked");
    assert_eq!(error.to_string(), "bind `default`: the query failed");
    assert!(error.is_transient(), "{error:?}");
    let in_work = rig
        .registry
        .transaction(async |work| sql_query(UPDATE).bound_to::<things::table>().execute(work).await)
        .await;
    assert!(in_work.expect_err("it is locked").is_transient());
    observer.batch_execute("ROLLBACK").await.expect("no lock");
    update(&rig.registry).await.expect("it is not locked");
    let wrong = sql_query("SELEKT 1").bound_to::<things::table>();
    let error = wrong.execute(&rig.registry).await.expect_err("no SQL");
    assert!(!error.is_transient(), "{error:?}");
    let Error::Query(error) = error else { panic!("{error:?}") };
    assert_eq!((error.key(), error.tenant()), (Some("default"), None));
    assert!(matches!(error.as_diesel(), diesel::result::Error::DatabaseError(..)));
    drop(observer);
    rig.finish().await;
}

#[tokio::test]
async fn connection_closed_by_the_server_is_transient() {
    let mut rig = Rig::new(|bind| bind.max_connections(1)).await;
    rig.alone().await;
    let mut observer = rig.observer().await;
    create_things(&mut observer).await;
    let mut work = rig.registry.begin();
    let read = || things::table.select(things::value);
    read().load::<i32>(&mut work).await.expect("rows");
    observer.batch_execute(KILL_OTHERS).await.expect("killed");
    let error = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Err(error) = read().load::<i32>(&mut work).await {
                break error;
            }
        }
    })
    .await
    .expect("it ends");
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(causes(&error)[0], "bind `default`: the query failed");
    drop(work);
    rig.assert_whole().await;
}
