//! Several queries at once on one session of a reader, on PostgreSQL.

use std::error::Error as _;

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel_async::SimpleAsyncConnection;
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use registry_core::{AnyExecutor, Error, ReadSession, Registry, RunQueryDsl, bind_tables, binds};
use tokio::try_join;

use super::database;

diesel::table! { things (id) { id -> Integer, } }
binds! { Main: Postgres = "main"; }
bind_tables!(Main; things);

async fn registry() -> Registry {
    let registry = Registry::builder().bind("main", database()).build().expect("good settings");
    let mut session = registry.session::<Main>().await.expect("a session");
    let create = "CREATE TABLE things AS SELECT generate_series(1, 10) AS id";
    session.batch_execute(create).await.expect("an empty database");
    drop(session);
    registry
}

async fn count(on: impl Into<AnyExecutor<'_, Main>>) -> Result<i64, Error> {
    things::table.count().get_result(on.into()).await
}

#[tokio::test]
async fn queries_at_once_on_a_read_session_each_get_their_own_answer() -> Result<(), Error> {
    let registry = registry().await;
    let session = &registry.reader().session::<Main>().await?;
    let all = (1..=10).map(|id| things::table.find(id).select(things::id).first::<i32>(session));
    assert_eq!(try_join_all(all).await?, (1..=10).collect::<Vec<_>>());
    // As ported programs write it.
    let mut shared = session;
    assert_eq!(things::table.count().get_result::<i64>(&mut shared).await?, 10);
    let rows = things::table.select(things::id).load_stream::<i32>(session).await?;
    let (ids, one, two) = try_join!(
        async { Ok(rows.try_collect::<Vec<_>>().await?) },
        count(session),
        count(session)
    )?;
    assert_eq!((ids.len(), one, two), (10, 10, 10));
    Ok(())
}

#[tokio::test]
async fn queries_at_once_in_a_snapshot_see_the_same_state() -> Result<(), Error> {
    let registry = registry().await;
    let mut session = registry.reader().session::<Main>().await?;
    session
        .snapshot(async |session| {
            let session: &ReadSession<Main> = session;
            assert_eq!(try_join!(count(session), count(session))?, (10, 10));
            diesel::insert_into(things::table).values(things::id.eq(11)).execute(&registry).await?;
            assert_eq!(try_join!(count(session), count(session))?, (10, 10));
            Ok::<_, Error>(())
        })
        .await?;
    assert_eq!(count(&session).await?, 11);
    Ok(())
}

#[tokio::test]
async fn a_shared_read_session_refuses_writes() -> Result<(), Error> {
    let registry = registry().await;
    let session = registry.reader().session::<Main>().await?;
    let mut on = AnyExecutor::<Main>::from(&session);
    let error = diesel::delete(things::table).execute(&mut on).await.expect_err("a write");
    let Error::Query(error) = error else { panic!("{error:?}") };
    assert!(matches!(error.as_diesel(), DieselError::QueryBuilderError(_)), "{error:?}");
    assert!(error.as_diesel().to_string().starts_with("a reader only reads"), "{error:?}");
    assert!(error.source().is_some());
    assert_eq!(count(&session).await?, 10);
    Ok(())
}
